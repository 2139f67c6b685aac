import { Array as Arr } from "effect"
import type postgres from "postgres"
import type { DecodedRecord } from "../../core/decodedRecord.ts"
import type { PassFields } from "../../core/documentedFields.ts"
import { contentHash, type Json } from "../../core/json.ts"
import { recordIdOf } from "../../core/recordId.ts"
import type { Guarded, Stream } from "../../core/stream.ts"
import { arrayLiteral, arraysOf, unnestOf } from "../../postgres/bulk.ts"
import { shapeOf } from "../../postgres/shape.ts"
import { isStorable } from "../../postgres/unstorable.ts"
import { type Lost, lostFields } from "../ledger/fields.ts"
import type { Reject } from "../ledger/rejects.ts"
import { withoutConflicts } from "./conflicts.ts"
import { decode, foreignReject, type HashedRecord } from "./decode.ts"
import { fieldsRead } from "./fieldsRead.ts"
import { type Tombstone, withoutErased } from "./tombstones.ts"

/** The half of loading that writes nothing: hash, probe, then decode and normalize the records that are new or changed. */

/** A record as it was read, and the start of the request that read it. */
export interface SourceRecord {
  readonly record: Json
  readonly readAt: Date
  /** A page of the list showed it. */
  readonly isListed?: boolean
  /** It is another merchant's, so it becomes a reject. */
  readonly isForeign?: boolean
  /** The list shows it without all its parts, and its by-id endpoint answers 404. A stored version of it stays. */
  readonly isContradicted?: boolean
}

/** A record of a batch. */
export interface BatchRecord extends HashedRecord, Pick<SourceRecord, "isForeign"> {
  /** The stored version stays, because the record was read without all its parts. */
  readonly isUnanswered: boolean
}

/** A batch that is ready to be written. */
export interface PreparedBatch {
  readonly records: ReadonlyArray<BatchRecord>
  readonly unchanged: number
  readonly versions: ReadonlyArray<DecodedRecord>
  readonly rejects: ReadonlyArray<Reject>
  /** Ids of removed records that are listed again. */
  readonly returned: ReadonlyArray<string>
  /** Hashed ids of erased persons' records, which are not stored. */
  readonly erased: ReadonlyArray<string>
  /** Tombstones of records of other streams that are an erased person's. */
  readonly tombstones: ReadonlyArray<Tombstone>
  /**
   * Versions of records that are also being read by id at this time (`Beside`). Their time of reading is booked even if they
   * are unchanged: the other reading may be older, and be written later.
   */
  readonly contested: ReadonlyArray<DecodedRecord>
  /** Documented fields that the records carry. */
  readonly fields: PassFields
  /** Fields that stored versions carry, and that none of the new versions carries. */
  readonly lost: Lost
}

/**
 * Ids of records of one stream that are being read by id beside the stream's run. Such a reading enters its id before it
 * sends its request, and removes it after the commit. Each batch that is prepared meanwhile must be given the ids.
 */
export type Beside = ReadonlySet<string>

/** Redacts a record, and hashes the rest. Personal values must not reach even the hash. */
export const hashRecord = (stream: Guarded, sent: Json): Pick<HashedRecord, "record" | "id" | "hash"> => {
  const record = stream.redact(sent)
  return { record, id: recordIdOf(stream.source, record), hash: contentHash(record, stream.version) }
}

/** Reads which of these ids have a row, removed or not. */
const withRow = async (
  sql: postgres.Sql,
  account: string,
  stream: Stream,
  ids: ReadonlyArray<string | null>,
): Promise<ReadonlySet<string | null>> => {
  const storable = ids.filter(id => id !== null && isStorable(id))
  if (storable.length === 0) return new Set()
  const rows = await sql.unsafe<Array<{ id: string }>>(
    `SELECT "${stream.idColumn}" AS id FROM ${shapeOf(stream.table).table}
     WHERE account = $1 AND "${stream.idColumn}" = ANY ($2::text[])`,
    [account, arrayLiteral(storable)],
  )
  return new Set(rows.map(({ id }) => id))
}

/** Reads which records are not stored as they are, by position. `returned`: the record is booked as removed. */
const probe = (sql: postgres.Sql, account: string, stream: Stream, records: ReadonlyArray<HashedRecord>) => {
  const { table } = shapeOf(stream.table)
  const columns = ["id", "hash"]
  const rows = records.map(({ id, hash }) => ({ id, hash }))
  // One look into the index per record: a plain join may read the whole index for every batch.
  return sql.unsafe<Array<{ position: number; returned: boolean; isStored: boolean }>>(
    `SELECT (s.ordinal - 1)::int AS position, t.removed_at IS NOT NULL AS returned,
       t.content_hash IS NOT NULL AS "isStored"
     FROM ${unnestOf(columns, 2)}
     LEFT JOIN LATERAL (
       SELECT content_hash, removed_at FROM ${table} WHERE account = $1 AND "${stream.idColumn}" = s.id LIMIT 1
     ) AS t ON true
     WHERE t.content_hash IS DISTINCT FROM s.hash OR t.removed_at IS NOT NULL`,
    [account, ...arraysOf(columns, rows)],
  )
}

/**
 * Chooses the records to write: those that the probe named, and those that are stored as they are but share the batch, a
 * batch that is not yet written, or a reading by id with another version of the same record. The upsert then decides which
 * of them is the newest.
 */
const withRivals = (
  records: ReadonlyArray<BatchRecord>,
  changed: ReadonlyArray<{ readonly position: number }>,
  inFlight: Iterable<PreparedBatch>,
  beside: Beside,
): ReadonlyArray<BatchRecord> => {
  const positions = new Set(changed.map(({ position }) => position))
  const ids = new Set<string | null>(beside)
  for (const { position } of changed) ids.add(records[position]!.id)
  for (const { versions } of inFlight) for (const { id } of versions) ids.add(id)
  return records.filter(({ id }, position) => positions.has(position) || (id !== null && ids.has(id)))
}

/**
 * Prepares a batch. `inFlight` are batches before it that may not be written yet: a record in both is compared when this
 * batch is written.
 */
export const prepare = async (
  sql: postgres.Sql,
  account: string,
  stream: Guarded,
  extracted: ReadonlyArray<SourceRecord>,
  inFlight: Iterable<PreparedBatch> = [],
  beside: Beside = new Set(),
): Promise<PreparedBatch> => {
  const { kept, erased, tombstones } = await withoutErased(sql, account, stream, extracted)
  const hashed = kept.map(({ record, readAt, ...marks }) => ({
    ...marks,
    ...hashRecord(stream, record),
    readAt: readAt.toISOString(),
  }))
  const contradicted = hashed.filter(({ isContradicted }) => isContradicted).map(({ id }) => id)
  const hasRow = await withRow(sql, account, stream, contradicted)
  const records = hashed.map(
    (record): BatchRecord => ({
      ...record,
      isUnanswered: record.isContradicted === true && hasRow.has(record.id),
    }),
  )
  const sent = new Map(records.map((record, i) => [record, kept[i]!.record]))
  const own = records.filter(({ isForeign, isUnanswered }) => isForeign !== true && !isUnanswered)
  const changed = await probe(sql, account, stream, own)
  const candidates = withRivals(own, changed, inFlight, beside)
  const [rejects, decoded] = Arr.separate(candidates.map(record => decode(stream, record)))
  const { versions, rejects: conflicts } = withoutConflicts(stream, decoded)
  const sentOf = (isStored: boolean) =>
    new Map(
      changed.flatMap(one => {
        const record = own[one.position]!
        return one.isStored === isStored && record.id !== null ? [[record.id, sent.get(record)!]] : []
      }),
    )
  const before = sentOf(true)
  const lost = await lostFields(sql, account, stream, before)
  const fields = fieldsRead(stream, {
    sent: own.map(record => sent.get(record)!),
    decoded: candidates.map(record => sent.get(record)!),
    unstored: sentOf(false),
    stored: own.length - changed.length + before.size,
    versions,
  })
  return {
    fields: { ...fields, emptied: lost.emptied },
    lost,
    records,
    unchanged: own.length - candidates.length,
    versions,
    contested: versions.filter(({ id }) => beside.has(id)),
    rejects: [
      ...rejects,
      ...conflicts,
      ...records.filter(({ isForeign }) => isForeign).map(record => foreignReject(stream, record)),
    ],
    returned: changed.flatMap(({ position, returned }) => (returned ? [own[position]!.id!] : [])),
    erased,
    tombstones,
  }
}
