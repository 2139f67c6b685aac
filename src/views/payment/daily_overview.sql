CREATE VIEW analytics.daily_overview AS
WITH line AS (
  SELECT total.account, total.currency, total.day, total.event_type AS category, total.transaction_count AS line_count,
    rule.direction * total.amount AS amount, false AS is_unknown, rule.is_assumed
  FROM warehouse.transaction_days AS total
  JOIN analytics.event_direction AS rule
    ON rule.event_type = total.event_type AND rule.event_name = total.event_name AND rule.is_negative = total.is_negative
  WHERE rule.direction <> 0 AND total.transaction_count > 0
  UNION ALL
  SELECT total.account, total.fee_currency, total.day, charge.category, charge.line_count, -charge.amount, charge.is_unknown, rule.is_assumed
  FROM warehouse.transaction_days AS total
  JOIN analytics.event_direction AS rule
    ON rule.event_type = total.event_type AND rule.event_name = total.event_name AND rule.is_negative = total.is_negative
  CROSS JOIN LATERAL (VALUES
    ('FEE', total.fee_count + total.unreadable_fee_count, total.fee_amount, total.unreadable_fee_count > 0),
    ('TAX', total.tax_count + total.unreadable_tax_count, total.tax_amount, total.unreadable_tax_count > 0)
  ) AS charge (category, line_count, amount, is_unknown)
  WHERE rule.direction IS NOT NULL AND total.transaction_count > 0 AND charge.line_count > 0
), daily AS (
  SELECT
    account, currency, day,
    coalesce(sum(line_count) FILTER (WHERE category = 'PAYIN'), 0)::bigint AS payin_count,
    coalesce(sum(amount) FILTER (WHERE category = 'PAYIN'), 0) AS payin_amount,
    coalesce(sum(line_count) FILTER (WHERE category = 'REFUND'), 0)::bigint AS refund_count,
    coalesce(sum(amount) FILTER (WHERE category = 'REFUND'), 0) AS refund_amount,
    coalesce(sum(line_count) FILTER (WHERE category = 'CHARGEBACK'), 0)::bigint AS chargeback_count,
    coalesce(sum(amount) FILTER (WHERE category = 'CHARGEBACK'), 0) AS chargeback_amount,
    coalesce(sum(line_count) FILTER (WHERE category = 'PAYOUT'), 0)::bigint AS payout_count,
    coalesce(sum(amount) FILTER (WHERE category = 'PAYOUT'), 0) AS payout_amount,
    coalesce(sum(amount) FILTER (WHERE category NOT IN ('PAYIN', 'REFUND', 'CHARGEBACK', 'PAYOUT', 'FEE', 'TAX')), 0) AS other_amount,
    coalesce(-sum(amount) FILTER (WHERE category IN ('FEE', 'TAX')), 0) AS fee_and_tax,
    sum(amount) AS net_amount,
    bool_or(is_unknown) AS is_unknown,
    bool_or(is_assumed) AS is_assumed
  FROM line
  GROUP BY account, currency, day
), spine AS (
  SELECT
    first.account, first.currency, (first.day + each.days)::date AS day, first.time_zone
  FROM (
    SELECT daily.account, daily.currency, min(daily.day) AS day,
      greatest(max(daily.day), (now() AT TIME ZONE coalesce(setting.report_timezone, 'UTC'))::date) AS last_day,
      coalesce(setting.report_timezone, 'UTC') AS time_zone
    FROM daily LEFT JOIN warehouse.account_settings AS setting USING (account)
    GROUP BY daily.account, daily.currency, setting.report_timezone
  ) AS first
  CROSS JOIN LATERAL generate_series(0, first.last_day - first.day) AS each (days)
)
SELECT
  account,
  currency,
  day,
  coalesce(payin_count, 0) AS payin_count,
  coalesce(payin_amount, 0) AS payin_amount,
  coalesce(refund_count, 0) AS refund_count,
  coalesce(refund_amount, 0) AS refund_amount,
  coalesce(chargeback_count, 0) AS chargeback_count,
  coalesce(chargeback_amount, 0) AS chargeback_amount,
  coalesce(payout_count, 0) AS payout_count,
  coalesce(payout_amount, 0) AS payout_amount,
  coalesce(other_amount, 0) AS other_amount,
  CASE WHEN is_unknown IS NOT TRUE THEN coalesce(fee_and_tax, 0) END AS fee_and_tax,
  CASE WHEN is_unknown IS NOT TRUE THEN coalesce(net_amount, 0) END AS net_amount,
  CASE WHEN NOT coalesce(bool_or(is_unknown) OVER last_7, false) THEN coalesce(sum(net_amount) OVER last_7, 0) END AS net_amount_7_days,
  coalesce(sum(payin_amount) OVER last_7, 0) AS payin_amount_7_days,
  CASE WHEN NOT coalesce(bool_or(is_unknown) OVER last_28, false) THEN coalesce(sum(net_amount) OVER last_28, 0) END AS net_amount_28_days,
  coalesce(sum(payin_amount) OVER last_28, 0) AS payin_amount_28_days,
  CASE WHEN NOT coalesce(bool_or(is_unknown) OVER so_far, false) THEN coalesce(sum(net_amount) OVER so_far, 0) END AS net_amount_since_beginning,
  coalesce(sum(payin_amount) OVER so_far, 0) AS payin_amount_since_beginning,
  time_zone,
  coalesce(bool_or(is_assumed) OVER so_far, false) AS is_assumed
FROM spine
LEFT JOIN daily USING (account, currency, day)
WINDOW
  last_7 AS (PARTITION BY account, currency ORDER BY day ROWS 6 PRECEDING),
  last_28 AS (PARTITION BY account, currency ORDER BY day ROWS 27 PRECEDING),
  so_far AS (PARTITION BY account, currency ORDER BY day ROWS UNBOUNDED PRECEDING);

COMMENT ON VIEW analytics.daily_overview IS
  'Money in and out of all owners together for every day from the first movement to today, with rolling sums. Assumed where is_assumed is true.';
COMMENT ON COLUMN analytics.daily_overview.account IS 'Merchant account, as configured.';
COMMENT ON COLUMN analytics.daily_overview.currency IS 'Currency of all amounts.';
COMMENT ON COLUMN analytics.daily_overview.day IS 'Day in time_zone; every one, also those without a movement.';
COMMENT ON COLUMN analytics.daily_overview.payin_count IS 'Transactions of type PAYIN that move money.';
COMMENT ON COLUMN analytics.daily_overview.payin_amount IS 'Their movements, without fees.';
COMMENT ON COLUMN analytics.daily_overview.refund_count IS 'Transactions of type REFUND that move money.';
COMMENT ON COLUMN analytics.daily_overview.refund_amount IS 'Their movements, without fees: negative.';
COMMENT ON COLUMN analytics.daily_overview.chargeback_count IS 'Transactions of type CHARGEBACK that move money.';
COMMENT ON COLUMN analytics.daily_overview.chargeback_amount IS 'Their movements, without fees: negative.';
COMMENT ON COLUMN analytics.daily_overview.payout_count IS 'Transactions of type PAYOUT that move money.';
COMMENT ON COLUMN analytics.daily_overview.payout_amount IS
  'Their movements, without fees: negative, less what came back.';
COMMENT ON COLUMN analytics.daily_overview.other_amount IS 'Movements of all other types, without fees.';
COMMENT ON COLUMN analytics.daily_overview.fee_and_tax IS
  'Fees with their tax; null, because it is not known, where one of them could not be read.';
COMMENT ON COLUMN analytics.daily_overview.net_amount IS
  'All movements less fees and tax; null where fee_and_tax is.';
COMMENT ON COLUMN analytics.daily_overview.net_amount_7_days IS
  'net_amount of this day and the 6 before it; null where one of them is.';
COMMENT ON COLUMN analytics.daily_overview.payin_amount_7_days IS 'payin_amount of this day and the 6 before it.';
COMMENT ON COLUMN analytics.daily_overview.net_amount_28_days IS
  'net_amount of this day and the 27 before it; null where one of them is.';
COMMENT ON COLUMN analytics.daily_overview.payin_amount_28_days IS 'payin_amount of this day and the 27 before it.';
COMMENT ON COLUMN analytics.daily_overview.net_amount_since_beginning IS
  'net_amount of this day and all before it: the closing balance; null where one of them is.';
COMMENT ON COLUMN analytics.daily_overview.payin_amount_since_beginning IS
  'payin_amount of this day and all before it.';
COMMENT ON COLUMN analytics.daily_overview.time_zone IS 'The account''s reporting time zone.';
COMMENT ON COLUMN analytics.daily_overview.is_assumed IS
  'True if an amount of the row, or of a day before it, rests on a rule of direction that is assumed: no person has confirmed it. See event_rule.';
