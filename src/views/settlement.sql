CREATE VIEW analytics.settlement AS
WITH part AS (
  SELECT
    account,
    settlement_id,
    currency,
    fee_currency,
    count(*) AS transaction_count,
    count(*) FILTER (WHERE direction IS NULL) AS unmapped_count,
    coalesce(sum(direction * abs(amount)), 0) AS settlement_amount,
    CASE WHEN bool_or(fee_is_unreadable AND direction IS NOT NULL) THEN NULL
      ELSE coalesce(sum(fee_amount) FILTER (WHERE direction IS NOT NULL), 0) END AS fee_amount,
    CASE WHEN bool_or(tax_is_unreadable AND direction IS NOT NULL) THEN NULL
      ELSE coalesce(sum(tax_amount) FILTER (WHERE direction IS NOT NULL), 0) END AS tax_amount,
    min(created_at) AS first_transaction_at,
    max(created_at) AS last_transaction_at,
    bool_and(is_settled) AS is_settled,
    max(settled_seen_at) AS settled_seen_at
  FROM analytics.settlement_transaction
  WHERE settlement_id IS NOT NULL
  GROUP BY account, settlement_id, currency, fee_currency
)
SELECT
  account,
  settlement_id,
  currency,
  fee_currency,
  -- Judged over all currencies, because a settlement has one state.
  CASE WHEN bool_and(is_settled) OVER settlement THEN 'Done' ELSE 'In Progress' END AS status,
  transaction_count,
  unmapped_count,
  settlement_amount,
  fee_amount,
  tax_amount,
  CASE WHEN fee_currency = currency THEN settlement_amount - fee_amount - tax_amount END AS payment_to_merchant_amount,
  first_transaction_at,
  last_transaction_at,
  CASE WHEN bool_and(is_settled) OVER settlement THEN max(settled_seen_at) OVER settlement END AS settled_seen_at
FROM part
WINDOW settlement AS (PARTITION BY account, settlement_id);

COMMENT ON VIEW analytics.settlement IS
  'Settlements: the amount collected, its cost, and the payment to the merchant, per currency and fee currency.';
COMMENT ON COLUMN analytics.settlement.account IS 'Merchant account, as configured.';
COMMENT ON COLUMN analytics.settlement.settlement_id IS 'Id of the settlement. Transactions without one are in settlement_transaction and settlement_daily only.';
COMMENT ON COLUMN analytics.settlement.currency IS 'Currency of the transactions; amounts of different currencies are never added.';
COMMENT ON COLUMN analytics.settlement.fee_currency IS 'Currency of fee_amount and tax_amount.';
COMMENT ON COLUMN analytics.settlement.status IS
  'Done if every transaction of the settlement, in any currency, is settled; else In Progress.';
COMMENT ON COLUMN analytics.settlement.transaction_count IS 'Transactions, unmapped ones included.';
COMMENT ON COLUMN analytics.settlement.unmapped_count IS
  'Transactions with an unknown direction: left out of all four amounts, see unmapped_event_type.';
COMMENT ON COLUMN analytics.settlement.settlement_amount IS 'Sum of direction x |amount|. Assumed, see settlement_transaction.direction.';
COMMENT ON COLUMN analytics.settlement.fee_amount IS 'Sum of fees without tax, in fee_currency, including those of failed payments. Null (unknown) if one of them could not be read.';
COMMENT ON COLUMN analytics.settlement.tax_amount IS 'Sum of tax on fees, in fee_currency, including those of failed payments. Null (unknown) if one of them could not be read.';
COMMENT ON COLUMN analytics.settlement.payment_to_merchant_amount IS
  'settlement_amount - fee_amount - tax_amount; null if the fees are in another currency, or if one could not be read.';
COMMENT ON COLUMN analytics.settlement.first_transaction_at IS 'Time of creation of the first of these transactions.';
COMMENT ON COLUMN analytics.settlement.last_transaction_at IS 'Time of creation of the last of these transactions.';
COMMENT ON COLUMN analytics.settlement.settled_seen_at IS
  'Time at which a sync first saw the last of the settlement''s transactions settled; null unless Done.';
