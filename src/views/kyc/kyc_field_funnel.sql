CREATE VIEW analytics.kyc_field_funnel AS
WITH missing AS (
  SELECT
    history.account,
    history.customer_id,
    each.field,
    history.valid_from,
    history.valid_to,
    customer.removed_at,
    lag(history.valid_to) OVER (
      PARTITION BY history.account, history.customer_id, each.field ORDER BY history.valid_from
    ) AS missed_to
  FROM warehouse.wallet_readiness_history AS history
  -- Joined once, before a customer becomes a row per field.
  JOIN warehouse.customers AS customer
    ON customer.account = history.account AND customer.customer_id = history.customer_id
  CROSS JOIN LATERAL unnest(
    CASE WHEN history.missing_fields = '{}' THEN '{(unspecified)}' ELSE history.missing_fields END
  ) AS each (field)
  WHERE NOT history.is_wallet_ready
), numbered AS (
  -- The same number for all periods of one unbroken time.
  SELECT *, count(*) FILTER (WHERE missed_to IS DISTINCT FROM valid_from) OVER (
    PARTITION BY account, customer_id, field ORDER BY valid_from) AS time_number
  FROM missing
), unbroken AS (
  SELECT account, customer_id, field, removed_at, min(valid_from) AS since,
    CASE WHEN bool_and(valid_to IS NOT NULL) THEN max(valid_to) END AS until
  FROM numbered
  GROUP BY account, customer_id, field, removed_at, time_number
), per_customer AS (
  SELECT account, customer_id, field, removed_at, bool_or(until IS NULL) AS is_missing
  FROM unbroken
  GROUP BY account, customer_id, field, removed_at
), duration AS (
  SELECT unbroken.account, unbroken.field,
    percentile_cont(0.5) WITHIN GROUP (ORDER BY
      (unbroken.until AT TIME ZONE zone.name)::date - (unbroken.since AT TIME ZONE zone.name)::date) AS median_days
  FROM unbroken
  LEFT JOIN warehouse.account_settings AS setting ON setting.account = unbroken.account
  CROSS JOIN LATERAL (SELECT coalesce(setting.report_timezone, 'UTC') AS name) AS zone
  WHERE unbroken.until IS NOT NULL
  GROUP BY unbroken.account, unbroken.field
)
SELECT
  per_customer.account,
  per_customer.field AS missing_field,
  count(*) AS ever_missing_count,
  count(*) FILTER (WHERE per_customer.is_missing AND per_customer.removed_at IS NULL) AS still_missing_count,
  count(*) FILTER (WHERE NOT per_customer.is_missing) AS resolved_count,
  duration.median_days,
  count(*) FILTER (WHERE per_customer.is_missing AND per_customer.removed_at IS NOT NULL) AS removed_count
FROM per_customer
LEFT JOIN duration ON duration.account = per_customer.account AND duration.field = per_customer.field
GROUP BY per_customer.account, per_customer.field, duration.median_days;

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
