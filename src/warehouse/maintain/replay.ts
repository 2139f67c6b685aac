import { Effect, Either } from "effect"
import type postgres from "postgres"
import type { DecodedRecord } from "../../core/decodedRecord.ts"
import type { LeaseError, WarehouseError } from "../../core/errors.ts"
import { contentHash, isJsonObject, parseJson } from "../../core/json.ts"
import { idText, recordIdOf } from "../../core/recordId.ts"
import type { Guarded, Stream } from "../../core/stream.ts"
import { arrayLiteral, arraysOf, unnestOf } from "../../postgres/bulk.ts"
import type { Transaction } from "../../postgres/shape.ts"
import { query } from "../../postgres/statements.ts"
import { inLeaseTx, type Lease } from "../ledger/lease.ts"
import { clearRejects, type Reject } from "../ledger/rejects.ts"
import { type Counts, NO_COUNTS, sumOfCounts } from "../load/loader.ts"
import { heldAmong } from "../load/merchant.ts"
import { decode, foreignReject, type HashedRecord } from "../load/prepare.ts"
import { insertTombstones, withoutErased } from "../load/tombstones.ts"
import { writeAll } from "../load/versions.ts"
import { IN_SCOPE, type RejectKind, type RejectScope, scopeParameters } from "../read/rejectList.ts"
import { replayParts } from "./replayParts.ts"

/** Decodes rejects again with today's code: what was not understood when it was read may be by now. */

/** Rejects that are replayed together: at most so many, and so many bytes of raw text but for the first. */
const BATCH_RECORDS = 500
const BATCH_BYTES = 8_000_000

/** Which rejects are replayed. */
export interface ReplayScope extends RejectScope {
  /** Numbers of rejects; those named are replayed though they are no longer listed. All of the scope where there is none. */
  readonly ids: ReadonlyArray<number>
}

const CHOSEN = `(CASE WHEN $4::bigint[] = '{}' THEN ${IN_SCOPE}
  ELSE reject_id = ANY ($4::bigint[]) AND (account = ANY ($1::text[]) OR $1::text[] = '{}') AND stream = ANY ($2::text[]) END)`

const parametersOf = (scope: ReplayScope) => [
  ...scopeParameters(scope),
  arrayLiteral(scope.ids.map(id => String(id))),
]

export interface RejectCount {
  readonly account: string
  readonly stream: string
  readonly count: number
}

/** How many rejects there are to be replayed, by account and stream. */
export const countChosen = (
  sql: postgres.Sql,
  scope: ReplayScope,
): Effect.Effect<ReadonlyArray<RejectCount>, WarehouseError> =>
  query(() =>
    sql.unsafe<Array<RejectCount>>(
      `SELECT account, stream, count(*)::float8 AS count FROM sync.rejects WHERE ${CHOSEN}
       GROUP BY account, stream ORDER BY account, stream`,
      parametersOf(scope),
    ),
  )

interface Kept {
  readonly id: string
  readonly kind: RejectKind
  readonly recordId: string | null
  readonly raw: string
  readonly readAt: string
  /** The run that read it. */
  readonly runId: string
}

const keptAfter = (tx: Transaction, lease: Lease, scope: ReplayScope, after: string) =>
  tx.unsafe<Array<Kept>>(
    `WITH following AS (
       SELECT reject_id, octet_length(raw)::bigint AS bytes FROM sync.rejects
       WHERE ${CHOSEN} AND account = $5 AND stream = $6 AND reject_id > $7::bigint ORDER BY reject_id LIMIT ${BATCH_RECORDS}
     ), batch AS (
       SELECT reject_id, sum(bytes) OVER (ORDER BY reject_id ROWS UNBOUNDED PRECEDING) - bytes AS before FROM following
     )
     SELECT r.reject_id::text AS id, r.kind, r.record_id AS "recordId", r.raw, r.read_at AS "readAt", r.run_id AS "runId" FROM sync.rejects AS r
     WHERE r.reject_id IN (SELECT reject_id FROM batch WHERE before < ${BATCH_BYTES}) ORDER BY r.reject_id`,
    [...parametersOf(scope), lease.account, lease.stream, after],
  )

/** A record that was kept, and the reject that it was. */
interface Again extends HashedRecord {
  readonly rejectId: string
  readonly kind: RejectKind
  readonly runId: string
}

/** What can be read of the kept texts; what a text is no longer whole of stays as it is. */
const readAgain = (
  kept: ReadonlyArray<Kept>,
): ReadonlyArray<Pick<Again, "rejectId" | "kind" | "record" | "readAt" | "runId">> =>
  kept.flatMap(({ id, kind, raw, readAt, runId }) => {
    try {
      return [{ rejectId: id, kind, record: parseJson(raw), readAt: new Date(readAt).toISOString(), runId }]
    } catch {
      return []
    }
  })

/** Books why records still cannot become a row, in the words, with the hash and in the mode of privacy of today. */
const keepReasons = async (
  tx: Transaction,
  rejects: ReadonlyArray<Reject & { readonly rejectId: string }>,
): Promise<void> => {
  const columns = ["reject_id", "kind", "field", "reason", "raw", "content_hash"]
  const owners = new Map<string, string>()
  for (const { hash, rejectId } of rejects) if (!owners.has(hash)) owners.set(hash, rejectId)
  const rows = rejects.map(({ rejectId, kind = "record", field, reason, raw, hash }) => ({
    reject_id: rejectId,
    kind,
    field,
    reason,
    raw,
    // One record may have been rejected under two versions of its stream: only one of the two can have the new hash.
    content_hash: owners.get(hash) === rejectId ? hash : null,
  }))
  await tx.unsafe(
    `UPDATE sync.rejects AS r SET kind = s.kind, field = s.field, reason = s.reason, raw = s.raw,
       content_hash = CASE WHEN s.content_hash IS NULL OR EXISTS (
         SELECT FROM sync.rejects AS o
         WHERE o.account = r.account AND o.stream = r.stream AND o.content_hash = s.content_hash AND o.kind IN ('record', 'merchant')
       ) THEN r.content_hash ELSE s.content_hash END
     FROM ${unnestOf(columns, 1)}
     WHERE r.reject_id = s.reject_id::bigint
       AND (r.kind, r.field, r.reason, r.raw, r.content_hash) IS DISTINCT FROM (s.kind, s.field, s.reason, s.raw, s.content_hash)`,
    arraysOf(columns, rows),
  )
}

const bookCounts = (tx: Transaction, lease: Lease, counts: Counts) => tx`
  UPDATE sync.stream_runs
  SET pages = pages + 1, extracted = extracted + ${counts.extracted}, inserted = inserted + ${counts.inserted},
    updated = updated + ${counts.updated}, unchanged = unchanged + ${counts.unchanged}, stale = stale + ${counts.stale},
    rejected = rejected + ${counts.rejected}, field_rejected = field_rejected + ${counts.fieldRejected},
    item_rejected = item_rejected + ${counts.itemRejected},
    erased = erased + ${counts.erased}
  WHERE run_id = ${lease.runId} AND account = ${lease.account} AND stream = ${lease.stream}`

/** Whose records are an account's, as configured. */
export type MerchantsOf = (account: string) => ReadonlyArray<string>

/** Those of the records that are another merchant's still: neither configured nor stored. */
const stillForeign = async (
  tx: Transaction,
  lease: Lease,
  stream: Stream,
  records: ReadonlyArray<Again>,
  merchantsOf: MerchantsOf,
): Promise<ReadonlySet<Again>> => {
  const field = stream.source.kind === "list" ? stream.source.merchantField : null
  const foreign = records.filter(({ kind }) => kind === "merchant")
  if (field === null || foreign.length === 0) return new Set()
  const merchantIn = ({ record }: Again) => (isJsonObject(record) ? idText(record[field]) : null)
  const asked = new Set(foreign.flatMap(record => merchantIn(record) ?? []))
  const stored = await heldAmong(tx, lease.account, stream.table, field, [...asked])
  const own = new Set([...merchantsOf(lease.account), ...stored])
  return new Set(foreign.filter(record => !own.has(merchantIn(record) ?? "")))
}

interface ReadBy {
  readonly runId: string
  readonly version: DecodedRecord
}

/** Versions by the run that read them, in the order of reading: of two of one record the earlier must be written first. */
const runsInOrder = (
  read: ReadonlyArray<ReadBy>,
): ReadonlyArray<{ readonly runId: string; readonly versions: ReadonlyArray<DecodedRecord> }> => {
  const runs: Array<{ readonly runId: string; readonly versions: Array<DecodedRecord> }> = []
  const sorted = read.toSorted((one, other) => (one.version.readAt < other.version.readAt ? -1 : 1))
  for (const { runId, version } of sorted) {
    const latest = runs.at(-1)
    if (latest?.runId === runId) latest.versions.push(version)
    else runs.push({ runId, versions: [version] })
  }
  return runs
}

/** Replays the rejects of a batch that are no row: rows for those that decode now, today's reason for the others. */
const replayRecords = async (
  tx: Transaction,
  lease: Lease,
  stream: Guarded,
  kept: ReadonlyArray<Kept>,
  merchantsOf: MerchantsOf,
): Promise<Counts> => {
  const shielded = await withoutErased(tx, lease.account, stream, readAgain(kept))
  const records = shielded.kept.map(({ record: read, ...again }): Again => {
    const record = stream.redact(read)
    return {
      ...again,
      record,
      id: recordIdOf(stream.source, record),
      hash: contentHash(record, stream.version),
    }
  })
  const decodedRecords: Array<ReadBy> = []
  const rejects: Array<Reject> = []
  const foreign = await stillForeign(tx, lease, stream, records, merchantsOf)
  for (const record of records) {
    if (foreign.has(record)) {
      rejects.push(foreignReject(stream, record))
      continue
    }
    const decoded = decode(stream, record)
    if (Either.isLeft(decoded)) rejects.push(decoded.left)
    else decodedRecords.push({ runId: record.runId, version: decoded.right })
  }
  let written = NO_COUNTS
  // A row belongs to the run that read it: what lies around it in the list was read by that one, not by this.
  for (const { runId, versions } of runsInOrder(decodedRecords)) {
    const part = await writeAll(tx, { ...lease, runId }, stream, versions, { isListed: false })
    written = sumOfCounts(written, { ...NO_COUNTS, ...part })
    rejects.push(...part.rejects)
  }
  const byHash = new Map(rejects.map(reject => [reject.hash, reject]))
  const still = records.flatMap(({ rejectId, hash }) => {
    const reject = byHash.get(hash)
    return reject === undefined ? [] : [{ ...reject, rejectId }]
  })
  await keepReasons(tx, still)
  const readable = new Set(records.map(({ rejectId }) => rejectId))
  const isStill = new Set(still.map(({ rejectId }) => rejectId))
  const fine = records.filter(({ rejectId }) => !isStill.has(rejectId))
  const erased = readAgain(kept).filter(({ rejectId }) => !readable.has(rejectId))
  await tx`
    DELETE FROM sync.rejects
    WHERE reject_id = ANY (${arrayLiteral([...fine, ...erased].map(({ rejectId }) => rejectId))}::bigint[])`
  await clearRejects(
    tx,
    lease,
    fine.flatMap(({ id, readAt }) => (id === null ? [] : [{ id, readAt }])),
    new Set(byHash.keys()),
  )
  await insertTombstones(tx, lease.account, shielded.found)
  const { inserted, updated, unchanged } = written
  const rejected = kept.length - fine.length - erased.length
  const stale = fine.length - inserted - updated - unchanged
  return { ...written, extracted: kept.length, stale, rejected, erased: erased.length }
}

/**
 * Decodes an account's rejects of a stream again, and makes rows of those that decode now. Each keeps the time it was
 * read: where a later version of the record is stored, that one stays, and the reject is answered. Those that still
 * cannot become a row stay, with today's reason. A batch per transaction, under the lease; may be broken off and
 * done again.
 *
 * Answers how many rejects were replayed and how many of them remain.
 */
export const replayRejects = (
  sql: postgres.Sql,
  lease: Lease,
  stream: Guarded,
  scope: ReplayScope,
  merchantsOf: MerchantsOf,
  tell: (soFar: Counts) => Effect.Effect<void>,
): Effect.Effect<Counts, LeaseError | WarehouseError> =>
  Effect.gen(function* () {
    let soFar = NO_COUNTS
    let after = "0"
    while (true) {
      const batch = yield* inLeaseTx(sql, lease, async tx => {
        const kept = await keptAfter(tx, lease, scope, after)
        if (kept.length === 0) return null
        const isPart = ({ kind }: Kept) => kind === "field" || kind === "item"
        const counts = sumOfCounts(
          await replayParts(tx, lease, stream, kept.filter(isPart)),
          await replayRecords(
            tx,
            lease,
            stream,
            kept.filter(reject => !isPart(reject)),
            merchantsOf,
          ),
        )
        await bookCounts(tx, lease, counts)
        return { counts, last: kept.at(-1)!.id }
      })
      if (batch === null) return soFar
      after = batch.last
      soFar = sumOfCounts(soFar, batch.counts)
      yield* tell(soFar)
    }
  })
