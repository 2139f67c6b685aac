import { type Duration, Effect, Exit, Fiber, FiberRef } from "effect"

/** How long a transaction that is told to stop is waited for: its commit may be on its way. */
export const COMMIT_STOPPING_MAX = "10 seconds"

/** True within work that ends late: what is nested in it ends with it, and not later still. */
const isEndingLate = FiberRef.unsafeMake(false)

/**
 * Runs work that an interruption does not end at once, but within `limit`, so that its answer can still be heard. This
 * also holds in an uninterruptible region: no work on a database may wait for an answer without a limit. `late` is done
 * when the limit is over, before the work is ended. The work itself must be interruptible.
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
            const told = yield* Effect.exit(Effect.interruptible(Fiber.await(working)))
            if (Exit.isFailure(told)) {
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
