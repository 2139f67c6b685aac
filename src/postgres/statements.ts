import { Clock, Duration, Effect, Random } from "effect"
import { WarehouseError } from "../core/errors.ts"
import { describeFailure, sqlState } from "./failures.ts"
import { COMMIT_STOPPING_MAX, endingLate } from "./stopping.ts"

/**
 * The verbs of SQL: `query` runs it once, `read`, `write` and `writeInterruptible` repeat it. Each takes a promise, and
 * no Effect: a retry cannot be put around a retry, and a transaction cannot fail and still commit.
 */

export const warehouseError = (error: unknown): WarehouseError => {
  const code = sqlState(error)
  return new WarehouseError({ message: describeFailure(error), ...(code === undefined ? {} : { code }) })
}

/** Codes after which a repetition may succeed: a deadlock, a lock, no memory, no connections, a restart. */
const TRANSIENT =
  /^(40001|40P01|53200|53300|55P03|57P0[1235]|25P03|08...|CONNECTION_(CLOSED|DESTROYED)|CONNECT_(TIMEOUT|UNFIT)|ECONN.*|EPIPE|ETIMEDOUT|EHOSTUNREACH|ENETUNREACH|EAI_AGAIN|ENOTFOUND)$/

/** How long SQL is repeated: a restart of Postgres, with the replay of its log, takes seconds. */
const RETRY_LIMIT = Duration.seconds(30)
/** Fewest attempts. A process that slept may have spent the whole limit in its first one. */
const ATTEMPTS_MIN = 3
const RETRY_DELAY_FIRST = Duration.millis(200)
const RETRY_DELAY_MAX = Duration.seconds(5)

/** Repeats SQL after a transient error. Private to this file: see above. */
const retrying = <A, E>(
  statement: Effect.Effect<A, E | WarehouseError>,
): Effect.Effect<A, E | WarehouseError> =>
  Effect.gen(function* () {
    const until = (yield* Clock.currentTimeMillis) + Duration.toMillis(RETRY_LIMIT)
    let delay = RETRY_DELAY_FIRST
    for (let attempts = 1; ; attempts++) {
      const result = yield* Effect.either(statement)
      if (result._tag === "Right") return result.right
      const error = result.left
      const isTransient = error instanceof WarehouseError && TRANSIENT.test(error.code ?? "")
      const isOver = attempts >= ATTEMPTS_MIN && (yield* Clock.currentTimeMillis) >= until
      if (!isTransient || isOver) return yield* Effect.fail(error)
      yield* Effect.sleep(Duration.times(delay, yield* Random.nextRange(0.8, 1.2)))
      delay = Duration.min(Duration.times(delay, 2), RETRY_DELAY_MAX)
    }
  })

export const query = <A>(run: () => Promise<A>): Effect.Effect<A, WarehouseError> =>
  Effect.tryPromise({ try: run, catch: warehouseError })

/** Runs SQL that changes nothing. Repeats it after a transient error, for half a minute. */
export const read = <A>(run: () => Promise<A>): Effect.Effect<A, WarehouseError> => retrying(query(run))

/** Runs SQL that may be done twice, since the answer to a commit can be lost. Repeats it as `read` does. */
export const write = <A>(run: () => Promise<A>): Effect.Effect<A, WarehouseError> => retrying(query(run))

/**
 * Runs SQL as `write` does, and waits for its commit when it is interrupted: for 10 seconds at most, also in an
 * uninterruptible region. `signal` then aborts. Errors that `isOwn` recognizes fail as they are, at once.
 */
export const writeInterruptible = <A, E = never>(
  run: (signal: AbortSignal) => Promise<A>,
  isOwn: (error: unknown) => error is E = (_): _ is E => false,
): Effect.Effect<A, E | WarehouseError> =>
  endingLate(
    retrying<A, E>(
      Effect.tryPromise({ try: run, catch: error => (isOwn(error) ? error : warehouseError(error)) }),
    ),
    COMMIT_STOPPING_MAX,
  )
