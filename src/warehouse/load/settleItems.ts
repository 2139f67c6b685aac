import { Effect, Either } from "effect"
import type postgres from "postgres"
import type { DecodedRecord } from "../../core/decodedRecord.ts"
import { parseJson } from "../../core/json.ts"
import type { Child, Stream } from "../../core/stream.ts"
import { arrayLiteral } from "../../postgres/bulk.ts"
import { shapeOf, type Transaction } from "../../postgres/shape.ts"
import { read } from "../../postgres/statements.ts"
import { inLeaseTx, type Lease, type LeaseEffect } from "../ledger/lease.ts"
import { writeChildren } from "./children.ts"
import { decode } from "./decode.ts"
import { isListedItem } from "./itemDoubts.ts"

/** Settles doubts about items at the end of a run: `sync.item_doubts`. */

/** Records whose lists became empty at once that count as a fault: so many, and more than this share of those with items. */
const EMPTIED_MANY = 3
const EMPTIED_SHARE_MAX = 0.1
/** Most contested items that one run settles. The next run settles the others. */
const CONTESTED_MAX = 1_000

/** Removes the rows of records that list no item any more, unless too many of them became empty at once. */
const settleEmptied = async (
  tx: Transaction,
  lease: Lease,
  stream: Stream,
  child: Child,
  isConfirmed: boolean,
): Promise<void> => {
  const { name, table } = shapeOf(child.table)
  const parent = `t."${child.parentColumn}"`
  const scope = [lease.account, lease.stream, name]
  const DOUBTS = "d.account = $1 AND d.stream = $2 AND d.child = $3 AND d.kind = 'emptied'"
  await tx.unsafe(
    `DELETE FROM sync.item_doubts AS d WHERE ${DOUBTS} AND NOT EXISTS (
       SELECT FROM ${table} AS t WHERE t.account = $1 AND ${parent} = d.record_id AND ${isListedItem(child)})`,
    scope,
  )
  const [counted] = await tx.unsafe<Array<{ emptied: number }>>(
    `SELECT count(*)::float8 AS emptied FROM sync.item_doubts AS d WHERE ${DOUBTS}`,
    scope,
  )
  const emptied = counted!.emptied
  if (emptied === 0) return
  const [stored] = await tx.unsafe<Array<{ records: number }>>(
    `SELECT count(*)::float8 AS records FROM (
       SELECT DISTINCT ${parent} FROM ${table} AS t WHERE t.account = $1 AND ${isListedItem(child)} LIMIT $2) AS first`,
    [lease.account, Math.ceil(emptied / EMPTIED_SHARE_MAX) + 1],
  )
  const { records } = stored!
  const isMany = emptied >= records || (emptied >= EMPTIED_MANY && emptied > EMPTIED_SHARE_MAX * records)
  if (isMany && !isConfirmed) return
  await tx.unsafe(
    child.surplus === "keep"
      ? `UPDATE ${table} AS t SET removed_at = p.read_at
         FROM sync.item_doubts AS d
         JOIN ${shapeOf(stream.table).table} AS p ON p.account = $1 AND p."${stream.idColumn}" = d.record_id
         WHERE ${DOUBTS} AND t.account = $1 AND ${parent} = d.record_id AND t.removed_at IS NULL`
      : `DELETE FROM ${table} AS t USING sync.item_doubts AS d
         WHERE ${DOUBTS} AND t.account = $1 AND ${parent} = d.record_id`,
    scope,
  )
  await tx.unsafe(`DELETE FROM sync.item_doubts AS d WHERE ${DOUBTS}`, scope)
}

/** Decodes the stored versions of records that are not removed. */
const storedVersions = async (
  tx: Transaction,
  lease: Lease,
  stream: Stream,
  ids: ReadonlyArray<string>,
): Promise<ReadonlyArray<DecodedRecord>> => {
  const rows = await tx.unsafe<Array<{ id: string; raw: string; hash: string; readAt: string }>>(
    `SELECT "${stream.idColumn}" AS id, raw::text AS raw, content_hash AS hash, read_at::text AS "readAt"
     FROM ${shapeOf(stream.table).table}
     WHERE account = $1 AND removed_at IS NULL AND "${stream.idColumn}" = ANY ($2::text[])`,
    [lease.account, arrayLiteral(ids)],
  )
  return rows.flatMap(({ raw, ...row }) =>
    Either.match(decode(stream, { ...row, record: parseJson(raw) }), {
      onLeft: () => [],
      onRight: version => [version],
    }),
  )
}

/** Ends the doubt about items that only one record lists by now, and gives that record the row if another has it. */
const settleContested = async (
  tx: Transaction,
  lease: Lease,
  stream: Stream,
  child: Child,
): Promise<void> => {
  const { name, table, key } = shapeOf(child.table)
  const item = key.at(-1)!
  const doubts = await tx<Array<{ recordId: string; itemId: string }>>`
    SELECT record_id AS "recordId", item_id AS "itemId" FROM sync.item_doubts
    WHERE account = ${lease.account} AND stream = ${lease.stream} AND child = ${name} AND kind = 'contested'
    ORDER BY since DESC LIMIT ${CONTESTED_MAX}`
  if (doubts.length === 0) return
  const versions = await storedVersions(tx, lease, stream, [
    ...new Set(doubts.map(({ recordId }) => recordId)),
  ])
  const listing = (id: string) =>
    versions.filter(({ normalized }) => normalized.children?.[name]?.some(row => row[item] === id))
  const settled = [...new Set(doubts.map(({ itemId }) => itemId))].filter(id => listing(id).length < 2)
  await tx`
    DELETE FROM sync.item_doubts
    WHERE account = ${lease.account} AND stream = ${lease.stream} AND child = ${name} AND kind = 'contested'
      AND item_id = ANY (${arrayLiteral(settled)}::text[])`
  const owners = settled.flatMap(id => listing(id).map(version => ({ id, version })))
  const wrong = await tx.unsafe<Array<{ id: string }>>(
    `SELECT t."${item}" AS id FROM ${table} AS t
     JOIN unnest($2::text[], $3::text[]) AS s (item, parent) ON t."${item}" = s.item
     WHERE t.account = $1 AND (t."${child.parentColumn}" <> s.parent OR t.removed_at IS NOT NULL)`,
    [
      lease.account,
      arrayLiteral(owners.map(({ id }) => id)),
      arrayLiteral(owners.map(({ version }) => version.id)),
    ],
  )
  const isWrong = new Set(wrong.map(({ id }) => id))
  const misplaced = [...new Set(owners.flatMap(({ id, version }) => (isWrong.has(id) ? [version] : [])))]
  if (misplaced.length === 0) return
  // Marked as removed first: the row of the former parent could count as the later read.
  await tx.unsafe(
    `UPDATE ${table} AS t SET removed_at = coalesce(removed_at, clock_timestamp())
     WHERE t.account = $1 AND t."${item}" = ANY ($2::text[])`,
    [lease.account, arrayLiteral([...isWrong])],
  )
  await writeChildren(tx, lease, { ...stream, children: [child] }, misplaced)
}

/**
 * Settles doubts at the end of a run. `isConfirmed`: a person has confirmed the emptied lists, however many they are. Costs
 * one query if no doubt is booked.
 */
export const settleItems = (
  sql: postgres.Sql,
  lease: Lease,
  stream: Stream,
  isConfirmed: boolean,
): LeaseEffect<void> =>
  Effect.flatMap(
    read(
      () =>
        sql`SELECT FROM sync.item_doubts WHERE account = ${lease.account} AND stream = ${lease.stream} LIMIT 1`,
    ),
    doubts =>
      doubts.length === 0
        ? Effect.void
        : inLeaseTx(sql, lease, async tx => {
            for (const child of stream.children) {
              await settleEmptied(tx, lease, stream, child, isConfirmed)
              if (child.surplus === "keep") await settleContested(tx, lease, stream, child)
            }
          }),
  )
