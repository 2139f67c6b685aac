import { addCounts, type Counts, NO_COUNTS } from "../../core/counts.ts"
import type { DecodedRecord } from "../../core/decodedRecord.ts"
import type { Row, Stream } from "../../core/stream.ts"
import { arraysOf, lookUpByKey, unnestOf, upsert } from "../../postgres/bulk.ts"
import { shapeOf, type Transaction } from "../../postgres/shape.ts"
import { cutByLength } from "../../postgres/statementSize.ts"
import type { Lease } from "../ledger/lease.ts"
import { writePartRejects } from "../ledger/partRejects.ts"
import { zoneFor } from "../ledger/reckoning.ts"
import { type Reject, rejectOf } from "../ledger/rejects.ts"
import { bisect, refusedReason } from "./bisect.ts"
import { writeChildren } from "./children.ts"
import { writeHistories } from "./histories.ts"

/** Writes versions of records, with their children and histories. Postgres decides which version of a record stays. */

/**
 * Order of a record's versions, as a condition for Postgres. If both carry a time of change, the later change stays, and of
 * equal times the later read. If one of them carries none, the later read stays: a source that stops saying when its records
 * change must not freeze them. The hashes decide between two that were read at one moment, so that the order of writing does not.
 *
 * Three versions of which one carries no time may each give way to another, so this order does not sort them. Such versions
 * are written one after the other, in the order of reading (`statementsOf`).
 */
const isNotOlder = (...columns: ReadonlyArray<string>): string => {
  const versionOf = (row: string) => `(${columns.map(column => `${row}.${column}`).join(", ")})`
  return `${versionOf("excluded")} >= ${versionOf("t")}`
}
const READING = ["read_at", 'content_hash COLLATE "C"']
const NOT_OLDER = `CASE
  WHEN excluded.source_updated_at IS NOT NULL AND t.source_updated_at IS NOT NULL
    THEN ${isNotOlder("source_updated_at", ...READING)}
  ELSE ${isNotOlder(...READING)} END`
/**
 * A version that was read long ago, such as a replayed reject, gives way to all that were read later, whatever its time of
 * change: a version without a time may have come in between, and a later read would have replaced it.
 */
const NOT_READ_BEFORE = `excluded.read_at >= t.read_at AND ${NOT_OLDER}`
/** Order that puts the newest of several versions first, if all of them carry a time of change or none does. */
const NEWEST_FIRST =
  'source_updated_at DESC NULLS LAST, read_at DESC, content_hash COLLATE "C" DESC, ordinal DESC'
/** A batch is prepared while the one before it is written, so a version in both is stored already. */
const IS_OTHER = "t.content_hash <> excluded.content_hash"
const IS_OTHER_OR_BACK = `(${IS_OTHER} OR t.removed_at IS NOT NULL)`

interface Origin {
  /** True for versions that were just read. Others say nothing about removals, and replace nothing that was read later. */
  readonly isListed: boolean
}

const recordRow = (
  lease: Lease,
  { id, hash, readAt, raw, normalized }: DecodedRecord,
  stream: Stream,
  zone: string | undefined,
): Row => ({
  ...normalized.row,
  [stream.idColumn]: id,
  account: lease.account,
  raw,
  content_hash: hash,
  source_updated_at: normalized.sourceUpdatedAt,
  read_at: readAt,
  first_seen_at: readAt,
  run_id: lease.runId,
  removed_at: null,
  ...(zone === undefined ? {} : { time_zone: zone }),
})

/** Compares by reading, the earlier first; of one moment as Postgres compares hashes. */
const byReading = (one: DecodedRecord, other: DecodedRecord): number => {
  if (one.readAt !== other.readAt) return one.readAt < other.readAt ? -1 : 1
  return one.hash < other.hash ? -1 : one.hash > other.hash ? 1 : 0
}

/** Groups versions: the first version of each record, then the second of each that has one, and so on. */
const rounds = (versions: ReadonlyArray<DecodedRecord>): ReadonlyArray<ReadonlyArray<DecodedRecord>> => {
  const groups: Array<Array<DecodedRecord>> = []
  const counts = new Map<string, number>()
  for (const version of [...versions].sort(byReading)) {
    const round = counts.get(version.id) ?? 0
    counts.set(version.id, round + 1)
    groups[round] ??= []
    groups[round].push(version)
  }
  return groups
}

/**
 * Divides versions into statements. Versions of one record go into one statement after the other, in the order of reading,
 * if some carry a time of change and others do not, and if the stream records each change. Otherwise the borders of batches
 * would decide which version stays, and whether a state between two others is recorded.
 */
const statementsOf = (
  stream: Stream,
  versions: ReadonlyArray<DecodedRecord>,
): ReadonlyArray<ReadonlyArray<DecodedRecord>> => {
  const recordsChanges = stream.histories.some(({ kind }) => kind !== "first_seen")
  if (recordsChanges) return rounds(versions).flatMap(round => cutByLength(round))
  const isTimed = ({ normalized }: DecodedRecord) => normalized.sourceUpdatedAt !== null
  const timed = new Set(versions.filter(isTimed).map(({ id }) => id))
  const mixed = new Set(
    versions.filter(version => !isTimed(version) && timed.has(version.id)).map(({ id }) => id),
  )
  const sortable = versions.filter(({ id }) => !mixed.has(id))
  const others = versions.filter(({ id }) => mixed.has(id))
  return [sortable, ...rounds(others)].flatMap(part => cutByLength(part))
}

/** Outcome of versions that were written. Versions that were too old are in none of its counts. */
interface Written {
  readonly counts: Counts
  readonly rejects: ReadonlyArray<Reject>
}

/** Selects the version of each record that is now stored; of equal ones the latest read, as `NEWEST_FIRST` does. */
const storedOf = (versions: ReadonlyArray<DecodedRecord>, hashes: ReadonlyMap<string, string>) => {
  const stored = new Map<string, DecodedRecord>()
  for (const version of versions) {
    if (hashes.get(version.id) !== version.hash) continue
    const other = stored.get(version.id)
    if (other === undefined || other.readAt <= version.readAt) stored.set(version.id, version)
  }
  return [...stored.values()]
}

/** Counts the versions beside `current` that are stored as they are. All others were too old. */
const countUnchanged = async (
  tx: Transaction,
  lease: Lease,
  stream: Stream,
  versions: ReadonlyArray<DecodedRecord>,
  current: ReadonlyArray<DecodedRecord>,
): Promise<number> => {
  const isCurrent = new Set(current)
  const rows = versions.filter(version => !isCurrent.has(version)).map(({ id, hash }) => ({ id, hash }))
  const columns = ["id", "hash"]
  const [{ count }] = await tx.unsafe<[{ count: number }]>(
    `SELECT count(*)::int FROM ${unnestOf(columns, 2)}
     JOIN ${shapeOf(stream.table).table} AS t
       ON t.account = $1 AND t."${stream.idColumn}" = s.id AND t.content_hash = s.hash`,
    [lease.account, ...arraysOf(columns, rows)],
  )
  return count
}

/** Writes versions in one statement, then the children and histories of those that Postgres took. */
const writeVersions = async (
  tx: Transaction,
  lease: Lease,
  stream: Stream,
  versions: ReadonlyArray<DecodedRecord>,
  { isListed }: Origin,
): Promise<Written> => {
  const shape = shapeOf(stream.table)
  const zone = await zoneFor(tx, shape, lease.account)
  const rows = await upsert<{ id: string; hash: string; inserted: boolean }>(tx, shape, {
    rows: versions.map(version => recordRow(lease, version, stream, zone)),
    preference: NEWEST_FIRST,
    kept: isListed ? ["first_seen_at"] : ["first_seen_at", "removed_at"],
    guard: isListed ? `${IS_OTHER_OR_BACK} AND ${NOT_OLDER}` : `${IS_OTHER} AND ${NOT_READ_BEFORE}`,
    returning: `"${stream.idColumn}" AS id, content_hash AS hash, (xmax = 0) AS inserted`,
  })
  const current = storedOf(versions, new Map(rows.map(({ id, hash }) => [id, hash])))
  await writeChildren(tx, lease, stream, current)
  await writeHistories(tx, lease, stream, versions, current)
  const parts = await writePartRejects(tx, lease, stream, current)
  const inserted = rows.filter(row => row.inserted).length
  const unchanged =
    rows.length === versions.length ? 0 : await countUnchanged(tx, lease, stream, versions, current)
  const counts = { ...NO_COUNTS, inserted, updated: rows.length - inserted, unchanged, ...parts }
  return { counts, rejects: [] }
}

/** Books the time of reading of versions that are stored as they are, so that an older reading cannot replace them. */
export const bookRead = async (
  tx: Transaction,
  lease: Lease,
  stream: Stream,
  versions: ReadonlyArray<DecodedRecord>,
): Promise<void> => {
  if (versions.length === 0) return
  const columns = ["id", "hash", "read_at"]
  const rows = versions.map(({ id, hash, readAt }) => ({ id, hash, read_at: readAt }))
  await tx.unsafe(
    `UPDATE ${shapeOf(stream.table).table} AS t SET read_at = s.read_at::timestamptz FROM ${unnestOf(columns, 2)}
     WHERE t.account = $1 AND t."${stream.idColumn}" = s.id AND t.content_hash = s.hash
       AND t.read_at < s.read_at::timestamptz`,
    [lease.account, ...arraysOf(columns, rows)],
  )
}

/**
 * Writes versions, in as many statements as it takes. A version with a value that the decoder let pass and Postgres refuses
 * becomes a reject.
 */
export const writeAll = async (
  tx: Transaction,
  lease: Lease,
  stream: Stream,
  versions: ReadonlyArray<DecodedRecord>,
  origin: Origin = { isListed: true },
): Promise<Written> => {
  await lookUpByKey(tx)
  const written: Array<Written> = []
  for (const statement of statementsOf(stream, versions))
    written.push(
      ...(await bisect(
        tx,
        statement,
        (savepoint, some) => writeVersions(savepoint, lease, stream, some, origin),
        (version, error): Written => ({
          counts: NO_COUNTS,
          rejects: [rejectOf({ ...version, field: null, reason: refusedReason(error) })],
        }),
      )),
    )
  return {
    counts: written.reduce((sum, { counts }) => addCounts(sum, counts), NO_COUNTS),
    rejects: written.flatMap(({ rejects }) => rejects),
  }
}
