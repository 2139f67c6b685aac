import type postgres from "postgres"
import type { Stream } from "../../core/stream.ts"
import type { SqlEffect, Transaction } from "../../postgres/shape.ts"
import { read } from "../../postgres/statements.ts"
import { inLeaseTx, type Lease, type LeaseEffect } from "./lease.ts"
import { rowsUpTo } from "./stored.ts"

/** Open rejects of a stream: their number and their reasons. */

/** Counts the records of a stream that are no row, and the items that are none. */
export const countOpen = async (tx: Transaction, lease: Lease): Promise<number> => {
  const [open] = await tx<Array<{ count: number }>>`
    SELECT count(*)::int FROM sync.rejects
    WHERE account = ${lease.account} AND stream = ${lease.stream} AND unlisted_at IS NULL AND kind <> 'field'`
  return open?.count ?? 0
}

/** Counts as `countOpen`, in a transaction of its own. */
export const openRejects = (sql: postgres.Sql, lease: Lease): LeaseEffect<number> =>
  inLeaseTx(sql, lease, tx => countOpen(tx, lease))

export interface OpenAndStored {
  /** Records that are no row. */
  readonly rejected: number
  /** Rows without an item that could not be read. */
  readonly lacking: number
  readonly stored: number
}

/** Counts the records with open rejects, and the rows to compare them with as far as the share needs it. */
export const openAndStored = (
  sql: postgres.Sql,
  lease: Lease,
  stream: Stream,
  shareMax: number,
): SqlEffect<OpenAndStored> =>
  read(async () => {
    const [open] = await sql<[{ rejected: number; lacking: number }]>`
      SELECT (count(*) FILTER (WHERE kind <> 'item'))::float8 AS rejected,
        (count(DISTINCT record_id) FILTER (WHERE kind = 'item'))::float8 AS lacking
      FROM sync.rejects
      WHERE account = ${lease.account} AND stream = ${lease.stream} AND unlisted_at IS NULL AND kind <> 'field'`
    const many = open.rejected + open.lacking
    if (many === 0) return { ...open, stored: 0 }
    const enough = shareMax === 0 ? 1 : Math.ceil(many / shareMax)
    return { ...open, stored: await rowsUpTo(sql, lease, stream, enough) }
  })

/** Reads the most frequent reason of the open rejects. */
export const commonestReason = (
  sql: postgres.Sql,
  lease: Lease,
): SqlEffect<{ readonly reason: string; readonly count: number } | undefined> =>
  read(async () => {
    const [commonest] = await sql<Array<{ reason: string; count: number }>>`
      SELECT reason, count(*)::float8 AS count FROM sync.rejects
      WHERE account = ${lease.account} AND stream = ${lease.stream} AND unlisted_at IS NULL AND kind <> 'field'
      GROUP BY reason ORDER BY count(*) DESC, reason LIMIT 1`
    return commonest
  })
