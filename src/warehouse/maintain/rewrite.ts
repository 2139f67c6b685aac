import { Effect, Either } from "effect"
import type postgres from "postgres"
import type { DecodedRecord } from "../../core/decodedRecord.ts"
import type { LeaseError, WarehouseError } from "../../core/errors.ts"
import { contentHash, isJsonObject, type Json, parseJson, stringifyJson } from "../../core/json.ts"
import { recordIdOf } from "../../core/recordId.ts"
import { isState, type Row, type Stream } from "../../core/stream.ts"
import { lookUpByKey } from "../../postgres/bulk.ts"
import { sqlState } from "../../postgres/failures.ts"
import { shapeOf, type Transaction } from "../../postgres/shape.ts"
import { inLeaseTx, type Lease } from "../ledger/lease.ts"
import { NO_PARTS, type PartCounts, sumOfParts, writePartRejects } from "../ledger/partRejects.ts"
import { decode } from "../load/prepare.ts"
import { BAD_VALUE } from "../load/versions.ts"
import { rewriteChildren, updateDiffering } from "./rewriteRows.ts"
import { type Stored, storedAfter, type Walked } from "./storedRecords.ts"

/**
 * Makes the rows of stored records anew: walks them in the order of their ids, a batch per transaction, each under
 * the lease. It may be broken off and done again. What says when and by whom a record was read, whether it is
 * listed, and what was recorded over time is left as it is.
 */

/** Records that are named of those that could not be made anew. */
const NAMED_MAX = 10

/** A stored record that could not be made anew, and stays as it is. */
export interface Failure {
  readonly id: string
  readonly field: string | null
  readonly reason: string
}

/** Which record failed, and where, without anything of what is in it. */
export type NamedFailure = Pick<Failure, "id" | "field">

/** One transaction's part of a walk. */
export interface Batch extends PartCounts {
  readonly walked: number
  /** Records whose row, or one of whose children, was written. */
  readonly changed: number
  readonly failures: ReadonlyArray<Failure>
}

/** What a walk came to. */
export interface Rewritten {
  readonly walked: number
  readonly changed: number
  readonly failed: number
  /** The first of those that failed. */
  readonly failures: ReadonlyArray<NamedFailure>
}

/** A stored record that decoded; `isOther` when `raw` is to be written, too. */
interface Renewed extends DecodedRecord {
  readonly isOther: boolean
}

const BOOKKEEPING = new Set([
  "account",
  "read_at",
  "first_seen_at",
  "run_id",
  "removed_at",
  "checked_at",
  "changed_at",
  "check_error",
])

/** Makes a stored record anew, or says why it cannot be; null where it is to be left alone. */
const renew = (
  stream: Stream,
  { id, raw, readAt }: Stored,
  change: (record: Json) => Json | null,
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
      // As it is stored, where it is the same: spelled again it would be written again.
      onRight: version => ({ ...version, isOther, raw: isOther ? stringifyJson(changed) : raw }),
    }),
  )
}

const rowOf = (stream: Stream, { id, hash, raw, normalized }: Renewed): Row => ({
  ...normalized.row,
  [stream.idColumn]: id,
  raw,
  content_hash: hash,
  source_updated_at: normalized.sourceUpdatedAt,
})

/** Writes what differs of rows and children, and answers whose. */
const writeRenewed = async (
  tx: Transaction,
  lease: Lease,
  stream: Stream,
  renewed: ReadonlyArray<Renewed>,
): Promise<Omit<Written, "failures">> => {
  const shape = shapeOf(stream.table)
  const own = [...shape.types.keys()].filter(name => name !== stream.idColumn && !BOOKKEEPING.has(name))
  const changed = new Set<string>()
  for (const isOther of [false, true]) {
    const ids = await updateDiffering(tx, shape, {
      rows: renewed
        .filter(version => version.isOther === isOther)
        .map(version => ({ ...rowOf(stream, version), account: lease.account })),
      key: ["account", stream.idColumn],
      columns: own.filter(name => name !== "raw" || isOther),
      returning: stream.idColumn,
    })
    for (const id of ids) changed.add(id)
  }
  for (const id of await rewriteChildren(tx, lease, stream, renewed)) changed.add(id)
  const parts = isState(stream) ? NO_PARTS : await writePartRejects(tx, lease, stream, renewed)
  return { changed: changed.size, ...parts }
}

interface Written extends PartCounts {
  readonly changed: number
  readonly failures: ReadonlyArray<Failure>
}

/** Writes renewed records; where Postgres refuses a value, halves them until the one at fault is alone, which stays as it is. */
const writeOrSpare = async (
  tx: Transaction,
  lease: Lease,
  stream: Stream,
  renewed: ReadonlyArray<Renewed>,
): Promise<Written> => {
  if (renewed.length === 0) return { changed: 0, failures: [], ...NO_PARTS }
  try {
    const written = await tx.savepoint(inner => writeRenewed(inner, lease, stream, renewed))
    return { ...written, failures: [] }
  } catch (error) {
    const code = sqlState(error)
    if (code === undefined || !BAD_VALUE.test(code)) throw error
    const [only] = renewed
    if (renewed.length === 1 && only !== undefined) {
      const reason = `record: Postgres refused it (${code})`
      return { changed: 0, ...NO_PARTS, failures: [{ id: only.id, field: null, reason }] }
    }
    const middle = renewed.length >> 1
    const left = await writeOrSpare(tx, lease, stream, renewed.slice(0, middle))
    const right = await writeOrSpare(tx, lease, stream, renewed.slice(middle))
    return {
      changed: left.changed + right.changed,
      ...sumOfParts(left, right),
      failures: [...left.failures, ...right.failures],
    }
  }
}

const nextBatch = async (
  tx: Transaction,
  lease: Lease,
  stream: Stream,
  change: (record: Json) => Json | null,
  after: string,
  walked: Walked,
): Promise<(Batch & { readonly last: string }) | null> => {
  await lookUpByKey(tx)
  const stored = await storedAfter(tx, lease, stream, after, walked)
  if (stored.length === 0) return null
  const made = stored.flatMap(record => renew(stream, record, change) ?? [])
  const written = await writeOrSpare(
    tx,
    lease,
    stream,
    made.flatMap(result => (Either.isRight(result) ? [result.right] : [])),
  )
  const failures = made.flatMap(result => (Either.isLeft(result) ? [result.left] : []))
  return {
    walked: stored.length,
    changed: written.changed,
    fieldRejected: written.fieldRejected,
    itemRejected: written.itemRejected,
    failures: [...failures, ...written.failures],
    last: stored.at(-1)!.id,
  }
}

export interface RewriteOptions extends Pick<Walked, "isEmptiedLeft"> {
  /** SQL that commits with each batch. */
  readonly book?: (tx: Transaction, batch: Batch) => Promise<unknown>
  /** Told after each commit what the walk has come to. */
  readonly tell?: (soFar: Rewritten) => Effect.Effect<void>
}

/**
 * Walks all stored records of an account's stream, lets `change` make another record of each (its argument for
 * the same, null to leave it alone), and makes raw, hash, columns and children of what it answered: as a sync
 * would that read this record, but for `read_at`, `first_seen_at`, `run_id`, `removed_at`, what a state says about
 * its look-up, and histories. Writes only what differs. For a state `change` gets the answer, without the asked key.
 *
 * A record that does not decode stays as it is, whole, and is counted. Of a child that keeps its rows those are
 * changed that the record lists; one that was lost is made again.
 *
 * Fails with `LeaseError` when another run took the lease over; the batches before stay.
 */
export const rewriteRecords = (
  sql: postgres.Sql,
  lease: Lease,
  stream: Stream,
  change: (record: Json) => Json | null,
  { book, tell, isEmptiedLeft = false }: RewriteOptions = {},
): Effect.Effect<Rewritten, LeaseError | WarehouseError> =>
  Effect.gen(function* () {
    let soFar: Rewritten = { walked: 0, changed: 0, failed: 0, failures: [] }
    // No id is empty: all come after it.
    let after = ""
    while (true) {
      const batch = yield* inLeaseTx(sql, lease, async tx => {
        const done = await nextBatch(tx, lease, stream, change, after, { isEmptiedLeft })
        if (done === null) return null
        await book?.(tx, done)
        // What a transaction answers is kept in its lease: no reason.
        const { failures, ...counts } = done
        const named = failures.slice(0, NAMED_MAX).map(({ id, field }) => ({ id, field }))
        return { ...counts, failed: failures.length, named }
      })
      if (batch === null) return soFar
      after = batch.last
      soFar = {
        walked: soFar.walked + batch.walked,
        changed: soFar.changed + batch.changed,
        failed: soFar.failed + batch.failed,
        failures: [...soFar.failures, ...batch.named].slice(0, NAMED_MAX),
      }
      yield* tell?.(soFar) ?? Effect.void
    }
  })

/** What `rewriteRecords` does, of the records of these ids only, within a transaction of the lease. */
export const rewriteSome = async (
  tx: Transaction,
  lease: Lease,
  stream: Stream,
  ids: ReadonlyArray<string>,
  change: (record: Json) => Json | null,
): Promise<Pick<Batch, "changed" | "failures">> => {
  let done: Pick<Batch, "changed" | "failures"> = { changed: 0, failures: [] }
  let batch = await nextBatch(tx, lease, stream, change, "", { some: ids })
  while (batch !== null) {
    done = { changed: done.changed + batch.changed, failures: [...done.failures, ...batch.failures] }
    batch = await nextBatch(tx, lease, stream, change, batch.last, { some: ids })
  }
  return done
}
