import type { Effect } from "effect"
import type postgres from "postgres"
import type { WarehouseError } from "../Errors.ts"
import { reading } from "./Database.ts"
import type { Held } from "./Lease.ts"

/** Different records that the stream's open pass was shown so far, by this run or the one it goes on from. */
export const seenSoFar = (sql: postgres.Sql, held: Held): Effect.Effect<number, WarehouseError> =>
  reading(async () => {
    const [pass] = await sql<Array<{ seen: number }>>`
      SELECT seen_keys::float8 AS seen FROM sync.checkpoints
      WHERE account = ${held.account} AND stream = ${held.stream}`
    return pass?.seen ?? 0
  })
