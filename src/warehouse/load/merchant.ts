import type { PgTable } from "drizzle-orm/pg-core"
import type { Effect } from "effect"
import type postgres from "postgres"
import type { WarehouseError } from "../../core/errors.ts"
import { arrayLiteral } from "../../postgres/bulk.ts"
import { shapeOf, type Transaction } from "../../postgres/shape.ts"
import { read } from "../../postgres/statements.ts"
import type { Lease } from "../ledger/lease.ts"

/** Those of the merchants whose records the warehouse holds for an account. Reads the table once, whatever their number. */
export const heldAmong = async (
  sql: postgres.Sql | Transaction,
  account: string,
  recordTable: PgTable,
  merchantColumn: string,
  merchants: ReadonlyArray<string>,
): Promise<ReadonlySet<string>> => {
  if (merchants.length === 0) return new Set()
  const column = `"${merchantColumn}"`
  const rows = await sql.unsafe<Array<{ merchant: string }>>(
    `SELECT m.merchant FROM unnest($2::text[]) AS m(merchant)
     WHERE EXISTS (SELECT FROM ${shapeOf(recordTable).table} WHERE account = $1 AND ${column} = m.merchant)`,
    [account, arrayLiteral(merchants)],
  )
  return new Set(rows.map(({ merchant }) => merchant))
}

/** As `heldAmong`, tried again where that may help. */
export const merchantsHeld = (
  sql: postgres.Sql,
  account: string,
  recordTable: PgTable,
  merchantColumn: string,
  merchants: ReadonlyArray<string>,
): Effect.Effect<ReadonlySet<string>, WarehouseError> =>
  read(() => heldAmong(sql, account, recordTable, merchantColumn, merchants))

/** What the warehouse says about whose records a stream's are. */
export interface KnownMerchants {
  /** A pass over the whole list has come to its end before. */
  readonly hasFull: boolean
  /** One merchant whose records are stored; null where no stored record names one. */
  readonly one: string | null
}

export const knownMerchants = (
  sql: postgres.Sql,
  lease: Pick<Lease, "account" | "stream">,
  recordTable: PgTable,
  merchantColumn: string,
): Effect.Effect<KnownMerchants, WarehouseError> =>
  read(async () => {
    const column = `"${merchantColumn}"`
    const [known] = await sql.unsafe<Array<KnownMerchants>>(
      `SELECT EXISTS (
         SELECT FROM sync.stream_runs WHERE account = $1 AND stream = $2 AND mode = 'full'
           AND status IN ('complete', 'complete_with_rejects')
       ) AS "hasFull",
       (SELECT ${column} FROM ${shapeOf(recordTable).table} WHERE account = $1 AND ${column} IS NOT NULL LIMIT 1) AS one`,
      [lease.account, lease.stream],
    )
    return known!
  })
