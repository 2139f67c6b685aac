CREATE VIEW analytics.wallet AS
SELECT
  wallet.account,
  wallet.wallet_id,
  coalesce(wallet.customer_id, wallet.org_id, part.org_id) AS owner_id,
  wallet.category,
  wallet.scope,
  coalesce(part.currencies, '{}') AS currencies,
  coalesce(wallet.is_deleted, false) AS is_deleted,
  wallet.read_at,
  wallet.customer_id,
  wallet.is_active,
  coalesce(part.wallet_account_count, 0) AS wallet_account_count,
  wallet.created_at,
  wallet.updated_at,
  wallet.deleted_at
FROM warehouse.wallets AS wallet
LEFT JOIN (
  SELECT account, wallet_id, min(org_id) AS org_id, array_agg(DISTINCT currency ORDER BY currency) AS currencies,
    count(*) AS wallet_account_count
  FROM warehouse.wallet_accounts
  WHERE removed_at IS NULL
  GROUP BY account, wallet_id
) AS part ON part.account = wallet.account AND part.wallet_id = wallet.wallet_id
WHERE wallet.removed_at IS NULL;

COMMENT ON VIEW analytics.wallet IS
  'Wallets that are still listed, deleted ones included. A wallet may hold several currencies: its balances are in wallet_balance.';
COMMENT ON COLUMN analytics.wallet.account IS 'Merchant account, as configured.';
COMMENT ON COLUMN analytics.wallet.wallet_id IS 'Id of the wallet.';
COMMENT ON COLUMN analytics.wallet.owner_id IS 'Customer of the wallet, else its organization.';
COMMENT ON COLUMN analytics.wallet.category IS 'Category, as sent.';
COMMENT ON COLUMN analytics.wallet.scope IS 'Scope, as sent.';
COMMENT ON COLUMN analytics.wallet.currencies IS 'Currencies of its wallet accounts, sorted.';
COMMENT ON COLUMN analytics.wallet.is_deleted IS 'True where the API marks the wallet as deleted.';
COMMENT ON COLUMN analytics.wallet.read_at IS 'When the stored version was read. A wallet that did not change since is not stored again.';
COMMENT ON COLUMN analytics.wallet.customer_id IS 'Customer of the wallet; null where it is the organization''s own.';
COMMENT ON COLUMN analytics.wallet.is_active IS 'True if the wallet is active, as sent.';
COMMENT ON COLUMN analytics.wallet.wallet_account_count IS 'Wallet accounts, one per currency.';
COMMENT ON COLUMN analytics.wallet.created_at IS 'When it was created, as sent.';
COMMENT ON COLUMN analytics.wallet.updated_at IS 'When it was last changed, as sent.';
COMMENT ON COLUMN analytics.wallet.deleted_at IS 'When it was deleted, as sent; null while it is not.';
