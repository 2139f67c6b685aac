CREATE VIEW analytics.unmapped_event_type AS
SELECT
  account,
  event_type,
  event_name,
  currency,
  count(*) AS transaction_count,
  sum(abs(amount)) AS amount,
  CASE WHEN bool_or(fee_including_tax_is_unreadable AND fee_currency = currency) THEN NULL
    ELSE coalesce(sum(fee_including_tax) FILTER (WHERE fee_currency = currency), 0) END AS fee_amount,
  count(*) FILTER (WHERE fee_currency <> currency AND (fee_including_tax <> 0 OR fee_including_tax_is_unreadable)) AS foreign_fee_count,
  min(created_at) AS first_transaction_at,
  max(created_at) AS last_transaction_at
FROM analytics.settlement_transaction
WHERE direction IS NULL
GROUP BY account, event_type, event_name, currency;

COMMENT ON VIEW analytics.unmapped_event_type IS
  'Event types that warehouse.event_directions does not know: what settlements and balances leave out. Empty when every type is known.';
COMMENT ON COLUMN analytics.unmapped_event_type.account IS 'Merchant account, as configured.';
COMMENT ON COLUMN analytics.unmapped_event_type.event_type IS 'Kind of event, as sent: event_type of the row to add to warehouse.event_directions.';
COMMENT ON COLUMN analytics.unmapped_event_type.event_name IS 'Name of the event, as sent: event_name of the row to add, or * for every name.';
COMMENT ON COLUMN analytics.unmapped_event_type.currency IS 'Currency of the amounts.';
COMMENT ON COLUMN analytics.unmapped_event_type.transaction_count IS 'Transactions that are left out.';
COMMENT ON COLUMN analytics.unmapped_event_type.amount IS 'Sum of |amount| of these; in or out is not known.';
COMMENT ON COLUMN analytics.unmapped_event_type.fee_amount IS 'Sum of their fees with tax that are in the same currency; null, because it is not known, where one of them could not be read.';
COMMENT ON COLUMN analytics.unmapped_event_type.foreign_fee_count IS 'Of these, transactions with a fee in another currency, which is left out too.';
COMMENT ON COLUMN analytics.unmapped_event_type.first_transaction_at IS 'When the first of these was created.';
COMMENT ON COLUMN analytics.unmapped_event_type.last_transaction_at IS 'When the last of these was created.';
