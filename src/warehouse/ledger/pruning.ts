import type postgres from "postgres"
import { beginWriting } from "../../postgres/interference.ts"
import { type SqlEffect, shapeOf, type Transaction } from "../../postgres/shape.ts"
import { query } from "../../postgres/statements.ts"
import { streamRuns } from "../schema/tables.ts"
import { accountsIn } from "./stored.ts"

/**
 * Keeps the ledger small. Runs in which nothing changed are folded, day by day, into the latest of them. Runs that changed
 * something are dropped after a while, and so are closed rejects. Rows that other rows or reports depend on stay.
 */

/** Whole days after which the quiet runs of a day are folded. */
const FOLD_AFTER_DAYS = 2
/** Days after which runs that changed something, closed rejects and urgent work are dropped. */
const KEEP_DAYS = 90
/** Latest complete runs of each stream and mode that are neither folded nor dropped. */
const COMPLETE_KEPT = 3
/** Accounts whose part of the ledger is pruned at the end of one run. */
const ACCOUNTS_MAX = 10
/** Most rows that one statement deletes. The end of the next run deletes the rest. */
const ROWS_MAX = 50_000
/** Time after which the keys of passes and look-ups are useless: no pass is resumed after a day, and no lease lasts for one. */
const KEYS_KEPT = "2 days"

export interface Pruned {
  /** Rows of `sync.stream_runs` that were folded into another. */
  readonly folded: number
  /** Rows of `sync.stream_runs` that were dropped. */
  readonly dropped: number
  readonly runs: number
  readonly rejects: number
  /** Keys of passes and look-ups that ended without removing them. */
  readonly keys: number
}

const COMPLETE = "('complete', 'complete_with_rejects')"
const OF_API = "NOT IN ('replay', 'rebuild')"
const CHANGED = "s.inserted + s.updated + s.removed > 0"

/** Counters of a state at the end of a run. Their sum says nothing. */
const STATES: ReadonlyArray<string> = ["left_over", "unconfirmed", "failed_lookups"]

const SUMMED = [...shapeOf(streamRuns).types].flatMap(([name, type]) =>
  type === "bigint" && !STATES.includes(name) ? [`"${name}"`] : [],
)

/**
 * A column that names the run behind a piece of evidence or of history, such as `first_run_id`. `run_id` of other tables
 * names the run that wrote the present version of a row, which is no evidence, but for a state: there it is the latest answer's.
 */
interface Evidence {
  readonly table: string
  readonly name: string
  readonly column: string
}

const evidenceIn = (tx: Transaction): Promise<ReadonlyArray<Evidence>> =>
  tx<Array<Evidence>>`
    SELECT format('%I.%I', n.nspname, c.relname) AS table, c.relname::text AS name, quote_ident(a.attname) AS column
    FROM pg_catalog.pg_attribute AS a JOIN pg_catalog.pg_class AS c ON c.oid = a.attrelid
      JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
    WHERE n.nspname = 'warehouse' AND c.relkind IN ('r', 'p') AND a.attnum > 0 AND NOT a.attisdropped
      AND a.atttypid = 'pg_catalog.uuid'::regtype
      AND (a.attname LIKE '%\\_run\\_id' OR (a.attname = 'run_id' AND (c.relname LIKE '%\\_history' OR EXISTS (
        SELECT FROM pg_catalog.pg_attribute AS s WHERE s.attrelid = c.oid AND s.attname = 'answered_run_id'))))`

/** Selects the rows of one account's ledger, `s`, that nothing depends on any more; `$1` is the account. */
const freeRows = (evidence: ReadonlyArray<Evidence>): string => `
  edge AS MATERIALIZED (
    SELECT stream,
      max(started_at) FILTER (WHERE status IN ${COMPLETE} AND mode ${OF_API}) AS well,
      max(started_at) FILTER (WHERE status IN ('failed', 'dead') AND mode ${OF_API}) AS bad,
      max(started_at) FILTER (WHERE status IN ${COMPLETE} AND mode IN ('full', 'incremental')) AS listed
    FROM sync.stream_runs WHERE account = $1 GROUP BY stream
  ), kept AS MATERIALIZED (
    -- Freshness, the verdict and the next run need the latest runs, and the first one since the status changed.
    SELECT run.run_id, run.stream, run.pass_id
    FROM (SELECT DISTINCT stream, mode FROM sync.stream_runs WHERE account = $1) AS kind
    JOIN edge USING (stream)
    CROSS JOIN LATERAL (
      (SELECT r.* FROM sync.stream_runs AS r
        WHERE r.account = $1 AND r.stream = kind.stream AND r.mode = kind.mode AND r.status IN ${COMPLETE}
        ORDER BY r.started_at DESC LIMIT ${COMPLETE_KEPT})
      UNION ALL
      (SELECT r.* FROM sync.stream_runs AS r
        WHERE r.account = $1 AND r.stream = kind.stream AND r.mode = kind.mode
        ORDER BY r.started_at DESC LIMIT 1)
      UNION ALL
      (SELECT r.* FROM sync.stream_runs AS r
        WHERE r.account = $1 AND r.stream = kind.stream AND r.mode = kind.mode AND r.status IN ('failed', 'dead')
        ORDER BY r.started_at DESC LIMIT 1)
      UNION ALL
      (SELECT r.* FROM sync.stream_runs AS r
        WHERE r.account = $1 AND r.stream = kind.stream AND r.mode ${OF_API} AND r.status IN ('failed', 'dead')
          AND r.started_at > coalesce(edge.well, '-infinity')
        ORDER BY r.started_at LIMIT 1)
      UNION ALL
      (SELECT r.* FROM sync.stream_runs AS r
        WHERE r.account = $1 AND r.stream = kind.stream AND r.mode ${OF_API} AND r.status IN ${COMPLETE}
          AND r.started_at > coalesce(edge.bad, '-infinity')
        ORDER BY r.started_at LIMIT 1)
    ) AS run
  ), free AS MATERIALIZED (
    SELECT s.run_id, s.stream, s.mode, s.status, s.started_at, ${CHANGED} AS is_changed
    FROM sync.stream_runs AS s JOIN edge ON edge.stream = s.stream
    WHERE s.account = $1 AND s.status <> 'running'
      AND s.started_at < date_trunc('day', clock_timestamp(), 'UTC') - interval '${FOLD_AFTER_DAYS} days'
      AND NOT EXISTS (SELECT FROM kept WHERE kept.run_id = s.run_id AND kept.stream = s.stream)
      -- Several runs may make one pass. It began with the first of them.
      AND NOT EXISTS (SELECT FROM kept WHERE kept.pass_id = s.pass_id AND kept.stream = s.stream)
      AND NOT EXISTS (
        SELECT FROM sync.checkpoints AS c
        WHERE c.account = $1 AND c.stream = s.stream AND c.pass_id = s.pass_id)
      AND NOT EXISTS (
        SELECT FROM sync.rejects AS r
        WHERE r.account = $1 AND r.stream = s.stream AND r.run_id = s.run_id AND r.unlisted_at IS NULL)
      -- Records of an incomplete run do not count as known before a later run is complete.
      AND NOT (${CHANGED} AND s.status NOT IN ${COMPLETE} AND s.mode IN ('full', 'incremental')
        AND s.started_at > coalesce(edge.listed, '-infinity'))
      AND NOT EXISTS (
        SELECT FROM sync.leases AS l WHERE l.run_id = s.run_id AND l.expires_at > clock_timestamp())
      ${evidence
        .map(
          ({ table, name, column }) =>
            `AND NOT (starts_with('${name}', rtrim(s.stream, 's'))
              AND EXISTS (SELECT FROM ${table} AS e WHERE e.account = $1 AND e.${column} = s.run_id))`,
        )
        .join("\n      ")}
  )`

const countOf = async (rows: Promise<ReadonlyArray<{ count: number }>>): Promise<number> =>
  (await rows)[0]?.count ?? 0

const fold = (tx: Transaction, account: string, evidence: ReadonlyArray<Evidence>): Promise<number> =>
  countOf(
    tx.unsafe<Array<{ count: number }>>(
      `WITH ${freeRows(evidence)}, ranked AS (
         SELECT run_id, stream, first_value(run_id) OVER day AS survivor, row_number() OVER day AS rank
         FROM free WHERE NOT is_changed
         WINDOW day AS (
           PARTITION BY stream, mode, status, date_trunc('day', started_at, 'UTC') ORDER BY started_at DESC, run_id
         )
       ), folded AS MATERIALIZED (
         SELECT * FROM ranked WHERE rank > 1 LIMIT ${ROWS_MAX}
       ), deleted AS (
         DELETE FROM sync.stream_runs AS s USING folded AS f
         WHERE s.account = $1 AND s.run_id = f.run_id AND s.stream = f.stream
         RETURNING f.survivor, s.*
       ), summed AS (
         SELECT survivor, stream, ${SUMMED.map(name => `sum(${name})::bigint AS ${name}`).join(", ")}
         FROM deleted GROUP BY survivor, stream
       ), survived AS (
         UPDATE sync.stream_runs AS s SET ${SUMMED.map(name => `${name} = s.${name} + d.${name}`).join(", ")}
         FROM summed AS d WHERE s.account = $1 AND s.run_id = d.survivor AND s.stream = d.stream
         RETURNING 1
       )
       SELECT (SELECT count(*) FROM deleted)::float8 AS count, (SELECT count(*) FROM survived) AS survivors`,
      [account],
    ),
  )

const drop = (tx: Transaction, account: string, evidence: ReadonlyArray<Evidence>): Promise<number> =>
  countOf(
    tx.unsafe<Array<{ count: number }>>(
      `WITH ${freeRows(evidence)}, dropped AS (
         DELETE FROM sync.stream_runs AS s USING (
           SELECT run_id, stream FROM free
           WHERE is_changed AND started_at < clock_timestamp() - interval '${KEEP_DAYS} days' LIMIT ${ROWS_MAX}
         ) AS f
         WHERE s.account = $1 AND s.run_id = f.run_id AND s.stream = f.stream
         RETURNING 1
       )
       SELECT count(*)::float8 AS count FROM dropped`,
      [account],
    ),
  )

/** Drops rejects that were closed long ago, with their raw text. Skips those that a run is about to open again. */
const dropRejects = async (tx: Transaction, account: string): Promise<number> => {
  const { count } = await tx`
    DELETE FROM sync.rejects WHERE reject_id IN (
      SELECT reject_id FROM sync.rejects
      WHERE account = ${account} AND unlisted_at < clock_timestamp() - make_interval(days => ${KEEP_DAYS})
      LIMIT ${ROWS_MAX} FOR UPDATE SKIP LOCKED)`
  return count
}

/** Drops urgent work that was closed long ago, or was left undone for as long. */
const dropWork = (tx: Transaction, account: string) => tx`
  DELETE FROM sync.urgent_work
  WHERE account = ${account}
    AND coalesce(closed_at, asked_at) < clock_timestamp() - make_interval(days => ${KEEP_DAYS})`

/** Drops versions of transactions that no equation compares any more. */
const dropVersions = (tx: Transaction, account: string) => tx`
  DELETE FROM sync.transaction_versions
  WHERE account = ${account} AND replaced_at < clock_timestamp() - make_interval(days => ${KEEP_DAYS})`

const NOTHING: Pruned = { folded: 0, dropped: 0, runs: 0, rejects: 0, keys: 0 }

/** Prunes one account's part of the ledger, unless another run does so now, or did so today. */
const pruneAccount = async (tx: Transaction, account: string): Promise<Pruned> => {
  await tx`INSERT INTO sync.pruned (account, pruned_at) VALUES (${account}, '-infinity') ON CONFLICT DO NOTHING`
  const [own] = await tx`
    SELECT FROM sync.pruned
    WHERE account = ${account} AND pruned_at < date_trunc('day', clock_timestamp(), 'UTC') FOR UPDATE SKIP LOCKED`
  if (own === undefined) return NOTHING
  const evidence = await evidenceIn(tx)
  const folded = await fold(tx, account, evidence)
  const dropped = await drop(tx, account, evidence)
  const rejects = await dropRejects(tx, account)
  await dropWork(tx, account)
  await dropVersions(tx, account)
  if (Math.max(folded, dropped, rejects) < ROWS_MAX)
    await tx`UPDATE sync.pruned SET pruned_at = clock_timestamp() WHERE account = ${account}`
  return { ...NOTHING, folded, dropped, rejects }
}

/** Drops runs without a stream's run that nothing names. */
const pruneRuns = async (tx: Transaction): Promise<number> => {
  const evidence = await evidenceIn(tx)
  const { count } = await tx.unsafe(
    `DELETE FROM sync.runs WHERE run_id IN (
       SELECT r.run_id FROM sync.runs AS r
       WHERE r.status <> 'running'
         AND r.started_at < date_trunc('day', clock_timestamp(), 'UTC') - interval '${FOLD_AFTER_DAYS} days'
         AND NOT EXISTS (SELECT FROM sync.stream_runs AS s WHERE s.run_id = r.run_id)
         AND NOT EXISTS (SELECT FROM sync.rejects AS j WHERE j.run_id = r.run_id AND j.unlisted_at IS NULL)
         AND NOT EXISTS (
           SELECT FROM sync.leases AS l WHERE l.run_id = r.run_id AND l.expires_at > clock_timestamp())
         ${evidence
           .map(
             ({ table, column }) => `AND NOT EXISTS (SELECT FROM ${table} AS e WHERE e.${column} = r.run_id)`,
           )
           .join("\n         ")}
       LIMIT ${ROWS_MAX} FOR UPDATE SKIP LOCKED)`,
  )
  return count
}

/** Drops the keys of passes that ended or cannot be resumed, and of look-ups without a run. */
const pruneKeys = async (tx: Transaction): Promise<number> => {
  const seen = await tx`
    WITH RECURSIVE pass AS (
      (SELECT pass_id FROM sync.seen_keys ORDER BY pass_id LIMIT 1)
      UNION ALL
      SELECT following.pass_id FROM pass CROSS JOIN LATERAL (
        SELECT pass_id FROM sync.seen_keys WHERE pass_id > pass.pass_id ORDER BY pass_id LIMIT 1
      ) AS following
    )
    DELETE FROM sync.seen_keys WHERE pass_id IN (
      SELECT pass_id FROM pass WHERE NOT EXISTS (
        SELECT FROM sync.checkpoints AS c WHERE c.pass_id = pass.pass_id AND (
          c.started_at > clock_timestamp() - ${KEYS_KEPT}::interval
          OR EXISTS (SELECT FROM sync.leases AS l
            WHERE l.account = c.account AND l.stream = c.stream AND l.expires_at > clock_timestamp()))))`
  const due = await tx`
    DELETE FROM sync.due_keys AS d WHERE NOT EXISTS (
      SELECT FROM sync.leases AS l
      WHERE l.run_id = d.run_id AND l.expires_at > clock_timestamp() - ${KEYS_KEPT}::interval)`
  return seen.count + due.count
}

/** Reads the accounts whose part was not pruned today. */
const dueAccounts = async (sql: postgres.Sql): Promise<ReadonlyArray<string>> => {
  const rows = await sql.unsafe<Array<{ account: string }>>(
    `SELECT known.account FROM ${accountsIn("sync.stream_runs")} LEFT JOIN sync.pruned AS p ON p.account = known.account
     WHERE p.pruned_at IS NULL OR p.pruned_at < date_trunc('day', clock_timestamp(), 'UTC')
     ORDER BY p.pruned_at NULLS FIRST LIMIT ${ACCOUNTS_MAX}`,
  )
  return rows.map(({ account }) => account)
}

const sumOf = (a: Pruned, b: Pruned): Pruned => ({
  folded: a.folded + b.folded,
  dropped: a.dropped + b.dropped,
  runs: a.runs + b.runs,
  rejects: a.rejects + b.rejects,
  keys: a.keys + b.keys,
})

/**
 * Prunes the ledger of accounts that are due, each once a day, and a bounded number of rows at a time. Costs one short query
 * if none is due. `status`, `freshness` and the next run read the same from the ledger afterwards. May run beside any run,
 * and beside another pruning.
 */
export const pruneLedger = (sql: postgres.Sql): SqlEffect<Pruned> =>
  query(async () => {
    let pruned = NOTHING
    const accounts = await dueAccounts(sql)
    if (accounts.length === 0) return pruned
    for (const account of accounts)
      pruned = sumOf(pruned, await beginWriting(sql, tx => pruneAccount(tx, account)))
    const [runs, keys] = await beginWriting(
      sql,
      async tx => [await pruneRuns(tx), await pruneKeys(tx)] as const,
    )
    return sumOf(pruned, { ...NOTHING, runs, keys })
  })
