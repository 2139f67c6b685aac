CREATE VIEW analytics.settlement_transaction AS
SELECT
  t.account,
  t.transaction_id,
  t.settlement_id,
  t.customer_id,
  t.event_id,
  t.event_type,
  t.event_name,
  rule.direction,
  rule.rule AS direction_rule,
  t.currency,
  t.amount,
  t.fee_currency,
  t.fee_amount,
  t.tax_amount,
  t.net_amount,
  t.is_settled,
  t.is_reconciled,
  t.created_at,
  t.day,
  CASE WHEN t.is_settled THEN history.settled_seen_at END AS settled_seen_at,
  CASE WHEN t.is_settled THEN history.settled_seen_at <= t.first_seen_at END AS settled_seen_at_is_upper_bound,
  CASE WHEN NOT t.is_settled AND rule.direction IS DISTINCT FROM 0
    THEN greatest((now() AT TIME ZONE t.time_zone)::date - t.day, 0) END AS unsettled_days,
  t.time_zone,
  t.owner_id,
  t.org_id,
  t.scope,
  t.invoice_id,
  CASE WHEN NOT t.is_fee_unreadable AND NOT t.is_tax_unreadable AND (t.fee_amount IS NOT NULL OR t.tax_amount <> 0)
    THEN coalesce(t.fee_amount, 0) + t.tax_amount END AS fee_including_tax,
  t.removed_at,
  t.is_fee_unreadable AS fee_is_unreadable,
  t.is_tax_unreadable AS tax_is_unreadable,
  coalesce(rule.is_assumed, false) AS is_assumed
FROM warehouse.transactions AS t
LEFT JOIN analytics.event_direction AS rule
  ON rule.event_type = t.event_type AND rule.event_name = coalesce(t.event_name, '') AND rule.is_negative = (t.amount < 0)
LEFT JOIN warehouse.settlement_history AS history
  ON history.account = t.account AND history.transaction_id = t.transaction_id;

COMMENT ON VIEW analytics.settlement_transaction IS
  'Every transaction with what it does to a balance and whether it is settled. Transactions that are no longer listed stay in.';
COMMENT ON COLUMN analytics.settlement_transaction.account IS 'Merchant account, as configured.';
COMMENT ON COLUMN analytics.settlement_transaction.transaction_id IS 'Id of the transaction.';
COMMENT ON COLUMN analytics.settlement_transaction.settlement_id IS 'Settlement it belongs to; null while there is none.';
COMMENT ON COLUMN analytics.settlement_transaction.customer_id IS 'Customer it names; null where it is the organization''s own.';
COMMENT ON COLUMN analytics.settlement_transaction.event_id IS 'Id of the event, as sent: of a payin or a payout.';
COMMENT ON COLUMN analytics.settlement_transaction.event_type IS 'Kind of event, as sent.';
COMMENT ON COLUMN analytics.settlement_transaction.event_name IS 'Name of the event, as sent.';
COMMENT ON COLUMN analytics.settlement_transaction.direction IS
  'Assumed until the rule is confirmed: +1 money in, -1 money out, 0 neither, null not known (left out of every sum). See event_direction.';
COMMENT ON COLUMN analytics.settlement_transaction.direction_rule IS 'Rule that says so, see event_direction.';
COMMENT ON COLUMN analytics.settlement_transaction.currency IS 'Currency of amount and net_amount, ISO 4217.';
COMMENT ON COLUMN analytics.settlement_transaction.amount IS 'Amount as sent, with its sign.';
COMMENT ON COLUMN analytics.settlement_transaction.fee_currency IS
  'Currency of fee and tax; assumed to be the transaction''s where none is sent.';
COMMENT ON COLUMN analytics.settlement_transaction.fee_amount IS
  'Fee without tax: fees_without_tax, else fees_including_tax - tax_on_fees, else fees_including_tax. Null where none is sent or where it could not be read, see fee_is_unreadable. Assumed: positive is a cost.';
COMMENT ON COLUMN analytics.settlement_transaction.tax_amount IS
  'Tax on the fee: tax_on_fees, else fees_including_tax - fees_without_tax, else 0. Null where it could not be read, see tax_is_unreadable. Assumed: positive is a cost.';
COMMENT ON COLUMN analytics.settlement_transaction.net_amount IS 'Net amount as sent; no other column is computed from it.';
COMMENT ON COLUMN analytics.settlement_transaction.is_settled IS 'True if it is settled, as sent.';
COMMENT ON COLUMN analytics.settlement_transaction.is_reconciled IS 'True if it is reconciled, as sent.';
COMMENT ON COLUMN analytics.settlement_transaction.created_at IS 'When it was created.';
COMMENT ON COLUMN analytics.settlement_transaction.day IS 'Day of created_at in time_zone.';
COMMENT ON COLUMN analytics.settlement_transaction.settled_seen_at IS
  'When a sync first saw it settled: not earlier than the settlement itself. Null while it is not settled.';
COMMENT ON COLUMN analytics.settlement_transaction.settled_seen_at_is_upper_bound IS
  'True where it was settled already when it was first read: it was settled at settled_seen_at or any time before. Null while it is not settled.';
COMMENT ON COLUMN analytics.settlement_transaction.unsettled_days IS
  'Days since the day on which it was created, in time_zone; null once it is settled, and where it moves nothing.';
COMMENT ON COLUMN analytics.settlement_transaction.time_zone IS 'The account''s reporting time zone.';
COMMENT ON COLUMN analytics.settlement_transaction.owner_id IS
  'Owner of the balance that the amount moves: the customer where it names one, else the organization.';
COMMENT ON COLUMN analytics.settlement_transaction.org_id IS 'Organization that it names.';
COMMENT ON COLUMN analytics.settlement_transaction.scope IS 'Scope, as sent.';
COMMENT ON COLUMN analytics.settlement_transaction.invoice_id IS 'Id of the invoice, as sent.';
COMMENT ON COLUMN analytics.settlement_transaction.fee_including_tax IS
  'fee_amount + tax_amount; null where none is sent or where one could not be read.';
COMMENT ON COLUMN analytics.settlement_transaction.removed_at IS
  'When it was proven to be no longer listed; null while it is.';
COMMENT ON COLUMN analytics.settlement_transaction.fee_is_unreadable IS
  'A value that fee_amount rests on, or its currency, was sent and could not be read: sums of fee_amount are not known.';
COMMENT ON COLUMN analytics.settlement_transaction.tax_is_unreadable IS
  'A value that tax_amount rests on, or its currency, was sent and could not be read: sums of tax_amount are not known.';
COMMENT ON COLUMN analytics.settlement_transaction.is_assumed IS
  'True if the direction is assumed: no person has confirmed the rule. See event_rule.';
