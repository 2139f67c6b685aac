CREATE VIEW analytics.settlement_breakdown AS
-- Not materialized, so that a filter on the settlement reaches both parts.
WITH total AS NOT MATERIALIZED (SELECT * FROM warehouse.transaction_settlements WHERE transaction_count > 0), line AS (
  SELECT
    total.account, total.settlement_id, total.currency, total.event_type,
    total.transaction_count, total.settled_count, rule.direction, rule.direction * total.amount AS amount,
    CASE WHEN total.fee_currency = total.currency AND rule.direction IS NOT NULL THEN total.fee_amount ELSE 0 END AS fee_amount,
    CASE WHEN total.fee_currency = total.currency AND rule.direction IS NOT NULL THEN total.tax_amount ELSE 0 END AS tax_amount,
    total.fee_currency = total.currency AND rule.direction IS NOT NULL
      AND total.unreadable_fee_count + total.unreadable_tax_count > 0 AS is_unknown,
    total.net_amount, coalesce(rule.is_assumed, false) AS is_assumed
  FROM total LEFT JOIN analytics.event_direction AS rule
    ON rule.event_type = total.event_type AND rule.event_name = total.event_name AND rule.is_negative = total.is_negative
  UNION ALL
  -- A fee in another currency than the amount.
  SELECT
    total.account, total.settlement_id, total.fee_currency, total.event_type,
    0, 0, rule.direction, 0, total.fee_amount, total.tax_amount, total.unreadable_fee_count + total.unreadable_tax_count > 0, 0, rule.is_assumed
  FROM total JOIN analytics.event_direction AS rule
    ON rule.event_type = total.event_type AND rule.event_name = total.event_name AND rule.is_negative = total.is_negative
  WHERE total.fee_currency <> total.currency AND rule.direction IS NOT NULL
    AND (total.fee_count + total.tax_count > 0 OR total.unreadable_fee_count + total.unreadable_tax_count > 0)
)
SELECT
  account,
  settlement_id,
  currency,
  event_type,
  sum(transaction_count)::bigint AS transaction_count,
  coalesce(sum(amount), 0) AS amount,
  CASE WHEN NOT bool_or(is_unknown) THEN sum(fee_amount) END AS fee_amount,
  CASE WHEN NOT bool_or(is_unknown) THEN sum(tax_amount) END AS tax_amount,
  sum(net_amount) AS net_amount_as_sent,
  coalesce(sum(transaction_count - settled_count) FILTER (WHERE direction IS DISTINCT FROM 0), 0)::bigint AS unsettled_count,
  coalesce(sum(transaction_count) FILTER (WHERE direction IS NULL), 0)::bigint AS unmapped_count,
  bool_or(is_assumed) AS is_assumed
FROM line
GROUP BY account, settlement_id, currency, event_type;

COMMENT ON VIEW analytics.settlement_breakdown IS
  'The parts of a settlement: amounts and fees per currency and type of event. A fee in another currency than its amount is in the row of its own currency.';
COMMENT ON COLUMN analytics.settlement_breakdown.account IS 'Merchant account, as configured.';
COMMENT ON COLUMN analytics.settlement_breakdown.settlement_id IS 'Id of the settlement.';
COMMENT ON COLUMN analytics.settlement_breakdown.currency IS 'Currency of all amounts.';
COMMENT ON COLUMN analytics.settlement_breakdown.event_type IS 'Kind of event, as sent.';
COMMENT ON COLUMN analytics.settlement_breakdown.transaction_count IS
  'Transactions of the type in the currency, unmapped ones included.';
COMMENT ON COLUMN analytics.settlement_breakdown.amount IS
  'Sum of direction x |amount|. Assumed where is_assumed is true.';
COMMENT ON COLUMN analytics.settlement_breakdown.fee_amount IS
  'Sum of fees without tax; null, because it is not known, where a fee or tax could not be read.';
COMMENT ON COLUMN analytics.settlement_breakdown.tax_amount IS
  'Sum of tax on fees; null, because it is not known, where a fee or tax could not be read.';
COMMENT ON COLUMN analytics.settlement_breakdown.net_amount_as_sent IS
  'Sum of the net amounts that the API sent, unmapped transactions included; no other column rests on it.';
COMMENT ON COLUMN analytics.settlement_breakdown.unsettled_count IS
  'Transactions that move money, or may, and are not settled.';
COMMENT ON COLUMN analytics.settlement_breakdown.unmapped_count IS
  'Transactions whose direction is not known: in no amount but net_amount_as_sent.';
COMMENT ON COLUMN analytics.settlement_breakdown.is_assumed IS
  'True if an amount of the row rests on a rule of direction that is assumed: no person has confirmed it. See event_rule.';
