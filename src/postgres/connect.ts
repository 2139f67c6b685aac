import {
  Clock,
  Context,
  Duration,
  Effect,
  Fiber,
  FiberRef,
  type Option,
  Random,
  Redacted,
  type Scope,
} from "effect"
import type postgres from "postgres"
import { ConfigurationError, WarehouseError } from "../core/errors.ts"
import { describeFailure, isSettings, sqlState } from "./failures.ts"
import { addHeartbeat, type HeartbeatConnection } from "./heartbeat.ts"
import { openPool } from "./pool.ts"
import { boundOf } from "./route.ts"

/** Connections of one pool at most, beside that of its heartbeat: a stream loads on one, the rest are for the ledger. */
const POOL_SIZE = 10
const CONNECT_TIMEOUT_SECONDS = 15
const IDLE_TIMEOUT_SECONDS = 60
/** How long the statements under way may take when a pool is closed. */
const CLOSE_TIMEOUT_SECONDS = 5

/** The owner's connection to the Postgres that holds the warehouse, given or embedded. */
export class Warehouse extends Context.Tag("paycombat-sync/Warehouse")<
  Warehouse,
  {
    readonly sql: postgres.Sql
    /** The embedded server's data is ours to migrate without asking; a given database's is not. */
    readonly isEmbedded: boolean
    /** Login that may read `analytics` and no more, where there is one. */
    readonly readerUrl: Option.Option<Redacted.Redacted>
    /** Login of `sql`: may do everything in this database. */
    readonly ownerUrl: Redacted.Redacted
    /** Fails when the database is to be found elsewhere from now on; an embedded one only. */
    readonly moved?: Effect.Effect<never, WarehouseError>
  }
>() {}

/** What is at work on which pool, so that it can be told to stop before the pool is closed. */
const workOn = new WeakMap<postgres.Sql, Set<Fiber.RuntimeFiber<unknown>>>()

/**
 * Works on a pool for no longer than it is open: who closes it has the work stopped first, and waits until its end is
 * booked. That is for a host that provides the pool around a race, or disposes of it while a run is under way: what is
 * raced is told to stop only when all around it is closed.
 */
export const whileOpen = <A, E, R>(sql: postgres.Sql, work: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.uninterruptibleMask(restore =>
    Effect.gen(function* () {
      const fiber = yield* Effect.forkDaemon(Effect.exit(restore(work)))
      const fibers = workOn.get(sql)
      fibers?.add(fiber)
      fiber.addObserver(() => void fibers?.delete(fiber))
      return yield* restore(Fiber.join(fiber)).pipe(
        Effect.onInterrupt(() => Fiber.interrupt(fiber)),
        Effect.flatten,
      )
    }),
  )

/** A pool that is open, with the connection of its heartbeat. */
interface Opened {
  readonly sql: postgres.Sql
  readonly heartbeat: HeartbeatConnection
  /** Longest time until it connects or fails, in seconds. */
  readonly boundSeconds: number
}

/** Opens the pool, without connecting. What is wrong with an address can only be wrong with the given one. */
const opened = (url: Redacted.Redacted): Effect.Effect<Opened, ConfigurationError> =>
  Effect.try({
    try: () => {
      const address = Redacted.value(url)
      const open = (max: number) =>
        openPool(address, {
          max,
          prepare: false,
          fetch_types: false,
          connect_timeout: CONNECT_TIMEOUT_SECONDS,
          idle_timeout: IDLE_TIMEOUT_SECONDS,
          connection: { application_name: "paycombat-sync", TimeZone: "UTC" },
          types: {
            instant: { to: 1184, from: [1082, 1083, 1114, 1184], serialize: String, parse: String },
          },
          onnotice: () => {},
        })
      const sql = open(POOL_SIZE)
      workOn.set(sql, new Set())
      return {
        sql,
        heartbeat: addHeartbeat(sql, () => open(1)),
        boundSeconds: boundOf(address, CONNECT_TIMEOUT_SECONDS),
      }
    },
    catch: error => new ConfigurationError({ message: `DATABASE_URL ${(error as Error).message}.` }),
  })

/** The error of a server that took the connection, and did not answer within so many seconds. */
export const silent = (seconds: number) =>
  new WarehouseError({
    code: "CONNECT_TIMEOUT",
    message: `Postgres takes connections and does not answer within ${seconds} s (CONNECT_TIMEOUT): see that it is well.`,
  })

/**
 * Connects to a Postgres, closed with the scope. Nothing in it needs session state, so that it works through
 * a transaction-pooling proxy: no named statements, no type look-up, no session settings but start-up ones.
 * Times and numbers come back as the text Postgres prints: nothing on the way may round or cut them.
 *
 * Fails within 15 seconds for each host that does not answer, or the address's `connect_timeout`, also where one takes the
 * login and answers nothing after it; can be interrupted.
 */
export const connect = (
  url: Redacted.Redacted,
): Effect.Effect<postgres.Sql, ConfigurationError | WarehouseError, Scope.Scope> =>
  Effect.gen(function* () {
    let isConnected = false
    const { sql, boundSeconds } = yield* Effect.acquireRelease(opened(url), ({ sql, heartbeat }) =>
      Effect.zipRight(
        Effect.suspend(() => Fiber.interruptAll(workOn.get(sql) ?? [])),
        Effect.promise(() =>
          Promise.all([heartbeat.close(), sql.end({ timeout: isConnected ? CLOSE_TIMEOUT_SECONDS : 0 })]),
        ),
      ),
    )
    const first = Effect.timeoutFail(
      attempt(() => sql`SELECT 1`),
      { duration: Duration.seconds(boundSeconds), onTimeout: () => silent(boundSeconds) },
    )
    yield* Effect.catchIf(
      first,
      ({ code }) => isSettings(code),
      ({ message }) => new ConfigurationError({ message }),
    )
    isConnected = true
    return sql
  })

export { sqlState } from "./failures.ts"

export const warehouseError = (error: unknown): WarehouseError => {
  const code = sqlState(error)
  return new WarehouseError({ message: describeFailure(error), ...(code === undefined ? {} : { code }) })
}

/** Runs one promise of SQL. A transaction is one such promise: an Effect inside it could fail and still commit. */
export const attempt = <A>(run: () => Promise<A>): Effect.Effect<A, WarehouseError> =>
  Effect.tryPromise({ try: run, catch: warehouseError })

/** What may have passed a moment later: a deadlock, a lock, too little memory or connections, a lost connection, a restart. */
const TRANSIENT =
  /^(40001|40P01|53200|53300|55P03|57P0[1235]|25P03|08...|CONNECTION_(CLOSED|DESTROYED)|CONNECT_(TIMEOUT|UNFIT)|ECONN.*|EPIPE|ETIMEDOUT|EHOSTUNREACH|ENETUNREACH|EAI_AGAIN|ENOTFOUND)$/

/** How long SQL is tried again: a restart, with the replay of a log, takes seconds. */
const RETRY_LIMIT = Duration.seconds(30)
/** It is tried so often in any case: the time may have passed while this process stood still, in a machine that slept. */
const TRIES_MIN = 3
const RETRY_DELAY_FIRST = Duration.millis(200)
const RETRY_DELAY_MAX = Duration.seconds(5)

type Failing = { readonly _tag: string; readonly code?: string }

/** True within a retry. One that is nested in it would multiply the time that both take. */
const isRetried = FiberRef.unsafeMake(false)

const retrying =
  (wait: (delay: Duration.Duration) => Effect.Effect<void>) =>
  <A, E extends Failing>(sql: Effect.Effect<A, E>): Effect.Effect<A, E> => {
    const once = Effect.locally(sql, isRetried, true)
    const retried = Effect.gen(function* () {
      const until = (yield* Clock.currentTimeMillis) + Duration.toMillis(RETRY_LIMIT)
      const again = (tries: number, delay: Duration.Duration): Effect.Effect<A, E> =>
        Effect.catchAll(once, error =>
          Effect.gen(function* () {
            const isHopeless = error._tag !== "WarehouseError" || !TRANSIENT.test(error.code ?? "")
            const isOver = tries >= TRIES_MIN && (yield* Clock.currentTimeMillis) >= until
            if (isHopeless || isOver) return yield* Effect.fail(error)
            yield* wait(Duration.times(delay, yield* Random.nextRange(0.8, 1.2)))
            return yield* again(tries + 1, Duration.min(Duration.times(delay, 2), RETRY_DELAY_MAX))
          }),
        )
      return yield* again(1, RETRY_DELAY_FIRST)
    })
    return Effect.flatMap(FiberRef.get(isRetried), isWithin => (isWithin ? sql : retried))
  }

/**
 * Tries SQL that may be run twice again, for half a minute, where what was in its way may have passed. Within another
 * retry it is tried once: the outer one tries again.
 */
export const retryTransient = retrying(Effect.sleep)

/** Like `retryTransient`, but the wait between attempts can be interrupted even inside an uninterruptible region. */
export const retryUntilInterrupted = retrying(delay => Effect.interruptible(Effect.sleep(delay)))

/** Runs SQL that changes nothing, again where that may help. */
export const reading = <A>(run: () => Promise<A>): Effect.Effect<A, WarehouseError> =>
  retryTransient(attempt(run))
