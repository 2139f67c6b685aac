import type postgres from "postgres"
import type { Status } from "../../core/words.ts"
import type { SqlEffect } from "../../postgres/shape.ts"
import { read } from "../../postgres/statements.ts"
import type { Lease } from "./lease.ts"

/** Questions to the ledger about earlier runs of a stream. */

/** A scheduled run may start this much earlier in its interval than the last one, and its full pass still counts as due. */
export const START_JITTER_SECONDS = 30

export interface Earlier {
  /** A pass over the whole list was interrupted, and can be resumed. */
  readonly isOpen: boolean
  readonly hasFull: boolean
  /** The run with the latest full pass started at least the maximum age before this run, or the clock was set back since. */
  readonly isFullDue: boolean
  /**
   * Runs since the latest complete one, this one included. They may have ended before they reached the rest of the list, so
   * their records do not show that the records behind them are known.
   */
  readonly unfinished: ReadonlyArray<string>
}

/** Reads which passes over a list earlier runs have made. */
export const earlierPasses = (
  sql: postgres.Sql,
  lease: Lease,
  fullPassMaxAgeSeconds: number,
): SqlEffect<Earlier> =>
  read(async () => {
    const [row] = await sql<[Omit<Earlier, "unfinished"> & { complete: string | null }]>`
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
        -- A run starts by the clock. Its streams start when their parents have ended, which varies.
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
    const { complete, ...facts } = row
    const unfinished = await sql<Array<{ id: string }>>`
      SELECT run_id AS id FROM sync.stream_runs
      WHERE account = ${lease.account} AND stream = ${lease.stream} AND mode IN ('full', 'incremental')
        AND started_at > coalesce(${complete}::timestamptz, '-infinity')`
    return { ...facts, unfinished: unfinished.map(({ id }) => id) }
  })

/** Status of the latest run of another stream that asked the API; null if there was none. */
export const latestStatus = (
  sql: postgres.Sql,
  { account }: Pick<Lease, "account">,
  stream: string,
): SqlEffect<Status | null> =>
  read(async () => {
    const [latest] = await sql<Array<{ status: Status }>>`
      SELECT status FROM sync.stream_runs
      WHERE account = ${account} AND stream = ${stream} AND mode IN ('full', 'incremental', 'lookup')
      ORDER BY started_at DESC LIMIT 1`
    return latest?.status ?? null
  })

/** Longest time over which the runs of one pass are spread: an older pass is not resumed. */
const PASS_LENGTH_MAX = "25 hours"

/** Counts the records that the pass of a run has read and rejected, in all of its runs. */
export const readAndRejected = (
  sql: postgres.Sql,
  lease: Lease,
): SqlEffect<{ readonly read: number; readonly rejected: number }> =>
  read(async () => {
    const [counts] = await sql<[{ read: number; rejected: number }]>`
      SELECT coalesce(sum(s.extracted - s.erased), 0)::float8 AS read, coalesce(sum(s.rejected), 0)::float8 AS rejected
      FROM sync.stream_runs AS own
      JOIN sync.stream_runs AS s ON s.account = own.account AND s.stream = own.stream
        AND s.started_at > own.started_at - ${PASS_LENGTH_MAX}::interval
        AND (s.run_id = own.run_id OR s.pass_id = own.pass_id)
      WHERE own.run_id = ${lease.runId} AND own.account = ${lease.account} AND own.stream = ${lease.stream}`
    return counts
  })
