import type { DecodedRecord } from "../../core/decodedRecord.ts"
import type { Row, Stream } from "../../core/stream.ts"
import { arraysOf, lookUpByKey, unnestOf, upsert } from "../../postgres/bulk.ts"
import { sqlState } from "../../postgres/failures.ts"
import { shapeOf, type Transaction } from "../../postgres/shape.ts"
import type { Lease } from "../ledger/lease.ts"
import { NO_PARTS, type PartCounts, sumOfParts, writePartRejects } from "../ledger/partRejects.ts"
import { type Reject, rejectOf } from "../ledger/rejects.ts"
import { writeChildren, writeHistories } from "./dependents.ts"
import { partsOf } from "./slices.ts"

/** Writes versions of records, with all that goes with them; which version of a record stays, Postgres decides. */

/**
 * The order of a record's versions, for Postgres to apply. Of two that both carry a time of change the one that changed
 * later stays, and of equal times the later read. Where one of the two carries none, nothing but the reading tells which
 * is newer: a source that stops saying when its records change must not freeze them. Of two that were read at one moment
 * the hashes decide, so that the order of writing does not.
 *
 * With a version without a time between them, two versions may each give way to the other: this is no order by which
 * several can be sorted. Such versions of one record are written one after the other, as they were read (`partsOf`).
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
 * A version that was read long ago, such as a replayed reject, gives way to all that was read since. Its time of change
 * does not help: versions without one may have come in between, each of which a later read would have replaced.
 */
const NOT_READ_BEFORE = `excluded.read_at >= t.read_at AND ${NOT_OLDER}`
/** Which of several versions is the newest, of those that can be sorted: all of them carry a time, or none does. */
const NEWEST_FIRST =
  'source_updated_at DESC NULLS LAST, read_at DESC, content_hash COLLATE "C" DESC, ordinal DESC'
/** A batch is prepared while the one before it is being written: what both hold is then stored already. */
const IS_OTHER = "t.content_hash <> excluded.content_hash"
const IS_OTHER_OR_BACK = `(${IS_OTHER} OR t.removed_at IS NOT NULL)`

/**
 * True if versions were just read. Others, which were read long ago, say nothing about what was booked as removed since they
 * were read, and replace nothing that was read since.
 */
interface Origin {
  readonly isListed: boolean
}

const LISTED: Origin = { isListed: true }

const recordRow = (
  lease: Lease,
  { id, hash, readAt, raw, normalized }: DecodedRecord,
  stream: Stream,
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
})

/** What became of versions that were written; those that were too old are in none of the counts. */
export interface Written extends PartCounts {
  readonly inserted: number
  readonly updated: number
  /** Versions that turned out to be stored already, by the batch before. */
  readonly unchanged: number
  readonly rejects: ReadonlyArray<Reject>
}

const NOTHING: Written = { inserted: 0, updated: 0, unchanged: 0, rejects: [], ...NO_PARTS }

const sumOf = (one: Written, other: Written): Written => ({
  inserted: one.inserted + other.inserted,
  updated: one.updated + other.updated,
  unchanged: one.unchanged + other.unchanged,
  rejects: [...one.rejects, ...other.rejects],
  ...sumOfParts(one, other),
})

/** The one version of each record that is now stored; of equal ones the latest read, as `NEWEST_FIRST` has it. */
const storedOf = (versions: ReadonlyArray<DecodedRecord>, hashes: ReadonlyMap<string, string>) => {
  const stored = new Map<string, DecodedRecord>()
  for (const version of versions) {
    if (hashes.get(version.id) !== version.hash) continue
    const other = stored.get(version.id)
    if (other === undefined || other.readAt <= version.readAt) stored.set(version.id, version)
  }
  return [...stored.values()]
}

/** How many of the versions that were not taken are what is stored: all others were too old. */
const storedAlready = async (
  tx: Transaction,
  lease: Lease,
  stream: Stream,
  versions: ReadonlyArray<DecodedRecord>,
  taken: ReadonlyArray<DecodedRecord>,
): Promise<number> => {
  const isTaken = new Set(taken)
  const rows = versions.filter(version => !isTaken.has(version)).map(({ id, hash }) => ({ id, hash }))
  const columns = ["id", "hash"]
  const [counted] = await tx.unsafe<Array<{ count: number }>>(
    `SELECT count(*)::int FROM ${unnestOf(columns, 2)}
     JOIN ${shapeOf(stream.table).table} AS t
       ON t.account = $1 AND t."${stream.idColumn}" = s.id AND t.content_hash = s.hash`,
    [lease.account, ...arraysOf(columns, rows)],
  )
  return counted?.count ?? 0
}

/** Writes versions with their children and histories. Which of them Postgres took is for Postgres to say. */
const writeVersions = async (
  tx: Transaction,
  lease: Lease,
  stream: Stream,
  versions: ReadonlyArray<DecodedRecord>,
  { isListed }: Origin,
): Promise<Written> => {
  const taken = await upsert<{ id: string; hash: string; inserted: boolean }>(tx, shapeOf(stream.table), {
    rows: versions.map(version => recordRow(lease, version, stream)),
    preference: NEWEST_FIRST,
    kept: isListed ? ["first_seen_at"] : ["first_seen_at", "removed_at"],
    guard: isListed ? `${IS_OTHER_OR_BACK} AND ${NOT_OLDER}` : `${IS_OTHER} AND ${NOT_READ_BEFORE}`,
    returning: `"${stream.idColumn}" AS id, content_hash AS hash, (xmax = 0) AS inserted`,
  })
  const current = storedOf(versions, new Map(taken.map(({ id, hash }) => [id, hash])))
  await writeChildren(tx, lease, stream, current)
  await writeHistories(tx, lease, stream, versions, current)
  const parts = await writePartRejects(tx, lease, stream, current)
  const inserted = taken.filter(row => row.inserted).length
  const unchanged =
    taken.length === versions.length ? 0 : await storedAlready(tx, lease, stream, versions, current)
  return { inserted, updated: taken.length - inserted, unchanged, rejects: [], ...parts }
}

/** Books versions that are stored as they are as read at their time: an older reading cannot replace them afterwards. */
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

/** SQLSTATE classes that blame a value: of a batch of rows, one or some are at fault, not Postgres. */
export const BAD_VALUE = /^(22|23|54)/

/**
 * Writes versions; where Postgres refuses a value that the decoder let pass, halves the batch until the
 * record at fault is alone, and makes a reject of it: one bad record never costs its neighbours.
 */
const writeOrReject = async (
  tx: Transaction,
  lease: Lease,
  stream: Stream,
  versions: ReadonlyArray<DecodedRecord>,
  origin: Origin,
): Promise<Written> => {
  if (versions.length === 0) return NOTHING
  try {
    return await tx.savepoint(inner => writeVersions(inner, lease, stream, versions, origin))
  } catch (error) {
    const code = sqlState(error)
    if (code === undefined || !BAD_VALUE.test(code)) throw error
    const [only] = versions
    if (versions.length === 1 && only !== undefined) {
      // Not in its words, which quote the value.
      const reason = `record: Postgres refused it (${code})`
      return { ...NOTHING, rejects: [rejectOf({ ...only, field: null, reason })] }
    }
    const middle = versions.length >> 1
    const left = await writeOrReject(tx, lease, stream, versions.slice(0, middle), origin)
    const right = await writeOrReject(tx, lease, stream, versions.slice(middle), origin)
    return sumOf(left, right)
  }
}

/** Writes versions, as many statements as it takes; each that Postgres refuses comes back as a reject. */
export const writeAll = async (
  tx: Transaction,
  lease: Lease,
  stream: Stream,
  versions: ReadonlyArray<DecodedRecord>,
  origin: Origin = LISTED,
): Promise<Written> => {
  await lookUpByKey(tx)
  let written = NOTHING
  for (const part of partsOf(stream, versions))
    written = sumOf(written, await writeOrReject(tx, lease, stream, part, origin))
  return written
}
