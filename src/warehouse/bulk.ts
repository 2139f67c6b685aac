import { getTableConfig, type PgTable } from "drizzle-orm/pg-core"
import type postgres from "postgres"
import type { ColumnValue, Row } from "../Stream.ts"
import { NotStored } from "./failures.ts"

/**
 * Bulk statements over drizzle's tables: rows go as one text array per column through `unnest`. COPY into a
 * temporary table measured the same within a few per cent, and churns the catalogue with each batch.
 */

export type Transaction = postgres.TransactionSql

export interface Shape {
  readonly name: string
  /** Quoted, with its schema. */
  readonly table: string
  readonly key: ReadonlyArray<string>
  /** Column name → its Postgres type. */
  readonly types: ReadonlyMap<string, string>
}

const shapes = new WeakMap<PgTable, Shape>()

/** A table's name, primary key and column types, as drizzle knows them. */
export const shapeOf = (table: PgTable): Shape => {
  const known = shapes.get(table)
  if (known !== undefined) return known
  const config = getTableConfig(table)
  const shape: Shape = {
    name: config.name,
    table: `"${config.schema}"."${config.name}"`,
    key: config.primaryKeys.flatMap(key => key.columns.map(column => column.name)),
    types: new Map(config.columns.map(column => [column.name, column.getSQLType()])),
  }
  shapes.set(table, shape)
  return shape
}

export const quoted = (names: Iterable<string>): string => Array.from(names, name => `"${name}"`).join(", ")

const SPECIAL = /["\\]/g
/** Characters that one replacement goes through: it takes memory for each match, many times that of the text. */
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

/** Postgres' text form of an array. */
export const arrayLiteral = (values: ReadonlyArray<ColumnValue>): string =>
  `{${values.map(element).join(",")}}`

/** One array literal per column: the parameters of `unnestOf`. */
export const arraysOf = (columns: ReadonlyArray<string>, rows: ReadonlyArray<Row>): Array<string> =>
  columns.map(column => arrayLiteral(rows.map(row => row[column] ?? null)))

/** `unnest` of the arrays at parameters `first`…, as `s` with its position in `ordinal`; every column is text. */
export const unnestOf = (columns: ReadonlyArray<string>, first: number): string =>
  `unnest(${columns.map((_, i) => `$${first + i}::text[]`).join(", ")}) WITH ORDINALITY AS s(${quoted([...columns, "ordinal"])})`

/**
 * For the rest of a transaction: null in an array is null, whatever the role or database says; and what a batch joins is looked up by its key, row by row. Left to itself the planner may
 * read the whole table or index for every batch, and loading gets slower with every row that is stored.
 */
export const lookUpByKey = (tx: Transaction): Promise<unknown> =>
  tx`SELECT set_config('array_nulls', 'on', true), set_config('enable_seqscan', 'off', true), set_config('enable_hashjoin', 'off', true),
      set_config('enable_mergejoin', 'off', true)`

interface Upsert {
  readonly rows: ReadonlyArray<Row>
  /** Which of several rows with one key is written: an ORDER BY over the typed columns of `s`. */
  readonly preference: string
  /** Columns that keep what they hold. */
  readonly kept: ReadonlyArray<string>
  /** When a stored row `t` gives way to `excluded`. */
  readonly guard: string
  readonly returning?: string
}

/** Whether no two rows have one key. */
const areDistinct = (key: ReadonlyArray<string>, rows: ReadonlyArray<Row>): boolean =>
  new Set(rows.map(row => JSON.stringify(key.map(column => row[column])))).size === rows.length

/**
 * Throws `NotStored` where one of these rows is neither stored, nor kept out by the guard: what was read must add up to
 * what is kept. Of several rows with one key, which of them had to win is not asked: one must be there.
 */
export const refuseSwallowed = async (
  tx: Transaction,
  { table, key, types }: Shape,
  { rows, guard }: Pick<Upsert, "rows" | "guard">,
): Promise<void> => {
  const byKey = new Map<string, Array<Row>>()
  for (const row of rows) {
    const name = JSON.stringify(key.map(column => row[column]))
    byKey.set(name, [...(byKey.get(name) ?? []), row])
  }
  const columns = [...types.keys()]
  const typed = columns.map(column => `s."${column}"::${types.get(column)} AS "${column}"`).join(", ")
  const [found] = await tx.unsafe<Array<{ swallowed: number }>>(
    `SELECT count(*)::int AS swallowed
     FROM (SELECT ${typed}, s.is_alone::boolean AS is_alone FROM ${unnestOf([...columns, "is_alone"], 1)}) AS excluded
     LEFT JOIN ${table} AS t ON ${key.map(column => `t."${column}" = excluded."${column}"`).join(" AND ")}
     WHERE t."${key[0]}" IS NULL OR (excluded.is_alone AND ${guard})`,
    arraysOf(
      [...columns, "is_alone"],
      Array.from(byKey.values(), ([row, ...others]) => ({ ...row, is_alone: others.length === 0 })),
    ),
  )
  if (found!.swallowed > 0)
    throw new NotStored(
      `Postgres took ${found!.swallowed} of ${byKey.size} rows for ${table} and did not keep them: nothing of this` +
        " batch was stored. See which trigger or rule that table has, and remove it.",
    )
}

/**
 * Inserts rows, or updates the stored ones that the guard lets go. Columns that a row does not have are null.
 * Two rows of one key in one statement would fail it: the preferred one is written. Only then are rows sorted:
 * wide rows in their thousands do not fit Postgres' sort memory.
 *
 * Throws `NotStored` where Postgres neither kept a row nor holds a version that the guard keeps.
 */
export const upsert = async <A extends postgres.Row = postgres.Row>(
  tx: Transaction,
  shape: Shape,
  { rows, preference, kept, guard, returning }: Upsert,
): Promise<ReadonlyArray<A>> => {
  const { table, key, types } = shape
  const columns = [...types.keys()]
  const typed = columns.map(column => `s."${column}"::${types.get(column)} AS "${column}"`).join(", ")
  const updates = columns.filter(column => !key.includes(column) && !kept.includes(column))
  const isDistinct = areDistinct(key, rows)
  const taken = await tx.unsafe<Array<A>>(
    `INSERT INTO ${table} AS t (${quoted(columns)})
     SELECT ${isDistinct ? "" : `DISTINCT ON (${quoted(key)})`} ${quoted(columns)}
     FROM (SELECT ${typed}, ordinal FROM ${unnestOf(columns, 1)}) AS s
     ${isDistinct ? "" : `ORDER BY ${quoted(key)}, ${preference}`}
     ON CONFLICT (${quoted(key)}) DO UPDATE
     SET ${updates.map(column => `"${column}" = excluded."${column}"`).join(", ")}
     WHERE ${guard}
     ${returning === undefined ? "" : `RETURNING ${returning}`}`,
    arraysOf(columns, rows),
  )
  if (taken.count < rows.length) await refuseSwallowed(tx, shape, { rows, guard })
  return taken
}
