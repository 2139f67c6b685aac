CREATE VIEW analytics.balance_daily_total AS
WITH line AS (
  SELECT
    total.account,
    total.currency,
    total.day,
    CASE
      WHEN fee.is_apart THEN greatest(rule.direction, 0) * total.amount
      WHEN rule.direction = 1 THEN total.credit_in
      WHEN rule.direction = -1 THEN total.credit_out
      ELSE total.credit_none
    END AS credit,
    rule.direction * total.amount - CASE WHEN fee.is_apart THEN 0 ELSE total.fee_amount + total.tax_amount END AS movement,
    NOT fee.is_apart AND total.unreadable_fee_count + total.unreadable_tax_count > 0 AS is_unknown,
    rule.is_assumed
  FROM warehouse.transaction_days AS total
  JOIN analytics.event_direction AS rule
    ON rule.event_type = total.event_type AND rule.event_name = total.event_name AND rule.is_negative = total.is_negative
  LEFT JOIN warehouse.account_settings AS setting ON setting.account = total.account
  CROSS JOIN LATERAL (
    SELECT total.fee_currency <> total.currency OR total.is_customer AND setting.fee_owner IS NOT DISTINCT FROM 'organization' AS is_apart
  ) AS fee
  WHERE total.transaction_count > 0 AND rule.direction IS NOT NULL
  UNION ALL
  -- A fee that is a movement of its own: in another currency than the amount, or of another owner.
  SELECT
    total.account, total.fee_currency, total.day, total.credit_fee, -(total.fee_amount + total.tax_amount),
    total.unreadable_fee_count + total.unreadable_tax_count > 0, rule.is_assumed
  FROM warehouse.transaction_days AS total
  JOIN analytics.event_direction AS rule
    ON rule.event_type = total.event_type AND rule.event_name = total.event_name AND rule.is_negative = total.is_negative
  LEFT JOIN warehouse.account_settings AS setting ON setting.account = total.account
  WHERE total.transaction_count > 0 AND rule.direction IS NOT NULL
    AND (total.fee_currency <> total.currency OR total.is_customer AND setting.fee_owner IS NOT DISTINCT FROM 'organization')
), daily AS (
  SELECT account, currency, day, sum(credit) AS credit_amount, sum(movement) AS net_movement, bool_or(is_unknown) AS is_unknown,
    bool_or(is_assumed) AS is_assumed
  FROM line
  GROUP BY account, currency, day
  HAVING sum(credit) <> 0 OR sum(movement) <> 0 OR bool_or(is_unknown)
),
-- A day with movements, and up to when its closing balance stood. Read once: a series joined to the days would read them twice.
span AS (
  SELECT
    daily.*,
    coalesce(setting.report_timezone, 'UTC') AS time_zone,
    sum(net_movement) OVER so_far AS closing_balance,
    count(*) FILTER (WHERE is_unknown) OVER so_far AS unknown_days,
    bool_or(is_assumed) OVER so_far AS is_assumed_so_far,
    coalesce(
      lead(day) OVER (PARTITION BY account, currency ORDER BY day) - 1,
      greatest(day, (now() AT TIME ZONE coalesce(setting.report_timezone, 'UTC'))::date)
    ) AS last_day
  FROM daily
  LEFT JOIN warehouse.account_settings AS setting USING (account)
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
  CASE WHEN quiet.days > 0 THEN 0 WHEN NOT is_unknown THEN credit_amount - net_movement END AS debit_amount,
  CASE WHEN unknown_days = 0 THEN closing_balance END AS closing_balance,
  time_zone,
  is_assumed_so_far AS is_assumed
FROM span
CROSS JOIN LATERAL generate_series(0, span.last_day - span.day) AS quiet (days);

COMMENT ON VIEW analytics.balance_daily_total IS
  'Balance of all owners together at the start and end of every day from the first movement to today. Assumed, as balance_history.';
COMMENT ON COLUMN analytics.balance_daily_total.account IS 'Merchant account, as configured.';
COMMENT ON COLUMN analytics.balance_daily_total.currency IS 'Currency of all amounts.';
COMMENT ON COLUMN analytics.balance_daily_total.day IS 'Day in time_zone; every one, also those without a movement.';
COMMENT ON COLUMN analytics.balance_daily_total.opening_balance IS
  'Balance before the day''s first movement; null where an earlier movement is not known.';
COMMENT ON COLUMN analytics.balance_daily_total.credit_amount IS
  'Sum of the day''s movements up, as balance_history has them; null where a movement of the day is not known.';
COMMENT ON COLUMN analytics.balance_daily_total.debit_amount IS
  'Sum of the day''s movements down, as a positive amount; null where a movement of the day is not known.';
COMMENT ON COLUMN analytics.balance_daily_total.closing_balance IS
  'opening_balance + credit_amount - debit_amount; null from the first movement on that is not known.';
COMMENT ON COLUMN analytics.balance_daily_total.time_zone IS 'The account''s reporting time zone.';
COMMENT ON COLUMN analytics.balance_daily_total.is_assumed IS
  'True if a balance of the row rests on a rule of direction that is assumed: no person has confirmed it. See event_rule.';
