import { Effect } from "effect"
import type postgres from "postgres"
import type { Stream } from "../../core/stream.ts"
import { type SqlEffect, shapeOf } from "../../postgres/shape.ts"
import { query } from "../../postgres/statements.ts"
import { inLeaseTx, type Lease, type LeaseEffect } from "../ledger/lease.ts"
import { markChange } from "../ledger/marks.ts"
import { bookCounts } from "../ledger/runs.ts"
import { accountsIn } from "../ledger/stored.ts"
import { TOTALLED_TABLE } from "../schema/totalTables.ts"
import { type Rewritten, rewriteRecords } from "./rewrite.ts"

/** Rebuilds the rows of a stream from its stored raw records, without a request to the API. */

/** Reads which accounts have rows in these streams' tables. */
export const accountsStored = (
  sql: postgres.Sql,
  streams: ReadonlyArray<Stream>,
): SqlEffect<ReadonlyArray<string>> =>
  query(async () => {
    const selects = streams.map(({ table }) => `SELECT account FROM ${accountsIn(shapeOf(table).table)}`)
    const rows = await sql.unsafe<Array<{ account: string }>>(selects.join(" UNION "))
    return rows.map(({ account }) => account).sort()
  })

/** Counts the rows of an account's stream. Reads an index, which takes seconds on tables of many millions. */
export const countStored = (sql: postgres.Sql, account: string, { table }: Stream): SqlEffect<number> =>
  query(async () => {
    const [counted] = await sql.unsafe<Array<{ count: number }>>(
      `SELECT count(*)::float8 FROM ${shapeOf(table).table} WHERE account = $1`,
      [account],
    )
    return counted?.count ?? 0
  })

/** Makes totals of the rows anew where they differ, if totals are kept of this table. */
const mendTotals = (sql: postgres.Sql, lease: Lease, { table }: Stream): LeaseEffect<void> =>
  shapeOf(table).name === TOTALLED_TABLE
    ? inLeaseTx(sql, lease, async tx => {
        await tx`SELECT warehouse.mend_totals(${lease.account})`
        await markChange(tx, lease.account, TOTALLED_TABLE)
      })
    : Effect.void

/** Normalizes an account's stream again from its raw records, with its totals, and books the counts of the run. */
export const rebuildStream = (
  sql: postgres.Sql,
  lease: Lease,
  stream: Stream,
  tell: (soFar: Rewritten) => Effect.Effect<void>,
): LeaseEffect<Rewritten> =>
  rewriteRecords(sql, lease, stream, record => record, {
    tell,
    skipsEmptied: true,
    book: (tx, { counts }) => bookCounts(tx, lease, counts, { pages: 1 }),
  }).pipe(Effect.zipLeft(mendTotals(sql, lease, stream)))

/** Describes the records that a rebuild could not decode; null if there are none. */
export const describeFailures = ({ counts: { rejected: failed }, failures }: Rewritten): string | null => {
  if (failed === 0) return null
  const named = failures.map(({ id, field }) => (field === null ? id : `${id} (${field})`)).join(", ")
  return (
    `${failed} of the stored raw records cannot be read any more; their rows stay as they were:` +
    ` ${named}${failed > failures.length ? ", …" : ""}. A sync brings each when the API sends another version of it.`
  )
}
