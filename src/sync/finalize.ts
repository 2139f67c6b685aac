import { Cause, Effect, Exit, Option } from "effect"
import type { WarehouseError } from "../core/errors.ts"
import { endingLate } from "../postgres/stopping.ts"

/** What is written down at the end of a run, however it ended. */

/**
 * How long a run goes on trying to book an end when it is told to stop, or when Postgres was away for so long that its
 * leases ran out. It books three things, one after the other: its streams, itself, and that it gives its leases back.
 */
const STOPPING_MAX = "3 seconds"

const GIVEN_UP =
  "Postgres did not take the end of this run in time: the next run books it as dead, and goes on from what is committed."

export interface InTime {
  /** Done when the time is over. */
  readonly late?: Effect.Effect<void>
  /** True where Postgres is away: then the work gets those few seconds only. */
  readonly isAway?: Effect.Effect<boolean>
}

const AT_HAND = Effect.succeed(false)

/** Work that an interruption of its fiber does not end at once, but a few seconds later. An unexpected failure is logged. */
export const inTime = (
  work: Effect.Effect<unknown>,
  { late = Effect.void, isAway = AT_HAND }: InTime = {},
): Effect.Effect<void> =>
  Effect.gen(function* () {
    const limited = Effect.flatMap(Effect.timeoutOption(work, STOPPING_MAX), done =>
      Option.isNone(done) ? late : Effect.void,
    )
    const exit = yield* Effect.exit(endingLate((yield* isAway) ? limited : work, STOPPING_MAX, late))
    if (Exit.isFailure(exit) && !Cause.isInterruptedOnly(exit.cause))
      yield* Effect.logError("unexpected failure", exit.cause)
  })

/** Books an end of its own run. A failure is logged: nothing more can be done about it. */
export const finalize =
  (isAway: Effect.Effect<boolean>) =>
  (book: Effect.Effect<unknown, WarehouseError>): Effect.Effect<void> =>
    inTime(
      Effect.catchAll(book, error => Effect.logError(error.message)),
      { late: Effect.logError(GIVEN_UP), isAway },
    )

/**
 * Books work as begun and then, however it went, as ended: also where it is told to stop while it is booked as begun.
 * What it fails with is for `end`, and for nobody else.
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
