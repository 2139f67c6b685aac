import type postgres from "postgres"
import type { ColumnValue, Row } from "../core/stream.ts"
import { NotStored } from "./failures.ts"
import { mayAlter } from "./interference.ts"
import type { Shape, Transaction } from "./shape.ts"

/**
 * Bulk statements over drizzle's tables: rows are sent as one text array per column, through `unnest`. COPY into a
 * temporary table took the same time within a few per cent, and bloats the catalogue with each batch.
 */

export const quoted = (names: Iterable<string>): string => Array.from(names, name => `"${name}"`).join(", ")

export const prefixed = (alias: string, columns: ReadonlyArray<string>): string =>
  columns.map(column => `${alias}."${column}"`).join(", ")

const SPECIAL = /["\\]/g
/** Characters of one replacement: it takes memory for each match, many times that of the text. */
const ESCAPED_AT_ONCE = 2 ** 16

const escaped = (text: string): string => {
  if (text.length <= ESCAPED_AT_ONCE) return text.replace(SPECIAL, "\\$&")
  const parts: Array<string> = []
  for (let from = 0; from < text.length; from += ESCAPED_AT_ONCE)
    parts.push(text.slice(from, from + ESCAPED_AT_ONCE).replace(SPECIAL, "\\$&"))
  return parts.join("")
}

const element = (value: ColumnValue): string => {
  if (value === null) return "NULL"
  if (typeof value === "boolean") return value ? "true" : "false"
  const text = typeof value === "string" ? value : arrayLiteral(value)
  return `"${escaped(text)}"`
}

export const arrayLiteral = (values: ReadonlyArray<ColumnValue>): string =>
  `{${values.map(element).join(",")}}`

/** One array literal per column: the parameters of `unnestOf`. */
export const arraysOf = (columns: ReadonlyArray<string>, rows: ReadonlyArray<Row>): Array<string> =>
  columns.map(column => arrayLiteral(rows.map(row => row[column] ?? null)))

/** `unnest` of the arrays at parameters `first`…, as `s`, with the position in `ordinal`. Every column is text. */
export const unnestOf = (columns: ReadonlyArray<string>, first: number): string =>
  `unnest(${columns.map((_, i) => `$${first + i}::text[]`).join(", ")}) WITH ORDINALITY AS s(${quoted([...columns, "ordinal"])})`

const typed = (columns: ReadonlyArray<string>, { types }: Pick<Shape, "types">): string =>
  columns.map(column => `s."${column}"::${types.get(column)} AS "${column}"`).join(", ")

/** Typed rows of the arrays at parameters `first`…, as `n`. */
export const typedRows = (shape: Shape, columns: ReadonlyArray<string>, first: number): string =>
  `(SELECT ${typed(columns, shape)} FROM ${unnestOf(columns, first)}) AS n`

/**
 * Settings for the rest of a transaction. Joins of a batch look up each row by its key: otherwise the planner may read
 * the whole table for every batch, and loading gets slower with every stored row.
 */
export const lookUpByKey = (tx: Transaction): Promise<unknown> =>
  tx`SELECT set_config('array_nulls', 'on', true), set_config('enable_seqscan', 'off', true), set_config('enable_hashjoin', 'off', true),
      set_config('enable_mergejoin', 'off', true)`

interface Upsert {
  readonly rows: ReadonlyArray<Row>
  /** ORDER BY over the typed columns of `s`, by which one of several rows with one key is written. */
  readonly preference: string
  readonly kept: ReadonlyArray<string>
  /** Condition on which `excluded` replaces the stored row `t`. */
  readonly guard: string
  readonly returning?: string
}

const areDistinct = (key: ReadonlyArray<string>, rows: ReadonlyArray<Row>): boolean =>
  new Set(rows.map(row => JSON.stringify(key.map(column => row[column])))).size === rows.length

const keyOf = (key: ReadonlyArray<string>, row: Readonly<Record<string, unknown>>): string =>
  JSON.stringify(key.map(column => String(row[column])))

interface Sent extends Pick<Upsert, "rows" | "guard"> {
  /** As in `Upsert`; absent if no two rows have one key. */
  readonly preference?: string
  /** The rows that Postgres reported as written, with their keys at least. */
  readonly taken: ReadonlyArray<Readonly<Record<string, unknown>>>
  /** Condition on which the stored row `t` differs from the written row `excluded`. */
  readonly isOther: string
}

/** Throws `NotStored` if a row is neither stored as sent, nor kept out by the guard: counters would not add up. */
export const refuseAltered = async (
  tx: Transaction,
  shape: Shape,
  { rows, preference, guard, taken, isOther }: Sent,
): Promise<void> => {
  const { table, key } = shape
  const isTaken = new Set(taken.map(row => keyOf(key, row)))
  const columns = [...shape.types.keys()]
  // Deferred triggers run now, and not after this check.
  await tx`SET CONSTRAINTS ALL IMMEDIATE`
  const [row] = await tx.unsafe<Array<{ altered: number }>>(
    `SELECT count(*)::int AS altered
     FROM (
       SELECT ${preference === undefined ? "" : `DISTINCT ON (${quoted(key)})`} *
       FROM (SELECT ${typed(columns, shape)}, s.is_taken::boolean AS is_taken, ordinal FROM ${unnestOf([...columns, "is_taken"], 1)}) AS s
       ${preference === undefined ? "" : `ORDER BY ${quoted(key)}, ${preference}`}
     ) AS excluded
     LEFT JOIN ${table} AS t ON ${key.map(column => `t."${column}" = excluded."${column}"`).join(" AND ")}
     WHERE t."${key[0]}" IS NULL OR CASE WHEN excluded.is_taken THEN ${isOther} ELSE ${guard} END`,
    arraysOf(
      [...columns, "is_taken"],
      rows.map(row => ({ ...row, is_taken: isTaken.has(keyOf(key, row)) })),
    ),
  )
  refuseLost(table, row!.altered, rows.length)
}

/** Throws `NotStored` if Postgres took rows for a table and did not keep `lost` of them as they were sent. */
export const refuseLost = (table: string, lost: number, sent: number): void => {
  if (lost > 0)
    throw new NotStored(
      `Postgres took ${lost} of ${sent} rows for ${table} and did not keep them as they were sent: nothing` +
        " of this batch was stored. See which triggers that table has and the types of its columns, and put them right.",
    )
}

/**
 * Inserts rows, or updates the stored ones where the guard allows it. Columns that a row does not have are null. Two
 * rows with one key would fail the statement, so the preferred one is written. Rows are sorted only in this case:
 * thousands of wide rows do not fit into Postgres' sort memory.
 *
 * Throws `NotStored` if Postgres neither kept a row as it was sent, nor holds a version that the guard keeps.
 */
export const upsert = async <A extends postgres.Row = postgres.Row>(
  tx: Transaction,
  shape: Shape,
  { rows, preference, kept, guard, returning }: Upsert,
): Promise<ReadonlyArray<A>> => {
  const { table, key, types } = shape
  const columns = [...types.keys()]
  const updates = columns.filter(column => !key.includes(column) && !kept.includes(column))
  const isDistinct = areDistinct(key, rows)
  const taken = await tx.unsafe<Array<A>>(
    `INSERT INTO ${table} AS t (${quoted(columns)})
     SELECT ${isDistinct ? "" : `DISTINCT ON (${quoted(key)})`} ${quoted(columns)}
     FROM (SELECT ${typed(columns, shape)}, ordinal FROM ${unnestOf(columns, 1)}) AS s
     ${isDistinct ? "" : `ORDER BY ${quoted(key)}, ${preference}`}
     ON CONFLICT (${quoted(key)}) DO UPDATE
     SET ${updates.map(column => `"${column}" = excluded."${column}"`).join(", ")}
     WHERE ${guard}
     RETURNING ${[prefixed("t", key), ...(returning === undefined ? [] : [returning])].join(", ")}`,
    arraysOf(columns, rows),
  )
  if (taken.length < rows.length || (await mayAlter(tx, shape))) {
    await refuseAltered(tx, shape, {
      rows,
      ...(isDistinct ? {} : { preference }),
      guard,
      taken,
      isOther:
        updates.length === 0
          ? "false"
          : `(${prefixed("t", updates)}) IS DISTINCT FROM (${prefixed("excluded", updates)})`,
    })
  }
  return taken
}
