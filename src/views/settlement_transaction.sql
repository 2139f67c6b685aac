-- Only this view decides the effect of a transaction on a balance. Every other view of transactions reads it.
CREATE VIEW analytics.settlement_transaction AS
SELECT
  t.account,
  t.transaction_id,
  t.settlement_id,
  t.customer_id,
  t.event_type,
  t.event_name,
  -- A person's rule wins over a word, the closer rule over the wider one.
  coalesce(
    exact.direction,
    CASE WHEN upper(t.event_name) LIKE ANY ('{%FAIL%,%CANCEL%,%EXPIR%}') THEN 0 END,
    wide.direction,
    CASE WHEN upper(t.event_type) LIKE ANY ('{%FAIL%,%CANCEL%,%EXPIR%}') THEN 0 END
  )::smallint AS direction,
  t.currency,
  t.amount,
  coalesce(t.fees_currency, t.currency) AS fee_currency,
  t.fees_without_tax AS fee_amount,
  t.tax_on_fees AS tax_amount,
  t.net_amount,
  t.is_settled,
  t.is_reconciled,
  t.created_at,
  CASE WHEN NOT t.is_settled THEN greatest(extract(day FROM now() - t.created_at)::integer, 0) END AS unsettled_days,
  (t.created_at AT TIME ZONE 'UTC')::date AS day,
  t.owner_id,
  t.scope,
  CASE WHEN NOT fee_with_tax.is_unreadable
    THEN coalesce(t.fees_including_tax, t.fees_without_tax + coalesce(t.tax_on_fees, 0), t.tax_on_fees) END AS fee_including_tax,
  CASE WHEN t.is_settled THEN history.settled_seen_at END AS settled_seen_at,
  t.removed_at,
  fee.is_unreadable OR currency.is_unreadable AS fee_is_unreadable,
  tax.is_unreadable OR currency.is_unreadable AS tax_is_unreadable,
  fee_with_tax.is_unreadable AS fee_including_tax_is_unreadable
FROM warehouse.transactions t
-- Null in the row although the record carries a value: it could not be read.
CROSS JOIN LATERAL (SELECT (t.fees_without_tax IS NULL AND t.raw ->> 'fees_without_tax' ~ '\S') IS TRUE AS is_unreadable) AS fee
CROSS JOIN LATERAL (SELECT (t.tax_on_fees IS NULL AND t.raw ->> 'tax_on_fees' ~ '\S') IS TRUE AS is_unreadable) AS tax
CROSS JOIN LATERAL (SELECT (t.fees_including_tax IS NULL AND t.raw ->> 'fees_including_tax' ~ '\S') IS TRUE AS is_unreadable) AS whole
CROSS JOIN LATERAL (SELECT (t.fees_currency IS NULL AND t.raw ->> 'fees_currency' ~ '\S') IS TRUE AS is_unreadable) AS currency
CROSS JOIN LATERAL (
  SELECT currency.is_unreadable
    OR t.fees_including_tax IS NULL AND (whole.is_unreadable OR fee.is_unreadable OR tax.is_unreadable) AS is_unreadable
) AS fee_with_tax
LEFT JOIN warehouse.event_directions exact ON exact.event_type = t.event_type AND exact.event_name = t.event_name
LEFT JOIN warehouse.event_directions wide ON wide.event_type = t.event_type AND wide.event_name = '*'
LEFT JOIN warehouse.settlement_history history
  ON history.account = t.account AND history.transaction_id = t.transaction_id;

COMMENT ON VIEW analytics.settlement_transaction IS
  'Every transaction with its effect on a balance and its settlement. Transactions that are no longer listed stay in.';
COMMENT ON COLUMN analytics.settlement_transaction.account IS 'Merchant account, as configured.';
COMMENT ON COLUMN analytics.settlement_transaction.transaction_id IS 'Id of the transaction.';
COMMENT ON COLUMN analytics.settlement_transaction.settlement_id IS 'Settlement of the transaction; null while there is none.';
COMMENT ON COLUMN analytics.settlement_transaction.customer_id IS 'Customer of the transaction; null for the organization''s own.';
COMMENT ON COLUMN analytics.settlement_transaction.event_type IS 'Kind of event, as sent.';
COMMENT ON COLUMN analytics.settlement_transaction.event_name IS 'Name of the event, as sent.';
COMMENT ON COLUMN analytics.settlement_transaction.direction IS
  'Assumed: +1 money in, -1 money out, 0 neither, null unknown (left out of every sum). From warehouse.event_directions by type and name; else 0 if the name says that it failed, was cancelled or expired; else by type alone; else 0 if the type says so.';
COMMENT ON COLUMN analytics.settlement_transaction.currency IS 'Currency of amount and net_amount, ISO 4217.';
COMMENT ON COLUMN analytics.settlement_transaction.amount IS 'Amount as sent, with its sign.';
COMMENT ON COLUMN analytics.settlement_transaction.fee_currency IS
  'Currency of fee and tax; assumed to be the transaction''s if none is sent.';
COMMENT ON COLUMN analytics.settlement_transaction.fee_amount IS
  'Fee without tax, as sent; null if none is sent or if it could not be read, see fee_is_unreadable. Assumed: positive is a cost.';
COMMENT ON COLUMN analytics.settlement_transaction.tax_amount IS
  'Tax on the fee, as sent; null if none is sent or if it could not be read, see tax_is_unreadable. Assumed: positive is a cost.';
COMMENT ON COLUMN analytics.settlement_transaction.net_amount IS 'Net amount as sent; no other column is computed from it.';
COMMENT ON COLUMN analytics.settlement_transaction.is_settled IS 'True if it is settled, as sent.';
COMMENT ON COLUMN analytics.settlement_transaction.is_reconciled IS 'True if it is reconciled, as sent.';
COMMENT ON COLUMN analytics.settlement_transaction.created_at IS 'Time of creation.';
COMMENT ON COLUMN analytics.settlement_transaction.unsettled_days IS 'Whole days since it was created; null once it is settled.';
COMMENT ON COLUMN analytics.settlement_transaction.day IS 'UTC day of created_at.';
COMMENT ON COLUMN analytics.settlement_transaction.owner_id IS
  'Owner of the balance that it moves: the customer if it names one, else the organization.';
COMMENT ON COLUMN analytics.settlement_transaction.scope IS 'Scope, as sent.';
COMMENT ON COLUMN analytics.settlement_transaction.fee_including_tax IS
  'Fee with its tax, as sent; the sum of both if only they are sent; null if none is sent or if it could not be read.';
COMMENT ON COLUMN analytics.settlement_transaction.settled_seen_at IS
  'Time at which a sync first saw it settled: not before the settlement itself, and up to one sync interval after it. Null while it is not settled.';
COMMENT ON COLUMN analytics.settlement_transaction.removed_at IS
  'Time at which it was proven to be gone; null while it is listed.';
COMMENT ON COLUMN analytics.settlement_transaction.fee_is_unreadable IS
  'True if a fee, or its currency, was sent and could not be read: sums of fee_amount are unknown.';
COMMENT ON COLUMN analytics.settlement_transaction.tax_is_unreadable IS
  'True if a tax, or its currency, was sent and could not be read: sums of tax_amount are unknown.';
COMMENT ON COLUMN analytics.settlement_transaction.fee_including_tax_is_unreadable IS
  'True if the fee with its tax, or its currency, was sent and could not be read: sums of fee_including_tax, and balances, are unknown.';
