import type { Effect } from "effect"
import type postgres from "postgres"
import type { WarehouseError } from "../../core/errors.ts"
import type { Stream } from "../../core/stream.ts"
import { shapeOf } from "../../postgres/shape.ts"
import { read } from "../../postgres/statements.ts"
import type { Lease } from "./lease.ts"

/** Different records that the stream's open pass was shown so far, by this run or the one it goes on from. */
export const seenSoFar = (sql: postgres.Sql, lease: Lease): Effect.Effect<number, WarehouseError> =>
  read(async () => {
    const [pass] = await sql<Array<{ seen: number }>>`
      SELECT seen_keys::float8 AS seen FROM sync.checkpoints
      WHERE account = ${lease.account} AND stream = ${lease.stream}`
    return pass?.seen ?? 0
  })

/** Records that the stream's open pass was shown, and that are neither a row, nor a reject, nor an erased person's. */
export const unaccounted = (
  sql: postgres.Sql,
  lease: Lease,
  stream: Stream,
  passId: string,
): Effect.Effect<number, WarehouseError> =>
  read(async () => {
    const [found] = await sql.unsafe<Array<{ count: number }>>(
      `SELECT count(*)::float8 AS count FROM sync.seen_keys AS s
       WHERE s.pass_id = $2::uuid
         AND NOT EXISTS (SELECT FROM ${shapeOf(stream.table).table} AS t WHERE t.account = $1 AND t."${stream.idColumn}" = s.record_id)
         AND NOT EXISTS (SELECT FROM sync.rejects AS r WHERE r.account = $1 AND r.stream = $3 AND r.record_id = s.record_id
           AND r.kind IN ('record', 'merchant'))
         AND NOT EXISTS (SELECT FROM sync.erasures AS e WHERE e.account = $1 AND e.stream = $3 AND e.id_hash = s.record_id)`,
      [lease.account, passId, lease.stream],
    )
    return found!.count
  })
