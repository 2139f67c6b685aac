CREATE VIEW analytics.kyc_field_funnel AS
WITH missing AS MATERIALIZED (
  -- Periods that follow each other are one time.
  SELECT history.account, history.customer_id, each.field, range_agg(tstzrange(history.valid_from, history.valid_to)) AS times
  FROM warehouse.wallet_readiness_history AS history
  CROSS JOIN LATERAL unnest(
    CASE WHEN history.missing_fields = '{}' THEN '{(unspecified)}' ELSE history.missing_fields END
  ) AS each (field)
  WHERE NOT history.is_wallet_ready
  GROUP BY history.account, history.customer_id, each.field
), counted AS (
  SELECT
    missing.account,
    missing.field,
    count(*) AS ever_missing_count,
    count(*) FILTER (WHERE upper_inf(missing.times) AND customer.removed_at IS NULL) AS still_missing_count,
    count(*) FILTER (WHERE NOT upper_inf(missing.times)) AS resolved_count,
    count(*) FILTER (WHERE upper_inf(missing.times) AND customer.removed_at IS NOT NULL) AS removed_count
  FROM missing
  JOIN warehouse.customers AS customer ON customer.account = missing.account AND customer.customer_id = missing.customer_id
  GROUP BY missing.account, missing.field
), duration AS (
  SELECT missing.account, missing.field,
    percentile_cont(0.5) WITHIN GROUP (ORDER BY
      (upper(each.time) AT TIME ZONE zone.name)::date - (lower(each.time) AT TIME ZONE zone.name)::date) AS median_days
  FROM missing
  JOIN warehouse.customers AS customer ON customer.account = missing.account AND customer.customer_id = missing.customer_id
  CROSS JOIN LATERAL unnest(missing.times) AS each (time)
  LEFT JOIN warehouse.account_settings AS setting ON setting.account = missing.account
  CROSS JOIN LATERAL (SELECT coalesce(setting.report_timezone, 'UTC') AS name) AS zone
  WHERE NOT upper_inf(each.time)
  GROUP BY missing.account, missing.field
)
SELECT
  counted.account,
  counted.field AS missing_field,
  counted.ever_missing_count,
  counted.still_missing_count,
  counted.resolved_count,
  duration.median_days,
  counted.removed_count
FROM counted
LEFT JOIN duration ON duration.account = counted.account AND duration.field = counted.field;

COMMENT ON VIEW analytics.kyc_field_funnel IS
  'How many customers ever missed a field, how many still do, and how long it took the others, as far as syncs saw it. ever_missing_count = still_missing_count + resolved_count + removed_count.';
COMMENT ON COLUMN analytics.kyc_field_funnel.account IS 'Merchant account, as configured.';
COMMENT ON COLUMN analytics.kyc_field_funnel.missing_field IS
  'Name of the missing field, as sent; (unspecified) where the API names none.';
COMMENT ON COLUMN analytics.kyc_field_funnel.ever_missing_count IS 'Customers who missed it in any answer.';
COMMENT ON COLUMN analytics.kyc_field_funnel.still_missing_count IS
  'Customers among these who are listed and miss it in the latest answer.';
COMMENT ON COLUMN analytics.kyc_field_funnel.resolved_count IS 'Customers among these who do not miss it in the latest answer.';
COMMENT ON COLUMN analytics.kyc_field_funnel.median_days IS
  'Median of the days for which it was missing without a break, in the account''s reporting time zone, over all times that ended; null where none did.';
COMMENT ON COLUMN analytics.kyc_field_funnel.removed_count IS
  'Customers among these who missed it in their latest answer and are no longer listed.';
