CREATE VIEW analytics.wallet_balance AS
SELECT
  wallet.account,
  part.wallet_account_id,
  wallet.wallet_id,
  coalesce(wallet.customer_id, wallet.org_id, part.org_id) AS owner_id,
  wallet.category,
  wallet.scope,
  part.currency,
  part.actual_balance,
  part.available_balance,
  part.actual_balance - part.available_balance AS blocked_balance,
  part.read_at,
  coalesce(wallet.is_deleted, false) OR coalesce(part.is_deleted, false) AS is_deleted,
  wallet.customer_id
FROM warehouse.wallet_accounts AS part
JOIN warehouse.wallets AS wallet ON wallet.account = part.account AND wallet.wallet_id = part.wallet_id
WHERE wallet.removed_at IS NULL AND part.removed_at IS NULL;

COMMENT ON VIEW analytics.wallet_balance IS
  'Balance of each wallet account, as last read. Wallets and wallet accounts that are no longer listed are left out; deleted ones are in, and marked.';
COMMENT ON COLUMN analytics.wallet_balance.account IS 'Merchant account, as configured.';
COMMENT ON COLUMN analytics.wallet_balance.wallet_account_id IS 'Id of the wallet account: one currency of a wallet.';
COMMENT ON COLUMN analytics.wallet_balance.wallet_id IS 'Id of the wallet.';
COMMENT ON COLUMN analytics.wallet_balance.owner_id IS 'Customer of the wallet, else its organization.';
COMMENT ON COLUMN analytics.wallet_balance.category IS 'Category of the wallet, as sent.';
COMMENT ON COLUMN analytics.wallet_balance.scope IS 'Scope of the wallet, as sent.';
COMMENT ON COLUMN analytics.wallet_balance.currency IS 'Currency of all balances.';
COMMENT ON COLUMN analytics.wallet_balance.actual_balance IS 'Balance with what is held back.';
COMMENT ON COLUMN analytics.wallet_balance.available_balance IS
  'Balance without what is held back; null where none is sent or where it could not be read.';
COMMENT ON COLUMN analytics.wallet_balance.blocked_balance IS
  'actual_balance - available_balance: what is held back; null where available_balance is.';
COMMENT ON COLUMN analytics.wallet_balance.read_at IS
  'When these balances were read first. Balances that did not change since are not stored again.';
COMMENT ON COLUMN analytics.wallet_balance.is_deleted IS 'True where the API marks the wallet, or this account of it, as deleted.';
COMMENT ON COLUMN analytics.wallet_balance.customer_id IS 'Customer of the wallet; null where it is the organization''s own.';
