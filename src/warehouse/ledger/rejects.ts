import type postgres from "postgres"
import { arrayLiteral, arraysOf, unnestOf } from "../../postgres/bulk.ts"
import type { Transaction } from "../../postgres/shape.ts"
import type { Lease } from "./lease.ts"

/**
 * Records that could not become a row: `sync.rejects` keeps their raw text and the reason. One is open until a later
 * version of its record becomes a row, or until its record is proven to be gone.
 */

/** Characters of a reject's reason that are kept. */
const REASON_LENGTH_MAX = 500

/** A record that is not a row, and why. */
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

/** The same JSON, and a readable reason, in ASCII. */
const escaped = (text: string): string =>
  text.replace(/[^\0-\x7f]/g, unit => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`)

/**
 * A database of another encoding than UTF8 may refuse a character of the reject as it refused that of the record. `migrate`
 * makes no warehouse in one, but there are older ones.
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

/** Keeps rejects; one that was rejected before in the same words is the same reject. */
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
  // Of what has no id no other version can be told, and an answer may hold a hundred thousand of them.
  const named = rows.filter(row => row.record_id !== null)
  if (named.length === 0) return
  // What a newer version of the same record is rejected for is all that is left to be mended,
  // and the two may have come together.
  await tx.unsafe(
    `DELETE FROM sync.rejects AS r USING ${unnestOf(columns, 3)}
     WHERE r.account = $1 AND r.stream = $2 AND r.kind IN ('record', 'merchant')
       AND r.record_id = s.record_id AND r.content_hash <> s.content_hash
       AND r.read_at < s.read_at::timestamptz`,
    [lease.account, lease.stream, ...arraysOf(columns, named)],
  )
}

/**
 * A later version that is a row answers an earlier one that could not become one; one of the same moment only
 * if that is not among the rejects of this batch, such as its like on the same page.
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
 * Condition on `r`: an open reject that the pass at $3 did not show. The run that read it last tells: one of the pass, or
 * one that began later. Its times are Postgres' own; the clock of a host tells when a reject was read.
 */
const NOT_SHOWN = `r.account = $1 AND r.stream = $2 AND r.unlisted_at IS NULL AND r.kind IN ('record', 'merchant')
  AND NOT EXISTS (
    SELECT FROM sync.stream_runs AS s
    WHERE s.run_id = r.run_id AND s.account = r.account AND s.stream = r.stream
      AND (s.pass_id = $3::uuid OR s.started_at >= (
        SELECT min(p.started_at) FROM sync.stream_runs AS p
        WHERE p.account = r.account AND p.stream = r.stream AND p.pass_id = $3::uuid)))`

/** Condition on `r`: a pass over a list that stood still counts against it. No by-id endpoint tells of a record without an id. */
const isCounted = (isCounting: string) => `(${isCounting}::boolean OR r.record_id IS NULL)`

/** True if a pass over a list that stood still would be the last that is needed to close a reject. */
export const isCloseDue = async (
  sql: postgres.ISql,
  lease: Lease,
  passId: string,
  isCounting: boolean,
  passes: number,
): Promise<boolean> => {
  const due = await sql.unsafe(
    `SELECT FROM sync.rejects AS r
     WHERE ${NOT_SHOWN} AND ${isCounted("$4")} AND r.still_passes >= $5::int - 1 LIMIT 1`,
    [lease.account, lease.stream, passId, isCounting, passes],
  )
  return due.length > 0
}

/** What a complete pass proves about the rejects that it did not show. */
export interface Hidden {
  readonly passId: string
  /** Ids that their by-id endpoint calls gone. */
  readonly gone: ReadonlyArray<string>
  /** True if the list stood still, and nothing else speaks against the pass. */
  readonly isStill: boolean
  /** True if not being listed counts, where a record has an id. */
  readonly isCounting: boolean
  /** So many passes close a reject. */
  readonly passes: number
}

/**
 * Closes the rejects whose records are proven to be gone, as rows are booked as removed: by their by-id endpoint, or by
 * passes over a list that stood still. Keeps one pass more against the others. One that is shown again is open again.
 */
export const closeUnlisted = async (
  tx: Transaction,
  lease: Lease,
  { passId, gone, isStill, isCounting, passes }: Hidden,
): Promise<void> => {
  await tx.unsafe(
    `UPDATE sync.rejects AS r
     SET still_passes = r.still_passes + counted.passes,
       unlisted_at = CASE WHEN r.record_id = ANY ($4::text[]) OR r.still_passes + counted.passes >= $7::int
         THEN clock_timestamp() END
     FROM (VALUES (true, 1), (false, 0)) AS counted (yes, passes)
     WHERE ${NOT_SHOWN} AND counted.yes = ($6::boolean AND ${isCounted("$5")})
       AND (counted.yes OR r.record_id = ANY ($4::text[]))`,
    [lease.account, lease.stream, passId, arrayLiteral(gone), isCounting, isStill, passes],
  )
}

/** Ids of open rejects that a pass did not show, any of them at random, so that each is asked about in time. */
export const hiddenRejects = async (
  sql: postgres.Sql,
  lease: Lease,
  passId: string,
  limit: number,
): Promise<ReadonlyArray<string>> => {
  const rows = await sql.unsafe<Array<{ id: string }>>(
    `SELECT id FROM (SELECT DISTINCT r.record_id AS id FROM sync.rejects AS r WHERE ${NOT_SHOWN} AND r.record_id IS NOT NULL) AS hidden
     ORDER BY md5(id || $3) LIMIT $4`,
    [lease.account, lease.stream, passId, limit],
  )
  return rows.map(({ id }) => id)
}

/** How many records of a stream still wait to become a row. */
export const countOpen = async (tx: Transaction, lease: Lease): Promise<number> => {
  const [open] = await tx<Array<{ count: number }>>`
    SELECT count(*)::int FROM sync.rejects
    WHERE account = ${lease.account} AND stream = ${lease.stream} AND unlisted_at IS NULL AND kind <> 'field'`
  return open?.count ?? 0
}

/** How many open rejects without an id a pass showed: they may be any of the records that seem to be missing. */
export const countNameless = async (tx: Transaction, lease: Lease, passId: string): Promise<number> => {
  const [open] = await tx.unsafe<Array<{ count: number }>>(
    `SELECT count(*)::int AS count FROM sync.rejects AS r
     WHERE r.account = $1 AND r.stream = $2 AND r.record_id IS NULL AND r.unlisted_at IS NULL AND r.kind = 'record'
       AND NOT (${NOT_SHOWN})`,
    [lease.account, lease.stream, passId],
  )
  return open?.count ?? 0
}
