CREATE VIEW analytics.settlement_daily AS
SELECT
  total.account,
  total.day,
  total.currency,
  coalesce(sum(total.transaction_count) FILTER (WHERE rule.direction IS DISTINCT FROM 0 AND total.is_settled), 0)::bigint AS settled_count,
  coalesce(sum(rule.direction * total.amount) FILTER (WHERE total.is_settled), 0) AS settled_amount,
  coalesce(sum(total.transaction_count) FILTER (WHERE rule.direction IS DISTINCT FROM 0 AND NOT total.is_settled), 0)::bigint AS unsettled_count,
  coalesce(sum(rule.direction * total.amount) FILTER (WHERE NOT total.is_settled), 0) AS unsettled_amount,
  coalesce(sum(total.transaction_count) FILTER (WHERE rule.direction = 0), 0)::bigint AS unmoving_count,
  coalesce(sum(total.transaction_count) FILTER (WHERE rule.direction IS DISTINCT FROM 0 AND total.is_settled AND NOT total.has_settlement), 0)::bigint
    AS settled_without_settlement_count,
  coalesce(sum(rule.direction * total.amount) FILTER (WHERE total.is_settled AND NOT total.has_settlement), 0) AS settled_without_settlement_amount,
  coalesce(sum(total.transaction_count) FILTER (WHERE rule.direction IS NULL), 0)::bigint AS unmapped_count,
  coalesce(setting.report_timezone, 'UTC') AS time_zone,
  coalesce(bool_or(rule.is_assumed), false) AS is_assumed
FROM warehouse.transaction_days AS total
LEFT JOIN analytics.event_direction AS rule
  ON rule.event_type = total.event_type AND rule.event_name = total.event_name AND rule.is_negative = total.is_negative
LEFT JOIN warehouse.account_settings AS setting ON setting.account = total.account
WHERE total.transaction_count > 0
GROUP BY total.account, total.day, setting.report_timezone, total.currency;

COMMENT ON VIEW analytics.settlement_daily IS
  'Transactions by the day on which they were created: how many and how much is settled by now, and how much is not.';
COMMENT ON COLUMN analytics.settlement_daily.account IS 'Merchant account, as configured.';
COMMENT ON COLUMN analytics.settlement_daily.day IS 'Day on which the transactions were created, in time_zone.';
COMMENT ON COLUMN analytics.settlement_daily.currency IS 'Currency of the transactions.';
COMMENT ON COLUMN analytics.settlement_daily.settled_count IS
  'Settled transactions, unmapped ones included, unmoving ones not.';
COMMENT ON COLUMN analytics.settlement_daily.settled_amount IS
  'Sum of direction x |amount| of the settled ones. Assumed where is_assumed is true.';
COMMENT ON COLUMN analytics.settlement_daily.unsettled_count IS
  'Transactions not yet settled, unmapped ones included, unmoving ones not.';
COMMENT ON COLUMN analytics.settlement_daily.unsettled_amount IS
  'Sum of direction x |amount| of those not yet settled. Assumed, as settled_amount.';
COMMENT ON COLUMN analytics.settlement_daily.unmoving_count IS
  'Transactions that move nothing, such as failed payments and reserves.';
COMMENT ON COLUMN analytics.settlement_daily.settled_without_settlement_count IS
  'Settled transactions that name no settlement: they are in no row of settlement.';
COMMENT ON COLUMN analytics.settlement_daily.settled_without_settlement_amount IS
  'Sum of direction x |amount| of these.';
COMMENT ON COLUMN analytics.settlement_daily.unmapped_count IS
  'Transactions whose direction is not known: counted, in no amount.';
COMMENT ON COLUMN analytics.settlement_daily.time_zone IS 'The account''s reporting time zone.';
COMMENT ON COLUMN analytics.settlement_daily.is_assumed IS
  'True if an amount of the row rests on a rule of direction that is assumed: no person has confirmed it. See event_rule.';
