import type { Effect } from "effect"
import type postgres from "postgres"
import type { LeaseError, WarehouseError } from "../../core/errors.ts"
import type { Stream } from "../../core/stream.ts"
import { shapeOf } from "../../postgres/shape.ts"
import { query } from "../../postgres/statements.ts"
import type { Lease } from "../ledger/lease.ts"
import { type Rewritten, rewriteRecords } from "./rewrite.ts"

/** Makes the rows of a stream anew from the raw records that are stored, without asking anybody for them. */

/** The accounts that have rows in these streams' tables. One step of an index per account, however many rows it has. */
export const accountsStored = (
  sql: postgres.Sql,
  streams: ReadonlyArray<Stream>,
): Effect.Effect<ReadonlyArray<string>, WarehouseError> =>
  query(async () => {
    const accounts = new Set<string>()
    for (const { table } of streams) {
      let after = ""
      while (true) {
        const [next] = await sql.unsafe<Array<{ account: string | null }>>(
          `SELECT min(account) AS account FROM ${shapeOf(table).table} WHERE account > $1`,
          [after],
        )
        if (next?.account == null) break
        accounts.add(next.account)
        after = next.account
      }
    }
    return [...accounts].sort()
  })

/** How many rows of an account's stream there are. Reads an index: seconds on tables of many millions. */
export const countStored = (
  sql: postgres.Sql,
  account: string,
  { table }: Stream,
): Effect.Effect<number, WarehouseError> =>
  query(async () => {
    const [counted] = await sql.unsafe<Array<{ count: number }>>(
      `SELECT count(*)::float8 FROM ${shapeOf(table).table} WHERE account = $1`,
      [account],
    )
    return counted?.count ?? 0
  })

/** Normalizes an account's stream again from its raw records, and books what was done as the run's. */
export const rebuildStream = (
  sql: postgres.Sql,
  lease: Lease,
  stream: Stream,
  tell: (soFar: Rewritten) => Effect.Effect<void>,
): Effect.Effect<Rewritten, LeaseError | WarehouseError> =>
  rewriteRecords(sql, lease, stream, record => record, {
    tell,
    isEmptiedLeft: true,
    book: (tx, { walked, changed, fieldRejected, itemRejected, failures }) => tx`
      UPDATE sync.stream_runs
      SET pages = pages + 1, extracted = extracted + ${walked}, updated = updated + ${changed},
        unchanged = unchanged + ${walked - changed - failures.length}, rejected = rejected + ${failures.length},
        field_rejected = field_rejected + ${fieldRejected}, item_rejected = item_rejected + ${itemRejected}
      WHERE run_id = ${lease.runId} AND account = ${lease.account} AND stream = ${lease.stream}`,
  })

/** What a rebuild has to say about records that it could not make anew; null where there is none. */
export const describeFailures = ({ failed, failures }: Rewritten): string | null => {
  if (failed === 0) return null
  const named = failures.map(({ id, field }) => (field === null ? id : `${id} (${field})`)).join(", ")
  return (
    `${failed} of the stored raw records cannot be read any more; their rows stay as they were:` +
    ` ${named}${failed > failures.length ? ", …" : ""}. A sync brings each when the API sends another version of it.`
  )
}
