import type { DecodedRecord } from "../../core/decodedRecord.ts"
import type { Child, History, Row, Stream } from "../../core/stream.ts"
import { arrayLiteral, arraysOf, quoted, refuseLost, unnestOf, upsert } from "../../postgres/bulk.ts"
import { mayAlter } from "../../postgres/interference.ts"
import { type Shape, shapeOf, type Transaction } from "../../postgres/shape.ts"
import type { Lease } from "../ledger/lease.ts"
import { bookItemDoubts, isNotEmptied } from "./itemDoubts.ts"

/** What is written along with a record's own row: its children, and the history that cannot be fetched again. */

/** A record's rows in a child table. */
export const childRows = (
  child: Child,
  { id, readAt, normalized }: DecodedRecord,
  lease: Lease,
): ReadonlyArray<Row> =>
  (normalized.children?.[shapeOf(child.table).name] ?? []).map((row, i) => ({
    ...row,
    account: lease.account,
    [child.parentColumn]: id,
    ...(child.surplus === "replace"
      ? { position: String(i + 1) }
      : { read_at: readAt, first_seen_at: readAt, run_id: lease.runId, removed_at: null }),
  }))

/** Parents whose record had this child's part at all: where it is absent, nothing is known about its rows. */
export const parentsOf = (
  child: Child,
  versions: ReadonlyArray<DecodedRecord>,
): ReadonlyArray<DecodedRecord> =>
  versions.filter(({ normalized }) => normalized.children?.[shapeOf(child.table).name] !== undefined)

/** Deletes the rows beyond a record's last position, and answers whose they were. */
export const dropSurplus = async (
  tx: Transaction,
  shape: Shape,
  child: Child,
  versions: ReadonlyArray<DecodedRecord>,
  lease: Lease,
): Promise<ReadonlyArray<string>> => {
  const columns = ["parent", "length"]
  const rows = versions.map(({ id, normalized }) => ({
    parent: id,
    length: String(normalized.children?.[shape.name]?.length ?? 0),
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

/** A row of a parent that lists an item that could not be read may be that item's: nothing proves that it is gone. */
const listsAll = ({ normalized }: DecodedRecord): boolean =>
  normalized.unread?.some(({ kind }) => kind === "item") !== true

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

/** Writes the children of the records that were taken: an older version must not bring its children back. */
export const writeChildren = async (
  tx: Transaction,
  lease: Lease,
  stream: Stream,
  current: ReadonlyArray<DecodedRecord>,
): Promise<void> => {
  for (const child of stream.children) {
    const shape = shapeOf(child.table)
    const parents = parentsOf(child, current)
    const rows = parents.flatMap(version => childRows(child, version, lease))
    const listings = parents
      .filter(listsAll)
      .map(version => ({ id: version.id, rows: version.normalized.children![shape.name]! }))
    await bookItemDoubts(tx, lease, child, listings)
    if (rows.length > 0) {
      const compared = quoted(
        [...shape.types.keys()].filter(name => !["read_at", "first_seen_at", "run_id"].includes(name)),
      )
      const isOther = `(${prefixed("t", compared)}) IS DISTINCT FROM (${prefixed("excluded", compared)})`
      const parent = child.parentColumn
      // A row that moved to another parent is the later read's, whichever of the two is written last.
      const isLater = `(t."${parent}" = excluded."${parent}" OR t.removed_at IS NOT NULL OR t.read_at <= excluded.read_at)`
      const isKept = child.surplus === "keep"
      await upsert(tx, shape, {
        rows,
        preference: isKept ? `read_at DESC, "${parent}", ordinal DESC` : "ordinal DESC",
        kept: ["first_seen_at"],
        guard: isKept ? `${isOther} AND ${isLater}` : isOther,
      })
    }
    if (child.surplus === "replace") await dropSurplus(tx, shape, child, parents, lease)
    else await markUnlisted(tx, shape, child, parents.filter(listsAll), rows, lease)
  }
}

const prefixed = (alias: string, columns: string): string =>
  columns
    .split(", ")
    .map(column => `${alias}.${column}`)
    .join(", ")

const historyRows = (
  history: History,
  stream: Stream,
  versions: ReadonlyArray<DecodedRecord>,
  lease: Lease,
) =>
  versions.flatMap(({ id, readAt, normalized }) => {
    const own = { ...normalized.row, [stream.idColumn]: id }
    const rows = history.child === undefined ? [own] : (normalized.children?.[history.child] ?? [])
    return rows
      .filter(row => history.isAbout?.(row) ?? true)
      .map((row): Row => ({ ...row, account: lease.account, [history.timeColumn]: readAt }))
  })

/** One row for each key and time, the last: two in one statement would fail it. */
const distinct = (rows: ReadonlyArray<Row>, columns: ReadonlyArray<string>): ReadonlyArray<Row> => [
  ...new Map(rows.map(row => [JSON.stringify(columns.map(column => row[column])), row])).values(),
]

/** The earliest time wins, whatever the order in which reads are committed. */
const writeFirstSeen = (tx: Transaction, { table, timeColumn }: History, rows: ReadonlyArray<Row>) =>
  upsert(tx, shapeOf(table), {
    rows,
    preference: `"${timeColumn}", ordinal`,
    kept: [],
    guard: `excluded."${timeColumn}" < t."${timeColumn}"`,
  })

/**
 * Of two versions of one moment the one that is now stored counts: it replaces what the other one noted. Throws `NotStored`
 * where the latest state up to one of the rows is not that row's afterwards.
 */
const writeChanges = async (tx: Transaction, history: History, found: ReadonlyArray<Row>): Promise<void> => {
  const shape = shapeOf(history.table)
  const { table, types } = shape
  const columns = [...types.keys()]
  const keys = ["account", ...history.keyColumns]
  const rows = distinct(found, [...history.keyColumns, history.timeColumn])
  const typed = columns.map(column => `s."${column}"::${types.get(column)} AS "${column}"`).join(", ")
  const values = quoted(history.valueColumns)
  const unrecorded = `
     FROM (SELECT ${typed} FROM ${unnestOf(columns, 1)}) AS n
     LEFT JOIN LATERAL (
       SELECT ${values} FROM ${table} AS h
       WHERE ${keys.map(key => `h."${key}" = n."${key}"`).join(" AND ")} AND h."${history.timeColumn}" <= n."${history.timeColumn}"
       ORDER BY h."${history.timeColumn}" DESC LIMIT 1
     ) AS h ON true
     WHERE h."${history.valueColumns[0]}" IS NULL
       OR (${prefixed("h", values)}) IS DISTINCT FROM (${prefixed("n", values)})`
  const parameters = arraysOf(columns, rows)
  await tx.unsafe(
    `INSERT INTO ${table} (${quoted(columns)})
     SELECT ${prefixed("n", quoted(columns))} ${unrecorded}
     ON CONFLICT (${quoted([...keys, history.timeColumn])}) DO UPDATE
     SET ${history.valueColumns.map(column => `"${column}" = excluded."${column}"`).join(", ")}`,
    parameters,
  )
  if (!(await mayAlter(tx, shape))) return
  await tx`SET CONSTRAINTS ALL IMMEDIATE`
  const [left] = await tx.unsafe<Array<{ count: number }>>(`SELECT count(*)::int ${unrecorded}`, parameters)
  refuseLost(table, left!.count, rows.length)
}

/**
 * Ends the periods whose values are others now, and begins new ones. A row from before the period that goes on changes
 * nothing. Throws `NotStored` where a row is in no period, or in one with other values, afterwards.
 */
const writePeriods = async (
  tx: Transaction,
  { table: history, timeColumn, endColumn, keyColumns, valueColumns }: History,
  rows: ReadonlyArray<Row>,
): Promise<void> => {
  const shape = shapeOf(history)
  const { table, types } = shape
  const columns = [...types.keys()].filter(column => column !== endColumn)
  const typed = columns.map(column => `s."${column}"::${types.get(column)} AS "${column}"`).join(", ")
  const isSame = (alias: string) =>
    ["account", ...keyColumns].map(key => `h."${key}" = ${alias}."${key}"`).join(" AND ")
  const [start, end, values] = [`"${timeColumn}"`, `"${endColumn}"`, quoted(valueColumns)]
  const given = `(SELECT ${typed} FROM ${unnestOf(columns, 1)}) AS n`
  const parameters = arraysOf(columns, rows)
  await tx.unsafe(
    `WITH other AS (
       SELECT n.*, h.${start} AS ended FROM ${given}
       LEFT JOIN ${table} AS h ON ${isSame("n")} AND h.${end} IS NULL
       WHERE h.account IS NULL OR (h.${start} < n.${start}
         AND (${prefixed("h", values)}) IS DISTINCT FROM (${prefixed("n", values)}))
     ), closed AS (
       UPDATE ${table} AS h SET ${end} = o.${start} FROM other AS o WHERE ${isSame("o")} AND h.${start} = o.ended
     )
     INSERT INTO ${table} (${quoted(columns)}) SELECT ${quoted(columns)} FROM other ON CONFLICT DO NOTHING`,
    parameters,
  )
  if (!(await mayAlter(tx, shape))) return
  await tx`SET CONSTRAINTS ALL IMMEDIATE`
  const [left] = await tx.unsafe<Array<{ count: number }>>(
    `SELECT count(*)::int FROM ${given}
     CROSS JOIN LATERAL (
       SELECT count(*) AS open, bool_and(h.${start} > n.${start}
         OR (${prefixed("h", values)}) IS NOT DISTINCT FROM (${prefixed("n", values)})) AS is_recorded
       FROM ${table} AS h WHERE ${isSame("n")} AND h.${end} IS NULL
     ) AS h
     WHERE h.open <> 1 OR NOT h.is_recorded`,
    parameters,
  )
  refuseLost(table, left!.count, rows.length)
}

const WRITE = { change: writeChanges, period: writePeriods, first_seen: writeFirstSeen } as const

/**
 * Records what cannot be fetched later. A first-seen time is noted for every version that was read, also for
 * one that came too late to be stored; a changed value only for the versions that are now stored.
 */
export const writeHistories = async (
  tx: Transaction,
  lease: Lease,
  stream: Stream,
  versions: ReadonlyArray<DecodedRecord>,
  current: ReadonlyArray<DecodedRecord>,
): Promise<void> => {
  for (const history of stream.histories) {
    const rows = historyRows(history, stream, history.kind === "first_seen" ? versions : current, lease)
    if (rows.length > 0) await WRITE[history.kind](tx, history, rows)
  }
}
