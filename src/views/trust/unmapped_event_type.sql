CREATE VIEW analytics.unmapped_event_type AS
SELECT
  total.account,
  total.event_type,
  total.event_name,
  total.currency,
  sum(total.transaction_count)::bigint AS transaction_count,
  sum(total.amount) AS amount,
  CASE WHEN NOT bool_or(total.unreadable_fee_count + total.unreadable_tax_count > 0 AND total.fee_currency = total.currency)
    THEN coalesce(sum(total.fee_amount + total.tax_amount) FILTER (WHERE total.fee_currency = total.currency), 0) END AS fee_amount,
  coalesce(
    sum(greatest(total.fee_count, total.tax_count) + greatest(total.unreadable_fee_count, total.unreadable_tax_count))
      FILTER (WHERE total.fee_currency <> total.currency),
    0
  )::bigint AS foreign_fee_count
FROM warehouse.transaction_kinds AS total
JOIN analytics.event_direction AS rule
  ON rule.event_type = total.event_type AND rule.event_name = total.event_name AND rule.is_negative = total.is_negative
WHERE rule.direction IS NULL AND total.transaction_count > 0
GROUP BY total.account, total.event_type, total.event_name, total.currency;

COMMENT ON VIEW analytics.unmapped_event_type IS
  'Kinds of transactions that no rule gives a direction: what settlements and balances leave out. Empty when every kind has one. `paycombat-sync directions list` shows the rules.';
COMMENT ON COLUMN analytics.unmapped_event_type.account IS 'Merchant account, as configured.';
COMMENT ON COLUMN analytics.unmapped_event_type.event_type IS 'Kind of event, as sent.';
COMMENT ON COLUMN analytics.unmapped_event_type.event_name IS 'Name of the event, as sent; empty where none is sent.';
COMMENT ON COLUMN analytics.unmapped_event_type.currency IS 'Currency of the amounts.';
COMMENT ON COLUMN analytics.unmapped_event_type.transaction_count IS 'Transactions that are left out.';
COMMENT ON COLUMN analytics.unmapped_event_type.amount IS 'Sum of |amount| of these; in or out is not known.';
COMMENT ON COLUMN analytics.unmapped_event_type.fee_amount IS
  'Sum of their fees with tax that are in the same currency; null, because it is not known, where one of them could not be read.';
COMMENT ON COLUMN analytics.unmapped_event_type.foreign_fee_count IS
  'Those of them with a fee in another currency, which is left out too.';
