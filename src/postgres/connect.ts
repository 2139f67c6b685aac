import { Context, Duration, Effect, Fiber, type Option, Redacted, type Scope } from "effect"
import type postgres from "postgres"
import { ConfigurationError, WarehouseError } from "../core/errors.ts"
import { isSettings } from "./failures.ts"
import { addHeartbeat, type HeartbeatConnection } from "./heartbeat.ts"
import { openPool } from "./pool.ts"
import { boundOf } from "./route.ts"
import { query } from "./statements.ts"

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
      query(() => sql`SELECT 1`),
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
