CREATE VIEW analytics.balance_daily AS
WITH daily AS (
  SELECT
    account,
    owner_id,
    currency,
    day,
    time_zone,
    coalesce(sum(movement) FILTER (WHERE movement > 0), 0) AS credit_amount,
    coalesce(-sum(movement) FILTER (WHERE movement < 0), 0) AS debit_amount,
    coalesce(sum(movement), 0) AS net_movement,
    bool_or(movement IS NULL) AS is_unknown,
    count(*) AS movement_count,
    bool_or(is_assumed) AS is_assumed
  FROM analytics.balance_history
  GROUP BY account, owner_id, currency, day, time_zone
)
SELECT
  account,
  owner_id,
  currency,
  day,
  CASE WHEN count(*) FILTER (WHERE is_unknown) OVER so_far = is_unknown::integer
    THEN sum(net_movement) OVER so_far - net_movement END AS opening_balance,
  CASE WHEN NOT is_unknown THEN credit_amount END AS credit_amount,
  CASE WHEN NOT is_unknown THEN debit_amount END AS debit_amount,
  CASE WHEN NOT bool_or(is_unknown) OVER so_far THEN sum(net_movement) OVER so_far END AS closing_balance,
  movement_count,
  time_zone,
  is_assumed
FROM daily
WINDOW so_far AS (PARTITION BY account, owner_id, currency ORDER BY day ROWS UNBOUNDED PRECEDING);

COMMENT ON VIEW analytics.balance_daily IS
  'Balance of each owner at the start and end of each day on which it moved. Days without a movement have no row: the balance is the closing balance of the day before. Assumed, as balance_history.';
COMMENT ON COLUMN analytics.balance_daily.account IS 'Merchant account, as configured.';
COMMENT ON COLUMN analytics.balance_daily.owner_id IS 'Owner of the balance: a customer, or the organization.';
COMMENT ON COLUMN analytics.balance_daily.currency IS 'Currency of all amounts.';
COMMENT ON COLUMN analytics.balance_daily.day IS 'Day in time_zone with at least one movement.';
COMMENT ON COLUMN analytics.balance_daily.opening_balance IS
  'Balance before the day''s first movement; null where an earlier movement is not known.';
COMMENT ON COLUMN analytics.balance_daily.credit_amount IS
  'Sum of the day''s movements up; null where a movement of the day is not known.';
COMMENT ON COLUMN analytics.balance_daily.debit_amount IS
  'Sum of the day''s movements down, as a positive amount; null where a movement of the day is not known.';
COMMENT ON COLUMN analytics.balance_daily.closing_balance IS
  'opening_balance + credit_amount - debit_amount; null from the first movement on that is not known.';
COMMENT ON COLUMN analytics.balance_daily.movement_count IS 'Movements on the day.';
COMMENT ON COLUMN analytics.balance_daily.time_zone IS 'The account''s reporting time zone.';
COMMENT ON COLUMN analytics.balance_daily.is_assumed IS
  'True if a balance of the row rests on a rule of direction that is assumed: no person has confirmed it. See event_rule.';
