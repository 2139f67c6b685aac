CREATE VIEW analytics.settlement_daily AS
SELECT
  account,
  day,
  currency,
  count(*) FILTER (WHERE is_settled) AS settled_count,
  coalesce(sum(direction * abs(amount)) FILTER (WHERE is_settled), 0) AS settled_amount,
  count(*) FILTER (WHERE NOT is_settled) AS unsettled_count,
  coalesce(sum(direction * abs(amount)) FILTER (WHERE NOT is_settled), 0) AS unsettled_amount,
  count(*) FILTER (WHERE direction IS NULL) AS unmapped_count
FROM analytics.settlement_transaction
GROUP BY account, day, currency;

COMMENT ON VIEW analytics.settlement_daily IS
  'Transactions by the UTC day of their creation: number and amount of those settled by now, and of the others.';
COMMENT ON COLUMN analytics.settlement_daily.account IS 'Merchant account, as configured.';
COMMENT ON COLUMN analytics.settlement_daily.day IS 'UTC day on which the transactions were created.';
COMMENT ON COLUMN analytics.settlement_daily.currency IS 'Currency of the transactions.';
COMMENT ON COLUMN analytics.settlement_daily.settled_count IS 'Settled transactions, unmapped ones included.';
COMMENT ON COLUMN analytics.settlement_daily.settled_amount IS 'Sum of direction x |amount| of the settled ones. Assumed, see settlement_transaction.direction.';
COMMENT ON COLUMN analytics.settlement_daily.unsettled_count IS 'Transactions not yet settled, unmapped ones included.';
COMMENT ON COLUMN analytics.settlement_daily.unsettled_amount IS 'Sum of direction x |amount| of those not yet settled. Assumed, as settled_amount.';
COMMENT ON COLUMN analytics.settlement_daily.unmapped_count IS 'Transactions with an unknown direction: counted, in no amount.';
