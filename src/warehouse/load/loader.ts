import { Effect } from "effect"
import type postgres from "postgres"
import { addFields, type PassFields } from "../../core/documentedFields.ts"
import type { LeaseError, WarehouseError } from "../../core/errors.ts"
import type { Guarded } from "../../core/stream.ts"
import { countRows } from "../../observe/metrics.ts"
import { arrayLiteral } from "../../postgres/bulk.ts"
import { shapeOf, type Transaction } from "../../postgres/shape.ts"
import { cutByLength } from "../../postgres/statementSize.ts"
import { read } from "../../postgres/statements.ts"
import { bookLost } from "../ledger/fields.ts"
import { inLeaseTx, type Lease } from "../ledger/lease.ts"
import { followRemovals, NO_PARTS, type PartCounts, sumOfParts } from "../ledger/partRejects.ts"
import { clearRejects, type Reject, writeRejects } from "../ledger/rejects.ts"
import { forgetMissing } from "../ledger/removal.ts"
import { replacedInPass } from "./conflicts.ts"
import { refuseLostRejects } from "./keptRejects.ts"
import { type Beside, type PreparedBatch, prepare, type SourceRecord } from "./prepare.ts"
import { insertTombstones } from "./tombstones.ts"
import { bookRead, writeAll } from "./versions.ts"

/**
 * Loads records: hash → probe → decode and normalize what is new or changed → write it, with the ledger, in
 * one transaction. An unchanged record costs its hash and its share of the probe, and no write in `warehouse`.
 */

/**
 * What became of the records of a batch; `extracted` is the sum of the others that count records. Parts of stored records
 * that could not be read are counted beside them.
 */
export interface Counts extends PartCounts {
  readonly extracted: number
  readonly inserted: number
  readonly updated: number
  readonly unchanged: number
  readonly stale: number
  readonly rejected: number
  /** Listed without all their parts, and not known to their by-id endpoint: what is stored of them stays. */
  readonly unanswered: number
  /** Not stored again: records of erased persons. */
  readonly erased: number
}

export const NO_COUNTS: Counts = {
  extracted: 0,
  inserted: 0,
  updated: 0,
  unchanged: 0,
  stale: 0,
  rejected: 0,
  unanswered: 0,
  erased: 0,
  ...NO_PARTS,
}

export const sumOfCounts = (one: Counts, other: Counts): Counts => ({
  extracted: one.extracted + other.extracted,
  inserted: one.inserted + other.inserted,
  updated: one.updated + other.updated,
  unchanged: one.unchanged + other.unchanged,
  stale: one.stale + other.stale,
  rejected: one.rejected + other.rejected,
  unanswered: one.unanswered + other.unanswered,
  erased: one.erased + other.erased,
  ...sumOfParts(one, other),
})

/** Where the pass goes on when this batch is committed. */
export interface Progress {
  /** The pass over the whole list that this is part of; null where what is loaded proves nothing about the rest. */
  readonly passId: string | null
  /** Where the pass goes on once the batch is committed, as JSON; null when nothing is left to read. */
  readonly position: unknown
  readonly pages: number
  readonly requests: number
  readonly retries: number
  /** What the pass has read so far of the documented fields; each batch is added to it. */
  readonly fields?: { current: PassFields }
  /** Length of the list as the pass was told it last; absent where it was told none. */
  readonly stated?: number | null | undefined
  /** Records that the pass so far was shown and that leave no key: those without an id. */
  readonly unkeyed?: number
  /** Books more in the same transaction. */
  readonly alsoBook?: (tx: Transaction, written: Booked) => Promise<void>
}

/** A batch as it was written, for the books. */
interface Booked {
  readonly counts: Counts
  /** Ids of its records; hashed ones of erased persons. */
  readonly ids: ReadonlyArray<string>
  readonly rejects: ReadonlyArray<Reject>
}

const bookPosition = async (
  tx: Transaction,
  lease: Lease,
  ids: ReadonlyArray<string>,
  passId: string,
  { position, fields, stated, unkeyed = 0 }: Progress,
) => {
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

const bookProgress = async (tx: Transaction, lease: Lease, { counts, ids }: Booked, progress: Progress) => {
  if (progress.passId !== null) await bookPosition(tx, lease, ids, progress.passId, progress)
  await tx`
    UPDATE sync.stream_runs
    SET pages = pages + ${progress.pages}, extracted = extracted + ${counts.extracted},
      inserted = inserted + ${counts.inserted}, updated = updated + ${counts.updated},
      unchanged = unchanged + ${counts.unchanged}, stale = stale + ${counts.stale},
      rejected = rejected + ${counts.rejected}, field_rejected = field_rejected + ${counts.fieldRejected},
      item_rejected = item_rejected + ${counts.itemRejected}, unanswered = unanswered + ${counts.unanswered},
      erased = erased + ${counts.erased},
      requests = ${progress.requests}, retries = ${progress.retries}
    WHERE run_id = ${lease.runId} AND account = ${lease.account} AND stream = ${lease.stream}`
}

const write =
  (
    lease: Lease,
    stream: Guarded,
    { records, versions, contested, returned, erased, found, lost, ...prepared }: PreparedBatch,
    book: (tx: Transaction, written: Booked) => Promise<void>,
  ) =>
  async (tx: Transaction): Promise<Counts> => {
    await bookLost(tx, lease, lost)
    const replaced = await replacedInPass(tx, lease, stream, versions)
    const written = await writeAll(tx, lease, stream, versions)
    await bookRead(tx, lease, stream, contested)
    const rejects = [...prepared.rejects, ...written.rejects]
    if (returned.length > 0) {
      await tx.unsafe(
        `UPDATE ${shapeOf(stream.table).table} SET removed_at = NULL
         WHERE account = $1 AND "${stream.idColumn}" = ANY($2::text[]) AND removed_at IS NOT NULL`,
        [lease.account, arrayLiteral(returned)],
      )
      await followRemovals(tx, lease, stream, returned)
    }
    const listed = [...rejects, ...replaced]
    for (const part of cutByLength(listed)) await writeRejects(tx, lease, part)
    const [open] = await tx`
      SELECT 1 FROM sync.rejects
      WHERE account = ${lease.account} AND stream = ${lease.stream} AND kind IN ('record', 'merchant') LIMIT 1`
    const unanswered = records.filter(({ isUnanswered }) => isUnanswered).length
    if (open !== undefined) {
      const bad = new Set(listed.map(({ hash }) => hash))
      // A version that is a reject beside another one may be the row of a later page of this batch.
      const badReads = new Set(listed.map(({ hash, readAt }) => `${hash} ${readAt}`))
      await clearRejects(
        tx,
        lease,
        records.flatMap(({ id, readAt, hash, isUnanswered }) =>
          id === null || isUnanswered || badReads.has(`${hash} ${readAt}`) ? [] : [{ id, readAt }],
        ),
        bad,
      )
    }
    await refuseLostRejects(tx, lease, records, rejects)
    const { inserted, updated, fieldRejected, itemRejected } = written
    const unchanged = prepared.unchanged + written.unchanged
    const extracted = records.length + erased.length
    const rejected = rejects.length
    const stale = extracted - inserted - updated - unchanged - rejected - unanswered - erased.length
    const counts: Counts = {
      extracted,
      inserted,
      updated,
      unchanged,
      stale,
      rejected,
      unanswered,
      erased: erased.length,
      fieldRejected,
      itemRejected,
    }
    // A record that is left out was shown all the same: what the list is said to hold must add up.
    const ids = [...records.flatMap(({ id }) => (id === null ? [] : [id])), ...erased]
    await insertTombstones(tx, lease.account, found)
    await forgetMissing(tx, lease, ids)
    await book(tx, { counts, ids, rejects })
    return counts
  }

/**
 * Finds out what a batch changes, and makes its rows; writes nothing. May run while batches before it are not yet
 * written, when these are `inFlight`: a record that both hold is then compared when this one is written.
 */
export const prepareBatch = (
  sql: postgres.Sql,
  lease: Lease,
  stream: Guarded,
  extracted: ReadonlyArray<SourceRecord>,
  inFlight: Iterable<PreparedBatch> = [],
  beside?: Beside,
): Effect.Effect<PreparedBatch, WarehouseError> =>
  read(() => prepare(sql, lease.account, stream, extracted, inFlight, beside))

/**
 * Writes a batch: rows, rejects, histories, seen keys, counters and position commit together or not at all.
 * Not interruptible, so that a run that is told to stop finishes the batch in hand.
 *
 * Fails with `LeaseError` when another run took the lease over; then nothing of the batch was written.
 */
export const writeBatch = (
  sql: postgres.Sql,
  lease: Lease,
  stream: Guarded,
  prepared: PreparedBatch,
  progress: Progress,
): Effect.Effect<Counts, LeaseError | WarehouseError> =>
  Effect.suspend(() => {
    // Before the transaction, which may be tried twice.
    if (progress.fields !== undefined)
      progress.fields.current = addFields(progress.fields.current, prepared.fields)
    const book = async (tx: Transaction, written: Booked) => {
      await bookProgress(tx, lease, written, progress)
      await progress.alsoBook?.(tx, written)
    }
    return inLeaseTx(sql, lease, write(lease, stream, prepared, book))
  }).pipe(
    Effect.tap(counts => countRows(lease, counts)),
    Effect.uninterruptible,
  )

/**
 * Writes records that were read beside a run of their stream. They count in no stream's run, because a run is judged by
 * the records of its list; `book` writes down what came of them, in the same transaction.
 */
export const writeBeside = (
  sql: postgres.Sql,
  lease: Lease,
  stream: Guarded,
  prepared: PreparedBatch,
  book: (tx: Transaction, written: Booked) => Promise<void>,
): Effect.Effect<Counts, LeaseError | WarehouseError> =>
  inLeaseTx(sql, lease, write(lease, stream, prepared, book)).pipe(
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
): Effect.Effect<Counts, LeaseError | WarehouseError> =>
  Effect.flatMap(prepareBatch(sql, lease, stream, extracted, [], beside), prepared =>
    writeBatch(sql, lease, stream, prepared, progress),
  )
