CREATE VIEW analytics.kyc_episode AS
WITH period AS (
  SELECT
    account,
    customer_id,
    valid_from,
    valid_to,
    is_wallet_ready,
    -- The same for all periods of one unbroken not-ready time.
    count(*) FILTER (WHERE is_wallet_ready) OVER so_far AS ready_before,
    lag(is_wallet_ready) OVER so_far AS was_ready
  FROM warehouse.wallet_readiness_history
  WINDOW so_far AS (PARTITION BY account, customer_id ORDER BY valid_from)
), episode AS (
  SELECT
    account,
    customer_id,
    min(valid_from) AS not_ready_from,
    max(valid_from) AS last_from,
    CASE WHEN bool_and(valid_to IS NOT NULL) THEN max(valid_to) END AS ready_at,
    coalesce(bool_or(was_ready), false) AS is_regression
  FROM period
  WHERE NOT is_wallet_ready
  GROUP BY account, customer_id, ready_before
)
SELECT
  episode.account,
  episode.customer_id,
  episode.not_ready_from,
  episode.ready_at,
  greatest((coalesce(episode.ready_at, customer.removed_at, now()) AT TIME ZONE zone.name)::date
    - (episode.not_ready_from AT TIME ZONE zone.name)::date, 0) AS days,
  episode.is_regression,
  (SELECT first.missing_fields FROM warehouse.wallet_readiness_history AS first
    WHERE first.account = episode.account AND first.customer_id = episode.customer_id
      AND first.valid_from = episode.not_ready_from) AS first_missing_fields,
  (SELECT last.missing_fields FROM warehouse.wallet_readiness_history AS last
    WHERE last.account = episode.account AND last.customer_id = episode.customer_id
      AND last.valid_from = episode.last_from) AS last_missing_fields,
  NOT episode.is_regression AS not_ready_from_is_lower_bound,
  customer.type AS customer_type,
  customer.is_active,
  customer.removed_at,
  zone.name AS time_zone
FROM episode
JOIN warehouse.customers AS customer
  ON customer.account = episode.account AND customer.customer_id = episode.customer_id
LEFT JOIN warehouse.account_settings AS setting ON setting.account = episode.account
CROSS JOIN LATERAL (SELECT coalesce(setting.report_timezone, 'UTC') AS name) AS zone;

COMMENT ON VIEW analytics.kyc_episode IS
  'Every unbroken time for which a customer was not ready, resolved or not, as far as syncs saw it. A change of missing fields does not end it. Customers who are no longer listed stay in, with removed_at.';
COMMENT ON COLUMN analytics.kyc_episode.account IS 'Merchant account, as configured.';
COMMENT ON COLUMN analytics.kyc_episode.customer_id IS 'Id of the customer.';
COMMENT ON COLUMN analytics.kyc_episode.not_ready_from IS 'When a check first gave the answer not ready.';
COMMENT ON COLUMN analytics.kyc_episode.ready_at IS 'When a check first gave the answer ready again; null while none did.';
COMMENT ON COLUMN analytics.kyc_episode.days IS
  'Days from the day of not_ready_from to that of ready_at, in time_zone. While the customer is not ready: to that of removed_at, else to today.';
COMMENT ON COLUMN analytics.kyc_episode.is_regression IS
  'True where the answer before was ready: the customer lost the readiness.';
COMMENT ON COLUMN analytics.kyc_episode.first_missing_fields IS
  'Names of the fields that were missing at its start, sorted; never their values.';
COMMENT ON COLUMN analytics.kyc_episode.last_missing_fields IS
  'Names of the fields that were missing at its end, or are missing now, sorted; never their values.';
COMMENT ON COLUMN analytics.kyc_episode.not_ready_from_is_lower_bound IS
  'True where not_ready_from is the first answer ever known: the customer was not ready for at least that long.';
COMMENT ON COLUMN analytics.kyc_episode.customer_type IS 'individual or company, as sent.';
COMMENT ON COLUMN analytics.kyc_episode.is_active IS 'True if the customer is active now, as sent.';
COMMENT ON COLUMN analytics.kyc_episode.removed_at IS
  'When the customer was proven to be no longer listed; null while listed.';
COMMENT ON COLUMN analytics.kyc_episode.time_zone IS 'The account''s reporting time zone.';
