import { Effect } from "effect"
import type postgres from "postgres"
import { addCounts, type Counts, countStale } from "../../core/counts.ts"
import { addFields, type PassFields } from "../../core/documentedFields.ts"
import type { Guarded, Stream } from "../../core/stream.ts"
import { countRows } from "../../observe/metrics.ts"
import { arrayLiteral } from "../../postgres/bulk.ts"
import { type SqlEffect, shapeOf, type Transaction } from "../../postgres/shape.ts"
import { cutByLength } from "../../postgres/statementSize.ts"
import { read } from "../../postgres/statements.ts"
import { bookLost } from "../ledger/fields.ts"
import { inLeaseTx, type Lease, type LeaseEffect } from "../ledger/lease.ts"
import { followRemovals } from "../ledger/partRejects.ts"
import { clearRejects, type Reject, refuseLostRejects, writeRejects } from "../ledger/rejects.ts"
import { forgetMissing } from "../ledger/removal.ts"
import { bookCounts, type Usage } from "../ledger/runs.ts"
import { replacedInPass } from "./conflicts.ts"
import { type BatchRecord, type Beside, type PreparedBatch, prepare, type SourceRecord } from "./prepare.ts"
import { insertTombstones } from "./tombstones.ts"
import { bookRead, writeAll } from "./versions.ts"

/**
 * Loads records: hash → probe → decode and normalize what is new or changed → write it, with the ledger, in
 * one transaction. An unchanged record costs its hash and its share of the probe, and no write in `warehouse`.
 */

/** Progress of a run, which is booked with a batch. */
export interface Progress extends Usage {
  /** Pass over the whole list that the batch is part of; null if the batch proves nothing about the rest of the list. */
  readonly passId: string | null
  /** Position at which the pass resumes after the commit, as JSON; null at the end of the list. */
  readonly position: unknown
  /** Look-ups of the batch that got no answer. */
  readonly unanswered?: number
  /** Documented fields that the pass has read so far. Each batch is added. */
  readonly fields?: { current: PassFields }
  /** Length of the list as the API stated it last; absent if it did not. */
  readonly stated?: number | null | undefined
  /** Records without an id that the pass was shown so far. They leave no seen key. */
  readonly unkeyed?: number
  /** Books more in the same transaction. */
  readonly alsoBook?: (tx: Transaction, written: Booked) => Promise<void>
}

/** A batch as it was written. */
interface Booked {
  readonly counts: Counts
  /** Ids of its records; hashed ids of erased persons. */
  readonly ids: ReadonlyArray<string>
  readonly rejects: ReadonlyArray<Reject>
}

type Book = (tx: Transaction, written: Booked) => Promise<void>

const bookPosition = async (
  tx: Transaction,
  lease: Lease,
  ids: ReadonlyArray<string>,
  { passId, position, fields, stated, unkeyed = 0 }: Progress,
) => {
  if (passId === null) return
  const { count: seen } = await tx`
    INSERT INTO sync.seen_keys (pass_id, record_id)
    SELECT ${passId}::uuid, id FROM unnest(${arrayLiteral(ids)}::text[]) AS id
    ON CONFLICT DO NOTHING`
  await tx`
    UPDATE sync.checkpoints
    SET position = ${JSON.stringify(position)}::text::jsonb, updated_at = clock_timestamp(),
      seen_keys = seen_keys + ${seen}, stated = coalesce(${stated ?? null}::bigint, stated), unkeyed = ${unkeyed},
      fields = ${JSON.stringify(fields?.current ?? null)}::text::jsonb
    WHERE account = ${lease.account} AND stream = ${lease.stream} AND pass_id = ${passId}`
}

/** Clears the removal of records that are listed again. */
const restoreReturned = async (
  tx: Transaction,
  lease: Lease,
  stream: Stream,
  returned: ReadonlyArray<string>,
): Promise<void> => {
  if (returned.length === 0) return
  await tx.unsafe(
    `UPDATE ${shapeOf(stream.table).table} SET removed_at = NULL
     WHERE account = $1 AND "${stream.idColumn}" = ANY($2::text[]) AND removed_at IS NOT NULL`,
    [lease.account, arrayLiteral(returned)],
  )
  await followRemovals(tx, lease, stream, returned)
}

/** Writes the rejects of a batch, and deletes those that its other records answer. */
const settleRejects = async (
  tx: Transaction,
  lease: Lease,
  records: ReadonlyArray<BatchRecord>,
  rejects: ReadonlyArray<Reject>,
): Promise<void> => {
  for (const part of cutByLength(rejects)) await writeRejects(tx, lease, part)
  const [open] = await tx`
    SELECT 1 FROM sync.rejects
    WHERE account = ${lease.account} AND stream = ${lease.stream} AND kind IN ('record', 'merchant') LIMIT 1`
  if (open === undefined) return
  const hashes = new Set(rejects.map(({ hash }) => hash))
  // A version that is rejected in one page of the batch may be the row of a later page.
  const reads = new Set(rejects.map(({ hash, readAt }) => `${hash} ${readAt}`))
  const rows = records.flatMap(({ id, readAt, hash, isUnanswered }) =>
    id === null || isUnanswered || reads.has(`${hash} ${readAt}`) ? [] : [{ id, readAt }],
  )
  await clearRejects(tx, lease, rows, hashes)
}

/** Makes the transaction that writes a batch. */
const write =
  (lease: Lease, stream: Guarded, prepared: PreparedBatch, unansweredLookups: number, book: Book) =>
  async (tx: Transaction): Promise<Counts> => {
    const { records, versions, erased } = prepared
    await bookLost(tx, lease, prepared.lost)
    const replaced = await replacedInPass(tx, lease, stream, versions)
    const written = await writeAll(tx, lease, stream, versions)
    await bookRead(tx, lease, stream, prepared.contested)
    await restoreReturned(tx, lease, stream, prepared.returned)
    const rejects = [...prepared.rejects, ...written.rejects]
    await settleRejects(tx, lease, records, [...rejects, ...replaced])
    const allIds = records.map(({ id }) => id)
    await refuseLostRejects(tx, lease, allIds, rejects)
    const counts = countStale(
      addCounts(written.counts, {
        extracted: records.length + erased.length + unansweredLookups,
        unchanged: prepared.unchanged,
        rejected: rejects.length,
        unanswered: records.filter(({ isUnanswered }) => isUnanswered).length + unansweredLookups,
        erased: erased.length,
      }),
    )
    // The pass was shown erased persons' records, too: its seen keys must add up to the length of the list.
    const ids = [...allIds.filter(id => id !== null), ...erased]
    await insertTombstones(tx, lease.account, prepared.tombstones)
    await forgetMissing(tx, lease, ids)
    await book(tx, { counts, ids, rejects })
    return counts
  }

/**
 * Prepares a batch; writes nothing. Batches before it that may not be written yet are `inFlight`: a record in both is
 * compared when this batch is written.
 */
export const prepareBatch = (
  sql: postgres.Sql,
  lease: Lease,
  stream: Guarded,
  extracted: ReadonlyArray<SourceRecord>,
  inFlight: Iterable<PreparedBatch> = [],
  beside?: Beside,
): SqlEffect<PreparedBatch> => read(() => prepare(sql, lease.account, stream, extracted, inFlight, beside))

/**
 * Writes a batch: rows, rejects, histories, seen keys, counters and position commit together or not at all.
 * Uninterruptible, so that a run that is interrupted finishes the batch in hand.
 *
 * Fails with `LeaseError` if another run took the lease over; then nothing of the batch was written.
 */
export const writeBatch = (
  sql: postgres.Sql,
  lease: Lease,
  stream: Guarded,
  prepared: PreparedBatch,
  progress: Progress,
): LeaseEffect<Counts> =>
  Effect.suspend(() => {
    const { fields, unanswered = 0 } = progress
    // Added before the transaction, which may be tried twice.
    if (fields !== undefined) fields.current = addFields(fields.current, prepared.fields)
    const book: Book = async (tx, written) => {
      await bookPosition(tx, lease, written.ids, progress)
      await bookCounts(tx, lease, written.counts, progress)
      await progress.alsoBook?.(tx, written)
    }
    return inLeaseTx(sql, lease, write(lease, stream, prepared, unanswered, book))
  }).pipe(
    Effect.tap(counts => countRows(lease, counts)),
    Effect.uninterruptible,
  )

/**
 * Writes records that were read beside a run of their stream. They do not count in that run, because a run is judged by the
 * records of its list; `book` writes down their outcome in the same transaction.
 */
export const writeBeside = (
  sql: postgres.Sql,
  lease: Lease,
  stream: Guarded,
  prepared: PreparedBatch,
  book: Book,
): LeaseEffect<Counts> =>
  inLeaseTx(sql, lease, write(lease, stream, prepared, 0, book)).pipe(
    Effect.tap(counts => countRows(lease, counts)),
    Effect.uninterruptible,
  )

/** Prepares and writes a batch. `beside`: see `Beside`. */
export const loadBatch = (
  sql: postgres.Sql,
  lease: Lease,
  stream: Guarded,
  extracted: ReadonlyArray<SourceRecord>,
  progress: Progress,
  beside?: Beside,
): LeaseEffect<Counts> =>
  Effect.flatMap(prepareBatch(sql, lease, stream, extracted, [], beside), prepared =>
    writeBatch(sql, lease, stream, prepared, progress),
  )
