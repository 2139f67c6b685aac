import { Either } from "effect"
import type postgres from "postgres"
import type { DecodedRecord } from "../../core/decodedRecord.ts"
import {
  type FieldState,
  fieldPaths,
  nameOfPart,
  type PassFields,
  type Tally,
  tallyOf,
} from "../../core/documentedFields.ts"
import { isAddressable } from "../../core/id.ts"
import { timeOfChange } from "../../core/instant.ts"
import { contentHash, isJsonObject, type Json, stringifyJson } from "../../core/json.ts"
import { mayStillChange } from "../../core/openRecord.ts"
import { recordIdOf } from "../../core/recordId.ts"
import type { Guarded, Stream } from "../../core/stream.ts"
import { arraysOf, unnestOf } from "../../postgres/bulk.ts"
import { shapeOf } from "../../postgres/shape.ts"
import { unstorableText } from "../../postgres/unstorable.ts"
import { type Lost, lostFields } from "../ledger/fields.ts"
import { type Reject, rejectOf } from "../ledger/rejects.ts"
import { withoutConflicts } from "./conflicts.ts"
import { explain, pathName } from "./reasons.ts"
import { type Tombstone, withoutErased } from "./tombstones.ts"
import { withoutTwins } from "./twins.ts"

/** The half of loading that writes nothing: hash → probe → decode and normalize what is new or changed. */

/** What is known of a record beside what is in it. */
interface Marks {
  /** A page of the list showed it. */
  readonly isListed?: boolean
  /** It is another merchant's, and is no row whatever it holds. */
  readonly isForeign?: boolean
  /** The list shows it without all its parts, and its by-id endpoint does not know it: what is stored of it stays. */
  readonly isUnanswered?: boolean
}

/** A record as it was read, and the moment from which it is known to be at least that fresh. */
export interface SourceRecord extends Marks {
  readonly record: Json
  readonly readAt: Date
}

export interface HashedRecord extends Marks {
  readonly record: Json
  readonly readAt: string
  readonly id: string | null
  readonly hash: string
}

/** A batch, ready to be written: what it holds, what of it is to be written, and what cannot be. */
export interface PreparedBatch {
  readonly records: ReadonlyArray<HashedRecord>
  readonly unchanged: number
  readonly versions: ReadonlyArray<DecodedRecord>
  readonly rejects: ReadonlyArray<Reject>
  /** Ids that were booked as removed and are listed again. */
  readonly returned: ReadonlyArray<string>
  /** Hashed ids of records that are not stored: those of erased persons. */
  readonly erased: ReadonlyArray<string>
  /** Records of other streams that turned out to be an erased person's. */
  readonly found: ReadonlyArray<Tombstone>
  /**
   * Versions of records that are also being read by id at this time (`Beside`). Each is booked as read even where it is
   * stored as it is: the other reading may be the older one, and be written later.
   */
  readonly contested: ReadonlyArray<DecodedRecord>
  /** The documented fields that its records carry. */
  readonly fields: PassFields
  /** Fields that none of them carries, though stored versions of some of them do. */
  readonly lost: Lost
}

/**
 * Ids of records of one stream that are being read by id beside the stream's run. Such a reading enters its id before it
 * sends its request, and removes it after the commit. Each batch that is prepared meanwhile must be given it.
 */
export type Beside = ReadonlySet<string>

export const NOT_BESIDE: Beside = new Set()

/** What is not to be known about people goes before anything else is made of the record: its hash, too. */
const identify =
  (stream: Guarded) =>
  ({ record: sent, readAt, ...marks }: SourceRecord): HashedRecord => {
    const record = stream.redact(sent)
    return {
      ...marks,
      record,
      readAt: readAt.toISOString(),
      id: recordIdOf(stream.source, record),
      hash: contentHash(record, stream.version),
    }
  }

/** True if what was read is to be stored as the record's version. */
const isVersion = ({ isForeign, isUnanswered }: Marks): boolean => isForeign !== true && isUnanswered !== true

/** The reject that a record of another merchant is. */
export const foreignReject = (stream: Stream, { record, readAt, id, hash }: HashedRecord): Reject => {
  const field = stream.source.kind === "list" ? stream.source.merchantField : null
  const reason = `${field ?? "record"}: is another merchant's; PAYCOMBAT_MERCHANTS lets it through where it is this account's`
  const raw = stringifyJson(record)
  // Its content makes no difference to what it is, but Postgres must be able to hold the id.
  return rejectOf({ kind: "merchant", id, field, reason, raw, hash, readAt })
}

/** A list item without a part that is asked for by id, and whose id cannot be asked for. */
const lacksPartsForGood = ({ source }: Stream, record: Json, id: string | null): boolean =>
  source.kind === "list" &&
  source.detail !== null &&
  id !== null &&
  !isAddressable(id) &&
  isJsonObject(record) &&
  source.detail.isNeeded(record)

/** Decodes a record and makes its rows, or says why it cannot become one. */
export const decode = (
  stream: Stream,
  { record, readAt, id, hash, isListed = false }: HashedRecord,
): Either.Either<DecodedRecord, Reject> => {
  const raw = stringifyJson(record)
  const reject = (field: string | null, reason: string): Reject =>
    rejectOf({ id, field, reason, raw, hash, readAt })
  const unstorable = unstorableText(record, raw)
  if (unstorable !== undefined) {
    const field = pathName(stream, unstorable.path)
    return Either.left(reject(field || null, `${field || "record"}: ${unstorable.problem}`))
  }
  return stream.decode(record).pipe(
    Either.mapLeft(issue => {
      const { idField } = stream.source
      if (lacksPartsForGood(stream, record, id))
        return reject(
          idField,
          `${idField}: cannot stand in a path, so what the list leaves out of the record was not asked for; ask PayCombat for a proper id`,
        )
      const { field, reason } = explain(record, issue)
      return reject(field, reason)
    }),
    Either.filterOrLeft(
      () => id !== null,
      () => reject(stream.source.idField, `${stream.source.idField}: is missing or not an id`),
    ),
    Either.map(decoded => {
      const sourceUpdatedAt = timeOfChange(decoded.sourceUpdatedAt, readAt)
      const normalized = { ...withoutTwins(stream, record, decoded), sourceUpdatedAt }
      return { id: id!, hash, readAt, raw, normalized, isListed }
    }),
  )
}

/** Which of the records are not stored as they are, by position; `returned` were booked as removed. */
const probe = async (
  sql: postgres.Sql,
  account: string,
  stream: Stream,
  records: ReadonlyArray<HashedRecord>,
) => {
  const { table } = shapeOf(stream.table)
  const columns = ["id", "hash"]
  const rows = records.map(({ id, hash }) => ({ id, hash }))
  // One look into the index per record: a plain join may read the whole index instead, for every batch.
  return sql.unsafe<Array<{ position: number; returned: boolean; isKnown: boolean }>>(
    `SELECT (s.ordinal - 1)::int AS position, t.removed_at IS NOT NULL AS returned,
       t.content_hash IS NOT NULL AS "isKnown"
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
  records: ReadonlyArray<HashedRecord>,
  changed: ReadonlyArray<{ readonly position: number }>,
  inFlight: Iterable<PreparedBatch>,
  beside: Beside,
): ReadonlyArray<HashedRecord> => {
  const positions = new Set(changed.map(({ position }) => position))
  const ids = new Set<string | null>(beside)
  for (const { position } of changed) ids.add(records[position]!.id)
  for (const { versions } of inFlight) for (const { id } of versions) ids.add(id)
  return records.filter(({ id }, position) => positions.has(position) || (id !== null && ids.has(id)))
}

/** How many records were decoded by field, and how many of these hold a value in it that could not be read. */
const unreadAmong = (
  versions: ReadonlyArray<DecodedRecord>,
  tally: Tally,
): Pick<PassFields, "decoded" | "unread"> => {
  const unread: Record<string, number> = {}
  for (const { normalized } of versions)
    for (const name of new Set((normalized.unread ?? []).map(({ path }) => nameOfPart(path))))
      unread[name] = (unread[name] ?? 0) + 1
  const decoded = Object.entries(tally).map(([name, { carried }]) => [name, carried] as const)
  return { unread, decoded: Object.fromEntries(decoded) }
}

/** Which fields the records carry and lack that are not stored in any version. One that may still change may still get a field. */
const newAmong = (
  stream: Stream,
  sent: ReadonlyMap<string, Json>,
  versions: ReadonlyArray<DecodedRecord>,
): Pick<PassFields, "newCarried" | "newLacked"> => {
  const settled = new Set(
    versions.flatMap(({ id, normalized }) => (mayStillChange(stream, normalized.row) ? [] : [id])),
  )
  const paths = fieldPaths(stream.record)
  const counts = (state: FieldState, records: ReadonlyArray<Json>) =>
    Object.fromEntries(
      Object.entries(tallyOf(paths, records)).flatMap(([name, tally]) =>
        tally[state] > 0 ? [[name, tally[state]] as const] : [],
      ),
    )
  return {
    newCarried: counts("carried", [...sent.values()]),
    newLacked: counts(
      "lacked",
      [...sent].flatMap(([id, record]) => (settled.has(id) ? [record] : [])),
    ),
  }
}

/** Finds out what a batch changes, and makes the rows of it. `inFlight`: batches before it that may not be written yet. */
export const prepare = async (
  sql: postgres.Sql,
  account: string,
  stream: Guarded,
  extracted: ReadonlyArray<SourceRecord>,
  inFlight: Iterable<PreparedBatch> = [],
  beside: Beside = NOT_BESIDE,
): Promise<PreparedBatch> => {
  const { kept, erased, found } = await withoutErased(sql, account, stream, extracted)
  const records = kept.map(identify(stream))
  const own = records.filter(isVersion)
  const changed = await probe(sql, account, stream, own)
  const candidates = withRivals(own, changed, inFlight, beside)
  const decoded = candidates.map(record => decode(stream, record))
  const { versions, rejects: inConflict } = withoutConflicts(
    stream,
    decoded.flatMap(result => (Either.isRight(result) ? [result.right] : [])),
  )
  // As they were sent: a mode of privacy that leaves a value out says nothing about the API.
  const sent = kept.filter(isVersion).map(({ record }) => record)
  const sentOf = (isStored: boolean) =>
    new Map(
      changed.flatMap(({ position, isKnown }) => {
        const { id } = own[position]!
        return isKnown === isStored && id !== null ? [[id, sent[position]!]] : []
      }),
    )
  const known = sentOf(true)
  const paths = fieldPaths(stream.record)
  const tally = tallyOf(paths, sent)
  const lost = await lostFields(sql, account, stream, known)
  const isDecoded = new Set(candidates)
  return {
    fields: {
      tally,
      known: own.length - changed.length + known.size,
      emptied: lost.emptied,
      ...newAmong(stream, sentOf(false), versions),
      ...unreadAmong(
        versions,
        tallyOf(
          paths,
          sent.filter((_, position) => isDecoded.has(own[position]!)),
        ),
      ),
    },
    lost,
    records,
    unchanged: own.length - candidates.length,
    versions,
    contested: versions.filter(({ id }) => beside.has(id)),
    rejects: [
      ...decoded.flatMap(result => (Either.isLeft(result) ? [result.left] : [])),
      ...inConflict,
      ...records.filter(({ isForeign }) => isForeign).map(record => foreignReject(stream, record)),
    ],
    returned: changed.flatMap(({ position, returned }) => (returned ? [own[position]!.id!] : [])),
    erased,
    found,
  }
}
