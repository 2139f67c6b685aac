import { Effect } from "effect"
import type postgres from "postgres"
import type { LeaseError, WarehouseError } from "../Errors.ts"
import type { Row, Stream } from "../Stream.ts"
import { arrayLiteral, arraysOf, lookUpByKey, shapeOf, type Transaction, unnestOf, upsert } from "./bulk.ts"
import { attempt, retryTransient, sqlState } from "./Database.ts"
import { writeChildren, writeHistories } from "./dependents.ts"
import { bury } from "./erasures.ts"
import { fenced, type Held } from "./Lease.ts"
import { cutByLength, partsOf } from "./parts.ts"
import { type Extracted, type Prepared, prepare, type Version } from "./prepare.ts"
import { clearRejects, type Reject, rejectOf, writeRejects } from "./rejects.ts"

/**
 * Loads records: hash → probe → decode and normalize what is new or changed → write it, with the ledger, in
 * one transaction. An unchanged record costs its hash and its share of the probe, and no write in `warehouse`.
 */

/** What became of the records of a batch; `extracted` is the sum of the others. */
export interface Counts {
  readonly extracted: number
  readonly inserted: number
  readonly updated: number
  readonly unchanged: number
  readonly stale: number
  readonly rejected: number
  /** Not stored again: records of erased persons. */
  readonly erased: number
}

/** Where the pass goes on when this batch is committed. */
export interface Progress {
  /** The pass over the whole list that this is part of; null where what is loaded proves nothing about the rest. */
  readonly passId: string | null
  /** Where the pass goes on once the batch is committed, as JSON; null when nothing is left to read. */
  readonly position: unknown
  readonly pages: number
  readonly requests: number
  readonly retries: number
}

/**
 * Postgres' own order of a record's versions; the greater one stays. Of two that share both times, such as those of
 * one page, nobody knows: their hashes decide, so that the order in which they are written does not.
 */
const NEWER_FIRST =
  'source_updated_at DESC NULLS LAST, read_at DESC, content_hash COLLATE "C" DESC, ordinal DESC'
const versionOf = (row: string) =>
  `(coalesce(${row}.source_updated_at, '-infinity'), ${row}.read_at, ${row}.content_hash COLLATE "C")`
const NOT_OLDER = `${versionOf("excluded")} >= ${versionOf("t")}`
/** A batch is prepared while the one before it is being written: what both hold is then stored already. */
const IS_OTHER = "(t.content_hash <> excluded.content_hash OR t.removed_at IS NOT NULL)"

const recordRow = (held: Held, { id, hash, readAt, raw, normalized }: Version, stream: Stream): Row => ({
  ...normalized.row,
  [stream.idColumn]: id,
  account: held.account,
  raw,
  content_hash: hash,
  source_updated_at: normalized.sourceUpdatedAt,
  read_at: readAt,
  first_seen_at: readAt,
  run_id: held.runId,
  removed_at: null,
})

/** What became of versions that were written; those that were too old are in none of the counts. */
export interface Written {
  readonly inserted: number
  readonly updated: number
  /** Versions that turned out to be stored already, by the batch before. */
  readonly unchanged: number
  readonly rejects: ReadonlyArray<Reject>
}

const NOTHING: Written = { inserted: 0, updated: 0, unchanged: 0, rejects: [] }

const sumOf = (one: Written, other: Written): Written => ({
  inserted: one.inserted + other.inserted,
  updated: one.updated + other.updated,
  unchanged: one.unchanged + other.unchanged,
  rejects: [...one.rejects, ...other.rejects],
})

/** The one version of each record that is now stored; of equal ones the latest read, as `NEWER_FIRST` has it. */
const storedOf = (versions: ReadonlyArray<Version>, hashes: ReadonlyMap<string, string>) => {
  const stored = new Map<string, Version>()
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
  held: Held,
  stream: Stream,
  versions: ReadonlyArray<Version>,
  taken: ReadonlyArray<Version>,
): Promise<number> => {
  const isTaken = new Set(taken)
  const rows = versions.filter(version => !isTaken.has(version)).map(({ id, hash }) => ({ id, hash }))
  const columns = ["id", "hash"]
  const [counted] = await tx.unsafe<Array<{ count: number }>>(
    `SELECT count(*)::int FROM ${unnestOf(columns, 2)}
     JOIN ${shapeOf(stream.table).table} AS t
       ON t.account = $1 AND t."${stream.idColumn}" = s.id AND t.content_hash = s.hash`,
    [held.account, ...arraysOf(columns, rows)],
  )
  return counted?.count ?? 0
}

/** Writes versions with their children and histories. Which of them Postgres took is for Postgres to say. */
const writeVersions = async (
  tx: Transaction,
  held: Held,
  stream: Stream,
  versions: ReadonlyArray<Version>,
): Promise<Written> => {
  const taken = await upsert<{ id: string; hash: string; inserted: boolean }>(tx, shapeOf(stream.table), {
    rows: versions.map(version => recordRow(held, version, stream)),
    preference: NEWER_FIRST,
    kept: ["first_seen_at"],
    guard: `${IS_OTHER} AND ${NOT_OLDER}`,
    returning: `"${stream.idColumn}" AS id, content_hash AS hash, (xmax = 0) AS inserted`,
  })
  const current = storedOf(versions, new Map(taken.map(({ id, hash }) => [id, hash])))
  await writeChildren(tx, held, stream, current)
  await writeHistories(tx, held, stream, versions, current)
  const inserted = taken.filter(row => row.inserted).length
  const unchanged =
    taken.length === versions.length ? 0 : await storedAlready(tx, held, stream, versions, current)
  return { inserted, updated: taken.length - inserted, unchanged, rejects: [] }
}

/** SQLSTATE classes that blame a value: of a batch of rows, one or some are at fault, not Postgres. */
export const BAD_VALUE = /^(22|23|54)/

/**
 * Writes versions; where Postgres refuses a value that the decoder let pass, halves the batch until the
 * record at fault is alone, and makes a reject of it: one bad record never costs its neighbours.
 */
const writeOrReject = async (
  tx: Transaction,
  held: Held,
  stream: Stream,
  versions: ReadonlyArray<Version>,
): Promise<Written> => {
  if (versions.length === 0) return NOTHING
  try {
    return await tx.savepoint(inner => writeVersions(inner, held, stream, versions))
  } catch (error) {
    const code = sqlState(error)
    if (code === undefined || !BAD_VALUE.test(code)) throw error
    const [only] = versions
    if (versions.length === 1 && only !== undefined) {
      const reason = `record: Postgres refused it: ${error instanceof Error ? error.message : code} (${code})`
      return { ...NOTHING, rejects: [rejectOf({ ...only, field: null, reason })] }
    }
    const middle = versions.length >> 1
    const left = await writeOrReject(tx, held, stream, versions.slice(0, middle))
    const right = await writeOrReject(tx, held, stream, versions.slice(middle))
    return sumOf(left, right)
  }
}

/** Writes versions, as many statements as it takes; each that Postgres refuses comes back as a reject. */
export const writeAll = async (
  tx: Transaction,
  held: Held,
  stream: Stream,
  versions: ReadonlyArray<Version>,
): Promise<Written> => {
  await lookUpByKey(tx)
  let written = NOTHING
  for (const part of partsOf(stream, versions))
    written = sumOf(written, await writeOrReject(tx, held, stream, part))
  return written
}

const bookPosition = async (
  tx: Transaction,
  held: Held,
  ids: ReadonlyArray<string>,
  passId: string,
  position: unknown,
) => {
  const { count: seen } = await tx`
    INSERT INTO sync.seen_keys (pass_id, record_id)
    SELECT ${passId}::uuid, id FROM unnest(${arrayLiteral(ids)}::text[]) AS id
    ON CONFLICT DO NOTHING`
  await tx`
    UPDATE sync.checkpoints
    SET position = ${JSON.stringify(position)}::text::jsonb, updated_at = clock_timestamp(),
      seen_keys = seen_keys + ${seen}
    WHERE account = ${held.account} AND stream = ${held.stream} AND pass_id = ${passId}`
}

const bookProgress = async (
  tx: Transaction,
  held: Held,
  counts: Counts,
  ids: ReadonlyArray<string>,
  progress: Progress,
) => {
  if (progress.passId !== null) await bookPosition(tx, held, ids, progress.passId, progress.position)
  await tx`
    UPDATE sync.stream_runs
    SET pages = pages + ${progress.pages}, extracted = extracted + ${counts.extracted},
      inserted = inserted + ${counts.inserted}, updated = updated + ${counts.updated},
      unchanged = unchanged + ${counts.unchanged}, stale = stale + ${counts.stale},
      rejected = rejected + ${counts.rejected}, erased = erased + ${counts.erased},
      requests = ${progress.requests}, retries = ${progress.retries}
    WHERE run_id = ${held.runId} AND account = ${held.account} AND stream = ${held.stream}`
}

const write =
  (
    held: Held,
    stream: Stream,
    { records, versions, returned, erased, found, ...prepared }: Prepared,
    progress: Progress,
  ) =>
  async (tx: Transaction): Promise<Counts> => {
    const written = await writeAll(tx, held, stream, versions)
    const rejects = [...prepared.rejects, ...written.rejects]
    if (returned.length > 0) {
      await tx.unsafe(
        `UPDATE ${shapeOf(stream.table).table} SET removed_at = NULL
         WHERE account = $1 AND "${stream.idColumn}" = ANY($2::text[]) AND removed_at IS NOT NULL`,
        [held.account, arrayLiteral(returned)],
      )
    }
    for (const part of cutByLength(rejects)) await writeRejects(tx, held, part)
    const [open] = await tx`
      SELECT 1 FROM sync.rejects WHERE account = ${held.account} AND stream = ${held.stream} LIMIT 1`
    if (open !== undefined) {
      const bad = new Set(rejects.map(({ hash }) => hash))
      await clearRejects(
        tx,
        held,
        records.flatMap(({ id, readAt, hash }) => (id === null || bad.has(hash) ? [] : [{ id, readAt }])),
        bad,
      )
    }
    const { inserted, updated } = written
    const unchanged = prepared.unchanged + written.unchanged
    const extracted = records.length + erased.length
    const rejected = rejects.length
    const stale = extracted - inserted - updated - unchanged - rejected - erased.length
    const counts: Counts = { extracted, inserted, updated, unchanged, stale, rejected, erased: erased.length }
    // A record that is left out was shown all the same: what the list is said to hold must add up.
    const ids = [...records.flatMap(({ id }) => (id === null ? [] : [id])), ...erased]
    await bury(tx, held.account, found)
    await bookProgress(tx, held, counts, ids, progress)
    return counts
  }

/**
 * Finds out what a batch changes, and makes its rows; writes nothing. May run while batches before it are not yet
 * written, when these are `inFlight`: a record that both hold is then compared when this one is written.
 */
export const prepareBatch = (
  sql: postgres.Sql,
  held: Held,
  stream: Stream,
  extracted: ReadonlyArray<Extracted>,
  inFlight: Iterable<Prepared> = [],
): Effect.Effect<Prepared, WarehouseError> =>
  retryTransient(attempt(() => prepare(sql, held.account, stream, extracted, inFlight)))

/**
 * Writes a batch: rows, rejects, histories, seen keys, counters and position commit together or not at all.
 * Not interruptible, so that a run that is told to stop finishes the batch in hand.
 *
 * Fails with `LeaseError` when another run took the lease over; then nothing of the batch was written.
 */
export const writeBatch = (
  sql: postgres.Sql,
  held: Held,
  stream: Stream,
  prepared: Prepared,
  progress: Progress,
): Effect.Effect<Counts, LeaseError | WarehouseError> =>
  Effect.uninterruptible(fenced(sql, held, write(held, stream, prepared, progress)))

/** Prepares and writes a batch. */
export const loadBatch = (
  sql: postgres.Sql,
  held: Held,
  stream: Stream,
  extracted: ReadonlyArray<Extracted>,
  progress: Progress,
): Effect.Effect<Counts, LeaseError | WarehouseError> =>
  Effect.flatMap(prepareBatch(sql, held, stream, extracted), prepared =>
    writeBatch(sql, held, stream, prepared, progress),
  )
