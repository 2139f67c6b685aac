import type { DecodedRecord } from "../../core/decodedRecord.ts"
import type { Child, Row, Stream } from "../../core/stream.ts"
import { arraysOf, quoted, typedRows } from "../../postgres/bulk.ts"
import { type Shape, shapeOf, type Transaction } from "../../postgres/shape.ts"
import type { Lease } from "../ledger/lease.ts"
import { childRows, dropSurplus, parentsOf } from "../load/children.ts"

/** Statements that write only rows that differ from the stored ones. An unchanged row is not even locked. */

/** Lists columns to compare. Numbers are compared as text, because equal numbers of another scale have other digits. */
const comparable = (alias: string, { types }: Shape, columns: ReadonlyArray<string>): string =>
  columns.map(name => `${alias}."${name}"${types.get(name) === "numeric" ? "::text" : ""}`).join(", ")

interface Update {
  readonly rows: ReadonlyArray<Row>
  /** Columns that identify the stored row. */
  readonly key: ReadonlyArray<string>
  readonly columns: ReadonlyArray<string>
  /** Column of the changed rows to return. */
  readonly returning: string
  /** Further condition over the stored row `t` and the given row `n`. */
  readonly guard?: string
}

/** Updates the stored rows that differ from the given ones. Returns a column of them. No two rows may have one key. */
export const updateDiffering = async (
  tx: Transaction,
  shape: Shape,
  { rows, key, columns, returning, guard = "true" }: Update,
): Promise<ReadonlyArray<string>> => {
  if (rows.length === 0) return []
  const all = [...key, ...columns]
  const updated = await tx.unsafe<Array<{ id: string }>>(
    `UPDATE ${shape.table} AS t
     SET ${columns.map(name => `"${name}" = n."${name}"`).join(", ")}
     FROM ${typedRows(shape, all, 1)}
     WHERE ${key.map(name => `t."${name}" = n."${name}"`).join(" AND ")}
       AND (${comparable("t", shape, columns)}) IS DISTINCT FROM (${comparable("n", shape, columns)})
       AND ${guard}
     RETURNING t."${returning}" AS id`,
    arraysOf(all, rows),
  )
  return updated.map(({ id }) => id)
}

const insertMissing = async (
  tx: Transaction,
  shape: Shape,
  rows: ReadonlyArray<Row>,
  returning: string,
): Promise<ReadonlyArray<string>> => {
  if (rows.length === 0) return []
  const columns = [...shape.types.keys()]
  const inserted = await tx.unsafe<Array<{ id: string }>>(
    `INSERT INTO ${shape.table} AS t (${quoted(columns)}) SELECT ${quoted(columns)} FROM ${typedRows(shape, columns, 1)}
     ON CONFLICT DO NOTHING RETURNING t."${returning}" AS id`,
    arraysOf(columns, rows),
  )
  return inserted.map(({ id }) => id)
}

/** Makes one row per key: of several records that list the same child, the one that was read last has it. */
const distinctRows = (
  child: Child,
  { key }: Shape,
  versions: ReadonlyArray<DecodedRecord>,
  lease: Lease,
): ReadonlyArray<Row> => {
  const byAge = [...versions].sort((a, b) => order(a.readAt, b.readAt) || order(a.id, b.id))
  const rows = new Map<string, Row>()
  for (const row of byAge.flatMap(version => childRows(child, version, lease)))
    rows.set(JSON.stringify(key.map(column => row[column])), row)
  return [...rows.values()]
}

const order = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)

const KEPT_BOOKKEEPING = ["read_at", "first_seen_at", "run_id", "removed_at"]

/**
 * Condition on a kept child's row `t`: its parent may update it, and so may a later-read parent that also lists it, because
 * the child moved there. No other parent may update a row that is marked as removed.
 */
const mayTake = (stream: Stream, child: Child, key: string): string => {
  const { table } = shapeOf(stream.table)
  const parent = `"${child.parentColumn}"`
  const readAt = (alias: string) =>
    `(SELECT m.read_at FROM ${table} AS m WHERE m.account = n.account AND m."${stream.idColumn}" = ${alias})`
  return `(t.${parent} = n.${parent} OR (t.removed_at IS NULL AND NOT EXISTS (
    SELECT FROM ${table} AS p WHERE p.account = n.account AND p."${stream.idColumn}" = t.${parent}
      AND (p.read_at, p."${stream.idColumn}") > (${readAt(`n.${parent}`)}, n.${parent})
      AND strpos(p.raw::text, to_json(n."${key}")::text) > 0)))`
}

/** Rewrites the children of stored records. Returns the ids of the records with a changed child. */
export const rewriteChildren = async (
  tx: Transaction,
  lease: Lease,
  stream: Stream,
  versions: ReadonlyArray<DecodedRecord>,
): Promise<ReadonlyArray<string>> => {
  const changed: Array<string> = []
  for (const child of stream.children) {
    const shape = shapeOf(child.table)
    const parents = parentsOf(child, versions)
    const rows = distinctRows(child, shape, parents, lease)
    const isKept = child.surplus === "keep"
    const fixed = isKept ? [...shape.key, ...KEPT_BOOKKEEPING] : shape.key
    changed.push(
      ...(await updateDiffering(tx, shape, {
        rows,
        key: shape.key,
        columns: [...shape.types.keys()].filter(name => !fixed.includes(name)),
        returning: child.parentColumn,
        ...(isKept ? { guard: mayTake(stream, child, shape.key.at(-1)!) } : {}),
      })),
      ...(await insertMissing(tx, shape, rows, child.parentColumn)),
      ...(isKept ? [] : await dropSurplus(tx, shape, child, parents, lease)),
    )
  }
  return changed
}
