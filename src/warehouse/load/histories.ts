import type { DecodedRecord } from "../../core/decodedRecord.ts"
import { parseJson, stringifyJson } from "../../core/json.ts"
import { DROP, redactor } from "../../core/privacy.ts"
import type { History, Row, Stream } from "../../core/stream.ts"
import { arraysOf, prefixed, quoted, refuseLost, typedRows, upsert } from "../../postgres/bulk.ts"
import { mayAlter } from "../../postgres/interference.ts"
import { type Shape, shapeOf, type Transaction } from "../../postgres/shape.ts"
import type { Lease } from "../ledger/lease.ts"
import { EVIDENCE_COLUMN } from "../schema/columns.ts"

/** Histories: facts about records over time, which cannot be read again later. */

/** Proof of a state that begins. The text has no fields that may be personal, so that no change of the privacy mode concerns it. */
const evidenceOf = (
  { table }: History,
  { personal, source }: Stream,
  { readAt, raw }: DecodedRecord,
  { runId }: Lease,
): Row =>
  shapeOf(table).types.has(EVIDENCE_COLUMN)
    ? {
        first_run_id: runId,
        first_raw: stringifyJson(redactor(personal, source.idField, DROP)(parseJson(raw))),
        last_confirmed_at: readAt,
        last_run_id: runId,
      }
    : {}

const historyRows = (
  history: History,
  stream: Stream,
  versions: ReadonlyArray<DecodedRecord>,
  lease: Lease,
) =>
  versions.flatMap(version => {
    const { id, readAt, normalized } = version
    const own = { ...normalized.row, [stream.idColumn]: id }
    const rows = history.child === undefined ? [own] : (normalized.children?.[history.child] ?? [])
    const evidence = evidenceOf(history, stream, version, lease)
    return rows
      .filter(row => history.isAbout?.(row) ?? true)
      .map((row): Row => ({ ...row, ...evidence, account: lease.account, [history.timeColumn]: readAt }))
  })

/** Keeps the last row of each key and time: two of them would fail the statement. */
const distinct = (rows: ReadonlyArray<Row>, columns: ReadonlyArray<string>): ReadonlyArray<Row> => [
  ...new Map(rows.map(row => [JSON.stringify(columns.map(column => row[column])), row])).values(),
]

/** Throws `NotStored` if a trigger or rule may have changed the rows, and `missing`, a FROM clause, finds some that are not kept. */
const refuseMissing = async (
  tx: Transaction,
  shape: Shape,
  missing: string,
  parameters: Array<string>,
  sent: number,
): Promise<void> => {
  if (!(await mayAlter(tx, shape))) return
  await tx`SET CONSTRAINTS ALL IMMEDIATE`
  const [{ count }] = await tx.unsafe<[{ count: number }]>(`SELECT count(*)::int ${missing}`, parameters)
  refuseLost(shape.table, count, sent)
}

/** Writes the first time of each key. The earliest time wins, in whatever order the reads are committed. */
const writeFirstSeen = (tx: Transaction, { table, timeColumn }: History, rows: ReadonlyArray<Row>) =>
  upsert(tx, shapeOf(table), {
    rows,
    preference: `"${timeColumn}", ordinal`,
    kept: [],
    guard: `excluded."${timeColumn}" < t."${timeColumn}"`,
  })

/**
 * Writes a row for each value that differs from the one before it. If two versions have the same time, the version that is
 * now stored replaces the row of the other. Throws `NotStored` if the latest row up to a given one has other values afterwards.
 */
const writeChanges = async (tx: Transaction, history: History, all: ReadonlyArray<Row>): Promise<void> => {
  const shape = shapeOf(history.table)
  const { timeColumn, keyColumns, valueColumns } = history
  const columns = [...shape.types.keys()]
  const keys = ["account", ...keyColumns]
  const rows = distinct(all, [...keyColumns, timeColumn])
  const unrecorded = `
     FROM ${typedRows(shape, columns, 1)}
     LEFT JOIN LATERAL (
       SELECT ${quoted(valueColumns)} FROM ${shape.table} AS h
       WHERE ${keys.map(key => `h."${key}" = n."${key}"`).join(" AND ")} AND h."${timeColumn}" <= n."${timeColumn}"
       ORDER BY h."${timeColumn}" DESC LIMIT 1
     ) AS h ON true
     WHERE h."${valueColumns[0]}" IS NULL
       OR (${prefixed("h", valueColumns)}) IS DISTINCT FROM (${prefixed("n", valueColumns)})`
  const parameters = arraysOf(columns, rows)
  await tx.unsafe(
    `INSERT INTO ${shape.table} (${quoted(columns)})
     SELECT ${prefixed("n", columns)} ${unrecorded}
     ON CONFLICT (${quoted([...keys, timeColumn])}) DO UPDATE
     SET ${valueColumns.map(column => `"${column}" = excluded."${column}"`).join(", ")}`,
    parameters,
  )
  await refuseMissing(tx, shape, unrecorded, parameters, rows.length)
}

/**
 * Ends the open periods with other values, and begins new ones. A row from before the open period changes nothing. Throws
 * `NotStored` if a row is in no open period afterwards, or in one with other values.
 */
const writePeriods = async (tx: Transaction, history: History, rows: ReadonlyArray<Row>): Promise<void> => {
  const shape = shapeOf(history.table)
  const { table, types } = shape
  const columns = [...types.keys()].filter(column => column !== history.endColumn)
  const isSame = (alias: string) =>
    ["account", ...history.keyColumns].map(key => `h."${key}" = ${alias}."${key}"`).join(" AND ")
  const [start, end] = [`"${history.timeColumn}"`, `"${history.endColumn}"`]
  const isOther = `(${prefixed("h", history.valueColumns)}) IS DISTINCT FROM (${prefixed("n", history.valueColumns)})`
  const given = typedRows(shape, columns, 1)
  const parameters = arraysOf(columns, rows)
  await tx.unsafe(
    `WITH other AS (
       SELECT n.*, h.${start} AS ended FROM ${given}
       LEFT JOIN ${table} AS h ON ${isSame("n")} AND h.${end} IS NULL
       WHERE h.account IS NULL OR (h.${start} < n.${start} AND ${isOther})
     ), closed AS (
       UPDATE ${table} AS h SET ${end} = o.${start} FROM other AS o WHERE ${isSame("o")} AND h.${start} = o.ended
     )
     INSERT INTO ${table} (${quoted(columns)}) SELECT ${quoted(columns)} FROM other ON CONFLICT DO NOTHING`,
    parameters,
  )
  const missing = `FROM ${given}
     CROSS JOIN LATERAL (
       SELECT count(*) AS open, bool_and(h.${start} > n.${start} OR NOT ${isOther}) AS is_recorded
       FROM ${table} AS h WHERE ${isSame("n")} AND h.${end} IS NULL
     ) AS h
     WHERE h.open <> 1 OR NOT h.is_recorded`
  await refuseMissing(tx, shape, missing, parameters, rows.length)
}

const WRITE = { change: writeChanges, period: writePeriods, first_seen: writeFirstSeen } as const

/**
 * Writes the histories of records. A first-seen time is noted for every version that was read, even if it came too late to
 * be stored; a changed value only for the versions that are now stored.
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
