import { Cause, Effect, Exit, Fiber } from "effect"
import type { WarehouseError } from "../core/errors.ts"

/** What is written down at the end of a run, however it ended. */

/**
 * How long a run that is told to stop goes on trying to book an end: who told it waits for seconds, not for Postgres.
 * It books three things, one after the other: its streams, itself, and that it gives its leases back.
 */
const STOPPING_MAX = "3 seconds"

const GIVEN_UP =
  "Postgres did not take the end of this run in time: the next run books it as dead, and goes on from what is committed."

/** Work that an interruption of its fiber does not end at once, but a few seconds later. */
export const inTime = (
  work: Effect.Effect<unknown>,
  late: Effect.Effect<void> = Effect.void,
): Effect.Effect<void> =>
  Effect.uninterruptible(
    Effect.gen(function* () {
      // A daemon: interrupting a fiber also interrupts its children.
      const working = yield* Effect.forkDaemon(Effect.interruptible(work))
      const told = yield* Effect.exit(Effect.interruptible(Fiber.await(working)))
      if (Exit.isFailure(told)) {
        const limit = Effect.sleep(STOPPING_MAX).pipe(
          Effect.zipRight(late),
          Effect.zipRight(Fiber.interrupt(working)),
        )
        const limiting = yield* Effect.forkDaemon(Effect.interruptible(limit))
        yield* Fiber.await(working)
        yield* Fiber.interrupt(limiting)
      }
      const exit = yield* Fiber.await(working)
      if (Exit.isFailure(exit) && !Cause.isInterruptedOnly(exit.cause))
        yield* Effect.logError("unexpected failure", exit.cause)
    }),
  )

/** Books an end of its own run. A failure is logged: nothing more can be done about it. */
export const booking = (book: Effect.Effect<unknown, WarehouseError>): Effect.Effect<void> =>
  inTime(
    Effect.catchAll(book, error => Effect.logError(error.message)),
    Effect.logError(GIVEN_UP),
  )

/**
 * Books work as begun and then, however it went, as ended: also where it is told to stop while it is booked as begun.
 * What it fails with is for `end`, and for nobody else.
 */
export const booked = <A, E, R, E1, R1, R2>(
  begin: Effect.Effect<unknown, E1, R1>,
  work: Effect.Effect<A, E, R>,
  end: (exit: Exit.Exit<A, E>) => Effect.Effect<unknown, never, R2>,
): Effect.Effect<void, E1, R | R1 | R2> =>
  Effect.uninterruptibleMask(restore =>
    Effect.zipRight(begin, Effect.exit(Effect.onExit(restore(work), end))),
  ).pipe(
    Effect.flatMap(exit =>
      Exit.isFailure(exit) && Cause.isInterruptedOnly(exit.cause) ? Effect.interrupt : Effect.void,
    ),
  )
