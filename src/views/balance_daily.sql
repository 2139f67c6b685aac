CREATE VIEW analytics.balance_daily AS
WITH daily AS (
  SELECT
    account,
    owner_id,
    currency,
    (occurred_at AT TIME ZONE 'UTC')::date AS day,
    coalesce(sum(movement) FILTER (WHERE movement > 0), 0) AS credit_amount,
    coalesce(-sum(movement) FILTER (WHERE movement < 0), 0) AS debit_amount,
    sum(movement) AS net_movement,
    count(*) AS movement_count
  FROM analytics.balance_history
  GROUP BY account, owner_id, currency, (occurred_at AT TIME ZONE 'UTC')::date
)
SELECT
  account,
  owner_id,
  currency,
  day,
  sum(net_movement) OVER so_far - net_movement AS opening_balance,
  credit_amount,
  debit_amount,
  sum(net_movement) OVER so_far AS closing_balance,
  movement_count
FROM daily
WINDOW so_far AS (PARTITION BY account, owner_id, currency ORDER BY day ROWS UNBOUNDED PRECEDING);

COMMENT ON VIEW analytics.balance_daily IS
  'Balance of each owner at the start and end of each UTC day on which it moved. Days without a movement have no row: the balance is the closing balance of the day before. Assumed, as balance_history.';
COMMENT ON COLUMN analytics.balance_daily.account IS 'Merchant account, as configured.';
COMMENT ON COLUMN analytics.balance_daily.owner_id IS 'Whose balance: a customer, or the organization.';
COMMENT ON COLUMN analytics.balance_daily.currency IS 'Currency of all amounts.';
COMMENT ON COLUMN analytics.balance_daily.day IS 'UTC day with at least one movement.';
COMMENT ON COLUMN analytics.balance_daily.opening_balance IS 'Balance before the day''s first movement.';
COMMENT ON COLUMN analytics.balance_daily.credit_amount IS 'Sum of the day''s movements up, fees taken off where they are in the same currency.';
COMMENT ON COLUMN analytics.balance_daily.debit_amount IS 'Sum of the day''s movements down, as a positive amount.';
COMMENT ON COLUMN analytics.balance_daily.closing_balance IS 'opening_balance + credit_amount - debit_amount.';
COMMENT ON COLUMN analytics.balance_daily.movement_count IS 'Movements on the day.';
