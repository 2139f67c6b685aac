CREATE VIEW analytics.kyc_gap_summary AS
SELECT
  account,
  missing_field,
  count(*) AS customer_count,
  min(gap_since) AS oldest_gap_since,
  percentile_cont(0.5) WITHIN GROUP (ORDER BY gap_days) AS median_gap_days
FROM analytics.kyc_gap_field
GROUP BY account, missing_field;

COMMENT ON VIEW analytics.kyc_gap_summary IS
  'How many customers miss what, and for how long. A customer who misses two fields counts in two rows.';
COMMENT ON COLUMN analytics.kyc_gap_summary.account IS 'Merchant account, as configured.';
COMMENT ON COLUMN analytics.kyc_gap_summary.missing_field IS 'Name of the missing field; (unspecified) where the API names none.';
COMMENT ON COLUMN analytics.kyc_gap_summary.customer_count IS 'Customers who miss it.';
COMMENT ON COLUMN analytics.kyc_gap_summary.oldest_gap_since IS 'Since when it has been missing for the one who has missed it longest.';
COMMENT ON COLUMN analytics.kyc_gap_summary.median_gap_days IS 'Median of the days for which it has been missing.';
