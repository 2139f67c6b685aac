import { Effect } from "effect"
import type postgres from "postgres"
import type { LeaseError, WarehouseError } from "../../core/errors.ts"
import type { Open } from "../../core/lookup.ts"
import type { Stream } from "../../core/stream.ts"
import type { Status } from "../../core/words.ts"
import { arrayLiteral } from "../../postgres/bulk.ts"
import { shapeOf } from "../../postgres/shape.ts"
import { read } from "../../postgres/statements.ts"
import { inLeaseTx, type Lease } from "./lease.ts"
import { countOpen } from "./rejects.ts"
import type { Mode } from "./runs.ts"

/** What the ledger says about earlier passes over a list, and what is stored says about a page of it. */

/** Runs that a clock starts do not start to the second: one that is so much too early is not put off to the next. */
const START_JITTER_SECONDS = 30

export interface Earlier {
  /** A pass over the whole list was broken off. */
  readonly isOpen: boolean
  readonly hasFull: boolean
  /**
   * From the start of the run that made the latest full pass to the start of this one, it took as long as it may, or
   * how long is not known, since the clock was set back.
   */
  readonly isFullDue: boolean
  /**
   * Runs since the latest complete one, this one among them. What they stored says nothing about what lies behind
   * it in the list: they may have been broken off before they came to it.
   */
  readonly unfinished: ReadonlyArray<string>
}

export const earlierPasses = (
  sql: postgres.Sql,
  lease: Lease,
  fullPassMaxAgeSeconds: number,
): Effect.Effect<Earlier, WarehouseError> =>
  read(async () => {
    const [found] = await sql<Array<Omit<Earlier, "unfinished"> & { complete: string | null }>>`
        SELECT whole.started_at IS NOT NULL AS "hasFull",
          coalesce(whole.started_at <= own.started_at
            - make_interval(secs => ${fullPassMaxAgeSeconds - START_JITTER_SECONDS})
            OR whole.started_at > clock_timestamp(), false) AS "isFullDue",
          EXISTS (SELECT FROM sync.checkpoints WHERE account = ${lease.account} AND stream = ${lease.stream}) AS "isOpen",
          complete.started_at::text AS complete
        FROM (
          SELECT coalesce((SELECT started_at FROM sync.runs WHERE run_id = ${lease.runId}), clock_timestamp())
        ) AS own (started_at)
        LEFT JOIN LATERAL (
          -- A stream begins when its parents have ended, sooner or later: what is as regular as the clock is the run.
          SELECT coalesce(r.started_at, s.started_at) AS started_at
          FROM sync.stream_runs AS s LEFT JOIN sync.runs AS r ON r.run_id = s.run_id
          WHERE s.account = ${lease.account} AND s.stream = ${lease.stream} AND s.mode = 'full'
            AND s.status IN ('complete', 'complete_with_rejects')
          ORDER BY s.started_at DESC LIMIT 1
        ) AS whole ON true
        LEFT JOIN LATERAL (
          SELECT s.started_at FROM sync.stream_runs AS s
          WHERE s.account = ${lease.account} AND s.stream = ${lease.stream} AND s.mode IN ('full', 'incremental')
            AND s.status IN ('complete', 'complete_with_rejects')
          ORDER BY s.started_at DESC LIMIT 1
        ) AS complete ON true`
    const { complete, ...facts } = found!
    const unfinished = await sql<Array<{ id: string }>>`
        SELECT run_id AS id FROM sync.stream_runs
        WHERE account = ${lease.account} AND stream = ${lease.stream} AND mode IN ('full', 'incremental')
          AND started_at > coalesce(${complete}::timestamptz, '-infinity')`
    return { ...facts, unfinished: unfinished.map(({ id }) => id) }
  })

/** How another stream's latest run that asks the API ended, or that it is `running`; null where it never ran. */
export const latestStatus = (
  sql: postgres.Sql,
  { account }: Pick<Lease, "account">,
  stream: string,
): Effect.Effect<Status | null, WarehouseError> =>
  read(async () => {
    const [latest] = await sql<Array<{ status: Status }>>`
      SELECT status FROM sync.stream_runs
      WHERE account = ${account} AND stream = ${stream} AND mode IN ('full', 'incremental', 'lookup')
      ORDER BY started_at DESC LIMIT 1`
    return latest?.status ?? null
  })

/** Books what a stream's run turned out to be. */
export const bookMode = (
  sql: postgres.Sql,
  lease: Lease,
  mode: Mode,
): Effect.Effect<void, LeaseError | WarehouseError> =>
  inLeaseTx(sql, lease, async tx => {
    await tx`
      UPDATE sync.stream_runs SET mode = ${mode}
      WHERE run_id = ${lease.runId} AND account = ${lease.account} AND stream = ${lease.stream}`
  })

/**
 * Of records that were just loaded: how many were stored before by a run that counts, and how many are news. What was
 * stored by id, as urgent work, is news: it says nothing about the records behind it.
 */
export const newsAmong = (
  sql: postgres.Sql,
  lease: Lease,
  stream: Stream,
  page: {
    readonly ids: ReadonlyArray<string>
    readonly readAt: Date
    readonly unfinished: ReadonlyArray<string>
  },
): Effect.Effect<{ known: number; news: number }, WarehouseError> =>
  read(async () => {
    const [rows] = await sql.unsafe<Array<{ known: number; news: number }>>(
      `SELECT (count(*) FILTER (WHERE NOT is_news))::int AS known, (count(*) FILTER (WHERE is_news))::int AS news
         FROM (
           SELECT t.run_id = ANY ($3::uuid[]) OR coalesce(w.is_news, false) AS is_news
           FROM ${shapeOf(stream.table).table} AS t
           LEFT JOIN sync.urgent_work AS w
             ON w.account = $1 AND w.stream = $4 AND w.record_id = t."${stream.idColumn}"
           WHERE t.account = $1 AND t."${stream.idColumn}" = ANY ($2::text[])
         ) AS row`,
      [lease.account, arrayLiteral(page.ids), arrayLiteral(page.unfinished), lease.stream],
    )
    const [rejected] = await sql<Array<{ news: number }>>`
        SELECT count(*)::int AS news FROM sync.rejects
        WHERE account = ${lease.account} AND stream = ${lease.stream} AND first_seen_at = ${page.readAt.toISOString()}
          AND kind IN ('record', 'merchant')`
    return { known: rows!.known, news: rows!.news + rejected!.news }
  })

/** Condition on a stream's table as `t`, and its parameter `$2`: whether a row may still change. */
export const isOpen = (open: Open): { condition: string; parameter: string | null } => {
  const column = `t."${open.column}"`
  if ("noneOf" in open)
    return { condition: `${column} <> ALL ($2::text[])`, parameter: arrayLiteral(open.noneOf) }
  if ("is" in open) return { condition: `${column} = $2::boolean`, parameter: String(open.is) }
  // Without such a time it may change for ever.
  return {
    condition: `(${column} IS NULL OR ${column} > clock_timestamp()) AND $2::text IS NULL`,
    parameter: null,
  }
}

/**
 * Records that may still change, but for those that this run has just read: how many there are, and the next of them
 * after an id, from the first again at the end. Those of which it is not known for how long they may come last.
 */
export const openRecords = (
  sql: postgres.Sql,
  lease: Lease,
  stream: Stream,
  asked: { readonly open: Open; readonly after: string; readonly limit: number },
): Effect.Effect<{ total: number; ids: ReadonlyArray<string> }, WarehouseError> =>
  read(async () => {
    const { condition, parameter } = isOpen(asked.open)
    const id = `t."${stream.idColumn}"`
    const from = `FROM ${shapeOf(stream.table).table} AS t
        WHERE t.account = $1 AND t.removed_at IS NULL AND t.run_id <> $3::uuid AND ${condition}`
    const scope = [lease.account, parameter, lease.runId]
    const [counted] = await sql.unsafe<Array<{ total: number }>>(
      `SELECT count(*)::int AS total ${from}`,
      scope,
    )
    const rows = await sql.unsafe<Array<{ id: string }>>(
      `SELECT ${id} AS id ${from} ORDER BY t."${asked.open.column}" IS NULL, ${id} <= $4, ${id} LIMIT $5`,
      [...scope, asked.after, asked.limit],
    )
    return { total: counted!.total, ids: rows.map(row => row.id) }
  })

/** How many records of the stream could not become a row yet. */
export const openRejects = (
  sql: postgres.Sql,
  lease: Lease,
): Effect.Effect<number, LeaseError | WarehouseError> => inLeaseTx(sql, lease, tx => countOpen(tx, lease))

/** A few records that are stored and not removed, among these. */
export const storedAmong = (
  sql: postgres.Sql,
  lease: Lease,
  stream: Stream,
  ids: ReadonlyArray<string>,
  limit: number,
): Effect.Effect<ReadonlyArray<string>, WarehouseError> =>
  ids.length === 0
    ? Effect.succeed([])
    : read(async () => {
        const rows = await sql.unsafe<Array<{ id: string }>>(
          `SELECT "${stream.idColumn}" AS id FROM ${shapeOf(stream.table).table}
             WHERE account = $1 AND "${stream.idColumn}" = ANY ($2::text[]) AND removed_at IS NULL LIMIT $3`,
          [lease.account, arrayLiteral(ids), limit],
        )
        return rows.map(({ id }) => id)
      })
