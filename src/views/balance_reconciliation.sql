CREATE VIEW analytics.balance_reconciliation AS
-- An unchanged wallet is not written. The latest complete pass read the same balance again, at the earliest at its
-- start.
WITH confirmed AS (
  SELECT DISTINCT ON (run.account)
    run.account,
    (SELECT min(part.started_at) FROM sync.stream_runs part
      WHERE part.account = run.account AND part.stream = run.stream AND part.pass_id = run.pass_id) AS confirmed_at
  FROM sync.stream_runs run
  WHERE run.stream = 'wallets' AND run.pass_id IS NOT NULL AND run.status IN ('complete', 'complete_with_rejects')
  ORDER BY run.account, run.finished_at DESC
), unread AS (
  -- An unreadable account of a wallet may have any currency, unless it names one.
  SELECT
    reject.account,
    wallet.wallet_id,
    array_agg(item.currency) AS currencies,
    bool_or(item.currency IS NULL) AS is_any
  FROM sync.rejects reject
  JOIN warehouse.wallets wallet ON wallet.account = reject.account AND wallet.wallet_id = reject.record_id
  CROSS JOIN LATERAL (SELECT wallet.raw #> string_to_array(reject.field, '.') ->> 'currency' AS currency) item
  WHERE reject.stream = 'wallets' AND reject.kind = 'item' AND reject.unlisted_at IS NULL
  GROUP BY reject.account, wallet.wallet_id
), held AS (
  SELECT
    wallet.account,
    coalesce(wallet.customer_id, wallet.org_id) AS owner_id,
    part.currency,
    count(DISTINCT wallet.wallet_id) AS wallet_count,
    CASE WHEN bool_or(unread.is_any OR part.currency = ANY (unread.currencies)) THEN NULL
      ELSE sum(part.actual_balance) END AS wallet_balance,
    greatest(max(part.read_at), max(confirmed.confirmed_at)) AS observed_at
  FROM warehouse.wallets wallet
  JOIN warehouse.wallet_accounts part ON part.account = wallet.account AND part.wallet_id = wallet.wallet_id
  LEFT JOIN confirmed ON confirmed.account = wallet.account
  LEFT JOIN unread ON unread.account = wallet.account AND unread.wallet_id = wallet.wallet_id
  WHERE wallet.removed_at IS NULL AND part.removed_at IS NULL
  GROUP BY wallet.account, coalesce(wallet.customer_id, wallet.org_id), part.currency
)
SELECT
  held.account,
  held.owner_id,
  held.currency,
  held.wallet_count,
  held.wallet_balance,
  CASE WHEN count(history.movement) = count(history.transaction_id)
    THEN coalesce(sum(history.movement), 0) END AS ledger_balance,
  CASE WHEN count(history.movement) = count(history.transaction_id)
    THEN held.wallet_balance - coalesce(sum(history.movement), 0) END AS difference,
  held.observed_at
FROM held
LEFT JOIN analytics.balance_history history
  ON history.account = held.account AND history.owner_id = held.owner_id AND history.currency = held.currency
  AND history.occurred_at <= held.observed_at
GROUP BY held.account, held.owner_id, held.currency, held.wallet_count, held.wallet_balance, held.observed_at;

COMMENT ON VIEW analytics.balance_reconciliation IS
  'Balance that the wallets state, compared with the balance that the transactions add up to. An owner without a wallet account in a currency has no row. Assumed, as balance_history.';
COMMENT ON COLUMN analytics.balance_reconciliation.account IS 'Merchant account, as configured.';
COMMENT ON COLUMN analytics.balance_reconciliation.owner_id IS 'Customer of the wallets, or else their organization.';
COMMENT ON COLUMN analytics.balance_reconciliation.currency IS 'Currency of all amounts.';
COMMENT ON COLUMN analytics.balance_reconciliation.wallet_count IS 'Wallets with the currency, without those no longer listed.';
COMMENT ON COLUMN analytics.balance_reconciliation.wallet_balance IS 'Sum of their actual balances, as last read; null (unknown) if one of them could not be read.';
COMMENT ON COLUMN analytics.balance_reconciliation.ledger_balance IS 'Sum of the owner''s movements up to observed_at; null if one of them is unknown because its fee could not be read.';
COMMENT ON COLUMN analytics.balance_reconciliation.difference IS
  'wallet_balance - ledger_balance; null if either is unknown. It is not 0 if the list of transactions does not reach back to the start of the wallet.';
COMMENT ON COLUMN analytics.balance_reconciliation.observed_at IS 'Latest time at which the wallet balance is known to hold: the time when the newest of these balances was read, or when the latest complete pass over the wallets began.';
