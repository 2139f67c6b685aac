import { Duration, Effect } from "effect"
import { monotonicMillis } from "./rateLimiter.ts"

/** Shortest sleep between two checks of a stopwatch that was stopped meanwhile. */
const LOOK_MILLIS = 10

/** Time left for one attempt. It stands still while the attempt waits for this program. */
export interface Stopwatch {
  readonly expired: Effect.Effect<void>
  readonly stoppedFor: <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
}

export const startStopwatch = (limit: Duration.Duration): Effect.Effect<Stopwatch> =>
  Effect.map(monotonicMillis, start => {
    let stoppedMillis = 0
    let stoppedSince: number | undefined
    const spent = (now: number) =>
      now - start - stoppedMillis - (stoppedSince === undefined ? 0 : now - stoppedSince)
    return {
      expired: Effect.gen(function* () {
        while (true) {
          const left = Duration.toMillis(limit) - spent(yield* monotonicMillis)
          if (left <= 0) return
          yield* Effect.sleep(Math.max(LOOK_MILLIS, Math.ceil(left)))
        }
      }),
      stoppedFor: effect =>
        Effect.gen(function* () {
          stoppedSince = yield* monotonicMillis
          return yield* effect
        }).pipe(
          Effect.ensuring(
            Effect.map(monotonicMillis, now => {
              stoppedMillis += stoppedSince === undefined ? 0 : now - stoppedSince
              stoppedSince = undefined
            }),
          ),
        ),
    }
  })
