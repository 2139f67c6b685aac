CREATE VIEW analytics.kyc_gap_daily AS
WITH gap AS (
  SELECT
    history.account,
    zone.name AS time_zone,
    (history.valid_from AT TIME ZONE zone.name)::date AS first_day,
    -- A removed customer was not ready until the removal: figures of earlier days stay as they were reported.
    (least(history.valid_to, customer.removed_at) AT TIME ZONE zone.name)::date AS end_day
  FROM warehouse.wallet_readiness_history history
  JOIN warehouse.customers customer
    ON customer.account = history.account AND customer.customer_id = history.customer_id
  LEFT JOIN warehouse.account_settings setting ON setting.account = history.account
  CROSS JOIN LATERAL (SELECT coalesce(setting.report_timezone, 'UTC') AS name) zone
  WHERE NOT history.is_wallet_ready AND (customer.removed_at IS NULL OR customer.removed_at > history.valid_from)
), change AS (
  SELECT account, time_zone, day, sum(n) AS n
  FROM (
    SELECT account, time_zone, first_day AS day, 1 AS n FROM gap
    UNION ALL
    SELECT account, time_zone, end_day, -1 FROM gap WHERE end_day IS NOT NULL
  ) moved
  GROUP BY account, time_zone, day
),
-- A day on which the number changed, and the end of the time for which it holds.
span AS (
  SELECT
    account,
    time_zone,
    day,
    (sum(n) OVER (PARTITION BY account ORDER BY day))::bigint AS not_ready_count,
    coalesce(
      lead(day) OVER (PARTITION BY account ORDER BY day) - 1,
      greatest(day, (now() AT TIME ZONE time_zone)::date)
    ) AS last_day
  FROM change
)
SELECT account, span.day + quiet.days AS day, not_ready_count, time_zone
FROM span
CROSS JOIN LATERAL generate_series(0, span.last_day - span.day) AS quiet (days);

COMMENT ON VIEW analytics.kyc_gap_daily IS
  'Customers known not to be wallet-ready at the end of every day, from the first known answer to today. A removed customer counts up to the day of the removal, so that earlier days keep their figures. A customer who returned counts throughout; an erased one does not count.';
COMMENT ON COLUMN analytics.kyc_gap_daily.account IS 'Merchant account, as configured.';
COMMENT ON COLUMN analytics.kyc_gap_daily.day IS 'Day in time_zone; also days without a change.';
COMMENT ON COLUMN analytics.kyc_gap_daily.not_ready_count IS
  'Customers whose latest answer, at the end of the day, was that no wallet may be issued. Customers never asked, or never answered, do not count.';
COMMENT ON COLUMN analytics.kyc_gap_daily.time_zone IS 'The account''s reporting time zone.';
