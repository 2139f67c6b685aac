import type { PartCounts } from "../../core/counts.ts"
import type { DecodedRecord } from "../../core/decodedRecord.ts"
import { contentHash, stringifyJson } from "../../core/json.ts"
import type { Stream } from "../../core/stream.ts"
import { arrayLiteral, arraysOf, lookUpByKey, unnestOf } from "../../postgres/bulk.ts"
import { shapeOf, type Transaction } from "../../postgres/shape.ts"
import { cutByLength } from "../../postgres/statementSize.ts"
import type { Lease } from "./lease.ts"
import { reasonText } from "./rejects.ts"

/**
 * Rejects of parts of stored records: of the kind `field` (one value, which is null in its row) and `item` (an item of a
 * list, whose own row is missing or empty). They belong to the stored version of a record as the rows of its children do:
 * the transaction that writes the row writes them, and an unchanged record leaves them alone. `unlisted_at` is the row's
 * `removed_at`.
 */

/** Condition on `sync.rejects` as `r`, in the words of its partial index. */
const IS_PART = "r.kind IN ('field', 'item')"

const COLUMNS = ["kind", "record_id", "field", "reason", "raw", "content_hash", "read_at"]

const rowsOf = (versions: ReadonlyArray<DecodedRecord>) =>
  versions.flatMap(({ id, hash, readAt, normalized }) =>
    (normalized.unread ?? []).map(({ kind, path, reason, value }) => {
      const field = path.join(".")
      return {
        kind,
        record_id: id,
        field,
        reason: reasonText(`${field}: ${reason}`),
        raw: stringifyJson(value),
        // A hash of its own, because one version may have several unreadable parts.
        content_hash: contentHash([hash, field], 0),
        read_at: readAt,
      }
    }),
  )

const anyKept = async (tx: Transaction, lease: Lease): Promise<boolean> => {
  const [kept] = await tx`
    SELECT 1 FROM sync.rejects AS r
    WHERE r.account = ${lease.account} AND r.stream = ${lease.stream} AND r.kind IN ('field', 'item') LIMIT 1`
  return kept !== undefined
}

/**
 * Deletes the part rejects of parts that the stored version can read. Takes one look into the index per record: a comparison
 * of all pairs would take a thousand times as long for a batch of thousands of rejects.
 */
const dropRead = (tx: Transaction, lease: Lease, stored: ReadonlyArray<DecodedRecord>) => {
  const columns = ["record_id", "fields"]
  const named = stored.map(({ id, normalized }) => ({
    record_id: id,
    fields: arrayLiteral((normalized.unread ?? []).map(({ path }) => path.join("."))),
  }))
  return tx.unsafe(
    `DELETE FROM sync.rejects WHERE reject_id IN (
       SELECT kept.reject_id FROM ${unnestOf(columns, 3)}
       CROSS JOIN LATERAL (
         SELECT r.reject_id, r.field FROM sync.rejects AS r
         WHERE r.account = $1 AND r.stream = $2 AND ${IS_PART} AND r.record_id = s.record_id
         OFFSET 0
       ) AS kept
       WHERE kept.field <> ALL (s.fields::text[]))`,
    [lease.account, lease.stream, ...arraysOf(columns, named)],
  )
}

/**
 * Replaces the part rejects of records by those of the versions that are now stored. Writes only what differs. Returns the
 * number of unreadable parts of these versions.
 */
export const writePartRejects = async (
  tx: Transaction,
  lease: Lease,
  stream: Stream,
  stored: ReadonlyArray<DecodedRecord>,
): Promise<PartCounts> => {
  const rows = rowsOf(stored)
  const isKept = await anyKept(tx, lease)
  if (rows.length === 0 && !isKept) return { fieldRejected: 0, itemRejected: 0 }
  if (isKept) await dropRead(tx, lease, stored)
  for (const part of cutByLength(rows))
    await tx.unsafe(
      `INSERT INTO sync.rejects AS r
         (account, stream, run_id, kind, record_id, field, reason, raw, content_hash, read_at, first_seen_at)
       SELECT $1, $2, $3::uuid, s.kind, s.record_id, s.field, s.reason, s.raw, s.content_hash,
         s.read_at::timestamptz, s.read_at::timestamptz
       FROM ${unnestOf(COLUMNS, 4)}
       ON CONFLICT (account, stream, record_id, field) WHERE kind IN ('field', 'item') DO UPDATE
       SET kind = excluded.kind, reason = excluded.reason, raw = excluded.raw, content_hash = excluded.content_hash,
         read_at = excluded.read_at, run_id = excluded.run_id
       WHERE (r.kind, r.reason, r.raw, r.content_hash, r.read_at)
         IS DISTINCT FROM (excluded.kind, excluded.reason, excluded.raw, excluded.content_hash, excluded.read_at)`,
      [lease.account, lease.stream, lease.runId, ...arraysOf(COLUMNS, part)],
    )
  await followRemovals(
    tx,
    lease,
    stream,
    stored.map(({ id }) => id),
  )
  const items = rows.filter(({ kind }) => kind === "item").length
  return { fieldRejected: rows.length - items, itemRejected: items }
}

/** Closes the part rejects of records whose row is removed, and opens those of the others. */
export const followRemovals = async (
  tx: Transaction,
  lease: Lease,
  stream: Stream,
  ids: ReadonlyArray<string>,
): Promise<void> => {
  if (ids.length === 0 || !(await anyKept(tx, lease))) return
  await lookUpByKey(tx)
  await tx.unsafe(
    `UPDATE sync.rejects AS r SET unlisted_at = t.removed_at FROM ${shapeOf(stream.table).table} AS t
     WHERE r.account = $1 AND r.stream = $2 AND ${IS_PART} AND r.record_id = ANY ($3::text[])
       AND t.account = r.account AND t."${stream.idColumn}" = r.record_id
       AND r.unlisted_at IS DISTINCT FROM t.removed_at`,
    [lease.account, lease.stream, arrayLiteral(ids)],
  )
}

/**
 * Runs an UPDATE of a record table that removes rows, and closes their part rejects in the same statement. `update` has no
 * RETURNING; its parameters begin with account and stream. Returns the number of removed rows.
 */
export const removeWithParts = async (
  tx: Transaction,
  stream: Stream,
  update: string,
  parameters: ReadonlyArray<string>,
): Promise<number> => {
  const [removed] = await tx.unsafe<Array<{ count: number }>>(
    `WITH removed AS (${update} RETURNING t."${stream.idColumn}" AS id, t.removed_at), closed AS (
       UPDATE sync.rejects AS r SET unlisted_at = removed.removed_at FROM removed
       WHERE r.account = $1 AND r.stream = $2 AND ${IS_PART} AND r.record_id = removed.id)
     SELECT count(*)::float8 AS count FROM removed`,
    [...parameters],
  )
  return removed!.count
}

/** Deletes the part rejects of records whose rows are emptied or deleted. */
export const dropPartRejects = async (
  tx: Transaction,
  account: string,
  stream: string,
  ids: ReadonlyArray<string>,
): Promise<void> => {
  if (ids.length === 0) return
  await tx`
    DELETE FROM sync.rejects
    WHERE account = ${account} AND stream = ${stream} AND kind IN ('field', 'item')
      AND record_id = ANY (${arrayLiteral(ids)}::text[])`
}
