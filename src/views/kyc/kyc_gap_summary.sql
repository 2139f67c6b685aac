CREATE VIEW analytics.kyc_gap_summary AS
SELECT
  account,
  missing_field,
  count(*) AS customer_count,
  count(*) FILTER (WHERE is_active IS NOT FALSE) AS active_count,
  min(gap_since) AS oldest_gap_since,
  percentile_cont(0.5) WITHIN GROUP (ORDER BY gap_days) AS median_gap_days
FROM analytics.kyc_gap_field
GROUP BY account, missing_field;

COMMENT ON VIEW analytics.kyc_gap_summary IS
  'Number of customers without a field, and for how long. A customer without two fields counts in two rows.';
COMMENT ON COLUMN analytics.kyc_gap_summary.account IS 'Merchant account, as configured.';
COMMENT ON COLUMN analytics.kyc_gap_summary.missing_field IS 'Name of the missing field; (unspecified) if the API names none.';
COMMENT ON COLUMN analytics.kyc_gap_summary.customer_count IS 'Customers without the field.';
COMMENT ON COLUMN analytics.kyc_gap_summary.active_count IS 'Customers among these that the API does not call inactive.';
COMMENT ON COLUMN analytics.kyc_gap_summary.oldest_gap_since IS 'Longest time for which the field has been missing: its start.';
COMMENT ON COLUMN analytics.kyc_gap_summary.median_gap_days IS 'Median of the days for which it has been missing.';
