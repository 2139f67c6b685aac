CREATE VIEW analytics.kyc_gap_field AS
SELECT
  gap.account,
  gap.customer_id,
  missing.field AS missing_field,
  field.since AS gap_since,
  gap.customer_type,
  gap.is_active,
  field.is_lower_bound AS gap_since_is_lower_bound,
  CASE WHEN field.since IS NOT NULL
    THEN greatest((now() AT TIME ZONE gap.time_zone)::date - (field.since AT TIME ZONE gap.time_zone)::date, 0) END AS gap_days,
  gap.time_zone
FROM analytics.kyc_gap gap
CROSS JOIN LATERAL unnest(
  CASE gap.reason WHEN 'missing_fields' THEN gap.missing_fields WHEN 'unspecified' THEN '{(unspecified)}'::text[] END
) AS missing (field)
CROSS JOIN LATERAL (
  SELECT min(valid_from) FILTER (WHERE is_unbroken) AS since, bool_and(is_unbroken) AS is_lower_bound
  FROM (
    SELECT valid_from, bool_and(NOT is_wallet_ready AND CASE gap.reason
      WHEN 'missing_fields' THEN missing.field = ANY (history.missing_fields)
      ELSE history.missing_fields = '{}' END) OVER (ORDER BY valid_from DESC) AS is_unbroken
    FROM warehouse.wallet_readiness_history history
    WHERE history.account = gap.account AND history.customer_id = gap.customer_id
  ) period
) field;

COMMENT ON VIEW analytics.kyc_gap_field IS
  'Fields that each customer who is not wallet-ready must still provide, one row per field. Customers whose readiness is unknown are only in kyc_gap.';
COMMENT ON COLUMN analytics.kyc_gap_field.account IS 'Merchant account, as configured.';
COMMENT ON COLUMN analytics.kyc_gap_field.customer_id IS 'Id of the customer.';
COMMENT ON COLUMN analytics.kyc_gap_field.missing_field IS 'Name of the missing field, as sent; (unspecified) if the API names none.';
COMMENT ON COLUMN analytics.kyc_gap_field.gap_since IS 'Start of the unbroken time in which this field was missing, as far as syncs saw it.';
COMMENT ON COLUMN analytics.kyc_gap_field.customer_type IS 'individual or company, as sent.';
COMMENT ON COLUMN analytics.kyc_gap_field.is_active IS 'True if the customer is active, as sent.';
COMMENT ON COLUMN analytics.kyc_gap_field.gap_since_is_lower_bound IS
  'True if it was missing in every known answer: it has been missing for at least that long.';
COMMENT ON COLUMN analytics.kyc_gap_field.gap_days IS 'Days since the day of gap_since, in time_zone.';
COMMENT ON COLUMN analytics.kyc_gap_field.time_zone IS 'The account''s reporting time zone.';
