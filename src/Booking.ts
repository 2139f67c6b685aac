import { Cause, Effect, Exit } from "effect"
import type { WarehouseError } from "./Errors.ts"

/** What is written down at the end of a run, however it ended. */

/** How long a run that was told to stop tries to book its end: who told it waits for seconds, not for Postgres. */
const STOPPING_MAX = "5 seconds"

const GIVEN_UP =
  "Postgres did not take the end of this run in time: the next run books it as dead, and goes on from what is committed."

/** Books an end of its own run. A failure is logged: nothing more can be done about it. */
export const booking =
  (exit: Exit.Exit<unknown, unknown>) =>
  (book: Effect.Effect<unknown, WarehouseError>): Effect.Effect<void> => {
    const logged = Effect.catchAll(book, error => Effect.logError(error.message))
    if (Exit.isSuccess(exit) || !Cause.isInterrupted(exit.cause)) return Effect.asVoid(logged)
    return inTime(logged, Effect.logError(GIVEN_UP))
  }

/** Gives up after a few seconds, also where nothing else may be interrupted. */
export const inTime = <E>(
  work: Effect.Effect<unknown, E>,
  late: Effect.Effect<void> = Effect.void,
): Effect.Effect<void, E> =>
  // Within the race, where it is another fiber's: this one may have been told to stop already.
  Effect.raceFirst(
    Effect.asVoid(Effect.interruptible(work)),
    Effect.zipRight(Effect.interruptible(Effect.sleep(STOPPING_MAX)), late),
  )
