/**
 * Equations of wallets against transactions, in SQL. Each is a query of one row per currency, with the columns that
 * `ledgerChecks.ts` reads. $1 is the account; the other parameters are named where they are used.
 *
 * An owner that differs is left open, and not counted as differing, if something known explains it: the wallet was read
 * after the transactions, a transaction was created at about the time of the reading, or transactions without a direction
 * add up to as much.
 */

/** A transaction created so close to the reading of a wallet may be in its balance or not: clocks differ. */
const MOVING = "interval '1 minute'"

/** Longest time between the readings that `wallet_delta` compares, so that it reads a bounded share of the transactions. */
const DELTA_WINDOW = "interval '31 days'"

const counted = (kind: string) => `count(*) FILTER (WHERE verdict = '${kind}')`

/** Counts of owners by their verdict, and the sentences about those that are left open. */
const counts = `
  count(*) AS row_count,
  ${counted("differs")} AS differs_count,
  count(*) FILTER (WHERE verdict NOT IN ('agrees', 'differs')) AS open_count,
  count(*) FILTER (WHERE verdict IN ('late', 'moving', 'single')) > 0 AS is_waiting,
  concat_ws(' ',
    'Owners that cannot be compared: ' || count(*) FILTER (WHERE verdict NOT IN ('agrees', 'differs')) || ' of ' || count(*) || '.',
    CASE WHEN ${counted("unheld")} > 0 THEN 'No wallet holds the currency.' END,
    CASE WHEN ${counted("single")} > 0 THEN 'The wallets were read only once since the transactions are complete: the next run compares.' END,
    CASE WHEN ${counted("late")} > 0 THEN 'Wallets were read later than the transactions, which are known up to ' || $2::timestamptz || ': run \`paycombat-sync sync\`.' END,
    CASE WHEN ${counted("moving")} > 0 THEN 'Transactions were created within a minute of the reading: the next run compares again.' END,
    CASE WHEN ${counted("unmapped")} > 0 THEN 'Transactions without a direction may explain the difference: run \`paycombat-sync directions list\`.' END,
    CASE WHEN ${counted("undated")} > 0 THEN 'A wallet was deleted, and the API sends no time of it.' END,
    CASE WHEN ${counted("unknown")} > 0 THEN 'A balance or a fee could not be read: run \`paycombat-sync rejects list\`.' END
  ) AS open_text`

/** Sum of the fees of an owner's transactions without a direction, as a condition's bound. */
const unmappedFees = `(
  SELECT coalesce(sum(abs(total.fee_amount + total.tax_amount)), 0) FROM warehouse.transaction_owners AS total
  JOIN analytics.event_direction AS rule
    ON rule.event_type = total.event_type AND rule.event_name = total.event_name AND rule.is_negative = total.is_negative
  WHERE rule.direction IS NULL AND total.account = $1 AND total.owner_id = owner.owner_id AND total.fee_currency = owner.currency)`

/** $2: time up to which transactions are known. */
export const WALLET_BALANCE = `
  SELECT currency,
    CASE WHEN bool_and(wallet_balance IS NOT NULL) FILTER (WHERE is_held) IS NOT FALSE THEN coalesce(sum(wallet_balance), 0) END AS left_amount,
    CASE WHEN bool_and(verdict <> 'unknown' OR wallet_balance IS NULL AND is_held) THEN coalesce(sum(ledger_balance), 0) END AS right_amount,
    CASE WHEN bool_and(difference IS NOT NULL) THEN sum(difference) END AS difference,
    concat_ws(' ',
      'Owners whose wallets and transactions differ: ' || ${counted("differs")} || ' of ' || count(*) || ', see balance_reconciliation.',
      CASE WHEN sum(difference) = 0 THEN 'All owners together agree: money, such as fees, is in the balance of another owner than assumed.' END,
      CASE WHEN count(*) FILTER (WHERE verdict = 'differs' AND difference_without_fees = 0) > 0 THEN count(*) FILTER (WHERE verdict = 'differs' AND difference_without_fees = 0)
        || ' of them agree if fees are left out: if PayCombat takes fees from a wallet of the organization, set PAYCOMBAT_FEE_OWNER=organization.' END,
      'If wallet_delta holds, the list of transactions does not reach back to the start of the wallets.'
    ) AS differs_text,
    ${counts}
  FROM (
    SELECT owner.*, CASE
      WHEN NOT has_wallets THEN 'unheld'
      WHEN difference = 0 THEN 'agrees'
      WHEN difference IS NULL THEN 'unknown'
      WHEN observed_at > $2 THEN 'late'
      WHEN unmapped_count > 0 AND abs(difference) <= unmapped_amount + ${unmappedFees} THEN 'unmapped'
      WHEN EXISTS (
        SELECT FROM warehouse.transactions AS t
        WHERE t.account = $1 AND t.owner_id = owner.owner_id AND t.currency = owner.currency
          AND t.created_at BETWEEN observed_at - ${MOVING} AND observed_at + ${MOVING}) THEN 'moving'
      ELSE 'differs' END AS verdict
    FROM (
      SELECT owner_id, currency, wallet_balance, ledger_balance, difference, difference_without_fees, observed_at, unmapped_count, unmapped_amount,
        wallet_count + deleted_wallet_count > 0 AS is_held,
        bool_or(wallet_count > 0) OVER (PARTITION BY currency) AS has_wallets
      FROM analytics.balance_reconciliation WHERE account = $1
    ) AS owner
  ) AS judged
  GROUP BY currency`

/**
 * Movements as `balance_history` has them, of transactions `t` of `from`. A movement without a direction is null; `unmapped` is
 * the most that it may move. With the sign -1 they are taken away.
 */
const movements = (from: string, sign: 1 | -1) => `
  SELECT t.transaction_id, line.owner_id, line.currency, t.created_at, t.is_known, sign.of < 0 AS is_earlier, sign.of * line.movement AS movement, line.unmapped,
    line.movement IS NOT NULL AND (line.kind = 'fee' OR NOT is_apart) AND (t.is_fee_unreadable OR t.is_tax_unreadable) AS is_unknown
  FROM ${from} AS t CROSS JOIN (SELECT ${sign} AS of) AS sign
  LEFT JOIN rule
    ON rule.event_type = t.event_type AND rule.event_name = coalesce(t.event_name, '') AND rule.is_negative = (t.amount < 0)
  LEFT JOIN warehouse.account_settings AS setting ON setting.account = t.account
  CROSS JOIN LATERAL (
    SELECT coalesce(t.fee_amount, 0) + coalesce(t.tax_amount, 0) AS fee,
      t.customer_id IS NOT NULL AND setting.fee_owner IS NOT DISTINCT FROM 'organization' AS is_of_organization
  ) AS charged
  CROSS JOIN LATERAL (SELECT t.fee_currency <> t.currency OR is_of_organization AS is_apart) AS apart
  CROSS JOIN LATERAL (VALUES
    ('amount', t.owner_id, t.currency, rule.direction * abs(t.amount) - CASE WHEN is_apart THEN 0 ELSE fee END, abs(t.amount) + abs(fee)),
    ('fee', CASE WHEN is_of_organization THEN t.org_id ELSE t.owner_id END, t.fee_currency, CASE WHEN rule.direction IS NOT NULL THEN -fee END, abs(fee))
  ) AS line (kind, owner_id, currency, movement, unmapped)
  WHERE line.kind = 'amount' OR is_apart`

/**
 * $2: time up to which transactions are known; $3: when the first complete run of transactions ended, or of wallets if that
 * ended later. The first reading is the latest one before $3, and the second the latest of all. The right side is the sum of
 * the movements as known now, less the sum as known when the first reading was made: transactions that were created after it
 * or were not known then, and transactions known then of which a later run read another amount, fee, owner or kind.
 */
export const WALLET_DELTA = `
  WITH rule AS MATERIALIZED (
    SELECT event_type, event_name, is_negative, direction FROM analytics.event_direction
  ), pass AS MATERIALIZED (
    SELECT run.finished_at, (SELECT min(part.started_at) FROM sync.stream_runs AS part
      WHERE part.account = $1 AND part.stream = 'wallets' AND part.pass_id = run.pass_id) AS began_at
    FROM sync.stream_runs AS run
    WHERE run.account = $1 AND run.stream = 'wallets' AND run.pass_id IS NOT NULL AND run.status IN ('complete', 'complete_with_rejects')
  ), base AS MATERIALIZED (
    SELECT at, (SELECT max(began_at) FROM pass WHERE finished_at <= at) AS began_at, (SELECT max(began_at) FROM pass) AS latest_at,
      (SELECT max(run.finished_at) FROM sync.stream_runs AS run WHERE run.account = $1 AND run.stream = 'transactions'
        AND run.mode IN ('full', 'incremental') AND run.status IN ('complete', 'complete_with_rejects') AND run.finished_at <= at) AS known_at
    FROM (SELECT greatest($3::timestamptz, now() - ${DELTA_WINDOW}) AS at) AS first
  ), held AS (
    SELECT coalesce(wallet.customer_id, wallet.org_id, part.org_id) AS owner_id, part.currency,
      CASE WHEN is_gone THEN 0 ELSE part.actual_balance END - coalesce(first.actual_balance, 0) AS wallet_delta,
      coalesce(greatest(first.observed_at, base.began_at), base.at) AS since,
      greatest(part.read_at, base.latest_at) AS until,
      is_gone AND gone_at IS NULL AS is_undated,
      EXISTS (SELECT FROM sync.rejects AS reject WHERE reject.account = $1 AND reject.stream = 'wallets' AND reject.kind = 'item'
        AND reject.unlisted_at IS NULL AND reject.record_id = wallet.wallet_id) AS is_unread
    FROM warehouse.wallet_accounts AS part
    JOIN warehouse.wallets AS wallet ON wallet.account = part.account AND wallet.wallet_id = part.wallet_id
    CROSS JOIN base
    CROSS JOIN LATERAL (
      SELECT coalesce(wallet.is_deleted, false) OR coalesce(part.is_deleted, false) OR wallet.removed_at IS NOT NULL OR part.removed_at IS NOT NULL AS is_gone,
        least(wallet.removed_at, part.removed_at, CASE WHEN wallet.is_deleted THEN wallet.deleted_at END, CASE WHEN part.is_deleted THEN part.deleted_at END) AS gone_at
    ) AS gone
    LEFT JOIN LATERAL (
      SELECT snapshot.observed_at, snapshot.actual_balance FROM warehouse.wallet_balance_snapshots AS snapshot
      WHERE snapshot.account = $1 AND snapshot.wallet_account_id = part.wallet_account_id AND snapshot.observed_at <= base.at
      ORDER BY snapshot.observed_at DESC LIMIT 1
    ) AS first ON true
    -- A wallet that was deleted or removed since holds nothing now. One that was already counts in neither reading.
    WHERE part.account = $1 AND (NOT is_gone OR first.actual_balance IS NOT NULL
      AND greatest(wallet.read_at, part.read_at, wallet.removed_at, part.removed_at) > base.at
      AND coalesce(gone_at, 'infinity') > greatest(first.observed_at, base.began_at))
  ), owner AS MATERIALIZED (
    SELECT owner_id, currency, sum(wallet_delta) AS wallet_delta, max(since) AS since, max(until) AS until, bool_or(is_unread) AS is_unread,
      bool_or(is_undated) AS is_undated
    FROM held GROUP BY owner_id, currency
  ), replaced AS MATERIALIZED (
    -- The version that was known when the first reading was made, of transactions of which a later run read another one.
    SELECT DISTINCT ON (version.transaction_id) version.*, true AS is_known
    FROM sync.transaction_versions AS version CROSS JOIN base
    WHERE version.account = $1 AND version.replaced_at > base.known_at AND version.first_seen_at <= base.known_at
    ORDER BY version.transaction_id, version.replaced_at
  ), present AS (
    SELECT t.*, t.first_seen_at <= (SELECT known_at FROM base) AS is_known FROM warehouse.transactions AS t
    WHERE t.account = $1 AND (t.created_at > (SELECT min(since) FROM owner) OR t.first_seen_at > (SELECT known_at FROM base))
    UNION ALL SELECT t.*, true FROM replaced
    JOIN warehouse.transactions AS t ON t.account = replaced.account AND t.transaction_id = replaced.transaction_id
    WHERE t.created_at <= (SELECT min(since) FROM owner)
  ), line AS MATERIALIZED (
    SELECT now.*, EXISTS (SELECT FROM replaced WHERE replaced.transaction_id = now.transaction_id) AS is_replaced FROM (
      ${movements("present", 1)}
    ) AS now
    UNION ALL SELECT earlier.*, true FROM (${movements("replaced", -1)}) AS earlier
  ), moved AS (
    SELECT owner_id, currency, coalesce(sum(line.movement), 0) AS ledger_delta, bool_or(line.is_unknown) AS is_unknown,
      coalesce(sum(line.unmapped) FILTER (WHERE line.movement IS NULL), 0) AS unmapped
    FROM owner JOIN line USING (owner_id, currency)
    WHERE line.created_at <= owner.until AND CASE WHEN line.is_earlier THEN line.created_at <= owner.since
      ELSE line.created_at > owner.since OR NOT line.is_known OR line.is_replaced END
    GROUP BY owner_id, currency
  )
  SELECT currency,
    sum(wallet_delta) AS left_amount,
    sum(ledger_delta) AS right_amount,
    sum(wallet_delta) - sum(ledger_delta) AS difference,
    'Owners whose wallets changed otherwise than their transactions: ' || ${counted("differs")} || ' of ' || count(*)
      || ', between the first reading (at the latest ' || max(since) || ') and the latest. Either movements are missing or created under another time, a wallet with money was deleted, or a direction or the owner of fees is wrong.' AS differs_text,
    ${counts}
  FROM (
    SELECT owner.*, coalesce(ledger_delta, 0) AS ledger_delta, CASE
      WHEN base.latest_at <= base.at THEN 'single'
      WHEN is_unread OR is_unknown THEN 'unknown'
      WHEN is_undated THEN 'undated'
      WHEN wallet_delta = coalesce(ledger_delta, 0) THEN 'agrees'
      WHEN until > $2 THEN 'late'
      WHEN abs(wallet_delta - coalesce(ledger_delta, 0)) <= unmapped THEN 'unmapped'
      WHEN EXISTS (
        SELECT FROM warehouse.transactions AS t
        WHERE t.account = $1 AND t.owner_id = owner.owner_id AND t.currency = owner.currency
          AND (t.created_at BETWEEN until - ${MOVING} AND until + ${MOVING} OR t.created_at BETWEEN since - ${MOVING} AND since + ${MOVING})) THEN 'moving'
      ELSE 'differs' END AS verdict
    FROM owner CROSS JOIN base LEFT JOIN moved USING (owner_id, currency)
  ) AS judged
  GROUP BY currency`
