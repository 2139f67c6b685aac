CREATE VIEW analytics.unsettled_ageing AS
SELECT
  account,
  owner_id,
  currency,
  time_zone,
  count(*) FILTER (WHERE unsettled_days < 3) AS days_0_2_count,
  coalesce(sum(direction * abs(amount)) FILTER (WHERE unsettled_days < 3), 0) AS days_0_2_amount,
  count(*) FILTER (WHERE unsettled_days BETWEEN 3 AND 6) AS days_3_6_count,
  coalesce(sum(direction * abs(amount)) FILTER (WHERE unsettled_days BETWEEN 3 AND 6), 0) AS days_3_6_amount,
  count(*) FILTER (WHERE unsettled_days BETWEEN 7 AND 29) AS days_7_29_count,
  coalesce(sum(direction * abs(amount)) FILTER (WHERE unsettled_days BETWEEN 7 AND 29), 0) AS days_7_29_amount,
  count(*) FILTER (WHERE unsettled_days >= 30) AS days_30_on_count,
  coalesce(sum(direction * abs(amount)) FILTER (WHERE unsettled_days >= 30), 0) AS days_30_on_amount,
  count(*) FILTER (WHERE direction IS NULL) AS unmapped_count,
  bool_or(is_assumed) AS is_assumed
FROM analytics.settlement_transaction
WHERE NOT is_settled AND direction IS DISTINCT FROM 0
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
