import type { PgTable } from "drizzle-orm/pg-core"
import type { Effect } from "effect"
import type postgres from "postgres"
import type { WarehouseError } from "../Errors.ts"
import { shapeOf } from "./bulk.ts"
import { reading } from "./Database.ts"

/**
 * Whose records the warehouse holds for an account: `same` as the named merchant's (among them at least), an
 * `other`'s only, or nobody's yet (`unknown`).
 */
export const merchantHeld = (
  sql: postgres.Sql,
  account: string,
  recordTable: PgTable,
  merchantColumn: string,
  merchant: string,
): Effect.Effect<"same" | "other" | "unknown", WarehouseError> =>
  reading(async () => {
    const { table } = shapeOf(recordTable)
    const column = `"${merchantColumn}"`
    const [held] = await sql.unsafe<Array<{ same: boolean; any: boolean }>>(
      `SELECT EXISTS (SELECT FROM ${table} WHERE account = $1 AND ${column} = $2) AS same,
         EXISTS (SELECT FROM ${table} WHERE account = $1 AND ${column} IS NOT NULL) AS any`,
      [account, merchant],
    )
    return held?.same ? "same" : held?.any ? "other" : "unknown"
  })
