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
  'Event types without a direction in warehouse.event_directions, which settlements and balances leave out. Empty if every type is known.';
COMMENT ON COLUMN analytics.unmapped_event_type.account IS 'Merchant account, as configured.';
COMMENT ON COLUMN analytics.unmapped_event_type.event_type IS 'Kind of event, as sent: event_type of the row to add to warehouse.event_directions.';
COMMENT ON COLUMN analytics.unmapped_event_type.event_name IS 'Name of the event, as sent: event_name of the row to add, or * for every name.';
COMMENT ON COLUMN analytics.unmapped_event_type.currency IS 'Currency of the amounts.';
COMMENT ON COLUMN analytics.unmapped_event_type.transaction_count IS 'Transactions of this type, which are left out.';
COMMENT ON COLUMN analytics.unmapped_event_type.amount IS 'Sum of their |amount|; in or out is unknown.';
COMMENT ON COLUMN analytics.unmapped_event_type.fee_amount IS 'Sum of their fees with tax in the same currency; null (unknown) if one of them could not be read.';
COMMENT ON COLUMN analytics.unmapped_event_type.foreign_fee_count IS 'Transactions among these with a fee in another currency, which is left out, too.';
COMMENT ON COLUMN analytics.unmapped_event_type.first_transaction_at IS 'Time of creation of the first of these transactions.';
COMMENT ON COLUMN analytics.unmapped_event_type.last_transaction_at IS 'Time of creation of the last of these transactions.';
