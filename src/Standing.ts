import { Effect } from "effect"
import type postgres from "postgres"
import { ConfigurationError, type WarehouseError } from "./Errors.ts"
import { ageSeconds, limitsOf, type Problem, problemOf } from "./Health.ts"
import type { Schedule } from "./Scheduler.ts"
import type { Stream } from "./Stream.ts"
import { databaseNow, type StreamStatus, statusOf } from "./warehouse/Status.ts"

/** A stream's status, and what to think of it. */
export interface JudgedStatus extends StreamStatus {
  /** Seconds since the latest complete run ended. */
  readonly ageSeconds: number | null
  /** Why its figures cannot be trusted; null where they can. */
  readonly problem: Problem | null
  /** When `serve` would run next, and read whole lists next. */
  readonly nextRunAt: string
  readonly nextFullAt: string
}

/** How the streams stand, of all accounts that were ever synced or of those named; names one that never was. */
export const standingOf = (
  sql: postgres.Sql,
  streams: ReadonlyArray<Stream>,
  schedule: Schedule,
  options: { readonly accounts?: ReadonlyArray<string>; readonly maxAgeSeconds?: number },
): Effect.Effect<ReadonlyArray<JudgedStatus>, ConfigurationError | WarehouseError> =>
  Effect.gen(function* () {
    const accounts = options.accounts ?? []
    const statuses = yield* statusOf(sql, streams)
    const unknown = accounts.find(name => !statuses.some(({ account }) => account === name))
    if (unknown !== undefined) {
      return yield* new ConfigurationError({
        message: `Nothing was synced yet for an account ${unknown}: check the name, or run \`paycombat-sync sync\`.`,
      })
    }
    const now = yield* databaseNow(sql)
    const interval = {
      incremental: schedule.intervalSeconds("incremental"),
      full: schedule.intervalSeconds("full"),
    }
    const limits = limitsOf(interval, options.maxAgeSeconds)
    const next = {
      nextRunAt: schedule.next("incremental").toISOString(),
      nextFullAt: schedule.next("full").toISOString(),
    }
    return statuses
      .filter(({ account }) => accounts.length === 0 || accounts.includes(account))
      .map(status => ({
        ...status,
        ageSeconds: ageSeconds(status.lastCompleteAt, now),
        problem: problemOf(status, limits, now),
        ...next,
      }))
  })
