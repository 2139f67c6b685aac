import type { Effect } from "effect"
import type postgres from "postgres"
import type { LeaseError, WarehouseError } from "../../core/errors.ts"
import { read } from "../../postgres/statements.ts"
import { inLeaseTx, type Lease } from "../ledger/lease.ts"
import { askedOf, keysOf, type Lookup, parametersOf } from "./lookup.ts"

/** The queue of a look-up: which keys a run asks about, and in which order. */

/** What a run asks about, and how much it does not get to. */
export interface Queue {
  /** Look-ups that were queued: all that are due, or as many as the run may make. */
  readonly queued: number
  /** Keys that are to be asked about, queued or not. */
  readonly due: number
  /** Of these, the ones that never were. */
  readonly neverAsked: number
}

export interface QueueBounds {
  /** Age in seconds from which on any answer is due; null where none is. */
  readonly recheckSeconds: number | null
  /** Answers from before this moment are due, too. */
  readonly newerThan?: string | null
  /** Look-ups that may be queued; infinite for all. */
  readonly callsMax: number
}

/**
 * Queues the keys that are due (see `Recheck`), at most `callsMax`, and counts all that are, as of one moment: those that were
 * never asked about first, by when they were first seen, then the oldest answer. Reads each key once, whatever the limit;
 * writes only what is queued.
 */
export const queueDue = (
  sql: postgres.Sql,
  lease: Lease,
  lookup: Lookup,
  { recheckSeconds, newerThan = null, callsMax }: QueueBounds,
): Effect.Effect<Queue, LeaseError | WarehouseError> =>
  inLeaseTx(sql, lease, async tx => {
    const { recheck, first } = lookup.stream.source
    const parameters = parametersOf()
    const [run, account, stream] = [lease.runId, lease.account, lease.stream].map(parameters.add)
    const asked = askedOf(lookup, account!, parameters)
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
    // Counted and sorted from one reading: two would be of two moments where somebody else writes in between. The
    // limit stands below the numbering, so that Postgres keeps the first few and does not sort them all.
    const [queue] = await tx.unsafe<[Queue]>(
      `WITH due AS MATERIALIZED (
         SELECT k.key, k.seen_at, r.checked_at
         FROM ${keysOf(lookup, account!, parameters)} AS k
         LEFT JOIN ${asked.table} AS r ON ${asked.scope} AND r.${asked.key} = k.key
         WHERE r.checked_at IS NULL OR ((r.check_error IS NOT NULL OR ${asked.isOpen()}) AND ${atPace})
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

/** Forgets what is left of the queue: the next run works out its own. */
export const clearQueue = (
  sql: postgres.Sql,
  lease: Lease,
): Effect.Effect<void, LeaseError | WarehouseError> =>
  inLeaseTx(sql, lease, async tx => {
    await tx`DELETE FROM sync.due_keys WHERE account = ${lease.account} AND stream = ${lease.stream}`
  })

/** The next keys of the queue after a position. */
export const dueAfter = (
  sql: postgres.Sql,
  lease: Lease,
  position: number,
  limit: number,
): Effect.Effect<ReadonlyArray<string>, WarehouseError> =>
  read(async () => {
    const rows = await sql<Array<{ id: string }>>`
      SELECT record_id AS id FROM sync.due_keys
      WHERE run_id = ${lease.runId} AND account = ${lease.account} AND stream = ${lease.stream}
        AND position > ${position} ORDER BY position LIMIT ${limit}`
    return rows.map(({ id }) => id)
  })
