import { contentHash, stringifyJson } from "../Json.ts"
import type { Stream } from "../Stream.ts"
import { arrayLiteral, arraysOf, lookUpByKey, shapeOf, type Transaction, unnestOf } from "./bulk.ts"
import type { Held } from "./Lease.ts"
import { cutByLength } from "./parts.ts"
import type { Version } from "./prepare.ts"
import { reasonText } from "./rejects.ts"

/**
 * Fields that could not be read and are null in a stored row: rejects of the kind `field`. They belong to the stored
 * version of a record as the rows of its children do: they are written in the transaction that writes the row, and an
 * unchanged record leaves them alone. `unlisted_at` is the row's `removed_at`.
 */

const COLUMNS = ["record_id", "field", "reason", "raw", "content_hash", "read_at"]

const rowsOf = (versions: ReadonlyArray<Version>) =>
  versions.flatMap(({ id, hash, readAt, normalized }) =>
    (normalized.unread ?? []).map(({ path, reason, value }) => {
      const field = path.join(".")
      return {
        record_id: id,
        field,
        reason: reasonText(`${field}: ${reason}`),
        raw: stringifyJson(value),
        // Each of its own: several fields of one version may be listed.
        content_hash: contentHash([hash, field], 0),
        read_at: readAt,
      }
    }),
  )

const anyKept = async (tx: Transaction, held: Held): Promise<boolean> => {
  const [kept] = await tx`
    SELECT 1 FROM sync.rejects
    WHERE account = ${held.account} AND stream = ${held.stream} AND kind = 'field' LIMIT 1`
  return kept !== undefined
}

/**
 * Makes the field rejects of records what the versions say that are stored now; one that is kept already is only
 * written where it differs. Answers how many fields the versions hold that could not be read.
 */
export const writeFieldRejects = async (
  tx: Transaction,
  held: Held,
  stream: Stream,
  stored: ReadonlyArray<Version>,
): Promise<number> => {
  const rows = rowsOf(stored)
  const isKept = await anyKept(tx, held)
  if (rows.length === 0 && !isKept) return 0
  const ids = stored.map(({ id }) => id)
  if (isKept)
    await tx.unsafe(
      `DELETE FROM sync.rejects AS r
       WHERE r.account = $1 AND r.stream = $2 AND r.kind = 'field' AND r.record_id = ANY ($3::text[])
         AND NOT EXISTS (
           SELECT FROM ${unnestOf(["record_id", "field"], 4)}
           WHERE s.record_id = r.record_id AND s.field = r.field)`,
      [held.account, held.stream, arrayLiteral(ids), ...arraysOf(["record_id", "field"], rows)],
    )
  for (const part of cutByLength(rows))
    await tx.unsafe(
      `INSERT INTO sync.rejects AS r
         (account, stream, kind, run_id, record_id, field, reason, raw, content_hash, read_at, first_seen_at)
       SELECT $1, $2, 'field', $3::uuid, s.record_id, s.field, s.reason, s.raw, s.content_hash,
         s.read_at::timestamptz, s.read_at::timestamptz
       FROM ${unnestOf(COLUMNS, 4)}
       ON CONFLICT (account, stream, record_id, field) WHERE kind = 'field' DO UPDATE
       SET reason = excluded.reason, raw = excluded.raw, content_hash = excluded.content_hash,
         read_at = excluded.read_at, run_id = excluded.run_id
       WHERE (r.reason, r.raw, r.content_hash, r.read_at)
         IS DISTINCT FROM (excluded.reason, excluded.raw, excluded.content_hash, excluded.read_at)`,
      [held.account, held.stream, held.runId, ...arraysOf(COLUMNS, part)],
    )
  await followRemovals(tx, held, stream, ids)
  return rows.length
}

/** Closes the field rejects of rows that are booked as removed, and opens those of rows that are listed again. */
export const followRemovals = async (
  tx: Transaction,
  held: Held,
  stream: Stream,
  ids: ReadonlyArray<string> | null,
): Promise<void> => {
  if (!(await anyKept(tx, held))) return
  await lookUpByKey(tx)
  await tx.unsafe(
    `UPDATE sync.rejects AS r SET unlisted_at = t.removed_at FROM ${shapeOf(stream.table).table} AS t
     WHERE r.account = $1 AND r.stream = $2 AND r.kind = 'field'
       AND ($3::text[] IS NULL OR r.record_id = ANY ($3::text[]))
       AND t.account = r.account AND t."${stream.idColumn}" = r.record_id
       AND r.unlisted_at IS DISTINCT FROM t.removed_at`,
    [held.account, held.stream, ids === null ? null : arrayLiteral(ids)],
  )
}

/** Deletes the field rejects of records whose rows are emptied or gone. */
export const dropFieldRejects = async (
  tx: Transaction,
  account: string,
  stream: string,
  ids: ReadonlyArray<string>,
): Promise<void> => {
  if (ids.length === 0) return
  await tx`
    DELETE FROM sync.rejects
    WHERE account = ${account} AND stream = ${stream} AND kind = 'field'
      AND record_id = ANY (${arrayLiteral(ids)}::text[])`
}
