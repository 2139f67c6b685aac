import { type Duration, Effect, Exit, Fiber, FiberRef } from "effect"

/** Longest time that an interrupted transaction is waited for: its commit may be on its way. */
export const COMMIT_STOPPING_MAX = "10 seconds"

/** True within `endingLate`. Nested work ends with the outer one, and not later. */
const isEndingLate = FiberRef.unsafeMake(false)

/**
 * Runs work that an interruption ends within `limit`, also in an uninterruptible region: its answer may still come.
 * When the limit is over, `late` runs, and then the work, which must be interruptible, is interrupted.
 */
export const endingLate = <A, E, R>(
  work: Effect.Effect<A, E, R>,
  limit: Duration.DurationInput,
  late: Effect.Effect<void> = Effect.void,
): Effect.Effect<A, E, R> =>
  Effect.flatMap(FiberRef.get(isEndingLate), isWithin =>
    isWithin
      ? Effect.interruptible(work)
      : Effect.uninterruptible(
          Effect.gen(function* () {
            // A daemon: interrupting a fiber also interrupts its children.
            const working = yield* Effect.forkDaemon(
              Effect.interruptible(Effect.locally(work, isEndingLate, true)),
            )
            const waited = yield* Effect.exit(Effect.interruptible(Fiber.await(working)))
            if (Exit.isFailure(waited)) {
              const limiting = yield* Effect.forkDaemon(
                Effect.interruptible(
                  Effect.sleep(limit).pipe(Effect.zipRight(late), Effect.zipRight(Fiber.interrupt(working))),
                ),
              )
              yield* Fiber.await(working)
              yield* Fiber.interrupt(limiting)
            }
            return yield* Fiber.join(working)
          }),
        ),
  )
