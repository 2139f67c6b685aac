import { Effect } from "effect"
import type postgres from "postgres"
import type { WarehouseError } from "../../core/errors.ts"
import type { LookupStream } from "../../core/stream.ts"
import { arrayLiteral } from "../../postgres/bulk.ts"
import { reading } from "../../postgres/connect.ts"
import { shapeOf } from "../../postgres/shape.ts"
import type { Held } from "../ledger/lease.ts"

/** What is stored about earlier look-ups: which of them were answered, and which failed. */

/** Customers who may be asked about, due or not. */
export const peopleToAsk = (sql: postgres.Sql, held: Held): Effect.Effect<number, WarehouseError> =>
  reading(async () => {
    const [row] = await sql<[{ count: number }]>`
      SELECT count(*)::float8 AS count FROM warehouse.customers
      WHERE account = ${held.account} AND removed_at IS NULL`
    return row.count
  })

/**
 * A few whose latest check got an answer, from earlier runs. Ready ones first, the latest first: hardly one of them is
 * asked in this run. Reads all answers once.
 */
export const answeredBefore = (
  sql: postgres.Sql,
  held: Held,
  stream: LookupStream,
  limit: number,
): Effect.Effect<ReadonlyArray<string>, WarehouseError> =>
  reading(async () => {
    const rows = await sql.unsafe<Array<{ id: string }>>(
      `SELECT customer_id AS id FROM ${shapeOf(stream.table).table} AS r
       JOIN warehouse.customers AS c USING (account, customer_id)
       WHERE account = $1 AND r.check_error IS NULL AND r.run_id <> $2::uuid AND c.removed_at IS NULL
       ORDER BY r.is_wallet_ready DESC, r.checked_at DESC LIMIT $3`,
      [held.account, held.runId, limit],
    )
    return rows.map(({ id }) => id)
  })

/** Those among these whose latest check failed too. */
export const failedBefore = (
  sql: postgres.Sql,
  held: Held,
  stream: LookupStream,
  ids: ReadonlyArray<string>,
): Effect.Effect<ReadonlySet<string>, WarehouseError> =>
  ids.length === 0
    ? Effect.succeed(new Set())
    : reading(async () => {
        const rows = await sql.unsafe<Array<{ id: string }>>(
          `SELECT customer_id AS id FROM ${shapeOf(stream.table).table}
           WHERE account = $1 AND customer_id = ANY ($2::text[]) AND check_error IS NOT NULL`,
          [held.account, arrayLiteral(ids)],
        )
        return new Set(rows.map(({ id }) => id))
      })

/** Customers who are listed and whose latest check failed, by whichever run. */
export const failedChecks = (
  sql: postgres.Sql,
  held: Held,
  stream: LookupStream,
): Effect.Effect<number, WarehouseError> =>
  reading(async () => {
    const [row] = await sql.unsafe<[{ count: number }]>(
      `SELECT count(*)::float8 AS count FROM ${shapeOf(stream.table).table} AS r
       JOIN warehouse.customers AS c USING (account, customer_id)
       WHERE r.account = $1 AND r.check_error IS NOT NULL AND c.removed_at IS NULL`,
      [held.account],
    )
    return row.count
  })
