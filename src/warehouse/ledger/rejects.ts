import type postgres from "postgres"
import { arrayLiteral, arraysOf, unnestOf } from "../../postgres/bulk.ts"
import { NotStored } from "../../postgres/failures.ts"
import type { Transaction } from "../../postgres/shape.ts"
import type { Lease } from "./lease.ts"

/**
 * Rejects: records that are no row. `sync.rejects` keeps their raw text and the reason. A reject is open until a later
 * version of its record becomes a row, or until its record is proven to be gone.
 */

/** Characters of a reject's reason that are kept. */
const REASON_LENGTH_MAX = 500

/** A record that is no row, and the reason. */
export interface Reject {
  /** `merchant`: the record is another merchant's; `record`, where absent: it cannot become a row. */
  readonly kind?: "record" | "merchant"
  readonly id: string | null
  readonly field: string | null
  readonly reason: string
  readonly raw: string
  readonly hash: string
  readonly readAt: string
}

/** A reason that fits and that Postgres can store. */
export const reasonText = (reason: string): string =>
  reason.slice(0, REASON_LENGTH_MAX).replaceAll("\u0000", "\uFFFD").toWellFormed()

export const rejectOf = (reject: Reject): Reject => ({ ...reject, reason: reasonText(reject.reason) })

const NOT_ASCII = /[^\p{ASCII}]/u

/** Writes text in ASCII: JSON stays the same JSON, and a reason stays readable. */
const escaped = (text: string): string =>
  text.replace(/[^\0-\x7f]/g, unit => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`)

/**
 * Rewrites rejects so that a database with another encoding than UTF8 takes them: it may refuse their characters as it
 * refused those of the record. `migrate` makes no warehouse in such a database, but older warehouses are in one.
 */
const storable = async (tx: Transaction, rejects: ReadonlyArray<Reject>): Promise<ReadonlyArray<Reject>> => {
  const texts = ({ field, raw, reason }: Reject) => [field ?? "", raw, reason]
  if (!rejects.some(reject => texts(reject).some(text => NOT_ASCII.test(text)))) return rejects
  const [server] = await tx<Array<{ encoding: string }>>`
    SELECT current_setting('server_encoding') AS encoding`
  if (server!.encoding === "UTF8") return rejects
  return rejects.map(reject => ({
    ...reject,
    field: reject.field === null ? null : escaped(reject.field),
    raw: escaped(reject.raw),
    reason: escaped(reject.reason),
  }))
}

/** Writes rejects. A record with the same hash as a kept reject is that reject. */
export const writeRejects = async (tx: Transaction, lease: Lease, given: ReadonlyArray<Reject>) => {
  if (given.length === 0) return
  const rejects = await storable(tx, given)
  const columns = ["kind", "record_id", "field", "reason", "raw", "content_hash", "read_at"]
  const rows = rejects.map(({ kind = "record", id, field, reason, raw, hash, readAt }) => ({
    kind,
    record_id: id,
    field,
    reason,
    raw,
    content_hash: hash,
    read_at: readAt,
  }))
  await tx.unsafe(
    `INSERT INTO sync.rejects AS r
       (account, stream, run_id, kind, record_id, field, reason, raw, content_hash, read_at, first_seen_at)
     SELECT DISTINCT ON (s.content_hash) $1, $2, $3::uuid, s.kind, s.record_id, s.field, s.reason, s.raw, s.content_hash,
       s.read_at::timestamptz, min(s.read_at::timestamptz) OVER (PARTITION BY s.content_hash)
     FROM ${unnestOf(columns, 4)}
     ORDER BY s.content_hash, s.read_at::timestamptz DESC, s.ordinal
     ON CONFLICT (account, stream, content_hash) WHERE kind IN ('record', 'merchant') DO UPDATE
     SET kind = excluded.kind, read_at = greatest(r.read_at, excluded.read_at), reason = excluded.reason, field = excluded.field,
       run_id = excluded.run_id, still_passes = 0, unlisted_at = NULL`,
    [lease.account, lease.stream, lease.runId, ...arraysOf(columns, rows)],
  )
  // Versions of a record without an id cannot be told apart, and an answer may hold a hundred thousand of them.
  const named = rows.filter(row => row.record_id !== null)
  if (named.length === 0) return
  // Only the newest rejected version of a record is left to mend. Two versions may be in one batch.
  await tx.unsafe(
    `DELETE FROM sync.rejects AS r USING ${unnestOf(columns, 3)}
     WHERE r.account = $1 AND r.stream = $2 AND r.kind IN ('record', 'merchant')
       AND r.record_id = s.record_id AND r.content_hash <> s.content_hash
       AND r.read_at < s.read_at::timestamptz`,
    [lease.account, lease.stream, ...arraysOf(columns, named)],
  )
}

/**
 * Deletes the rejects of records whose later version is a row. A reject of the same time is deleted only if its hash is not
 * in `bad`, the rejects of this batch.
 */
export const clearRejects = async (
  tx: Transaction,
  lease: Lease,
  fine: ReadonlyArray<{ id: string; readAt: string }>,
  bad: ReadonlySet<string>,
) => {
  const columns = ["id", "read_at"]
  const rows = fine.map(({ id, readAt }) => ({ id, read_at: readAt }))
  await tx.unsafe(
    `DELETE FROM sync.rejects AS r USING ${unnestOf(columns, 4)}
     WHERE r.account = $1 AND r.stream = $2 AND r.record_id = s.id AND r.kind IN ('record', 'merchant')
       AND (r.read_at < s.read_at::timestamptz
         OR (r.read_at = s.read_at::timestamptz AND r.content_hash <> ALL ($3::text[])))`,
    [lease.account, lease.stream, arrayLiteral([...bad]), ...arraysOf(columns, rows)],
  )
}

/**
 * Throws `NotStored` if Postgres did not keep a reject of a batch. A record that the batch holds more than once is not
 * checked: its later version answers the earlier one. `ids` are those of all records of the batch.
 */
export const refuseLostRejects = async (
  tx: Transaction,
  lease: Lease,
  ids: ReadonlyArray<string | null>,
  rejects: ReadonlyArray<Reject>,
): Promise<void> => {
  if (rejects.length === 0) return
  const times = new Map<string | null, number>()
  for (const id of ids) times.set(id, (times.get(id) ?? 0) + 1)
  const single = rejects.filter(({ id }) => id === null || times.get(id) === 1)
  await tx`SET CONSTRAINTS ALL IMMEDIATE`
  const [{ lost }] = await tx.unsafe<[{ lost: number }]>(
    `SELECT count(*)::int AS lost FROM unnest($3::text[]) AS s (content_hash)
     WHERE NOT EXISTS (
       SELECT FROM sync.rejects AS r
       WHERE r.account = $1 AND r.stream = $2 AND r.content_hash = s.content_hash AND r.kind IN ('record', 'merchant'))`,
    [lease.account, lease.stream, arrayLiteral(single.map(({ hash }) => hash))],
  )
  if (lost > 0)
    throw new NotStored(
      `Postgres took ${lost} of ${single.length} rejects and did not keep them: nothing of this batch was stored.` +
        " See which triggers sync.rejects has, and remove the one that does this.",
    )
}

/**
 * Condition on `r`: an open reject that the pass at $3 was not shown. It was not read by a run of the pass or a later run.
 * The start of a run is Postgres' time; `read_at` depends on the clock of a host.
 */
const UNSEEN = `r.account = $1 AND r.stream = $2 AND r.unlisted_at IS NULL AND r.kind IN ('record', 'merchant')
  AND NOT EXISTS (
    SELECT FROM sync.stream_runs AS s
    WHERE s.run_id = r.run_id AND s.account = r.account AND s.stream = r.stream
      AND (s.pass_id = $3::uuid OR s.started_at >= (
        SELECT min(p.started_at) FROM sync.stream_runs AS p
        WHERE p.account = r.account AND p.stream = r.stream AND p.pass_id = $3::uuid)))`

/** Condition on `r`: a pass over a list that stood still counts towards its closing. A record without an id has no by-id endpoint. */
const isCounted = (isCounting: string) => `(${isCounting}::boolean OR r.record_id IS NULL)`

/** True if a pass over a list that stood still would be the last one that is needed to close a reject. */
export const isCloseDue = async (
  sql: postgres.ISql,
  lease: Lease,
  passId: string,
  isCounting: boolean,
  passes: number,
): Promise<boolean> => {
  const due = await sql.unsafe(
    `SELECT FROM sync.rejects AS r
     WHERE ${UNSEEN} AND ${isCounted("$4")} AND r.still_passes >= $5::int - 1 LIMIT 1`,
    [lease.account, lease.stream, passId, isCounting, passes],
  )
  return due.length > 0
}

/** Proof of a complete pass about the rejects that it was not shown. */
interface RejectProof {
  readonly passId: string
  /** Ids whose by-id endpoint answers 404. */
  readonly confirmedGone: ReadonlyArray<string>
  /** True if the list stood still, and its unseen records were not held back. */
  readonly isStill: boolean
  /** True if the pass counts for records with an id. */
  readonly isCounting: boolean
  /** Number of passes that close a reject. */
  readonly passes: number
}

/**
 * Closes the rejects whose records are proven to be gone, as rows are removed: by their by-id endpoint, or by enough passes
 * over a list that stood still. Counts one more pass for the others. A reject that is read again is open again.
 */
export const closeUnseen = async (
  tx: Transaction,
  lease: Lease,
  { passId, confirmedGone, isStill, isCounting, passes }: RejectProof,
): Promise<void> => {
  await tx.unsafe(
    `UPDATE sync.rejects AS r
     SET still_passes = r.still_passes + counted.passes,
       unlisted_at = CASE WHEN r.record_id = ANY ($4::text[]) OR r.still_passes + counted.passes >= $7::int
         THEN clock_timestamp() END
     FROM (VALUES (true, 1), (false, 0)) AS counted (yes, passes)
     WHERE ${UNSEEN} AND counted.yes = ($6::boolean AND ${isCounted("$5")})
       AND (counted.yes OR r.record_id = ANY ($4::text[]))`,
    [lease.account, lease.stream, passId, arrayLiteral(confirmedGone), isCounting, isStill, passes],
  )
}

/** Reads ids of open rejects that a pass was not shown, in random order, so that each is asked about in time. */
export const unseenRejects = async (
  sql: postgres.Sql,
  lease: Lease,
  passId: string,
  limit: number,
): Promise<ReadonlyArray<string>> => {
  const rows = await sql.unsafe<Array<{ id: string }>>(
    `SELECT id FROM (SELECT DISTINCT r.record_id AS id FROM sync.rejects AS r WHERE ${UNSEEN} AND r.record_id IS NOT NULL) AS unseen
     ORDER BY md5(id || $3) LIMIT $4`,
    [lease.account, lease.stream, passId, limit],
  )
  return rows.map(({ id }) => id)
}

/** Counts the open rejects without an id that a pass was shown. Each may be one of the unseen records. */
export const countWithoutId = async (tx: Transaction, lease: Lease, passId: string): Promise<number> => {
  const [open] = await tx.unsafe<Array<{ count: number }>>(
    `SELECT count(*)::int AS count FROM sync.rejects AS r
     WHERE r.account = $1 AND r.stream = $2 AND r.record_id IS NULL AND r.unlisted_at IS NULL AND r.kind = 'record'
       AND NOT (${UNSEEN})`,
    [lease.account, lease.stream, passId],
  )
  return open?.count ?? 0
}
