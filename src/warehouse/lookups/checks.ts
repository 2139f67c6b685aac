import { Effect } from "effect"
import type postgres from "postgres"
import type { LeaseError, WarehouseError } from "../../core/errors.ts"
import { arrayLiteral } from "../../postgres/bulk.ts"
import { read } from "../../postgres/statements.ts"
import { inLeaseTx, type Lease } from "../ledger/lease.ts"
import { askedOf, keysOf, type Lookup, parametersOf } from "./lookup.ts"

/** What is stored about earlier look-ups: which of them were answered, and which failed. */

/** How many keys may be asked about, due or not. */
export const countKeys = (
  sql: postgres.Sql,
  lease: Lease,
  lookup: Lookup,
): Effect.Effect<number, WarehouseError> =>
  read(async () => {
    const parameters = parametersOf()
    const [row] = await sql.unsafe<[{ count: number }]>(
      `SELECT count(*)::float8 AS count FROM ${keysOf(lookup, parameters.add(lease.account), parameters)} AS k`,
      parameters.values,
    )
    return row.count
  })

/**
 * A few keys whose latest look-up got an answer, in earlier runs. Settled ones first, the latest first: hardly one of them is
 * asked about in this run. Reads all answers once.
 */
export const answeredBefore = (
  sql: postgres.Sql,
  lease: Lease,
  lookup: Lookup,
  limit: number,
): Effect.Effect<ReadonlyArray<string>, WarehouseError> =>
  read(async () => {
    const parameters = parametersOf()
    const account = parameters.add(lease.account)
    const asked = askedOf(lookup, account, parameters)
    const rows = await sql.unsafe<Array<{ key: string }>>(
      `SELECT k.key FROM ${asked.table} AS r
       JOIN ${keysOf(lookup, account, parameters)} AS k ON k.key = r.${asked.key}
       WHERE ${asked.scope} AND r.check_error IS NULL AND r.run_id <> ${parameters.add(lease.runId)}::uuid
       ORDER BY ${asked.isOpen()}, r.checked_at DESC LIMIT ${parameters.add(limit)}`,
      parameters.values,
    )
    return rows.map(({ key }) => key)
  })

/** Those among these keys whose latest look-up failed too. */
export const failedBefore = (
  sql: postgres.Sql,
  lease: Lease,
  lookup: Lookup,
  keys: ReadonlyArray<string>,
): Effect.Effect<ReadonlySet<string>, WarehouseError> =>
  keys.length === 0
    ? Effect.succeed(new Set())
    : read(async () => {
        const parameters = parametersOf()
        const asked = askedOf(lookup, parameters.add(lease.account), parameters)
        const rows = await sql.unsafe<Array<{ key: string }>>(
          `SELECT r.${asked.key} AS key FROM ${asked.table} AS r
           WHERE ${asked.scope} AND r.${asked.key} = ANY (${parameters.add(arrayLiteral(keys))}::text[])
             AND r.check_error IS NOT NULL`,
          parameters.values,
        )
        return new Set(rows.map(({ key }) => key))
      })

/** Books how many keys there are whose latest look-up failed, by whichever run, and answers it. */
export const bookFailed = (
  sql: postgres.Sql,
  lease: Lease,
  lookup: Lookup,
): Effect.Effect<number, LeaseError | WarehouseError> =>
  inLeaseTx(sql, lease, async tx => {
    const parameters = parametersOf()
    const account = parameters.add(lease.account)
    const asked = askedOf(lookup, account, parameters)
    const [row] = await tx.unsafe<[{ count: number }]>(
      `SELECT count(*)::float8 AS count FROM ${asked.table} AS r
       JOIN ${keysOf(lookup, account, parameters)} AS k ON k.key = r.${asked.key}
       WHERE ${asked.scope} AND r.check_error IS NOT NULL`,
      parameters.values,
    )
    await tx`
      UPDATE sync.stream_runs SET failed_lookups = ${row.count}
      WHERE run_id = ${lease.runId} AND account = ${lease.account} AND stream = ${lease.stream}`
    return row.count
  })
