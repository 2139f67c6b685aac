import { Effect } from "effect"
import type postgres from "postgres"
import type { Counts } from "../../core/counts.ts"
import type { Status } from "../../core/words.ts"
import { beginWriting } from "../../postgres/interference.ts"
import type { SqlEffect, Transaction } from "../../postgres/shape.ts"
import { query, read, write, writeInterruptible } from "../../postgres/statements.ts"
import { inLeaseTx, type Lease, type LeaseEffect } from "./lease.ts"

/** Runs and runs of streams, from their start to their end: `sync.runs` and `sync.stream_runs`. */

/** Kind of a stream's run. `full` and `incremental` read a list; `replay` and `rebuild` use stored records and ask the API nothing. */
export type Mode = "full" | "incremental" | "lookup" | "replay" | "rebuild"

/** A clock that was set back by less is not logged: leap seconds and time servers do so. */
const SET_BACK_MILLIS = 60_000

/**
 * Reads the time from which a run dates its reads: Postgres' time, but no earlier than a time in the ledger. Clocks of hosts
 * can be wrong or be set back; a fresh read would then look older than a stored row, and be discarded.
 */
export const readingTime = (sql: postgres.Sql): SqlEffect<Date> =>
  Effect.gen(function* () {
    const [{ now, booked }] = yield* read(
      () => sql<[{ now: number; booked: number | null }]>`
        SELECT extract(epoch FROM clock_timestamp())::float8 * 1000 AS now,
          extract(epoch FROM greatest(
            (SELECT max(greatest(started_at, finished_at)) FROM sync.runs),
            (SELECT max(updated_at) FROM sync.checkpoints)))::float8 * 1000 AS booked`,
    )
    const aheadMillis = (booked ?? 0) - now
    if (aheadMillis > SET_BACK_MILLIS)
      yield* Effect.logWarning(
        `the clock of Postgres is ${Math.round(aheadMillis / 1000)} s behind the time of an earlier run:` +
          " reads are dated from that time on; check that the clock is right now",
      )
    return new Date(Math.max(now, booked ?? 0))
  })

/** Books a run as started. */
export const startRun = (
  sql: postgres.Sql,
  run: { runId: string; host: string; processId: number; version: string },
): SqlEffect<void> =>
  write(() =>
    beginWriting(sql, async tx => {
      await tx`
        INSERT INTO sync.runs (run_id, started_at, status, host, process_id, version)
        VALUES (${run.runId}, clock_timestamp(), 'running', ${run.host}, ${run.processId}, ${run.version})
        ON CONFLICT DO NOTHING`
      await markDeadRuns(tx, run.runId)
    }),
  )

/**
 * Books as dead the runs without a lease and without a running stream: they were killed before their first stream began or
 * after their last one ended, or several other runs have taken over their streams.
 */
const markDeadRuns = async (tx: Transaction, ownRunId: string): Promise<void> => {
  await tx`
    UPDATE sync.runs AS r SET status = 'dead', finished_at = clock_timestamp()
    WHERE status = 'running' AND run_id <> ${ownRunId} AND coalesce(waits_until < clock_timestamp(), true)
      AND NOT EXISTS (SELECT FROM sync.leases AS l WHERE l.run_id = r.run_id AND l.expires_at > clock_timestamp())
      AND NOT EXISTS (SELECT FROM sync.stream_runs AS s WHERE s.run_id = r.run_id AND s.status = 'running')`
}

/**
 * Keeps a run that waits for an account, and may hold no lease, from being booked as dead for so many seconds. A run that
 * was booked as dead is running again.
 */
export const keepWaiting = (sql: postgres.Sql, runId: string, seconds: number): SqlEffect<void> =>
  query(() =>
    beginWriting(sql, async tx => {
      await tx`
      UPDATE sync.runs
      SET waits_until = clock_timestamp() + make_interval(secs => ${seconds}), status = 'running', finished_at = NULL
      WHERE run_id = ${runId} AND status IN ('running', 'dead')`
    }),
  )

/** Books a run as ended. */
export const finishRun = (sql: postgres.Sql, runId: string, status: Status): SqlEffect<void> =>
  write(() =>
    beginWriting(sql, async tx => {
      await tx`UPDATE sync.runs SET status = ${status}, finished_at = clock_timestamp() WHERE run_id = ${runId}`
      await markDeadRuns(tx, runId)
    }),
  )

/** Books a stream's run as started if the lease is still ours, and earlier runs of the stream that never ended as dead. */
export const startStream = (sql: postgres.Sql, lease: Lease, mode: Mode): SqlEffect<void> => {
  const start = async (tx: Transaction) => {
    const dead = await tx<Array<{ run_id: string }>>`
      UPDATE sync.stream_runs AS s SET status = 'dead', finished_at = clock_timestamp(),
        error = 'The process ended without a word; what it had committed stays.'
      FROM sync.leases AS l
      WHERE l.account = ${lease.account} AND l.stream = ${lease.stream} AND l.fence = ${lease.fence}
        AND s.account = l.account AND s.stream = l.stream AND s.status = 'running' AND s.run_id <> l.run_id
      RETURNING s.run_id`
    for (const { run_id } of dead)
      await tx`
        UPDATE sync.runs SET status = 'dead', finished_at = clock_timestamp()
        WHERE run_id = ${run_id} AND status = 'running' AND NOT EXISTS (
          SELECT FROM sync.stream_runs AS s WHERE s.run_id = ${run_id} AND s.status = 'running')`
    await tx`
      INSERT INTO sync.stream_runs (run_id, account, stream, mode, status, started_at)
      -- The latest run is the one that began last, also after Postgres' clock was set back.
      VALUES (${lease.runId}, ${lease.account}, ${lease.stream}, ${mode}, 'running', greatest(clock_timestamp(), (
        SELECT max(started_at) + interval '1 microsecond' FROM sync.stream_runs
        WHERE account = ${lease.account} AND stream = ${lease.stream})))
      ON CONFLICT DO NOTHING`
  }
  return writeInterruptible(() => beginWriting(sql, start))
}

/** Books the mode of a stream's run, once it is known. */
export const bookMode = (sql: postgres.Sql, lease: Lease, mode: Mode): LeaseEffect<void> =>
  inLeaseTx(sql, lease, async tx => {
    await tx`
      UPDATE sync.stream_runs SET mode = ${mode}
      WHERE run_id = ${lease.runId} AND account = ${lease.account} AND stream = ${lease.stream}`
  })

/** Pages of a batch, and the requests and retries of its run since the run began. */
export interface Usage {
  readonly pages?: number
  readonly requests?: number
  readonly retries?: number
}

/** Adds the counts and pages of a batch to those of its stream's run. */
export const bookCounts = async (
  tx: Transaction,
  { runId, account, stream }: Lease,
  counts: Counts,
  { pages = 0, requests, retries }: Usage = {},
): Promise<void> => {
  await tx`
    UPDATE sync.stream_runs
    SET pages = pages + ${pages}, extracted = extracted + ${counts.extracted}, inserted = inserted + ${counts.inserted},
      updated = updated + ${counts.updated}, unchanged = unchanged + ${counts.unchanged}, stale = stale + ${counts.stale},
      rejected = rejected + ${counts.rejected}, field_rejected = field_rejected + ${counts.fieldRejected},
      item_rejected = item_rejected + ${counts.itemRejected}, unanswered = unanswered + ${counts.unanswered},
      erased = erased + ${counts.erased},
      requests = coalesce(${requests ?? null}, requests), retries = coalesce(${retries ?? null}, retries)
    WHERE run_id = ${runId} AND account = ${account} AND stream = ${stream}`
}

/** Outcome of a stream's run. */
export interface StreamEnd {
  readonly status: Status
  readonly removed: number
  readonly leftOver: number
  readonly requests: number
  readonly retries: number
  readonly error: string | null
  readonly note: string | null
}

/** Books a stream's run as ended. */
export const finishStream = (sql: postgres.Sql, lease: Lease, end: StreamEnd): SqlEffect<void> =>
  write(() =>
    beginWriting(sql, async tx => {
      await tx`
      UPDATE sync.stream_runs
      SET status = ${end.status}, finished_at = clock_timestamp(), removed = greatest(removed, ${end.removed}),
        left_over = ${end.leftOver}, unconfirmed = (
          SELECT count(*) FROM sync.missing_keys WHERE account = ${lease.account} AND stream = ${lease.stream}),
        requests = ${end.requests}, retries = ${end.retries},
        error = ${end.error}, note = ${end.note}
      WHERE run_id = ${lease.runId} AND account = ${lease.account} AND stream = ${lease.stream} AND status = 'running'`
    }),
  )
