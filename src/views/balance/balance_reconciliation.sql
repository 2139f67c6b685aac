CREATE VIEW analytics.balance_reconciliation AS
WITH rule AS MATERIALIZED (
  SELECT event_type, event_name, is_negative, direction, is_assumed FROM analytics.event_direction
),
-- An unchanged wallet is not written: the latest complete pass read the same balance again, at the earliest when it began.
pass AS MATERIALIZED (
  SELECT DISTINCT ON (run.account, run.stream)
    run.account,
    run.stream,
    (SELECT min(part.started_at) FROM sync.stream_runs AS part
      WHERE part.account = run.account AND part.stream = run.stream AND part.pass_id = run.pass_id) AS began_at
  FROM sync.stream_runs AS run
  WHERE run.stream IN ('wallets', 'transactions') AND run.pass_id IS NOT NULL AND run.status IN ('complete', 'complete_with_rejects')
  ORDER BY run.account, run.stream, run.finished_at DESC
), reached AS MATERIALIZED (
  -- A run that read only what is new reached its own beginning, too.
  SELECT run.account, max(run.started_at) AS complete_to
  FROM sync.stream_runs AS run
  JOIN pass ON pass.account = run.account AND pass.stream = 'transactions'
  WHERE run.stream = 'transactions' AND run.mode = 'incremental' AND run.status IN ('complete', 'complete_with_rejects')
  GROUP BY run.account
), unread AS MATERIALIZED (
  -- An account of a wallet that could not be read is in any currency, unless it names one.
  SELECT
    reject.account,
    wallet.wallet_id,
    array_agg(item.currency) AS currencies,
    bool_or(item.currency IS NULL) AS is_any
  FROM sync.rejects AS reject
  JOIN warehouse.wallets AS wallet ON wallet.account = reject.account AND wallet.wallet_id = reject.record_id
  CROSS JOIN LATERAL (SELECT wallet.raw #> string_to_array(reject.field, '.') ->> 'currency' AS currency) AS item
  WHERE reject.stream = 'wallets' AND reject.kind = 'item' AND reject.unlisted_at IS NULL
  GROUP BY reject.account, wallet.wallet_id
),
-- Both sides below each other, not joined, so that a filter on the owner reaches each of them.
side AS (
  SELECT
    wallet.account,
    coalesce(wallet.customer_id, wallet.org_id, part.org_id) AS owner_id,
    part.currency,
    true AS is_held,
    wallet.wallet_id,
    gone.is_deleted,
    CASE WHEN (unread.is_any OR part.currency = ANY (unread.currencies)) IS NOT TRUE THEN part.actual_balance END AS actual_balance,
    CASE WHEN (unread.is_any OR part.currency = ANY (unread.currencies)) IS NOT TRUE THEN part.available_balance END AS available_balance,
    greatest(part.read_at, pass.began_at) AS observed_at,
    NULL::numeric AS movement,
    NULL::numeric AS amount,
    false AS is_unknown,
    0::bigint AS unmapped_count,
    0::numeric AS unmapped_amount,
    false AS is_assumed
  FROM warehouse.wallets AS wallet
  JOIN warehouse.wallet_accounts AS part ON part.account = wallet.account AND part.wallet_id = wallet.wallet_id
  CROSS JOIN LATERAL (SELECT coalesce(wallet.is_deleted, false) OR coalesce(part.is_deleted, false) AS is_deleted) AS gone
  LEFT JOIN pass ON pass.account = wallet.account AND pass.stream = 'wallets'
  LEFT JOIN unread ON unread.account = wallet.account AND unread.wallet_id = wallet.wallet_id
  WHERE wallet.removed_at IS NULL AND part.removed_at IS NULL
  UNION ALL
  SELECT
    total.account, total.owner_id, total.currency, false, NULL, false, NULL, NULL, NULL,
    -- Null where nothing moved: of a failed payment, say, without a fee.
    CASE WHEN rule.direction * total.amount <> 0 OR NOT fee.is_apart AND total.fee_count + total.tax_count > 0
      THEN rule.direction * total.amount - CASE WHEN fee.is_apart THEN 0 ELSE total.fee_amount + total.tax_amount END END,
    rule.direction * total.amount,
    NOT fee.is_apart AND rule.direction IS NOT NULL AND total.unreadable_fee_count + total.unreadable_tax_count > 0,
    CASE WHEN rule.direction IS NULL THEN total.transaction_count ELSE 0 END,
    CASE WHEN rule.direction IS NULL THEN total.amount ELSE 0 END,
    coalesce(rule.is_assumed, false)
  FROM warehouse.transaction_owners AS total
  LEFT JOIN rule ON rule.event_type = total.event_type AND rule.event_name = total.event_name AND rule.is_negative = total.is_negative
  LEFT JOIN warehouse.account_settings AS setting ON setting.account = total.account
  CROSS JOIN LATERAL (
    SELECT total.fee_currency <> total.currency OR total.is_customer AND setting.fee_owner IS NOT DISTINCT FROM 'organization' AS is_apart
  ) AS fee
  WHERE total.transaction_count > 0
  UNION ALL
  -- A fee in another currency than the amount.
  SELECT
    total.account, total.owner_id, total.fee_currency, false, NULL, false, NULL, NULL, NULL,
    -(total.fee_amount + total.tax_amount), 0, total.unreadable_fee_count + total.unreadable_tax_count > 0, 0, 0, rule.is_assumed
  FROM warehouse.transaction_owners AS total
  JOIN rule ON rule.event_type = total.event_type AND rule.event_name = total.event_name AND rule.is_negative = total.is_negative
  LEFT JOIN warehouse.account_settings AS setting ON setting.account = total.account
  WHERE total.transaction_count > 0 AND rule.direction IS NOT NULL AND total.fee_currency <> total.currency
    AND NOT (total.is_customer AND setting.fee_owner IS NOT DISTINCT FROM 'organization')
    AND (total.fee_count + total.tax_count > 0 OR total.unreadable_fee_count + total.unreadable_tax_count > 0)
  UNION ALL
  -- The fees of customers' transactions, where the organization pays them.
  SELECT
    total.account, total.org_id, total.fee_currency, false, NULL, false, NULL, NULL, NULL,
    -(total.fee_amount + total.tax_amount), 0, total.unreadable_fee_count + total.unreadable_tax_count > 0, 0, 0, rule.is_assumed
  FROM (SELECT account FROM warehouse.account_settings WHERE fee_owner = 'organization') AS setting
  -- Read for such accounts only, whatever owner is asked for.
  CROSS JOIN LATERAL (SELECT * FROM warehouse.transaction_owners AS own WHERE own.account = setting.account OFFSET 0) AS total
  JOIN rule ON rule.event_type = total.event_type AND rule.event_name = total.event_name AND rule.is_negative = total.is_negative
  WHERE total.transaction_count > 0 AND rule.direction IS NOT NULL AND total.is_customer
    AND (total.fee_count + total.tax_count > 0 OR total.unreadable_fee_count + total.unreadable_tax_count > 0)
), owner AS (
  SELECT
    account,
    owner_id,
    currency,
    bool_or(is_held) AS is_held,
    count(movement) > 0 OR bool_or(is_unknown) AS is_moved,
    count(DISTINCT wallet_id) FILTER (WHERE is_held AND NOT is_deleted) AS wallet_count,
    CASE WHEN count(actual_balance) FILTER (WHERE is_held AND NOT is_deleted) = count(*) FILTER (WHERE is_held AND NOT is_deleted)
      THEN coalesce(sum(actual_balance) FILTER (WHERE NOT is_deleted), 0) END AS wallet_balance,
    CASE WHEN count(available_balance) FILTER (WHERE is_held AND NOT is_deleted) = count(*) FILTER (WHERE is_held AND NOT is_deleted)
      THEN coalesce(sum(available_balance) FILTER (WHERE NOT is_deleted), 0) END AS available_balance,
    count(*) FILTER (WHERE is_deleted) AS deleted_wallet_count,
    coalesce(sum(actual_balance) FILTER (WHERE is_deleted), 0) AS deleted_wallet_balance,
    max(observed_at) AS observed_at,
    coalesce(sum(movement), 0) AS movement,
    coalesce(sum(amount), 0) AS amount,
    bool_or(is_unknown) AS is_unknown,
    sum(unmapped_count)::bigint AS unmapped_count,
    sum(unmapped_amount) AS unmapped_amount,
    bool_or(is_assumed) AS is_assumed
  FROM side
  GROUP BY account, owner_id, currency
), known AS (
  SELECT
    owner.*,
    owner.movement - coalesce(later.movement, 0) AS movement_so_far,
    owner.amount - coalesce(later.amount, 0) AS amount_so_far
  FROM owner
  LEFT JOIN warehouse.account_settings AS setting ON setting.account = owner.account
  -- Movements after the wallets were read are no part of their balances.
  LEFT JOIN LATERAL (
    SELECT sum(line.movement) AS movement, sum(line.amount) AS amount
    FROM (
      SELECT
        rule.direction * abs(t.amount) - CASE
          WHEN t.fee_currency <> t.currency OR t.customer_id IS NOT NULL AND setting.fee_owner IS NOT DISTINCT FROM 'organization' THEN 0
          ELSE coalesce(t.fee_amount, 0) + coalesce(t.tax_amount, 0) END AS movement,
        rule.direction * abs(t.amount) AS amount
      FROM warehouse.transactions AS t
      JOIN rule ON rule.event_type = t.event_type AND rule.event_name = coalesce(t.event_name, '') AND rule.is_negative = (t.amount < 0)
      WHERE t.account = owner.account AND t.owner_id = owner.owner_id AND t.currency = owner.currency
        AND t.created_at > owner.observed_at AND rule.direction IS NOT NULL
      UNION ALL
      SELECT -(coalesce(t.fee_amount, 0) + coalesce(t.tax_amount, 0)), 0
      FROM warehouse.transactions AS t
      JOIN rule ON rule.event_type = t.event_type AND rule.event_name = coalesce(t.event_name, '') AND rule.is_negative = (t.amount < 0)
      WHERE t.account = owner.account AND t.owner_id = owner.owner_id AND t.fee_currency = owner.currency
        AND t.fees_currency <> t.currency AND t.created_at > owner.observed_at AND rule.direction IS NOT NULL
        AND NOT (t.customer_id IS NOT NULL AND setting.fee_owner IS NOT DISTINCT FROM 'organization')
      UNION ALL
      SELECT -(coalesce(t.fee_amount, 0) + coalesce(t.tax_amount, 0)), 0
      FROM warehouse.transactions AS t
      JOIN rule ON rule.event_type = t.event_type AND rule.event_name = coalesce(t.event_name, '') AND rule.is_negative = (t.amount < 0)
      WHERE setting.fee_owner = 'organization' AND t.account = owner.account AND t.org_id = owner.owner_id
        AND t.fee_currency = owner.currency AND t.customer_id IS NOT NULL AND t.created_at > owner.observed_at
        AND rule.direction IS NOT NULL
    ) AS line
  ) AS later ON owner.is_held
)
SELECT
  known.account,
  known.owner_id,
  known.currency,
  CASE
    WHEN NOT is_held THEN 'ledger_only'
    WHEN NOT is_moved THEN 'wallet_only'
    WHEN NOT is_unknown AND wallet_balance = movement_so_far THEN 'agrees'
    ELSE 'differs'
  END AS state,
  CASE WHEN is_held THEN wallet_balance END AS wallet_balance,
  CASE WHEN is_held THEN available_balance END AS available_balance,
  CASE WHEN is_held THEN wallet_balance - available_balance END AS blocked_balance,
  CASE WHEN is_moved AND NOT is_unknown THEN movement_so_far END AS ledger_balance,
  CASE WHEN NOT is_unknown THEN wallet_balance - movement_so_far END AS difference,
  wallet_balance - amount_so_far AS difference_without_fees,
  unmapped_count,
  unmapped_amount,
  observed_at,
  greatest(pass.began_at, reached.complete_to) AS ledger_complete_to,
  deleted_wallet_count,
  deleted_wallet_balance,
  wallet_count,
  is_assumed
FROM known
LEFT JOIN pass ON pass.account = known.account AND pass.stream = 'transactions'
LEFT JOIN reached ON reached.account = known.account
WHERE is_held OR is_moved OR unmapped_count > 0;

COMMENT ON VIEW analytics.balance_reconciliation IS
  'Balance that the wallets state against the balance that the transactions add up to, from both sides: an owner with only one of them has a row, too. Assumed, as balance_history.';
COMMENT ON COLUMN analytics.balance_reconciliation.account IS 'Merchant account, as configured.';
COMMENT ON COLUMN analytics.balance_reconciliation.owner_id IS
  'Customer of the wallets, else their organization; owner of the transactions.';
COMMENT ON COLUMN analytics.balance_reconciliation.currency IS 'Currency of all amounts.';
COMMENT ON COLUMN analytics.balance_reconciliation.state IS
  'agrees: both are equal. differs: they are not, or one is not known. wallet_only: nothing moved that is known. ledger_only: no wallet holds the currency.';
COMMENT ON COLUMN analytics.balance_reconciliation.wallet_balance IS
  'Sum of their actual balances, as last read; null where there is none, or where one of them could not be read.';
COMMENT ON COLUMN analytics.balance_reconciliation.available_balance IS
  'Sum of their available balances; null as wallet_balance is.';
COMMENT ON COLUMN analytics.balance_reconciliation.blocked_balance IS 'wallet_balance - available_balance.';
COMMENT ON COLUMN analytics.balance_reconciliation.ledger_balance IS
  'Sum of the owner''s movements up to observed_at; null where nothing moved, or where one of them is not known, because its fee could not be read.';
COMMENT ON COLUMN analytics.balance_reconciliation.difference IS
  'wallet_balance - ledger_balance, a missing one taken for 0; null where one of them is not known. Not 0 where the list of transactions does not reach back to the wallet''s start.';
COMMENT ON COLUMN analytics.balance_reconciliation.difference_without_fees IS
  'The same if fees moved nothing: where it is 0 and difference is not, fees are taken from another balance, see PAYCOMBAT_FEE_OWNER.';
COMMENT ON COLUMN analytics.balance_reconciliation.unmapped_count IS
  'The owner''s transactions whose direction is not known: not in ledger_balance.';
COMMENT ON COLUMN analytics.balance_reconciliation.unmapped_amount IS
  'Sum of |amount| of these; in or out is not known.';
COMMENT ON COLUMN analytics.balance_reconciliation.observed_at IS
  'Until when the wallet balance is known to hold: when the newest of these balances was read, or the latest complete pass over the wallets began.';
COMMENT ON COLUMN analytics.balance_reconciliation.ledger_complete_to IS
  'When the latest complete run over the transactions began: later ones may be missing. Null before the first.';
COMMENT ON COLUMN analytics.balance_reconciliation.deleted_wallet_count IS
  'Wallet accounts that the API marks as deleted: in no other column.';
COMMENT ON COLUMN analytics.balance_reconciliation.deleted_wallet_balance IS 'Sum of their actual balances.';
COMMENT ON COLUMN analytics.balance_reconciliation.wallet_count IS
  'Wallets that hold the currency; those no longer listed or deleted are left out.';
COMMENT ON COLUMN analytics.balance_reconciliation.is_assumed IS
  'True if ledger_balance rests on a rule of direction that is assumed: no person has confirmed it. See event_rule.';
