import { Cause, Effect, Exit } from "effect"
import type postgres from "postgres"
import type { WarehouseError } from "./Errors.ts"
import { retryTransient } from "./warehouse/Database.ts"
import { release, type Taken } from "./warehouse/Lease.ts"

/** What is written down at the end of a run, however it ended. */

/** How long a run that was told to stop tries to book its end: who told it waits for seconds, not for Postgres. */
const STOPPING_MAX = "5 seconds"

const GIVEN_UP =
  "Postgres did not take the end of this run in time: the next run books it as dead, and goes on from what is committed."

const isToldToStop = (exit: Exit.Exit<unknown, unknown>): boolean =>
  Exit.isFailure(exit) && Cause.isInterrupted(exit.cause)

/** Books an end of its own run. A failure is logged: nothing more can be done about it. */
export const booking =
  (exit: Exit.Exit<unknown, unknown>) =>
  (book: Effect.Effect<unknown, WarehouseError>): Effect.Effect<void> => {
    const logged = Effect.catchAll(book, error => Effect.logError(error.message))
    return isToldToStop(exit) ? inTime(logged, Effect.logError(GIVEN_UP)) : Effect.asVoid(logged)
  }

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

/** Gives back the leases of a run, again where that may help and nobody waits for it. One that cannot be given back runs out. */
export const giveBack =
  (sql: postgres.Sql) =>
  ({ held }: Taken, exit: Exit.Exit<unknown, unknown>): Effect.Effect<void> => {
    const once = release(sql, held)
    return Effect.ignore(inTime(isToldToStop(exit) ? once : retryTransient(once)))
  }

/** Gives up after a few seconds, also where nothing else may be interrupted. */
const inTime = <E>(
  work: Effect.Effect<unknown, E>,
  late: Effect.Effect<void> = Effect.void,
): Effect.Effect<void, E> =>
  // Within the race, where it is another fiber's: this one may have been told to stop already.
  Effect.raceFirst(
    Effect.asVoid(Effect.interruptible(work)),
    Effect.zipRight(Effect.interruptible(Effect.sleep(STOPPING_MAX)), late),
  )
