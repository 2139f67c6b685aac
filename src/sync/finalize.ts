import { Cause, Effect, Exit, Option } from "effect"
import type { WarehouseError } from "../core/errors.ts"
import { endingLate } from "../postgres/stopping.ts"

/** Finalizers: they book the end of a run, however it ended, and take a bounded time. */

/** Longest time of a finalizer after an interruption, or while Postgres is away. A run has three in a row. */
const STOPPING_MAX = "3 seconds"

const GIVEN_UP =
  "Postgres did not take the end of this run in time: the next run books it as dead, and goes on from what is committed."

interface TimeLimit {
  readonly late?: Effect.Effect<void>
  /** True if Postgres is away. The work then gets those few seconds only. */
  readonly isAway?: Effect.Effect<boolean>
}

const NOT_AWAY = Effect.succeed(false)

/** Does work that an interruption ends a few seconds later, and not at once. Logs an unexpected failure. */
export const inTime = (
  work: Effect.Effect<unknown>,
  { late = Effect.void, isAway = NOT_AWAY }: TimeLimit = {},
): Effect.Effect<void> =>
  Effect.gen(function* () {
    const limited = Effect.flatMap(Effect.timeoutOption(work, STOPPING_MAX), done =>
      Option.isNone(done) ? late : Effect.void,
    )
    const exit = yield* Effect.exit(endingLate((yield* isAway) ? limited : work, STOPPING_MAX, late))
    if (Exit.isFailure(exit) && !Cause.isInterruptedOnly(exit.cause))
      yield* Effect.logError("unexpected failure", exit.cause)
  })

/** Books the end of a run, in time. Logs a failure: nothing more can be done about it. */
export const finalize =
  (isAway: Effect.Effect<boolean>) =>
  (book: Effect.Effect<unknown, WarehouseError>): Effect.Effect<void> =>
    inTime(
      Effect.catchAll(book, error => Effect.logError(error.message)),
      { late: Effect.logError(GIVEN_UP), isAway },
    )

/**
 * Runs `begin`, `work` and then `end`, also if an interruption comes during `begin`. A failure of the work goes to
 * `end`, and no further. An interruption goes on.
 */
export const withFinalizer = <A, E, R, E1, R1, R2>(
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
