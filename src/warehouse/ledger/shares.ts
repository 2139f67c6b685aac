import type { Effect } from "effect"
import type postgres from "postgres"
import type { WarehouseError } from "../../core/errors.ts"
import type { Stream } from "../../core/stream.ts"
import { shapeOf } from "../../postgres/shape.ts"
import { read } from "../../postgres/statements.ts"
import type { Lease } from "./lease.ts"

/** How many of a stream's records were rejected, against those read and those stored. */

/** A pass that is older is not gone on with, so none of its runs began earlier. */
const PASS_LENGTH_MAX = "25 hours"

/** Records read and rejected by the pass of a run, in all the runs that made it. */
export const readAndRejected = (
  sql: postgres.Sql,
  lease: Lease,
): Effect.Effect<{ readonly read: number; readonly rejected: number }, WarehouseError> =>
  read(async () => {
    const [counts] = await sql<[{ read: number; rejected: number }]>`
      SELECT coalesce(sum(s.extracted - s.erased), 0)::float8 AS read, coalesce(sum(s.rejected), 0)::float8 AS rejected
      FROM sync.stream_runs AS own
      JOIN sync.stream_runs AS s ON s.account = own.account AND s.stream = own.stream
        AND s.started_at > own.started_at - ${PASS_LENGTH_MAX}::interval
        AND (s.run_id = own.run_id OR s.pass_id = own.pass_id)
      WHERE own.run_id = ${lease.runId} AND own.account = ${lease.account} AND own.stream = ${lease.stream}`
    return counts
  })

/** Rows of a stream that are not booked as removed, counted up to `most`. */
export const rowsUpTo = async (
  sql: postgres.ISql,
  lease: Lease,
  stream: Stream,
  most: number,
): Promise<number> => {
  const [counted] = await sql.unsafe<Array<{ rows: number }>>(
    `SELECT count(*)::float8 AS rows FROM (
       SELECT 1 FROM ${shapeOf(stream.table).table} WHERE account = $1 AND removed_at IS NULL LIMIT $2) AS first`,
    [lease.account, most],
  )
  return counted!.rows
}

export interface OpenAndStored {
  /** Records that are no row. */
  readonly rejected: number
  /** Records that are a row, and lack an item of a list that could not be read. */
  readonly lacking: number
  readonly stored: number
}

/** Records with open rejects, and the rows they stand against. Rows are counted only as far as the share needs them. */
export const openAndStored = (
  sql: postgres.Sql,
  lease: Lease,
  stream: Stream,
  shareMax: number,
): Effect.Effect<OpenAndStored, WarehouseError> =>
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

/** What most of the open rejects are rejected for. */
export const commonestReason = (
  sql: postgres.Sql,
  lease: Lease,
): Effect.Effect<{ readonly reason: string; readonly count: number } | undefined, WarehouseError> =>
  read(async () => {
    const [found] = await sql<Array<{ reason: string; count: number }>>`
      SELECT reason, count(*)::float8 AS count FROM sync.rejects
      WHERE account = ${lease.account} AND stream = ${lease.stream} AND unlisted_at IS NULL AND kind <> 'field'
      GROUP BY reason ORDER BY count(*) DESC, reason LIMIT 1`
    return found
  })
