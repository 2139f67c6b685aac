import { arrayLiteral, arraysOf, type Transaction, unnestOf } from "./bulk.ts"
import type { Held } from "./Lease.ts"

/** Records that could not become a row: `sync.rejects` keeps their raw text and the reason. */

/** Characters of a reject's reason that are kept. */
const REASON_LENGTH_MAX = 500

/** A record that is not a row, and why. */
export interface Reject {
  readonly id: string | null
  readonly field: string | null
  readonly reason: string
  readonly raw: string
  readonly hash: string
  readonly readAt: string
}

/** A reject whose reason fits: it may repeat a value of any length. */
export const rejectOf = (reject: Reject): Reject => ({
  ...reject,
  reason: reject.reason.slice(0, REASON_LENGTH_MAX).replaceAll("\u0000", "\uFFFD").toWellFormed(),
})

/** Keeps rejects; one that was rejected before in the same words is the same reject. */
export const writeRejects = async (tx: Transaction, held: Held, rejects: ReadonlyArray<Reject>) => {
  if (rejects.length === 0) return
  const columns = ["record_id", "field", "reason", "raw", "content_hash", "read_at"]
  const rows = rejects.map(({ id, field, reason, raw, hash, readAt }) => ({
    record_id: id,
    field,
    reason,
    raw,
    content_hash: hash,
    read_at: readAt,
  }))
  // What a newer version of the same record is rejected for is all that is left to be mended.
  await tx.unsafe(
    `DELETE FROM sync.rejects AS r USING ${unnestOf(columns, 3)}
     WHERE r.account = $1 AND r.stream = $2 AND r.record_id = s.record_id AND r.content_hash <> s.content_hash
       AND r.read_at < s.read_at::timestamptz`,
    [held.account, held.stream, ...arraysOf(columns, rows)],
  )
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
export const clearRejects = async (
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
