CREATE VIEW analytics.settlement_payment AS
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
  coalesce(sum(amount), 0) AS amount,
  CASE WHEN NOT bool_or(is_unknown) THEN sum(fee_amount + tax_amount) END AS fee_and_tax,
  CASE WHEN NOT bool_or(is_unknown) THEN coalesce(sum(amount), 0) - sum(fee_amount + tax_amount) END AS payment_to_merchant_amount,
  sum(transaction_count)::bigint AS transaction_count,
  coalesce(sum(transaction_count) FILTER (WHERE direction IS NULL), 0)::bigint AS unmapped_count,
  bool_or(is_assumed) AS is_assumed
FROM line
GROUP BY account, settlement_id, currency;

COMMENT ON VIEW analytics.settlement_payment IS
  'The payment of a settlement in each currency: amounts less the fees that are taken in that currency, whatever the currency of the amount that they belong to.';
COMMENT ON COLUMN analytics.settlement_payment.account IS 'Merchant account, as configured.';
COMMENT ON COLUMN analytics.settlement_payment.settlement_id IS 'Id of the settlement.';
COMMENT ON COLUMN analytics.settlement_payment.currency IS 'Currency of all amounts.';
COMMENT ON COLUMN analytics.settlement_payment.amount IS
  'Sum of direction x |amount| of the transactions in the currency. Assumed where is_assumed is true.';
COMMENT ON COLUMN analytics.settlement_payment.fee_and_tax IS
  'Sum of the fees in the currency with their tax; null, because it is not known, where one of them could not be read.';
COMMENT ON COLUMN analytics.settlement_payment.payment_to_merchant_amount IS
  'amount - fee_and_tax: what arrives in the currency.';
COMMENT ON COLUMN analytics.settlement_payment.transaction_count IS
  'Transactions in the currency, unmapped ones included.';
COMMENT ON COLUMN analytics.settlement_payment.unmapped_count IS
  'Transactions whose direction is not known: in no amount.';
COMMENT ON COLUMN analytics.settlement_payment.is_assumed IS
  'True if an amount of the row rests on a rule of direction that is assumed: no person has confirmed it. See event_rule.';
