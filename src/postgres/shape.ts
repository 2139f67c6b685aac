import { getTableConfig, type PgTable } from "drizzle-orm/pg-core"
import type { Effect } from "effect"
import type postgres from "postgres"
import type { WarehouseError } from "../core/errors.ts"

export type Transaction = postgres.TransactionSql

export type SqlEffect<A> = Effect.Effect<A, WarehouseError>

export interface Shape {
  readonly name: string
  /** Quoted, with its schema. */
  readonly table: string
  readonly key: ReadonlyArray<string>
  /** Column name → its Postgres type; without columns that Postgres computes. */
  readonly types: ReadonlyMap<string, string>
}

const shapes = new WeakMap<PgTable, Shape>()

/** Returns a table's name, primary key and column types, as drizzle declares them. */
export const shapeOf = (table: PgTable): Shape => {
  const cached = shapes.get(table)
  if (cached !== undefined) return cached
  const config = getTableConfig(table)
  const shape: Shape = {
    name: config.name,
    table: `"${config.schema}"."${config.name}"`,
    key: config.primaryKeys.flatMap(key => key.columns.map(column => column.name)),
    types: new Map(
      config.columns
        .filter(({ generated }) => generated === undefined)
        .map(column => [column.name, column.getSQLType()]),
    ),
  }
  shapes.set(table, shape)
  return shape
}
