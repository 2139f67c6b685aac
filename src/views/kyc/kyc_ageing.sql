CREATE VIEW analytics.kyc_ageing AS
SELECT
  gap.account,
  age.bucket,
  gap.customer_type,
  gap.reason,
  count(*) AS customer_count,
  count(*) FILTER (WHERE gap.is_active IS NOT FALSE) AS active_count,
  count(*) FILTER (WHERE gap.gap_since_is_lower_bound) AS lower_bound_count,
  age.from_days,
  gap.time_zone
FROM analytics.kyc_gap AS gap
JOIN (VALUES ('0-7', 0, 7), ('8-30', 8, 30), ('31-90', 31, 90), ('91+', 91, NULL), ('unknown', NULL, NULL))
  AS age (bucket, from_days, to_days)
  ON CASE WHEN gap.gap_days IS NULL THEN age.from_days IS NULL
    ELSE gap.gap_days >= age.from_days AND (age.to_days IS NULL OR gap.gap_days <= age.to_days) END
GROUP BY gap.account, age.bucket, age.from_days, gap.customer_type, gap.reason, gap.time_zone;

COMMENT ON VIEW analytics.kyc_ageing IS
  'Customers not known to be ready, by the age of their gap, their type and the reason: kyc_gap counted.';
COMMENT ON COLUMN analytics.kyc_ageing.account IS 'Merchant account, as configured.';
COMMENT ON COLUMN analytics.kyc_ageing.bucket IS
  'Days of the gap: 0-7, 8-30, 31-90, 91+; unknown where no answer is known.';
COMMENT ON COLUMN analytics.kyc_ageing.customer_type IS 'individual or company, as sent.';
COMMENT ON COLUMN analytics.kyc_ageing.reason IS 'Reason for which the customers are in kyc_gap.';
COMMENT ON COLUMN analytics.kyc_ageing.customer_count IS 'Customers.';
COMMENT ON COLUMN analytics.kyc_ageing.active_count IS 'Customers among these that the API does not call inactive.';
COMMENT ON COLUMN analytics.kyc_ageing.lower_bound_count IS
  'Customers among these whose gap may be older: they were not ready in the first answer ever known.';
COMMENT ON COLUMN analytics.kyc_ageing.from_days IS 'First day of the bucket, to sort by; null for unknown.';
COMMENT ON COLUMN analytics.kyc_ageing.time_zone IS 'The account''s reporting time zone, in which the days are counted.';
