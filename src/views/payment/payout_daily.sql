CREATE VIEW analytics.payout_daily AS
SELECT
  account,
  day,
  currency,
  status,
  count(*) AS payout_count,
  sum(amount) AS payout_amount,
  CASE WHEN bool_or(fee_taken IS NULL AND raw ->> 'fee_taken' ~ '\S') THEN NULL
    ELSE coalesce(sum(fee_taken), 0) END AS fee_taken_amount,
  CASE WHEN bool_or(fee_expected IS NULL AND raw ->> 'fee_expected' ~ '\S') THEN NULL
    ELSE coalesce(sum(fee_expected), 0) END AS fee_expected_amount,
  count(*) FILTER (WHERE removed_at IS NOT NULL) AS removed_count,
  time_zone
FROM warehouse.payouts
GROUP BY account, day, currency, status, time_zone;

COMMENT ON VIEW analytics.payout_daily IS 'Payouts by day, currency and status. Payouts that are no longer listed stay in.';
COMMENT ON COLUMN analytics.payout_daily.account IS 'Merchant account, as configured.';
COMMENT ON COLUMN analytics.payout_daily.day IS
  'Day of creation in time_zone, or else of the last update; null if neither is sent.';
COMMENT ON COLUMN analytics.payout_daily.currency IS 'Currency of all amounts.';
COMMENT ON COLUMN analytics.payout_daily.status IS 'Status as sent: PENDING, SUCCESS, FAILED, RETURNED, or a newer one.';
COMMENT ON COLUMN analytics.payout_daily.payout_count IS 'Payouts, those no longer listed included.';
COMMENT ON COLUMN analytics.payout_daily.payout_amount IS 'Sum of their amounts.';
COMMENT ON COLUMN analytics.payout_daily.fee_taken_amount IS 'Sum of fees taken; null (unknown) if one of them could not be read. Assumed to be in the payout''s currency.';
COMMENT ON COLUMN analytics.payout_daily.fee_expected_amount IS 'Sum of fees expected; null (unknown) if one of them could not be read. Assumed to be in the payout''s currency.';
COMMENT ON COLUMN analytics.payout_daily.removed_count IS 'Payouts among these that are no longer listed.';
COMMENT ON COLUMN analytics.payout_daily.time_zone IS 'The account''s reporting time zone.';
