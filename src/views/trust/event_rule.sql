CREATE VIEW analytics.event_rule AS
SELECT
  total.account,
  total.event_type,
  total.event_name,
  total.currency,
  (array_agg(rule.rule ORDER BY total.is_negative))[1] AS rule,
  (array_agg(rule.direction ORDER BY total.is_negative))[1] AS direction,
  sum(total.transaction_count)::bigint AS transaction_count,
  sum(total.amount) AS amount,
  coalesce(sum(total.transaction_count) FILTER (WHERE total.is_negative), 0)::bigint AS negative_count,
  coalesce(sum(net.differs_count), 0)::bigint AS net_differs_count,
  coalesce(sum(net.difference), 0) AS net_difference,
  (array_agg(rule.confirmed_at ORDER BY total.is_negative))[1] AS confirmed_at,
  (array_agg(rule.amount_sign ORDER BY total.is_negative))[1] AS amount_sign,
  coalesce(sum(total.transaction_count) FILTER (WHERE rule.direction IS NULL), 0)::bigint AS unmapped_count,
  coalesce(bool_or(rule.is_assumed), false) AS is_assumed
FROM warehouse.transaction_kinds AS total
LEFT JOIN analytics.event_direction AS rule
  ON rule.event_type = total.event_type AND rule.event_name = total.event_name AND rule.is_negative = total.is_negative
CROSS JOIN LATERAL (
  SELECT
    CASE rule.direction WHEN 1 THEN total.net_differs_in_count WHEN -1 THEN total.net_differs_out_count WHEN 0 THEN total.net_differs_none_count END
      AS differs_count,
    CASE rule.direction WHEN 1 THEN total.net_difference_in WHEN -1 THEN total.net_difference_out WHEN 0 THEN total.net_difference_none END AS difference
) AS net
WHERE total.transaction_count > 0
GROUP BY total.account, total.event_type, total.event_name, total.currency;

COMMENT ON VIEW analytics.event_rule IS
  'The rule that decides what each type and name of transaction does to a balance, with the money that hangs on it.';
COMMENT ON COLUMN analytics.event_rule.account IS 'Merchant account, as configured.';
COMMENT ON COLUMN analytics.event_rule.event_type IS 'Kind of event, as sent.';
COMMENT ON COLUMN analytics.event_rule.event_name IS 'Name of the event, as sent; empty where none is sent.';
COMMENT ON COLUMN analytics.event_rule.currency IS 'Currency of the amounts.';
COMMENT ON COLUMN analytics.event_rule.rule IS 'Rule that answers for its amounts, see event_direction.';
COMMENT ON COLUMN analytics.event_rule.direction IS
  'Its answer: +1 money in, -1 money out, 0 neither, null not known.';
COMMENT ON COLUMN analytics.event_rule.transaction_count IS 'Transactions of the type and name.';
COMMENT ON COLUMN analytics.event_rule.amount IS 'Sum of |amount|.';
COMMENT ON COLUMN analytics.event_rule.negative_count IS 'Those that are sent with a minus.';
COMMENT ON COLUMN analytics.event_rule.net_differs_count IS
  'Those whose net amount, as sent, is not their movement, compared without sign: the rule, or how the fee counts, may be wrong for them. A fee in another currency is not counted in.';
COMMENT ON COLUMN analytics.event_rule.net_difference IS 'Sum of these differences.';
COMMENT ON COLUMN analytics.event_rule.confirmed_at IS 'When the rule was confirmed; null while it is assumed.';
COMMENT ON COLUMN analytics.event_rule.amount_sign IS
  'absolute: a movement is direction x |amount|; as_sent: the amount with the sign that was sent.';
COMMENT ON COLUMN analytics.event_rule.unmapped_count IS
  'Those without a direction: left out of every sum. All, or the negative ones where the rule does not say what a minus means.';
COMMENT ON COLUMN analytics.event_rule.is_assumed IS
  'True if the direction is assumed: no person has confirmed the rule. `paycombat-sync directions confirm` does.';
