import { Effect } from "effect"
import type postgres from "postgres"
import { arrayLiteral } from "../../postgres/bulk.ts"
import type { SqlEffect } from "../../postgres/shape.ts"
import { read } from "../../postgres/statements.ts"
import { inLeaseTx, type Lease, type LeaseEffect } from "../ledger/lease.ts"
import { earlierLookups, keysOf, type Lookup, parametersOf } from "./lookup.ts"

/** Questions about earlier look-ups: which of them were answered, and which failed. */

/** Counts the keys of a look-up, due or not. */
export const countKeys = (sql: postgres.Sql, lease: Lease, lookup: Lookup): SqlEffect<number> =>
  read(async () => {
    const parameters = parametersOf()
    const [row] = await sql.unsafe<[{ count: number }]>(
      `SELECT count(*)::float8 AS count FROM ${keysOf(lookup, parameters.add(lease.account), parameters)} AS k`,
      parameters.values,
    )
    return row.count
  })

/**
 * Reads a few keys whose latest look-up, in an earlier run, got an answer. Settled ones come first, the latest first: this
 * run will hardly ask about them. Reads all answers once.
 */
export const answeredBefore = (
  sql: postgres.Sql,
  lease: Lease,
  lookup: Lookup,
  limit: number,
): SqlEffect<ReadonlyArray<string>> =>
  read(async () => {
    const parameters = parametersOf()
    const account = parameters.add(lease.account)
    const earlier = earlierLookups(lookup, account, parameters)
    const rows = await sql.unsafe<Array<{ key: string }>>(
      `SELECT k.key FROM ${earlier.table} AS r
       JOIN ${keysOf(lookup, account, parameters)} AS k ON k.key = r.${earlier.key}
       WHERE ${earlier.scope} AND r.check_error IS NULL AND r.run_id <> ${parameters.add(lease.runId)}::uuid
       ORDER BY ${earlier.isOpen()}, r.checked_at DESC LIMIT ${parameters.add(limit)}`,
      parameters.values,
    )
    return rows.map(({ key }) => key)
  })

/** Selects the keys whose latest look-up failed. */
export const failedBefore = (
  sql: postgres.Sql,
  lease: Lease,
  lookup: Lookup,
  keys: ReadonlyArray<string>,
): SqlEffect<ReadonlySet<string>> =>
  keys.length === 0
    ? Effect.succeed(new Set())
    : read(async () => {
        const parameters = parametersOf()
        const earlier = earlierLookups(lookup, parameters.add(lease.account), parameters)
        const rows = await sql.unsafe<Array<{ key: string }>>(
          `SELECT r.${earlier.key} AS key FROM ${earlier.table} AS r
           WHERE ${earlier.scope} AND r.${earlier.key} = ANY (${parameters.add(arrayLiteral(keys))}::text[])
             AND r.check_error IS NOT NULL`,
          parameters.values,
        )
        return new Set(rows.map(({ key }) => key))
      })

/** Books and returns the number of keys whose latest look-up failed, in any run. */
export const bookFailed = (sql: postgres.Sql, lease: Lease, lookup: Lookup): LeaseEffect<number> =>
  inLeaseTx(sql, lease, async tx => {
    const parameters = parametersOf()
    const account = parameters.add(lease.account)
    const earlier = earlierLookups(lookup, account, parameters)
    const [row] = await tx.unsafe<[{ count: number }]>(
      `SELECT count(*)::float8 AS count FROM ${earlier.table} AS r
       JOIN ${keysOf(lookup, account, parameters)} AS k ON k.key = r.${earlier.key}
       WHERE ${earlier.scope} AND r.check_error IS NOT NULL`,
      parameters.values,
    )
    await tx`
      UPDATE sync.stream_runs SET failed_lookups = ${row.count}
      WHERE run_id = ${lease.runId} AND account = ${lease.account} AND stream = ${lease.stream}`
    return row.count
  })
