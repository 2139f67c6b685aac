import { Array as Arr, Effect, Either } from "effect"
import type postgres from "postgres"
import { addCounts, type Counts, NO_COUNTS } from "../../core/counts.ts"
import type { DecodedRecord } from "../../core/decodedRecord.ts"
import { contentHash, isJsonObject, type Json, parseJson, stringifyJson } from "../../core/json.ts"
import { recordIdOf } from "../../core/recordId.ts"
import { isState, type Stream } from "../../core/stream.ts"
import { arrayLiteral, lookUpByKey } from "../../postgres/bulk.ts"
import { shapeOf, type Transaction } from "../../postgres/shape.ts"
import { inLeaseTx, type Lease, type LeaseEffect } from "../ledger/lease.ts"
import { writePartRejects } from "../ledger/partRejects.ts"
import { bisect, refusedReason } from "../load/bisect.ts"
import { decode } from "../load/decode.ts"
import { bookkeeping } from "../schema/columns.ts"
import { EMPTIED_HASH } from "./emptyPersonalColumns.ts"
import { rewriteChildren, updateDiffering } from "./rewriteRows.ts"

/**
 * Rewrites the rows of stored records: walks the records in the order of their ids, a batch per transaction, each under the
 * lease. It may be interrupted and repeated. It keeps when and by which run a record was read, whether it is listed, and the
 * histories.
 */

/** Most failed records that a result names. */
const NAMED_MAX = 10
/** Records of one batch, and bytes of their JSON text. A larger record is a batch of its own. */
const BATCH_RECORDS = 1_000
const BATCH_BYTES = 8_000_000

/** A stored record that could not be rewritten. It stays as it is. */
interface Failure {
  readonly id: string
  readonly field: string | null
  readonly reason: string
}

/** One transaction's part of a walk. */
interface Batch {
  /** `updated` counts records with a row, or a row of a child, that was written; `rejected` those that failed. */
  readonly counts: Counts
  readonly failures: ReadonlyArray<Failure>
}

/** Result of a walk so far. */
export interface Rewritten extends Pick<Batch, "counts"> {
  /** The first records that failed, without their content. */
  readonly failures: ReadonlyArray<Pick<Failure, "id" | "field">>
}

interface Selection {
  /** Ids of the records to walk; all records if absent. */
  readonly ids?: ReadonlyArray<string>
  /** Skips records of which only a redacted rest is stored: nothing can be made of it until they are read again. */
  readonly skipsEmptied?: boolean
}

interface Stored {
  readonly id: string
  readonly raw: string
  readonly readAt: string
}

/** Reads the next batch of stored records after an id; of a look-up those with an answer. */
const storedAfter = (
  tx: Transaction,
  lease: Lease,
  stream: Stream,
  after: string,
  { ids, skipsEmptied = false }: Selection,
) => {
  const { table, types } = shapeOf(stream.table)
  const id = `t."${stream.idColumn}"`
  return tx.unsafe<Array<Stored>>(
    `WITH following AS (
       SELECT ${id} AS id, octet_length(t.raw::text)::bigint AS bytes FROM ${table} AS t
       WHERE t.account = $1 AND ${id} > $2 AND t.raw IS NOT NULL
         AND ($3::text[] IS NULL OR ${id} = ANY ($3::text[]))
         ${skipsEmptied && types.has("content_hash") ? `AND t.content_hash <> '${EMPTIED_HASH}'` : ""}
       ORDER BY ${id} LIMIT ${BATCH_RECORDS}
     ), batch AS (
       SELECT id, sum(bytes) OVER (ORDER BY id ROWS UNBOUNDED PRECEDING) - bytes AS before FROM following
     )
     SELECT ${id} AS id, t.raw::text AS raw, ${types.has("read_at") ? "t.read_at" : "t.checked_at"} AS "readAt"
     FROM ${table} AS t
     WHERE t.account = $1 AND ${id} IN (SELECT id FROM batch WHERE before < ${BATCH_BYTES}) ORDER BY ${id}`,
    [lease.account, after, ids === undefined ? null : arrayLiteral(ids)],
  )
}

type Change = (record: Json) => Json | null

/** A stored record that decoded. */
interface Renewed extends DecodedRecord {
  /** Its `raw` is to be written, too. */
  readonly isOther: boolean
}

/** Decodes a stored record after the change; null if it is to be left alone. */
const renew = (
  stream: Stream,
  { id, raw, readAt }: Stored,
  change: Change,
): Either.Either<Renewed, Failure> | null => {
  const fail = (field: string | null, reason: string) => Either.left({ id, field, reason })
  let record: Json
  try {
    record = parseJson(raw)
  } catch {
    return fail(null, "record: cannot be read")
  }
  const changed = change(record)
  if (changed === null) return null
  const hash = contentHash(changed, stream.version)
  const isOther = changed !== record && contentHash(record, stream.version) !== hash
  // A state is stored as it was answered, without the asked key.
  const asRead =
    isState(stream) && isJsonObject(changed) ? { ...changed, [stream.source.idField]: id } : changed
  if (recordIdOf(stream.source, asRead) !== id)
    return fail(stream.source.idField, "is not the id the row has")
  return decode(stream, { record: asRead, readAt, id, hash }).pipe(
    Either.mapBoth({
      onLeft: ({ field, reason }) => ({ id, field, reason }),
      // An unchanged record keeps its stored spelling: with another one it would be written again.
      onRight: version => ({ ...version, isOther, raw: isOther ? stringifyJson(changed) : raw }),
    }),
  )
}

/** Bookkeeping columns that follow from a record's content. */
const OF_CONTENT: ReadonlyArray<string> = ["raw", "content_hash", "source_updated_at"]

/** Writes the rows and children that differ, and counts the records with such a row. */
const writeRenewed = async (
  tx: Transaction,
  lease: Lease,
  stream: Stream,
  renewed: ReadonlyArray<Renewed>,
): Promise<Batch> => {
  const shape = shapeOf(stream.table)
  const own = [...shape.types.keys()].filter(
    name => name !== stream.idColumn && (OF_CONTENT.includes(name) || !bookkeeping.has(name)),
  )
  const changed = new Set<string>()
  for (const isOther of [false, true]) {
    const ids = await updateDiffering(tx, shape, {
      rows: renewed
        .filter(version => version.isOther === isOther)
        .map(({ id, hash, raw, normalized }) => ({
          ...normalized.row,
          account: lease.account,
          [stream.idColumn]: id,
          raw,
          content_hash: hash,
          source_updated_at: normalized.sourceUpdatedAt,
        })),
      key: ["account", stream.idColumn],
      columns: own.filter(name => name !== "raw" || isOther),
      returning: stream.idColumn,
    })
    for (const id of ids) changed.add(id)
  }
  for (const id of await rewriteChildren(tx, lease, stream, renewed)) changed.add(id)
  const parts = isState(stream) ? {} : await writePartRejects(tx, lease, stream, renewed)
  return { counts: { ...NO_COUNTS, updated: changed.size, ...parts }, failures: [] }
}

const nextBatch = async (
  tx: Transaction,
  lease: Lease,
  stream: Stream,
  change: Change,
  after: string,
  selection: Selection,
): Promise<(Batch & { readonly last: string }) | null> => {
  await lookUpByKey(tx)
  const stored = await storedAfter(tx, lease, stream, after, selection)
  if (stored.length === 0) return null
  const [failed, renewed] = Arr.separate(stored.flatMap(record => renew(stream, record, change) ?? []))
  const written = await bisect(
    tx,
    renewed,
    (savepoint, some) => writeRenewed(savepoint, lease, stream, some),
    ({ id }, error): Batch => ({
      counts: NO_COUNTS,
      failures: [{ id, field: null, reason: refusedReason(error) }],
    }),
  )
  const failures = [...failed, ...written.flatMap(part => part.failures)]
  const counts = written.reduce((sum, part) => addCounts(sum, part.counts), {
    ...NO_COUNTS,
    extracted: stored.length,
    rejected: failures.length,
  })
  const unchanged = stored.length - counts.updated - failures.length
  return { counts: { ...counts, unchanged }, failures, last: stored.at(-1)!.id }
}

export interface RewriteOptions extends Pick<Selection, "skipsEmptied"> {
  /** SQL that commits with each batch. */
  readonly book?: (tx: Transaction, batch: Batch) => Promise<unknown>
  /** Receives the result so far after each commit. */
  readonly tell?: (soFar: Rewritten) => Effect.Effect<void>
}

/**
 * Walks all stored records of an account's stream. `change` makes another record of each: it returns its argument to keep
 * it, or null to leave the row alone. The result becomes raw, hash, columns and children, as if a sync had read it. Not
 * changed are `read_at`, `first_seen_at`, `run_id`, `removed_at`, the columns of a state about its look-up, and histories.
 * Only what differs is written. For a state `change` gets the answer, without the asked key.
 *
 * A record that does not decode stays as it is, and is counted. For children with surplus `keep`, it updates the rows that
 * the record lists, and re-inserts missing ones.
 *
 * Fails with `LeaseError` if another run took the lease over; the batches before stay.
 */
export const rewriteRecords = (
  sql: postgres.Sql,
  lease: Lease,
  stream: Stream,
  change: Change,
  { book, tell, ...selection }: RewriteOptions = {},
): LeaseEffect<Rewritten> =>
  Effect.gen(function* () {
    let soFar: Rewritten = { counts: NO_COUNTS, failures: [] }
    // All ids come after the empty text.
    let after = ""
    while (true) {
      const batch = yield* inLeaseTx(sql, lease, async tx => {
        const done = await nextBatch(tx, lease, stream, change, after, selection)
        if (done === null) return null
        await book?.(tx, done)
        // The lease keeps the result of its transaction, so the reasons are left out.
        const failures = done.failures.slice(0, NAMED_MAX).map(({ id, field }) => ({ id, field }))
        return { counts: done.counts, failures, last: done.last }
      })
      if (batch === null) return soFar
      after = batch.last
      soFar = {
        counts: addCounts(soFar.counts, batch.counts),
        failures: [...soFar.failures, ...batch.failures].slice(0, NAMED_MAX),
      }
      yield* tell?.(soFar) ?? Effect.void
    }
  })

/** Rewrites the records with these ids, as `rewriteRecords` does, within a transaction of the lease. */
export const rewriteSome = async (
  tx: Transaction,
  lease: Lease,
  stream: Stream,
  ids: ReadonlyArray<string>,
  change: Change,
): Promise<Batch> => {
  let counts = NO_COUNTS
  const failures: Array<Failure> = []
  // Some ids at a time, because each statement carries them.
  for (let from = 0; from < ids.length; from += BATCH_RECORDS) {
    const some = ids.slice(from, from + BATCH_RECORDS)
    let batch = await nextBatch(tx, lease, stream, change, "", { ids: some })
    while (batch !== null) {
      counts = addCounts(counts, batch.counts)
      failures.push(...batch.failures)
      batch = await nextBatch(tx, lease, stream, change, batch.last, { ids: some })
    }
  }
  return { counts, failures }
}
