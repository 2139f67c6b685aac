CREATE VIEW analytics.unsettled_ageing AS
-- Columns of one index only, so that no transaction itself is read.
WITH line AS (
  SELECT t.account, t.owner_id, t.currency, zone.name AS time_zone, rule.direction, coalesce(rule.is_assumed, false) AS is_assumed,
    rule.direction * abs(t.amount) AS amount, (now() AT TIME ZONE zone.name)::date - t.day AS unsettled_days
  FROM warehouse.transactions AS t
  LEFT JOIN analytics.event_direction AS rule
    ON rule.event_type = t.event_type AND rule.event_name = coalesce(t.event_name, '') AND rule.is_negative = (t.amount < 0)
  LEFT JOIN warehouse.account_settings AS setting ON setting.account = t.account
  CROSS JOIN LATERAL (SELECT coalesce(setting.report_timezone, 'UTC') AS name) AS zone
  WHERE NOT t.is_settled AND rule.direction IS DISTINCT FROM 0
)
SELECT
  account,
  owner_id,
  currency,
  time_zone,
  count(*) FILTER (WHERE unsettled_days < 3) AS days_0_2_count,
  coalesce(sum(amount) FILTER (WHERE unsettled_days < 3), 0) AS days_0_2_amount,
  count(*) FILTER (WHERE unsettled_days BETWEEN 3 AND 6) AS days_3_6_count,
  coalesce(sum(amount) FILTER (WHERE unsettled_days BETWEEN 3 AND 6), 0) AS days_3_6_amount,
  count(*) FILTER (WHERE unsettled_days BETWEEN 7 AND 29) AS days_7_29_count,
  coalesce(sum(amount) FILTER (WHERE unsettled_days BETWEEN 7 AND 29), 0) AS days_7_29_amount,
  count(*) FILTER (WHERE unsettled_days >= 30) AS days_30_on_count,
  coalesce(sum(amount) FILTER (WHERE unsettled_days >= 30), 0) AS days_30_on_amount,
  count(*) FILTER (WHERE direction IS NULL) AS unmapped_count,
  bool_or(is_assumed) AS is_assumed
FROM line
GROUP BY account, owner_id, currency, time_zone;

COMMENT ON VIEW analytics.unsettled_ageing IS
  'Money that is not settled yet, by owner and by the days since its transactions were created. Transactions that move nothing are left out.';
COMMENT ON COLUMN analytics.unsettled_ageing.account IS 'Merchant account, as configured.';
COMMENT ON COLUMN analytics.unsettled_ageing.owner_id IS
  'Owner of the money: the customer where the transaction names one, else the organization.';
COMMENT ON COLUMN analytics.unsettled_ageing.currency IS 'Currency of all amounts.';
COMMENT ON COLUMN analytics.unsettled_ageing.time_zone IS 'The account''s reporting time zone.';
COMMENT ON COLUMN analytics.unsettled_ageing.days_0_2_count IS
  'Transactions that are 0 to 2 days old, unmapped ones included.';
COMMENT ON COLUMN analytics.unsettled_ageing.days_0_2_amount IS
  'Sum of direction x |amount| of these. Assumed where is_assumed is true.';
COMMENT ON COLUMN analytics.unsettled_ageing.days_3_6_count IS
  'Transactions that are 3 to 6 days old, unmapped ones included.';
COMMENT ON COLUMN analytics.unsettled_ageing.days_3_6_amount IS
  'Sum of direction x |amount| of these. Assumed where is_assumed is true.';
COMMENT ON COLUMN analytics.unsettled_ageing.days_7_29_count IS
  'Transactions that are 7 to 29 days old, unmapped ones included.';
COMMENT ON COLUMN analytics.unsettled_ageing.days_7_29_amount IS
  'Sum of direction x |amount| of these. Assumed where is_assumed is true.';
COMMENT ON COLUMN analytics.unsettled_ageing.days_30_on_count IS
  'Transactions that are 30 days or more old, unmapped ones included.';
COMMENT ON COLUMN analytics.unsettled_ageing.days_30_on_amount IS
  'Sum of direction x |amount| of these. Assumed where is_assumed is true.';
COMMENT ON COLUMN analytics.unsettled_ageing.unmapped_count IS
  'Those of all these whose direction is not known: counted, in no amount.';
COMMENT ON COLUMN analytics.unsettled_ageing.is_assumed IS
  'True if an amount of the row rests on a rule of direction that is assumed: no person has confirmed it. See event_rule.';
