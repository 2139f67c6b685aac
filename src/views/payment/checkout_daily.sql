CREATE VIEW analytics.checkout_daily AS
SELECT
  account,
  day,
  currency,
  count(*) AS checkout_count,
  sum(amount) AS checkout_amount,
  count(*) FILTER (WHERE deleted_at IS NOT NULL) AS deleted_count,
  coalesce(sum(amount) FILTER (WHERE deleted_at IS NOT NULL), 0) AS deleted_amount,
  time_zone
FROM warehouse.checkouts
WHERE removed_at IS NULL
GROUP BY account, day, currency, time_zone;

COMMENT ON VIEW analytics.checkout_daily IS
  'Checkouts by day and currency. No status is documented, so it is unknown whether they were paid.';
COMMENT ON COLUMN analytics.checkout_daily.account IS 'Merchant account, as configured.';
COMMENT ON COLUMN analytics.checkout_daily.day IS
  'Day of creation in time_zone, or else of the last update; null if neither is sent.';
COMMENT ON COLUMN analytics.checkout_daily.currency IS 'Currency of both amounts.';
COMMENT ON COLUMN analytics.checkout_daily.checkout_count IS 'Checkouts that are still listed, deleted ones included.';
COMMENT ON COLUMN analytics.checkout_daily.checkout_amount IS 'Sum of their amounts.';
COMMENT ON COLUMN analytics.checkout_daily.deleted_count IS 'Checkouts among these that are marked as deleted.';
COMMENT ON COLUMN analytics.checkout_daily.deleted_amount IS 'Sum of the amounts of the deleted ones.';
COMMENT ON COLUMN analytics.checkout_daily.time_zone IS 'The account''s reporting time zone.';
