CREATE VIEW analytics.kyc_gap AS
SELECT
  customer.account,
  customer.customer_id,
  customer.type AS customer_type,
  customer.is_active,
  CASE
    WHEN readiness.customer_id IS NULL THEN 'never_checked'
    WHEN readiness.is_wallet_ready IS NULL THEN 'check_failed'
    WHEN readiness.missing_fields = '{}' THEN 'unspecified'
    ELSE 'missing_fields'
  END AS reason,
  coalesce(readiness.missing_fields, '{}') AS missing_fields,
  gap.since AS gap_since,
  gap.is_lower_bound AS gap_since_is_lower_bound,
  CASE WHEN gap.since IS NOT NULL
    THEN greatest((now() AT TIME ZONE zone.name)::date - (gap.since AT TIME ZONE zone.name)::date, 0) END AS gap_days,
  readiness.checked_at,
  readiness.check_error,
  customer.is_wallet_ready AS is_wallet_ready_in_list,
  zone.name AS time_zone
FROM warehouse.customers customer
LEFT JOIN warehouse.wallet_readiness readiness
  ON readiness.account = customer.account AND readiness.customer_id = customer.customer_id
LEFT JOIN warehouse.account_settings setting ON setting.account = customer.account
CROSS JOIN LATERAL (SELECT coalesce(setting.report_timezone, 'UTC') AS name) zone
LEFT JOIN LATERAL (
  SELECT min(valid_from) FILTER (WHERE is_unbroken) AS since, bool_and(is_unbroken) AS is_lower_bound
  FROM (
    SELECT valid_from, bool_and(NOT is_wallet_ready) OVER (ORDER BY valid_from DESC) AS is_unbroken
    FROM warehouse.wallet_readiness_history history
    WHERE history.account = readiness.account AND history.customer_id = readiness.customer_id
  ) period
) gap ON true
WHERE customer.removed_at IS NULL AND readiness.is_wallet_ready IS NOT TRUE;

COMMENT ON VIEW analytics.kyc_gap IS
  'Customers not known to be wallet-ready, with the reason. Readiness tells if a wallet may be issued, and which details are missing for that; it is not KYC approval. A customer whose last answer was ready is not here, even if a later check failed: see kyc_status.';
COMMENT ON COLUMN analytics.kyc_gap.account IS 'Merchant account, as configured.';
COMMENT ON COLUMN analytics.kyc_gap.customer_id IS 'Id of the customer.';
COMMENT ON COLUMN analytics.kyc_gap.customer_type IS 'individual or company, as sent.';
COMMENT ON COLUMN analytics.kyc_gap.is_active IS 'True if the customer is active, as sent.';
COMMENT ON COLUMN analytics.kyc_gap.reason IS
  'missing_fields: not ready, and the API names the missing fields. unspecified: not ready, and it names none. never_checked: not asked yet. check_failed: asked, never answered.';
COMMENT ON COLUMN analytics.kyc_gap.missing_fields IS 'Names of the missing fields in the last answer, sorted; never their values.';
COMMENT ON COLUMN analytics.kyc_gap.gap_since IS
  'Start of the unbroken not-ready time, as far as syncs saw it; a change of missing fields does not reset it. Null if no answer is known.';
COMMENT ON COLUMN analytics.kyc_gap.gap_since_is_lower_bound IS
  'True if the first known answer was already not ready: the gap is at least that old.';
COMMENT ON COLUMN analytics.kyc_gap.gap_days IS
  'Days since the day of gap_since, in time_zone; null where gap_since is.';
COMMENT ON COLUMN analytics.kyc_gap.checked_at IS 'Time of the latest check, whatever its result; null if there was none.';
COMMENT ON COLUMN analytics.kyc_gap.check_error IS 'Error of the last check; null if it did not fail.';
COMMENT ON COLUMN analytics.kyc_gap.is_wallet_ready_in_list IS
  'Value in the customer''s own record, which may be older than the check; not used for the gap.';
COMMENT ON COLUMN analytics.kyc_gap.time_zone IS 'The account''s reporting time zone.';
