import type { DecodedRecord } from "../../core/decodedRecord.ts"
import type { Child, Row, Stream } from "../../core/stream.ts"
import { arrayLiteral, arraysOf, prefixed, unnestOf, upsert } from "../../postgres/bulk.ts"
import { type Shape, shapeOf, type Transaction } from "../../postgres/shape.ts"
import type { Lease } from "../ledger/lease.ts"
import { bookItemDoubts, isNotEmptied } from "./itemDoubts.ts"

/** Rows of child tables: the items that a record lists. */

const rowsIn = (child: Child, { normalized }: DecodedRecord): ReadonlyArray<Row> | undefined =>
  normalized.children?.[shapeOf(child.table).name]

/** Makes a record's rows of a child table. */
export const childRows = (child: Child, version: DecodedRecord, lease: Lease): ReadonlyArray<Row> =>
  (rowsIn(child, version) ?? []).map((row, i) => ({
    ...row,
    account: lease.account,
    [child.parentColumn]: version.id,
    ...(child.surplus === "replace"
      ? { position: String(i + 1) }
      : {
          read_at: version.readAt,
          first_seen_at: version.readAt,
          run_id: lease.runId,
          removed_at: null,
        }),
  }))

/** Selects the records with the child's list. A record without it says nothing about the rows. */
export const parentsOf = (
  child: Child,
  versions: ReadonlyArray<DecodedRecord>,
): ReadonlyArray<DecodedRecord> => versions.filter(version => rowsIn(child, version) !== undefined)

/** Deletes the rows beyond a record's last position. Returns the parents of deleted rows. */
export const dropSurplus = async (
  tx: Transaction,
  shape: Shape,
  child: Child,
  versions: ReadonlyArray<DecodedRecord>,
  lease: Lease,
): Promise<ReadonlyArray<string>> => {
  const columns = ["parent", "length"]
  const rows = versions.map(version => ({
    parent: version.id,
    length: String(rowsIn(child, version)?.length ?? 0),
  }))
  const dropped = await tx.unsafe<Array<{ parent: string }>>(
    `DELETE FROM ${shape.table} AS t USING ${unnestOf(columns, 2)}
     WHERE t.account = $1 AND t."${child.parentColumn}" = s.parent AND t.position > s.length::int
       AND ${isNotEmptied(child, "s.parent")}
     RETURNING s.parent`,
    [lease.account, ...arraysOf(columns, rows)],
  )
  return dropped.map(({ parent }) => parent)
}

/** True if every item of the record was read. An item that was not may be the one of any stored row. */
const listsAll = ({ normalized }: DecodedRecord): boolean =>
  normalized.unread?.some(({ kind }) => kind === "item") !== true

/** Marks as removed the stored rows of these records that they no longer list. */
const markUnlisted = async (
  tx: Transaction,
  { table, key }: Shape,
  child: Child,
  versions: ReadonlyArray<DecodedRecord>,
  rows: ReadonlyArray<Row>,
  lease: Lease,
) => {
  const id = key.at(-1)!
  const columns = ["parent", "read_at"]
  const parents = versions.map(version => ({ parent: version.id, read_at: version.readAt }))
  await tx.unsafe(
    `UPDATE ${table} AS t SET removed_at = s.read_at::timestamptz FROM ${unnestOf(columns, 3)}
     WHERE t.account = $1 AND t."${child.parentColumn}" = s.parent AND t.removed_at IS NULL
       AND t."${id}" <> ALL ($2::text[]) AND ${isNotEmptied(child, "s.parent")}`,
    [lease.account, arrayLiteral(rows.map(row => row[id] ?? null)), ...arraysOf(columns, parents)],
  )
}

/** Columns of a kept child that do not make its row another row. */
const NOT_COMPARED = ["read_at", "first_seen_at", "run_id"]

const upsertRows = async (tx: Transaction, shape: Shape, child: Child, rows: ReadonlyArray<Row>) => {
  if (rows.length === 0) return
  const compared = [...shape.types.keys()].filter(name => !NOT_COMPARED.includes(name))
  const isOther = `(${prefixed("t", compared)}) IS DISTINCT FROM (${prefixed("excluded", compared)})`
  const parent = child.parentColumn
  // A row that moved to another parent is that of the later read, whichever of the two is written last.
  const isLater = `(t."${parent}" = excluded."${parent}" OR t.removed_at IS NOT NULL OR t.read_at <= excluded.read_at)`
  const isKept = child.surplus === "keep"
  await upsert(tx, shape, {
    rows,
    preference: isKept ? `read_at DESC, "${parent}", ordinal DESC` : "ordinal DESC",
    kept: ["first_seen_at"],
    guard: isKept ? `${isOther} AND ${isLater}` : isOther,
  })
}

/** Writes the children of the versions that are now stored. An older version must not bring its children back. */
export const writeChildren = async (
  tx: Transaction,
  lease: Lease,
  stream: Stream,
  current: ReadonlyArray<DecodedRecord>,
): Promise<void> => {
  for (const child of stream.children) {
    const shape = shapeOf(child.table)
    const parents = parentsOf(child, current)
    const wholeLists = parents.filter(listsAll)
    const rows = parents.flatMap(version => childRows(child, version, lease))
    const listings = wholeLists.map(version => ({ id: version.id, rows: rowsIn(child, version)! }))
    await bookItemDoubts(tx, lease, child, listings)
    await upsertRows(tx, shape, child, rows)
    if (child.surplus === "replace") await dropSurplus(tx, shape, child, parents, lease)
    else await markUnlisted(tx, shape, child, wholeLists, rows, lease)
  }
}
