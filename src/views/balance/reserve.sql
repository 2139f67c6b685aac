CREATE VIEW analytics.reserve AS
WITH line AS (
  SELECT total.account, total.owner_id, total.currency, total.event_type = 'RESERVE' AS is_reserve,
    total.amount, total.transaction_count, total.first_transaction_at,
    -- The type says what a line is, whatever its direction. A name with one of these words may say the contrary.
    NOT string_to_array(upper(btrim(total.event_name)), '_')
      && '{PENDING,PROCESSING,AWAITING,RETURNED,REVERSED,REVERSAL,REFUND,CHARGEBACK}' AS is_known,
    rule.is_assumed
  FROM warehouse.transaction_owners AS total
  JOIN analytics.event_direction AS rule
    ON rule.event_type = total.event_type AND rule.event_name = total.event_name AND rule.is_negative = total.is_negative
  WHERE total.event_type IN ('RESERVE', 'RELEASE') AND total.transaction_count > 0 AND rule.rule <> 'no_movement'
)
SELECT
  account,
  owner_id,
  currency,
  coalesce(sum(amount) FILTER (WHERE is_known AND is_reserve), 0) AS reserved,
  coalesce(sum(amount) FILTER (WHERE is_known AND NOT is_reserve), 0) AS released,
  coalesce(sum(CASE WHEN is_reserve THEN amount ELSE -amount END) FILTER (WHERE is_known), 0) AS outstanding,
  min(first_transaction_at) FILTER (WHERE is_known AND is_reserve) AS oldest_at,
  coalesce(sum(transaction_count) FILTER (WHERE NOT is_known), 0)::bigint AS unmapped_count,
  bool_or(is_assumed) AS is_assumed
FROM line
GROUP BY account, owner_id, currency;

COMMENT ON VIEW analytics.reserve IS
  'Money of each owner that was set aside and given back, by transactions of the types RESERVE and RELEASE. Assumed: they hold part of a wallet back while a payout or refund is under way. The rolling reserve of the dashboard is something else.';
COMMENT ON COLUMN analytics.reserve.account IS 'Merchant account, as configured.';
COMMENT ON COLUMN analytics.reserve.owner_id IS
  'Owner of the money: the customer if the transaction names one, or else the organization.';
COMMENT ON COLUMN analytics.reserve.currency IS 'Currency of all amounts.';
COMMENT ON COLUMN analytics.reserve.reserved IS
  'Assumed: sum of |amount| of type RESERVE, without those whose name says that they failed, expired or were cancelled, declined or rejected.';
COMMENT ON COLUMN analytics.reserve.released IS 'Assumed: the same of type RELEASE.';
COMMENT ON COLUMN analytics.reserve.outstanding IS
  'Assumed: reserved - released. The owner''s wallets should hold back as much: blocked_balance in wallet_balance.';
COMMENT ON COLUMN analytics.reserve.oldest_at IS 'When the first of these amounts was reserved; null where none is known.';
COMMENT ON COLUMN analytics.reserve.unmapped_count IS
  'Transactions of both types whose name may say the contrary, such as RESERVE_REVERSED or RESERVE_PENDING: counted, in no amount.';
COMMENT ON COLUMN analytics.reserve.is_assumed IS
  'True if an amount of the row rests on a rule of direction that is assumed: no person has confirmed it. See event_rule.';
