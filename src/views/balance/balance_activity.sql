CREATE VIEW analytics.balance_activity AS
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
)
SELECT
  line.account,
  line.currency,
  date_trunc('month', line.day::timestamp)::date AS month,
  line.category,
  sum(line.line_count)::bigint AS line_count,
  CASE WHEN NOT bool_or(line.is_unknown) THEN sum(line.amount) END AS amount,
  coalesce(setting.report_timezone, 'UTC') AS time_zone,
  bool_or(line.is_assumed) AS is_assumed
FROM line
LEFT JOIN warehouse.account_settings AS setting ON setting.account = line.account
GROUP BY line.account, line.currency, date_trunc('month', line.day::timestamp)::date, setting.report_timezone, line.category;

COMMENT ON VIEW analytics.balance_activity IS
  'Changes of the balances of all owners together, by month: a row per type of event, and one each for fees and their tax. The opening balance of a month + its activity = its closing balance in balance_daily_total.';
COMMENT ON COLUMN analytics.balance_activity.account IS 'Merchant account, as configured.';
COMMENT ON COLUMN analytics.balance_activity.currency IS 'Currency of amount.';
COMMENT ON COLUMN analytics.balance_activity.month IS 'First day of the month in time_zone.';
COMMENT ON COLUMN analytics.balance_activity.category IS
  'Type of event, as sent; FEE: fees without tax; TAX: tax on them. A type that the API calls FEE or TAX is in the same row.';
COMMENT ON COLUMN analytics.balance_activity.line_count IS
  'Transactions of the type; fees, or taxes, that are not 0.';
COMMENT ON COLUMN analytics.balance_activity.amount IS
  'Sum of the movements. Assumed where is_assumed is true. Null, because it is not known, where one of them could not be read.';
COMMENT ON COLUMN analytics.balance_activity.time_zone IS 'The account''s reporting time zone.';
COMMENT ON COLUMN analytics.balance_activity.is_assumed IS
  'True if an amount of the row rests on a rule of direction that is assumed: no person has confirmed it. See event_rule.';
