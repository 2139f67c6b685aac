CREATE VIEW analytics.balance_daily_total AS
WITH daily AS (
  SELECT
    account,
    currency,
    (occurred_at AT TIME ZONE 'UTC')::date AS day,
    coalesce(sum(movement) FILTER (WHERE movement > 0), 0) AS credit_amount,
    coalesce(-sum(movement) FILTER (WHERE movement < 0), 0) AS debit_amount,
    coalesce(sum(movement), 0) AS net_movement,
    bool_or(movement IS NULL) AS is_unknown,
    count(*) AS movement_count
  FROM analytics.balance_history
  GROUP BY account, currency, (occurred_at AT TIME ZONE 'UTC')::date
),
-- A day with movements, and the end of the time for which its closing balance holds. One read suffices: a series joined
-- to the days would read them twice.
span AS (
  SELECT
    daily.*,
    sum(net_movement) OVER so_far AS closing_balance,
    count(*) FILTER (WHERE is_unknown) OVER so_far AS unknown_days,
    coalesce(
      lead(day) OVER (PARTITION BY account, currency ORDER BY day) - 1,
      greatest(day, (now() AT TIME ZONE 'UTC')::date)
    ) AS last_day
  FROM daily
  WINDOW so_far AS (PARTITION BY account, currency ORDER BY day ROWS UNBOUNDED PRECEDING)
)
SELECT
  account,
  currency,
  span.day + quiet.days AS day,
  CASE
    WHEN quiet.days = 0 AND unknown_days = is_unknown::integer THEN closing_balance - net_movement
    WHEN unknown_days = 0 THEN closing_balance
  END AS opening_balance,
  CASE WHEN quiet.days > 0 THEN 0 WHEN NOT is_unknown THEN credit_amount END AS credit_amount,
  CASE WHEN quiet.days > 0 THEN 0 WHEN NOT is_unknown THEN debit_amount END AS debit_amount,
  CASE WHEN unknown_days = 0 THEN closing_balance END AS closing_balance,
  CASE WHEN quiet.days = 0 THEN movement_count ELSE 0 END AS movement_count
FROM span
CROSS JOIN LATERAL generate_series(0, span.last_day - span.day) AS quiet (days);

COMMENT ON VIEW analytics.balance_daily_total IS
  'Balance of all owners together at the start and end of every UTC day from the first movement to today. Assumed, as balance_history.';
COMMENT ON COLUMN analytics.balance_daily_total.account IS 'Merchant account, as configured.';
COMMENT ON COLUMN analytics.balance_daily_total.currency IS 'Currency of all amounts.';
COMMENT ON COLUMN analytics.balance_daily_total.day IS 'UTC day; also days without a movement.';
COMMENT ON COLUMN analytics.balance_daily_total.opening_balance IS 'Balance before the day''s first movement; null if an earlier movement is unknown.';
COMMENT ON COLUMN analytics.balance_daily_total.credit_amount IS 'Sum of the day''s incoming movements, less fees in the same currency; null if a movement of the day is unknown.';
COMMENT ON COLUMN analytics.balance_daily_total.debit_amount IS 'Sum of the day''s outgoing movements, as a positive amount; null if a movement of the day is unknown.';
COMMENT ON COLUMN analytics.balance_daily_total.closing_balance IS 'opening_balance + credit_amount - debit_amount; null from the first unknown movement on.';
COMMENT ON COLUMN analytics.balance_daily_total.movement_count IS 'Movements on the day.';
