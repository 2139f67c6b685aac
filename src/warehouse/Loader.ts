import { Effect, Either, ParseResult, Schedule } from "effect"
import type postgres from "postgres"
import { LeaseError, type WarehouseError } from "../Errors.ts"
import { ID_LENGTH_MAX } from "../Fields.ts"
import { contentHash, type Json, stringifyJson } from "../Json.ts"
import type { Normalized, Row, Stream } from "../Stream.ts"
import { arrayLiteral, arraysOf, shapeOf, type Transaction, unnestOf, upsert } from "./bulk.ts"
import { sqlState, warehouseError } from "./Database.ts"
import { writeChildren, writeHistories } from "./dependents.ts"
import { type Held, renewWithin } from "./Lease.ts"
import { unstorableText } from "./unstorable.ts"

/**
 * Loads records: hash → probe → decode and normalize what is new or changed → write it, with the ledger, in
 * one transaction. An unchanged record costs its hash and its share of the probe, and no write in `warehouse`.
 */

/** A record as it was read, and the moment from which it is known to be at least that fresh. */
export interface Extracted {
  readonly record: Json
  readonly readAt: Date
}

/** What became of the records of a batch; `extracted` is the sum of the others. */
export interface Counts {
  readonly extracted: number
  readonly inserted: number
  readonly updated: number
  readonly unchanged: number
  readonly stale: number
  readonly rejected: number
}

/** Where the pass goes on when this batch is committed. */
export interface Progress {
  readonly passId: string
  /** Where the pass goes on once the batch is committed, as JSON; null when nothing is left to read. */
  readonly position: unknown
  readonly pages: number
  readonly requests: number
  readonly retries: number
}

/** Characters of a reject's reason that are kept. */
const REASON_LENGTH_MAX = 500

/** Attempts at a batch when Postgres was in the way for a moment: a deadlock, a lost connection, a restart. */
const RETRIES_MAX = 4
const TRANSIENT = /^(40001|40P01|53300|55P03|57P0[123]|08...|CONNECTION_.*|ECONN.*)$/

/** Postgres' own order of a record's versions; the greater one stays. */
const NEWER_FIRST = "source_updated_at DESC NULLS LAST, read_at DESC, ordinal DESC"
const NOT_OLDER =
  "(coalesce(excluded.source_updated_at, '-infinity'), excluded.read_at) >= (coalesce(t.source_updated_at, '-infinity'), t.read_at)"

interface Identified {
  readonly record: Json
  readonly readAt: string
  readonly id: string | null
  readonly hash: string
}

/** A record that decoded. */
export interface Version {
  readonly id: string
  readonly hash: string
  readonly readAt: string
  readonly raw: string
  readonly normalized: Normalized
}

interface Reject {
  readonly id: string | null
  readonly field: string | null
  readonly reason: string
  readonly raw: string
  readonly hash: string
  readonly readAt: string
}

/** The record's id where it is one that keys can hold: seen keys and rejects have it too, whatever the record decodes to. */
const idOf = (stream: Stream, record: Json): string | null => {
  if (typeof record !== "object" || record === null || Array.isArray(record)) return null
  const id = (record as Readonly<Record<string, Json>>)[stream.source.idField]
  const isId = typeof id === "string" && id !== "" && id.length <= ID_LENGTH_MAX
  return isId && !id.includes("\u0000") && id.isWellFormed() ? id : null
}

const identify =
  (stream: Stream) =>
  ({ record, readAt }: Extracted): Identified => ({
    record,
    readAt: readAt.toISOString(),
    id: idOf(stream, record),
    hash: contentHash(record, stream.version),
  })

/** Decodes a record and makes its rows, or says why it cannot become one. */
const decode = (stream: Stream, { record, readAt, id, hash }: Identified): Either.Either<Version, Reject> => {
  const raw = stringifyJson(record)
  const reject = (field: string | null, reason: string): Reject => ({
    id,
    field,
    reason: reason.slice(0, REASON_LENGTH_MAX),
    raw,
    hash,
    readAt,
  })
  const unstorable = unstorableText(record, raw)
  if (unstorable !== undefined) return Either.left(reject(unstorable.field, unstorable.reason))
  return stream.decode(record).pipe(
    Either.mapLeft(issue => {
      const [first] = ParseResult.ArrayFormatter.formatIssueSync(issue)
      const field = first === undefined ? "" : first.path.join(".")
      return reject(field || null, `${field || "record"}: ${first?.message ?? "does not decode"}`)
    }),
    Either.filterOrLeft(
      () => id !== null,
      () => reject(stream.source.idField, `${stream.source.idField}: is missing or not an id`),
    ),
    Either.map(normalized => ({ id: id!, hash, readAt, raw, normalized })),
  )
}

/** Which of the records are not stored as they are, by position; `returned` were booked as removed. */
const probe = async (
  sql: postgres.Sql,
  account: string,
  stream: Stream,
  records: ReadonlyArray<Identified>,
) => {
  const { table } = shapeOf(stream.table)
  const columns = ["id", "hash"]
  const rows = records.map(({ id, hash }) => ({ id, hash }))
  return sql.begin("READ ONLY", async tx => {
    // The planner may think that a wide table is cheaper read whole than probed by its key, batch after batch.
    await tx`SET LOCAL enable_seqscan = off`
    return tx.unsafe<Array<{ position: number; returned: boolean }>>(
      `SELECT (s.ordinal - 1)::int AS position, t.removed_at IS NOT NULL AS returned
       FROM ${unnestOf(columns, 2)}
       LEFT JOIN ${table} AS t ON t.account = $1 AND t."${stream.idColumn}" = s.id
       WHERE t.content_hash IS DISTINCT FROM s.hash OR t.removed_at IS NOT NULL`,
      [account, ...arraysOf(columns, rows)],
    )
  })
}

/**
 * The records to write: those that the probe named, and those that are stored as they are but share the batch
 * with another version of the same record. Which of them is the newest is then for the upsert to say.
 */
const withRivals = (
  records: ReadonlyArray<Identified>,
  changed: ReadonlyArray<{ readonly position: number }>,
): ReadonlyArray<Identified> => {
  const positions = new Set(changed.map(({ position }) => position))
  const ids = new Set(changed.map(({ position }) => records[position]!.id))
  return records.filter(({ id }, position) => positions.has(position) || (id !== null && ids.has(id)))
}

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

interface Written {
  readonly inserted: number
  readonly updated: number
  readonly rejects: ReadonlyArray<Reject>
}

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
    guard: NOT_OLDER,
    returning: `"${stream.idColumn}" AS id, content_hash AS hash, (xmax = 0) AS inserted`,
  })
  const current = storedOf(versions, new Map(taken.map(({ id, hash }) => [id, hash])))
  await writeChildren(tx, held, stream, current)
  await writeHistories(tx, held, stream, versions, current)
  const inserted = taken.filter(row => row.inserted).length
  return { inserted, updated: taken.length - inserted, rejects: [] }
}

/** SQLSTATE classes that blame a value: of a batch of rows, one or some are at fault, not Postgres. */
const BAD_VALUE = /^(22|23|54)/

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
  if (versions.length === 0) return { inserted: 0, updated: 0, rejects: [] }
  try {
    return await tx.savepoint(inner => writeVersions(inner, held, stream, versions))
  } catch (error) {
    const code = sqlState(error)
    if (code === undefined || !BAD_VALUE.test(code)) throw error
    const [only] = versions
    if (versions.length === 1 && only !== undefined) {
      const reason = `record: Postgres refused it: ${error instanceof Error ? error.message : code} (${code})`
      return {
        inserted: 0,
        updated: 0,
        rejects: [{ ...only, field: null, reason: reason.slice(0, REASON_LENGTH_MAX) }],
      }
    }
    const middle = versions.length >> 1
    const left = await writeOrReject(tx, held, stream, versions.slice(0, middle))
    const right = await writeOrReject(tx, held, stream, versions.slice(middle))
    return {
      inserted: left.inserted + right.inserted,
      updated: left.updated + right.updated,
      rejects: [...left.rejects, ...right.rejects],
    }
  }
}

const writeRejects = async (tx: Transaction, held: Held, rejects: ReadonlyArray<Reject>) => {
  if (rejects.length === 0) return
  const columns = ["record_id", "field", "reason", "raw", "content_hash", "read_at"]
  const rows = rejects.map(({ id, field, reason, raw, hash, readAt }) => ({
    record_id: id,
    field,
    reason: reason.replaceAll("\u0000", "\uFFFD").toWellFormed(),
    raw,
    content_hash: hash,
    read_at: readAt,
  }))
  await tx.unsafe(
    `INSERT INTO sync.rejects AS r
       (account, stream, run_id, record_id, field, reason, raw, content_hash, read_at, first_seen_at)
     SELECT DISTINCT ON (s.content_hash) $1, $2, $3::uuid, s.record_id, s.field, s.reason, s.raw, s.content_hash,
       s.read_at::timestamptz, s.read_at::timestamptz
     FROM ${unnestOf(columns, 4)}
     ORDER BY s.content_hash, s.ordinal
     ON CONFLICT (account, stream, content_hash) DO UPDATE
     SET read_at = greatest(r.read_at, excluded.read_at), reason = excluded.reason, field = excluded.field,
       run_id = excluded.run_id`,
    [held.account, held.stream, held.runId, ...arraysOf(columns, rows)],
  )
}

/**
 * A later version that is a row answers an earlier one that could not become one; one of the same moment only
 * if that is not among the rejects of this batch, such as its like on the same page.
 */
const clearRejects = async (
  tx: Transaction,
  held: Held,
  fine: ReadonlyArray<{ id: string; readAt: string }>,
  bad: ReadonlySet<string>,
) => {
  const columns = ["id", "read_at"]
  const rows = fine.map(({ id, readAt }) => ({ id, read_at: readAt }))
  await tx.unsafe(
    `DELETE FROM sync.rejects AS r USING ${unnestOf(columns, 4)}
     WHERE r.account = $1 AND r.stream = $2 AND r.record_id = s.id
       AND (r.read_at < s.read_at::timestamptz
         OR (r.read_at = s.read_at::timestamptz AND r.content_hash <> ALL ($3::text[])))`,
    [held.account, held.stream, arrayLiteral([...bad]), ...arraysOf(columns, rows)],
  )
}

const bookProgress = async (
  tx: Transaction,
  held: Held,
  counts: Counts,
  ids: ReadonlyArray<string>,
  progress: Progress,
) => {
  const { count: seen } = await tx`
    INSERT INTO sync.seen_keys (pass_id, record_id)
    SELECT ${progress.passId}::uuid, id FROM unnest(${arrayLiteral(ids)}::text[]) AS id
    ON CONFLICT DO NOTHING`
  await tx`
    UPDATE sync.checkpoints
    SET position = ${JSON.stringify(progress.position)}::text::jsonb, updated_at = clock_timestamp(),
      seen_keys = seen_keys + ${seen}
    WHERE account = ${held.account} AND stream = ${held.stream} AND pass_id = ${progress.passId}`
  await tx`
    UPDATE sync.stream_runs
    SET pages = pages + ${progress.pages}, extracted = extracted + ${counts.extracted},
      inserted = inserted + ${counts.inserted}, updated = updated + ${counts.updated},
      unchanged = unchanged + ${counts.unchanged}, stale = stale + ${counts.stale},
      rejected = rejected + ${counts.rejected},
      requests = ${progress.requests}, retries = ${progress.retries}
    WHERE run_id = ${held.runId} AND account = ${held.account} AND stream = ${held.stream}`
}

const load = async (
  sql: postgres.Sql,
  held: Held,
  stream: Stream,
  extracted: ReadonlyArray<Extracted>,
  progress: Progress,
): Promise<Counts> => {
  const records = extracted.map(identify(stream))
  const changed = await probe(sql, held.account, stream, records)
  const candidates = withRivals(records, changed)
  const decoded = candidates.map(record => decode(stream, record))
  const versions = decoded.flatMap(result => (Either.isRight(result) ? [result.right] : []))
  const undecoded = decoded.flatMap(result => (Either.isLeft(result) ? [result.left] : []))
  const ids = records.flatMap(({ id }) => (id === null ? [] : [id]))
  const returned = changed.flatMap(({ position, returned }) => (returned ? [records[position]!.id!] : []))
  return sql.begin(async tx => {
    await renewWithin(tx, held)
    const written = await writeOrReject(tx, held, stream, versions)
    const rejects = [...undecoded, ...written.rejects]
    if (returned.length > 0) {
      await tx.unsafe(
        `UPDATE ${shapeOf(stream.table).table} SET removed_at = NULL
         WHERE account = $1 AND "${stream.idColumn}" = ANY($2::text[]) AND removed_at IS NOT NULL`,
        [held.account, arrayLiteral(returned)],
      )
    }
    await writeRejects(tx, held, rejects)
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
    const counts: Counts = {
      extracted: records.length,
      inserted: written.inserted,
      updated: written.updated,
      unchanged: records.length - candidates.length,
      stale: versions.length - written.rejects.length - written.inserted - written.updated,
      rejected: rejects.length,
    }
    await bookProgress(tx, held, counts, ids, progress)
    return counts
  })
}

/**
 * Loads one batch: rows, rejects, histories, seen keys, counters and checkpoint commit together or not at
 * all. Not interruptible, so that a run that is told to stop finishes the batch in hand.
 *
 * Fails with `LeaseError` when another run took the lease over; then nothing of the batch was written.
 */
export const loadBatch = (
  sql: postgres.Sql,
  held: Held,
  stream: Stream,
  extracted: ReadonlyArray<Extracted>,
  progress: Progress,
): Effect.Effect<Counts, LeaseError | WarehouseError> =>
  Effect.tryPromise({
    try: () => load(sql, held, stream, extracted, progress),
    catch: error => (error instanceof LeaseError ? error : warehouseError(error)),
  }).pipe(
    Effect.retry({
      while: error => error._tag === "WarehouseError" && TRANSIENT.test(error.code ?? ""),
      times: RETRIES_MAX,
      schedule: Schedule.jittered(Schedule.exponential("200 millis")),
    }),
    Effect.uninterruptible,
  )
