CREATE VIEW analytics.balance_reconciliation AS
WITH
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
-- Both sides below each other, not joined, so that a filter on the owner reaches each of them. The totals have no conditions of
-- their own, and the rule is joined after the union, so that Postgres may read them in the order of an index and stop after
-- some owners.
side AS (
  SELECT
    wallet.account,
    wallet.owner_id,
    wallet.currency,
    'wallet' AS kind,
    true AS is_part,
    wallet.live_count,
    wallet.known_count,
    wallet.known_available_count,
    wallet.actual_balance,
    wallet.available_balance,
    wallet.deleted_count,
    wallet.deleted_balance,
    wallet.observed_at,
    NULL::text AS event_type,
    NULL::text AS event_name,
    NULL::boolean AS is_negative,
    false AS is_customer,
    false AS is_foreign,
    0::bigint AS transaction_count,
    0::numeric AS amount,
    0::numeric AS fee_and_tax,
    0::bigint AS fee_count,
    0::bigint AS unreadable_count,
    NULL::timestamptz AS last_transaction_at
  FROM (
    SELECT
      wallet.account,
      coalesce(wallet.customer_id, wallet.org_id, part.org_id) AS owner_id,
      part.currency,
      count(*) FILTER (WHERE NOT gone.is_deleted) AS live_count,
      count(part.actual_balance) FILTER (WHERE NOT gone.is_deleted AND read.is_whole) AS known_count,
      count(part.available_balance) FILTER (WHERE NOT gone.is_deleted AND read.is_whole) AS known_available_count,
      sum(part.actual_balance) FILTER (WHERE NOT gone.is_deleted AND read.is_whole) AS actual_balance,
      sum(part.available_balance) FILTER (WHERE NOT gone.is_deleted AND read.is_whole) AS available_balance,
      count(*) FILTER (WHERE gone.is_deleted) AS deleted_count,
      sum(part.actual_balance) FILTER (WHERE gone.is_deleted AND read.is_whole) AS deleted_balance,
      greatest(max(part.read_at), max(pass.began_at)) AS observed_at
    FROM warehouse.wallets AS wallet
    JOIN warehouse.wallet_accounts AS part ON part.account = wallet.account AND part.wallet_id = wallet.wallet_id
    CROSS JOIN LATERAL (SELECT coalesce(wallet.is_deleted, false) OR coalesce(part.is_deleted, false) AS is_deleted) AS gone
    LEFT JOIN pass ON pass.account = wallet.account AND pass.stream = 'wallets'
    LEFT JOIN unread ON unread.account = wallet.account AND unread.wallet_id = wallet.wallet_id
    CROSS JOIN LATERAL (SELECT (unread.is_any OR part.currency = ANY (unread.currencies)) IS NOT TRUE AS is_whole) AS read
    WHERE wallet.removed_at IS NULL AND part.removed_at IS NULL
    GROUP BY 1, 2, 3, wallet.wallet_id
  ) AS wallet
  UNION ALL
  SELECT
    account, owner_id, currency, 'amount', true, 0::bigint, 0::bigint, 0::bigint, NULL::numeric, NULL::numeric, 0::bigint, NULL::numeric,
    NULL::timestamptz, event_type, event_name, is_negative, is_customer, fee_currency <> currency, transaction_count, amount,
    fee_amount + tax_amount, fee_count + tax_count, unreadable_fee_count + unreadable_tax_count, last_transaction_at
  FROM warehouse.transaction_owners
  UNION ALL
  -- A fee in another currency than the amount.
  SELECT
    account, owner_id, fee_currency, 'fee', fee_currency <> currency, 0::bigint, 0::bigint, 0::bigint, NULL::numeric, NULL::numeric, 0::bigint,
    NULL::numeric, NULL::timestamptz, event_type, event_name, is_negative, is_customer, true, transaction_count, 0::numeric,
    fee_amount + tax_amount, fee_count + tax_count, unreadable_fee_count + unreadable_tax_count, last_transaction_at
  FROM warehouse.transaction_owners
  UNION ALL
  -- The fees of customers' transactions, where the organization pays them.
  SELECT
    total.account, total.org_id, total.fee_currency, 'paid fee', true, 0::bigint, 0::bigint, 0::bigint, NULL::numeric, NULL::numeric, 0::bigint,
    NULL::numeric, NULL::timestamptz, total.event_type, total.event_name, total.is_negative, false, true, total.transaction_count, 0::numeric,
    total.fee_amount + total.tax_amount, total.fee_count + total.tax_count, total.unreadable_fee_count + total.unreadable_tax_count,
    total.last_transaction_at
  FROM (SELECT account FROM warehouse.account_settings WHERE fee_owner = 'organization') AS setting
  -- Read for such accounts only, whatever owner is asked for.
  CROSS JOIN LATERAL (SELECT * FROM warehouse.transaction_owners AS own WHERE own.account = setting.account OFFSET 0) AS total
  WHERE total.is_customer
), line AS (
  SELECT
    side.*,
    side.kind = 'wallet' AS is_held,
    -- Null where nothing moved: of a failed payment, say, without a fee.
    CASE WHEN rule.direction * side.amount <> 0 OR NOT fee.is_apart AND side.fee_count > 0
      THEN rule.direction * side.amount - CASE WHEN fee.is_apart THEN 0 ELSE side.fee_and_tax END END AS movement,
    rule.direction * side.amount AS moved_amount,
    NOT fee.is_apart AND rule.direction IS NOT NULL AND side.unreadable_count > 0 AS is_unknown,
    CASE WHEN rule.direction IS NULL AND side.kind = 'amount' THEN side.transaction_count ELSE 0 END AS unmapped_count,
    CASE WHEN rule.direction IS NULL AND side.kind = 'amount' THEN side.amount ELSE 0 END AS unmapped_amount,
    coalesce(rule.is_assumed, false) AS is_assumed
  FROM side
  LEFT JOIN analytics.event_direction AS rule
    ON rule.event_type = side.event_type AND rule.event_name = side.event_name AND rule.is_negative = side.is_negative
  LEFT JOIN warehouse.account_settings AS setting ON setting.account = side.account
  CROSS JOIN LATERAL (
    -- The organization pays the fees of customers, which are parts of their own.
    SELECT side.kind = 'amount' AND (side.is_foreign OR side.is_customer AND setting.fee_owner IS NOT DISTINCT FROM 'organization') AS is_apart
  ) AS fee
  WHERE side.is_part AND (
    side.kind = 'wallet'
    OR side.transaction_count > 0 AND (
      side.kind = 'amount'
      OR rule.direction IS NOT NULL AND side.fee_count + side.unreadable_count > 0
        AND NOT (side.is_customer AND setting.fee_owner IS NOT DISTINCT FROM 'organization')))
), owner AS (
  SELECT
    account,
    owner_id,
    currency,
    bool_or(is_held) AS is_held,
    count(movement) > 0 OR bool_or(is_unknown) AS is_moved,
    count(*) FILTER (WHERE live_count > 0) AS wallet_count,
    CASE WHEN sum(known_count) = sum(live_count) THEN coalesce(sum(actual_balance), 0) END AS wallet_balance,
    CASE WHEN sum(known_available_count) = sum(live_count) THEN coalesce(sum(available_balance), 0) END AS available_balance,
    sum(deleted_count)::bigint AS deleted_wallet_count,
    coalesce(sum(deleted_balance), 0) AS deleted_wallet_balance,
    max(observed_at) AS observed_at,
    coalesce(sum(movement), 0) AS movement,
    coalesce(sum(moved_amount), 0) AS amount,
    bool_or(is_unknown) AS is_unknown,
    sum(unmapped_count)::bigint AS unmapped_count,
    sum(unmapped_amount) AS unmapped_amount,
    bool_or(is_assumed) AS is_assumed,
    max(last_transaction_at) AS last_transaction_at
  FROM line
  GROUP BY owner_id, account, currency
), known AS (
  -- A WITH of its own keeps this a part of its own, so that what is looked up for an owner is looked up once.
  WITH rule AS MATERIALIZED (
    SELECT event_type, event_name, is_negative, direction FROM analytics.event_direction WHERE direction IS NOT NULL
  ), organization_pays AS MATERIALIZED (
    SELECT account FROM warehouse.account_settings WHERE fee_owner = 'organization'
  )
  SELECT
    owner.*,
    -- Movements after the wallets were read, with and without fees: no part of their balances.
    CASE WHEN owner.is_held AND owner.last_transaction_at > owner.observed_at THEN (
      SELECT ARRAY[coalesce(sum(line.movement), 0), coalesce(sum(line.amount), 0)]
      FROM (
        SELECT
          rule.direction * abs(t.amount) - CASE
            WHEN t.fee_currency <> t.currency OR t.customer_id IS NOT NULL AND EXISTS (SELECT FROM organization_pays AS payer WHERE payer.account = owner.account) THEN 0
            ELSE coalesce(t.fee_amount, 0) + coalesce(t.tax_amount, 0) END AS movement,
          rule.direction * abs(t.amount) AS amount
        FROM warehouse.transactions AS t
        JOIN rule ON rule.event_type = t.event_type AND rule.event_name = coalesce(t.event_name, '') AND rule.is_negative = (t.amount < 0)
        WHERE t.account = owner.account AND t.owner_id = owner.owner_id AND t.currency = owner.currency
          AND t.created_at > owner.observed_at
        UNION ALL
        SELECT -(coalesce(t.fee_amount, 0) + coalesce(t.tax_amount, 0)), 0
        FROM warehouse.transactions AS t
        JOIN rule ON rule.event_type = t.event_type AND rule.event_name = coalesce(t.event_name, '') AND rule.is_negative = (t.amount < 0)
        WHERE t.account = owner.account AND t.owner_id = owner.owner_id AND t.fee_currency = owner.currency
          AND t.fees_currency <> t.currency AND t.created_at > owner.observed_at
          AND NOT (t.customer_id IS NOT NULL AND EXISTS (SELECT FROM organization_pays AS payer WHERE payer.account = owner.account))
        UNION ALL
        SELECT -(coalesce(t.fee_amount, 0) + coalesce(t.tax_amount, 0)), 0
        FROM warehouse.transactions AS t
        JOIN rule ON rule.event_type = t.event_type AND rule.event_name = coalesce(t.event_name, '') AND rule.is_negative = (t.amount < 0)
        WHERE EXISTS (SELECT FROM organization_pays AS payer WHERE payer.account = owner.account) AND t.account = owner.account AND t.org_id = owner.owner_id
          AND t.fee_currency = owner.currency AND t.customer_id IS NOT NULL AND t.created_at > owner.observed_at
      ) AS line
    ) ELSE '{0,0}' END AS later
  FROM owner
)
SELECT
  account,
  owner_id,
  currency,
  CASE
    WHEN NOT is_held THEN 'ledger_only'
    WHEN NOT is_moved THEN 'wallet_only'
    WHEN NOT is_unknown AND wallet_balance = movement - later[1] THEN 'agrees'
    ELSE 'differs'
  END AS state,
  CASE WHEN is_held THEN wallet_balance END AS wallet_balance,
  CASE WHEN is_held THEN available_balance END AS available_balance,
  CASE WHEN is_held THEN wallet_balance - available_balance END AS blocked_balance,
  CASE WHEN is_moved AND NOT is_unknown THEN movement - later[1] END AS ledger_balance,
  CASE WHEN NOT is_unknown THEN wallet_balance - (movement - later[1]) END AS difference,
  wallet_balance - (amount - later[2]) AS difference_without_fees,
  unmapped_count,
  unmapped_amount,
  observed_at,
  greatest(
    (SELECT pass.began_at FROM pass WHERE pass.account = known.account AND pass.stream = 'transactions'),
    (SELECT reached.complete_to FROM reached WHERE reached.account = known.account)
  ) AS ledger_complete_to,
  deleted_wallet_count,
  deleted_wallet_balance,
  wallet_count,
  is_assumed
FROM known
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
