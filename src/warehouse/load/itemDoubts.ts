import type { Child, Row } from "../../core/stream.ts"
import { arrayLiteral, arraysOf, unnestOf } from "../../postgres/bulk.ts"
import { shapeOf, type Transaction } from "../../postgres/shape.ts"
import type { Lease } from "../ledger/lease.ts"

/**
 * Books doubts about items that records list: `sync.item_doubts`. A doubt commits with the version that raises it. The end
 * of a run settles it, when all records of the run can be judged together (`settleItems`).
 *
 * - `emptied`: a record lists no item any more, and rows of its items are stored. The rows stay until the doubt is settled.
 * - `contested`: several records list the same item. Its row is that of the record that was read last.
 */

/** A record and its rows in a child table, as the record lists them. */
export interface Listing {
  readonly id: string
  readonly rows: ReadonlyArray<Row>
}

/** Condition on the parent's id: no doubt keeps its rows because its list became empty. */
export const isNotEmptied = (child: Child, parent: string): string =>
  `NOT EXISTS (SELECT FROM sync.item_doubts AS d
     WHERE d.account = $1 AND d.child = '${shapeOf(child.table).name}' AND d.kind = 'emptied' AND d.record_id = ${parent})`

/** Condition on `t`, a child table: the row's parent listed it when it was read last. */
export const isListedItem = ({ surplus }: Child): string =>
  surplus === "keep" ? "t.removed_at IS NULL" : "true"

const bookEmptied = async (
  tx: Transaction,
  lease: Lease,
  child: Child,
  listings: ReadonlyArray<Listing>,
): Promise<void> => {
  const { name, table } = shapeOf(child.table)
  const ids = (isEmpty: boolean) =>
    arrayLiteral(listings.filter(({ rows }) => (rows.length === 0) === isEmpty).map(({ id }) => id))
  await tx.unsafe(
    `DELETE FROM sync.item_doubts
     WHERE account = $1 AND stream = $2 AND child = $3 AND kind = 'emptied' AND record_id = ANY ($4::text[])`,
    [lease.account, lease.stream, name, ids(false)],
  )
  await tx.unsafe(
    `INSERT INTO sync.item_doubts (account, stream, child, kind, record_id, item_id, since)
     SELECT $1, $2, $3, 'emptied', id, '', clock_timestamp() FROM unnest($4::text[]) AS id
     WHERE EXISTS (SELECT FROM ${table} AS t
       WHERE t.account = $1 AND t."${child.parentColumn}" = id AND ${isListedItem(child)})
     ON CONFLICT DO NOTHING`,
    [lease.account, lease.stream, name, ids(true)],
  )
}

const bookContested = async (
  tx: Transaction,
  lease: Lease,
  child: Child,
  listings: ReadonlyArray<Listing>,
): Promise<void> => {
  const { name, table, key } = shapeOf(child.table)
  const rows = listings.flatMap(({ id, rows: items }) =>
    items.map(item => ({ parent: id, item: item[key.at(-1)!] ?? null })),
  )
  if (rows.length === 0) return
  const columns = ["parent", "item"]
  await tx.unsafe(
    `WITH listed AS (
       SELECT s.parent, s.item FROM ${unnestOf(columns, 4)}
       UNION
       SELECT t."${child.parentColumn}", s.item FROM ${unnestOf(columns, 4)}
       JOIN ${table} AS t ON t.account = $1 AND t."${key.at(-1)}" = s.item AND t.removed_at IS NULL
     )
     INSERT INTO sync.item_doubts (account, stream, child, kind, record_id, item_id, since)
     SELECT $1, $2, $3, 'contested', parent, item, clock_timestamp()
     FROM (SELECT parent, item, count(*) OVER (PARTITION BY item) AS parents FROM listed) AS counted
     WHERE parents > 1
     ON CONFLICT DO NOTHING`,
    [lease.account, lease.stream, name, ...arraysOf(columns, rows)],
  )
}

/** Books the doubts that versions of records raise, before their items are written. */
export const bookItemDoubts = async (
  tx: Transaction,
  lease: Lease,
  child: Child,
  listings: ReadonlyArray<Listing>,
): Promise<void> => {
  if (listings.length === 0) return
  await bookEmptied(tx, lease, child, listings)
  if (child.surplus === "keep") await bookContested(tx, lease, child, listings)
}
