import type { DecodedRecord } from "../../core/decodedRecord.ts"
import { instantMillis } from "../../core/instant.ts"
import type { Stream } from "../../core/stream.ts"
import { arraysOf, unnestOf } from "../../postgres/bulk.ts"
import { shapeOf, type Transaction } from "../../postgres/shape.ts"
import type { Lease } from "../ledger/lease.ts"
import { type Reject, rejectOf } from "../ledger/rejects.ts"

/**
 * Conflicts: records of one list with one id that differ, if nothing tells which is newer. One of them is the row, the
 * other one is a reject, so that it is not lost silently.
 *
 * Two records of one page are in conflict if their times of change are the same or missing. On different pages one may be a
 * later version of the other, because a list that moves can show a record twice. There they are in conflict only if the
 * stream's time of change follows each change, and is the same.
 */

/** True if each change of a record changes its time of change. */
const followsChanges = ({ source }: Stream): boolean => source.kind === "list" && source.times !== undefined

/** True for a version from a list whose time of change says whether it is another one. */
const isTimed = (stream: Stream, version: DecodedRecord): boolean =>
  version.isListed === true && timeOf(version) !== null && followsChanges(stream)

const timeOf = ({ normalized: { sourceUpdatedAt } }: DecodedRecord) => instantMillis(sourceUpdatedAt)

const areInConflict = (stream: Stream, one: DecodedRecord, other: DecodedRecord): boolean =>
  one.hash !== other.hash &&
  timeOf(one) === timeOf(other) &&
  (one.readAt === other.readAt || [one, other].every(version => isTimed(stream, version)))

/** Puts the later read first; of one moment the version that Postgres keeps. */
const latestFirst = (one: DecodedRecord, other: DecodedRecord): number => {
  if (one.readAt !== other.readAt) return one.readAt < other.readAt ? 1 : -1
  return one.hash < other.hash ? 1 : -1
}

const conflictReject = (
  { source: { idField } }: Stream,
  version: Pick<DecodedRecord, "id" | "raw" | "hash">,
  readAt: string,
): Reject =>
  rejectOf({
    id: version.id,
    field: idField,
    reason: `${idField}: another record of the list has the same id and no other time of change, and differs: that one is the row`,
    raw: version.raw,
    hash: version.hash,
    // The time of the other record: a later one would answer this reject.
    readAt,
  })

/** Divides a batch into versions without conflicts, and rejects for the others. */
export const withoutConflicts = (
  stream: Stream,
  versions: ReadonlyArray<DecodedRecord>,
): { readonly versions: ReadonlyArray<DecodedRecord>; readonly rejects: ReadonlyArray<Reject> } => {
  const groups = new Map<string, Array<DecodedRecord>>()
  for (const version of versions) {
    const group = groups.get(version.id)
    if (group === undefined) groups.set(version.id, [version])
    else group.push(version)
  }
  const lost = new Map<DecodedRecord, Reject>()
  for (const group of groups.values()) {
    if (group.length === 1) continue
    const kept: Array<DecodedRecord> = []
    for (const version of [...group].sort(latestFirst)) {
      const winner = kept.find(other => areInConflict(stream, other, version))
      if (winner === undefined) kept.push(version)
      else lost.set(version, conflictReject(stream, version, winner.readAt))
    }
  }
  return {
    versions: lost.size === 0 ? versions : versions.filter(version => !lost.has(version)),
    rejects: [...lost.values()],
  }
}

/**
 * Makes rejects of stored records that are in conflict with versions of a later batch of the same pass: the later read
 * becomes the row. They were counted when they were stored.
 */
export const replacedInPass = async (
  tx: Transaction,
  lease: Lease,
  stream: Stream,
  versions: ReadonlyArray<DecodedRecord>,
): Promise<ReadonlyArray<Reject>> => {
  const timed = versions.filter(version => isTimed(stream, version))
  if (timed.length === 0) return []
  const columns = ["id", "hash", "time", "read_at"]
  const rows = timed.map(({ id, hash, readAt, normalized }) => ({
    id,
    hash,
    time: normalized.sourceUpdatedAt,
    read_at: readAt,
  }))
  const stored = await tx.unsafe<Array<{ id: string; hash: string; raw: string; position: number }>>(
    `SELECT s.id, t.content_hash AS hash, t.raw::text AS raw, (s.ordinal - 1)::int AS position
     FROM ${unnestOf(columns, 3)}
     JOIN ${shapeOf(stream.table).table} AS t
       ON t.account = $1 AND t."${stream.idColumn}" = s.id AND t.content_hash <> s.hash
       AND t.source_updated_at = s.time::timestamptz AND t.read_at < s.read_at::timestamptz
     WHERE EXISTS (
       SELECT FROM sync.checkpoints AS c JOIN sync.seen_keys AS k ON k.pass_id = c.pass_id
       WHERE c.account = $1 AND c.stream = $2 AND k.record_id = s.id)`,
    [lease.account, lease.stream, ...arraysOf(columns, rows)],
  )
  return stored.map(({ position, ...record }) => conflictReject(stream, record, timed[position]!.readAt))
}
