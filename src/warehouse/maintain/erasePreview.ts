import { randomUUID } from "node:crypto"
import type { Effect } from "effect"
import type postgres from "postgres"
import type { WarehouseError } from "../../core/errors.ts"
import type { Stream } from "../../core/stream.ts"
import { read } from "../../postgres/statements.ts"
import { type Erasure, eraseWithin } from "./erase.ts"

/** Says what an erasure would take away, before it is done. */

/** How long a count waits for a row that a sync is writing. */
const LOCK_TIMEOUT = "10s"

/** Carries the result of work out of a transaction that is to be rolled back. */
class RolledBack {
  readonly result: Erasure
  constructor(result: Erasure) {
    this.result = result
  }
}

/**
 * Counts what `erasePerson` would do now, by doing it in a transaction that is always rolled back. Takes no lease: a
 * sync may go on, and may wait for the rows of this person for as long as the count takes.
 */
export const countErasure = (
  sql: postgres.Sql,
  streams: ReadonlyArray<Stream>,
  account: string,
  id: string,
): Effect.Effect<Erasure, WarehouseError> => {
  const runId = randomUUID()
  const leases = streams.map(({ name }) => ({
    account,
    stream: name,
    runId,
    fence: "0",
    leaseSeconds: 0,
  }))
  return read(async () => {
    try {
      return await sql.begin(async (tx): Promise<never> => {
        await tx.unsafe(`SET LOCAL lock_timeout = '${LOCK_TIMEOUT}'`)
        throw new RolledBack(await eraseWithin(tx, leases, streams, id))
      })
    } catch (error) {
      if (error instanceof RolledBack) return error.result
      throw error
    }
  })
}
