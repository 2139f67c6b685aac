import { randomUUID } from "node:crypto"
import { Effect } from "effect"
import type postgres from "postgres"
import type { Stream } from "../../core/stream.ts"
import { arrayLiteral, arraysOf, unnestOf } from "../../postgres/bulk.ts"
import { beginWriting } from "../../postgres/interference.ts"
import { type SqlEffect, shapeOf, type Transaction } from "../../postgres/shape.ts"
import { read, write } from "../../postgres/statements.ts"
import { isStorable } from "../../postgres/unstorable.ts"
import { ACCOUNT, inLeaseTx, type Lease, type LeaseEffect } from "./lease.ts"

/**
 * Urgent work: records to read by their id soon. A process that learns of a change hands them over; the holder of the
 * account's lease reads them. A row is closed in the transaction that stores its record, so that no work is lost or done
 * twice.
 */

/** Longest time between two attempts to read a record, in seconds. The first pause is two seconds, and each one doubles. */
const RETRY_SECONDS_MAX = 300

/** Result of a hand-over. */
export interface HandedOver {
  /** Records to be read. An id that Postgres cannot hold names no record, and is left out. */
  readonly accepted: number
  /**
   * True if a run held the account after the commit: that run does the work within a second or so. If it is false, the
   * caller can take the account's lease and do the work; otherwise the next run does it first.
   */
  readonly isHeld: boolean
}

/**
 * Hands records of one stream to the holder of the account. A record that is handed over again is read again, but only once
 * for all hand-overs before that reading. May be called from any process, at any time.
 */
export const handOver = (
  sql: postgres.Sql,
  account: string,
  stream: string,
  ids: ReadonlyArray<string>,
): SqlEffect<HandedOver> => {
  const accepted = [...new Set(ids)].filter(isStorable)
  const requestId = randomUUID()
  return Effect.gen(function* () {
    yield* write(() =>
      beginWriting(sql, tx =>
        tx.unsafe(
          `INSERT INTO sync.urgent_work (account, stream, record_id, request_id, asked_at, due_at)
           SELECT $1, $2, id, $3::uuid, clock_timestamp(), clock_timestamp()
           FROM unnest($4::text[]) AS id ORDER BY id
           ON CONFLICT (account, stream, record_id) DO UPDATE
           SET request_id = excluded.request_id, asked_at = excluded.asked_at, due_at = excluded.due_at, attempts = 0,
             closed_at = NULL, outcome = NULL, reason = NULL`,
          [account, stream, requestId, arrayLiteral(accepted)],
        ),
      ),
    )
    // A statement of its own, after the commit: a holder that has gone by then finds the work in its last look.
    const holders = yield* read(
      () => sql`
        SELECT FROM sync.leases
        WHERE account = ${account} AND stream = ${ACCOUNT} AND expires_at > clock_timestamp()`,
    )
    return { accepted: accepted.length, isHeld: holders.length > 0 }
  })
}

/** A record to read. */
export interface Work {
  readonly stream: string
  readonly id: string
  readonly requestId: string
  /** Attempts made before. */
  readonly attempts: number
}

/** Reads the open work of an account that is due, the oldest first. `isLast` adds work that was put off without an attempt. */
export const dueWork = (
  sql: postgres.Sql,
  account: string,
  { limit, isLast }: { readonly limit: number; readonly isLast: boolean },
): SqlEffect<ReadonlyArray<Work>> =>
  read(
    () => sql<Array<Work>>`
      SELECT stream, record_id AS id, request_id AS "requestId", attempts FROM sync.urgent_work
      WHERE account = ${account} AND closed_at IS NULL AND (due_at <= clock_timestamp() OR (${isLast} AND attempts = 0))
      ORDER BY asked_at, stream, record_id LIMIT ${limit}`,
  )

/** An attempt that stored no record. */
export interface Unread extends Work {
  readonly reason: string
  /** The work is closed. Otherwise it is tried again later. */
  readonly isFinal: boolean
}

/** Books attempts that stored nothing. `account` is the lease of the attempts. */
export const bookUnread = (
  sql: postgres.Sql,
  account: Lease,
  unread: ReadonlyArray<Unread>,
): LeaseEffect<void> => {
  const columns = ["stream", "record_id", "request_id", "reason", "is_final"]
  const rows = unread.map(({ stream, id, requestId, reason, isFinal }) => ({
    stream,
    record_id: id,
    request_id: requestId,
    reason,
    is_final: isFinal,
  }))
  if (rows.length === 0) return Effect.void
  return inLeaseTx(sql, account, async tx => {
    await tx.unsafe(
      `UPDATE sync.urgent_work AS w
       SET attempts = w.attempts + 1, reason = s.reason,
         due_at = clock_timestamp() + make_interval(secs => least(${RETRY_SECONDS_MAX}, 2.0 ^ least(w.attempts + 1, 30))),
         closed_at = CASE WHEN s.is_final::boolean THEN clock_timestamp() END,
         outcome = CASE WHEN s.is_final::boolean THEN 'not_read' END
       FROM ${unnestOf(columns, 2)}
       WHERE w.account = $1 AND w.stream = s.stream AND w.record_id = s.record_id AND w.request_id = s.request_id::uuid`,
      [account.account, ...arraysOf(columns, rows)],
    )
  })
}

/** Puts off work that could not be tried now. This is no attempt. */
export const putOff = (
  sql: postgres.Sql,
  account: Lease,
  work: ReadonlyArray<Work>,
  { reason, seconds }: { readonly reason: string; readonly seconds: number },
): LeaseEffect<void> =>
  inLeaseTx(sql, account, async tx => {
    await tx`
      UPDATE sync.urgent_work SET reason = ${reason}, due_at = clock_timestamp() + make_interval(secs => ${seconds})
      WHERE account = ${account.account}
        AND request_id = ANY (${arrayLiteral(work.map(({ requestId }) => requestId))}::uuid[])
        AND record_id = ANY (${arrayLiteral(work.map(({ id }) => id))}::text[])`
  })

/**
 * Closes work within the transaction that stored its records. `rejected` are records that are no row. The work on records of
 * erased persons, `erased`, is deleted, because its row holds an id.
 */
export const closeWork = async (
  tx: Transaction,
  lease: Lease,
  stream: Stream,
  work: ReadonlyArray<Work>,
  { rejected, erased }: { readonly rejected: ReadonlySet<string>; readonly erased: ReadonlySet<string> },
): Promise<void> => {
  const columns = ["record_id", "request_id", "outcome"]
  const outcomeOf = (id: string) => (erased.has(id) ? "erased" : rejected.has(id) ? "rejected" : "stored")
  const rows = work.map(({ id, requestId }) => ({
    record_id: id,
    request_id: requestId,
    outcome: outcomeOf(id),
  }))
  const parameters = [lease.account, lease.stream, ...arraysOf(columns, rows)]
  const own = `w.account = $1 AND w.stream = $2 AND w.record_id = s.record_id AND w.request_id = s.request_id::uuid`
  await tx.unsafe(
    `DELETE FROM sync.urgent_work AS w USING ${unnestOf(columns, 3)} WHERE ${own} AND s.outcome = 'erased'`,
    parameters,
  )
  // Includes records that were handed over again meanwhile: their rows are of this reading.
  await tx.unsafe(
    `UPDATE sync.urgent_work AS w SET is_news = true
     FROM ${unnestOf(columns, 3)} JOIN ${shapeOf(stream.table).table} AS t
       ON t.account = $1 AND t."${stream.idColumn}" = s.record_id AND t.run_id = $6::uuid
     WHERE w.account = $1 AND w.stream = $2 AND w.record_id = s.record_id`,
    [...parameters, lease.runId],
  )
  await tx.unsafe(
    `UPDATE sync.urgent_work AS w
     SET attempts = w.attempts + 1, closed_at = clock_timestamp(), outcome = s.outcome, reason = NULL
     FROM ${unnestOf(columns, 3)} WHERE ${own}`,
    parameters,
  )
}

/**
 * Books that a run over a list came to its end. Records that were stored by id before it began are no news any more: the run
 * has read the records behind them.
 */
export const forgetNews = (sql: postgres.Sql, lease: Lease): LeaseEffect<void> =>
  inLeaseTx(sql, lease, async tx => {
    await tx`
      UPDATE sync.urgent_work AS w SET is_news = false FROM sync.stream_runs AS s
      WHERE s.run_id = ${lease.runId} AND s.account = ${lease.account} AND s.stream = ${lease.stream}
        AND w.account = s.account AND w.stream = s.stream AND w.is_news AND w.closed_at < s.started_at`
  })
