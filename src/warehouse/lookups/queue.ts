import type postgres from "postgres"
import type { SqlEffect } from "../../postgres/shape.ts"
import { read } from "../../postgres/statements.ts"
import { inLeaseTx, type Lease, type LeaseEffect } from "../ledger/lease.ts"
import { earlierLookups, keysOf, type Lookup, parametersOf } from "./lookup.ts"

/** Queue of a look-up: the keys that a run asks about, in their order. */

/** Size of a queue. */
export interface Queue {
  /** Queued look-ups: all that are due, or as many as the run may make. */
  readonly queued: number
  /** Due keys, queued or not. */
  readonly due: number
  /** Due keys that were never asked about. */
  readonly neverAsked: number
}

export interface QueueBounds {
  /** Age in seconds at which any answer is due; null for none. */
  readonly recheckSeconds: number | null
  /** Time before which answers are due, too. */
  readonly newerThan?: string | null
  /** Most look-ups to queue; infinite for all. */
  readonly callsMax: number
}

/**
 * Queues the due keys (see `Recheck`), at most `callsMax`, and counts all due keys. Keys that were never asked about come
 * first, in the order of their first sight, then the oldest answer. Reads each key once, whatever the limit; writes only the
 * queue.
 */
export const queueDue = (
  sql: postgres.Sql,
  lease: Lease,
  lookup: Lookup,
  { recheckSeconds, newerThan = null, callsMax }: QueueBounds,
): LeaseEffect<Queue> =>
  inLeaseTx(sql, lease, async tx => {
    const { recheck, first } = lookup.stream.source
    const parameters = parametersOf()
    const [run, account, stream] = [lease.runId, lease.account, lease.stream].map(parameters.add)
    const earlier = earlierLookups(lookup, account!, parameters)
    const atPace =
      recheck.pace === "each run"
        ? "true"
        : "statement_timestamp() - r.checked_at >= r.checked_at - coalesce(r.changed_at, r.checked_at)"
    const order = `checked_at NULLS FIRST, seen_at ${first === "newest" ? "DESC NULLS LAST" : ""}, key`
    const recheckAfter = parameters.add(recheckSeconds)
    const limit = parameters.add(Number.isFinite(callsMax) ? callsMax : null)
    const since = parameters.add(newerThan)
    await tx`
      DELETE FROM sync.due_keys WHERE account = ${lease.account} AND stream = ${lease.stream}`
    // Counted and sorted from one snapshot: another process may write between two. The limit is below the numbering, so
    // that Postgres keeps the first few and does not sort them all.
    const [queue] = await tx.unsafe<[Queue]>(
      `WITH due AS MATERIALIZED (
         SELECT k.key, k.seen_at, r.checked_at
         FROM ${keysOf(lookup, account!, parameters)} AS k
         LEFT JOIN ${earlier.table} AS r ON ${earlier.scope} AND r.${earlier.key} = k.key
         WHERE r.checked_at IS NULL OR ((r.check_error IS NOT NULL OR ${earlier.isOpen()}) AND ${atPace})
           ${recheck.afterChange ? "OR k.read_at > r.checked_at" : ""}
           OR r.checked_at < greatest(statement_timestamp() - make_interval(secs => ${recheckAfter}), ${since}::timestamptz)
       ), queued AS (
         INSERT INTO sync.due_keys (run_id, account, stream, position, record_id)
         SELECT ${run}::uuid, ${account}, ${stream}, row_number() OVER (ORDER BY ${order}), key
         FROM (SELECT * FROM due ORDER BY ${order} LIMIT ${limit}::bigint) AS first
         RETURNING 1
       )
       SELECT (SELECT count(*)::float8 FROM queued) AS queued, count(*)::float8 AS due,
         (count(*) FILTER (WHERE checked_at IS NULL))::float8 AS "neverAsked"
       FROM due`,
      parameters.values,
    )
    return queue
  })

/** Deletes the rest of the queue. The next run makes its own. */
export const clearQueue = (sql: postgres.Sql, lease: Lease): LeaseEffect<void> =>
  inLeaseTx(sql, lease, async tx => {
    await tx`DELETE FROM sync.due_keys WHERE account = ${lease.account} AND stream = ${lease.stream}`
  })

/** Reads the next keys of the queue after a position. */
export const dueAfter = (
  sql: postgres.Sql,
  lease: Lease,
  position: number,
  limit: number,
): SqlEffect<ReadonlyArray<string>> =>
  read(async () => {
    const rows = await sql<Array<{ id: string }>>`
      SELECT record_id AS id FROM sync.due_keys
      WHERE run_id = ${lease.runId} AND account = ${lease.account} AND stream = ${lease.stream}
        AND position > ${position} ORDER BY position LIMIT ${limit}`
    return rows.map(({ id }) => id)
  })
