import { Effect } from "effect"
import type postgres from "postgres"
import type { WarehouseError } from "../../core/errors.ts"
import { read } from "../../postgres/statements.ts"

/** A clock that was set back by less is not worth a line: leap seconds and time servers do it all the time. */
const SET_BACK_MILLIS = 60_000

/**
 * The time from which a run dates its reads: Postgres' own, which all hosts of a warehouse share, and never before
 * what the ledger has booked. Were it this machine's, a clock set back, or another host's that is behind, would let
 * what is read now pass for older than what is stored.
 */
export const readingTime = (sql: postgres.Sql): Effect.Effect<Date, WarehouseError> =>
  Effect.gen(function* () {
    const [row] = yield* read(
      () => sql<Array<{ now: number; booked: number | null }>>`
        SELECT extract(epoch FROM clock_timestamp())::float8 * 1000 AS now,
          extract(epoch FROM greatest(
            (SELECT max(greatest(started_at, finished_at)) FROM sync.runs),
            (SELECT max(updated_at) FROM sync.checkpoints)))::float8 * 1000 AS booked`,
    )
    const { now, booked } = row!
    const aheadMillis = (booked ?? 0) - now
    if (aheadMillis > SET_BACK_MILLIS)
      yield* Effect.logWarning(
        `the clock of Postgres is ${Math.round(aheadMillis / 1000)} s behind what an earlier run has booked:` +
          " reads are dated on from there; check that it is right now",
      )
    return new Date(Math.max(now, booked ?? 0))
  })
