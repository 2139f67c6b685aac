CREATE VIEW analytics.wallet_balance_daily AS
SELECT
  wallet.account,
  part.wallet_account_id,
  daily.day,
  wallet.wallet_id,
  coalesce(wallet.customer_id, wallet.org_id, part.org_id) AS owner_id,
  wallet.category,
  wallet.scope,
  snapshot.currency,
  snapshot.actual_balance,
  snapshot.available_balance,
  snapshot.actual_balance - snapshot.available_balance AS blocked_balance,
  snapshot.observed_at AS read_at,
  zone.name AS time_zone,
  later.day - 1 AS last_day,
  coalesce(wallet.is_deleted, false) OR coalesce(part.is_deleted, false) AS is_deleted
FROM warehouse.wallet_balance_snapshots AS snapshot
JOIN warehouse.wallet_accounts AS part ON part.account = snapshot.account AND part.wallet_account_id = snapshot.wallet_account_id
JOIN warehouse.wallets AS wallet ON wallet.account = part.account AND wallet.wallet_id = part.wallet_id
LEFT JOIN warehouse.account_settings AS setting ON setting.account = snapshot.account
CROSS JOIN LATERAL (SELECT coalesce(setting.report_timezone, 'UTC') AS name) AS zone
CROSS JOIN LATERAL (SELECT (snapshot.observed_at AT TIME ZONE zone.name)::date AS day) AS daily
-- Looked up for each row, so that a filter on the day comes before it.
LEFT JOIN LATERAL (
  SELECT (next.observed_at AT TIME ZONE zone.name)::date AS day
  FROM warehouse.wallet_balance_snapshots AS next
  WHERE next.account = snapshot.account AND next.wallet_account_id = snapshot.wallet_account_id
    AND next.observed_at > snapshot.observed_at
  ORDER BY next.observed_at
  LIMIT 1
) AS later ON true
WHERE wallet.removed_at IS NULL AND part.removed_at IS NULL AND (later.day = daily.day) IS NOT TRUE;

COMMENT ON VIEW analytics.wallet_balance_daily IS
  'Balance of each wallet account at the end of a day, as far as syncs saw it: a row for each day on which a sync saw another balance than before. The balance holds up to last_day. Balances before the first sync are unknown.';
COMMENT ON COLUMN analytics.wallet_balance_daily.account IS 'Merchant account, as configured.';
COMMENT ON COLUMN analytics.wallet_balance_daily.wallet_account_id IS 'Id of the wallet account: one currency of a wallet.';
COMMENT ON COLUMN analytics.wallet_balance_daily.day IS 'Day in time_zone on which a sync saw another balance than before.';
COMMENT ON COLUMN analytics.wallet_balance_daily.wallet_id IS 'Id of the wallet.';
COMMENT ON COLUMN analytics.wallet_balance_daily.owner_id IS 'Customer of the wallet, else its organization.';
COMMENT ON COLUMN analytics.wallet_balance_daily.category IS 'Category of the wallet, as sent.';
COMMENT ON COLUMN analytics.wallet_balance_daily.scope IS 'Scope of the wallet, as sent.';
COMMENT ON COLUMN analytics.wallet_balance_daily.currency IS 'Currency of all balances.';
COMMENT ON COLUMN analytics.wallet_balance_daily.actual_balance IS 'Balance at the end of the day, with what is held back.';
COMMENT ON COLUMN analytics.wallet_balance_daily.available_balance IS
  'Balance at the end of the day, without what is held back; null where none was sent or where it could not be read.';
COMMENT ON COLUMN analytics.wallet_balance_daily.blocked_balance IS
  'actual_balance - available_balance: what was held back; null where available_balance is.';
COMMENT ON COLUMN analytics.wallet_balance_daily.read_at IS 'When a sync first saw these balances.';
COMMENT ON COLUMN analytics.wallet_balance_daily.time_zone IS 'The account''s reporting time zone.';
COMMENT ON COLUMN analytics.wallet_balance_daily.last_day IS
  'Last day before another balance was seen; null for the latest row, which holds until now.';
COMMENT ON COLUMN analytics.wallet_balance_daily.is_deleted IS
  'True where the API now marks the wallet, or this account of it, as deleted.';
