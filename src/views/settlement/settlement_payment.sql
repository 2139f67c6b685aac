CREATE VIEW analytics.settlement_payment AS
SELECT
  account,
  settlement_id,
  currency,
  sum(amount) AS amount,
  CASE WHEN bool_and(fee_amount IS NOT NULL) THEN sum(fee_amount + tax_amount) END AS fee_and_tax,
  CASE WHEN bool_and(fee_amount IS NOT NULL) THEN sum(amount) - sum(fee_amount + tax_amount) END AS payment_to_merchant_amount,
  sum(transaction_count)::bigint AS transaction_count,
  sum(unmapped_count)::bigint AS unmapped_count,
  bool_or(is_assumed) AS is_assumed
FROM analytics.settlement_breakdown
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
