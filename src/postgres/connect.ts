import { Context, Duration, Effect, Fiber, type Option, Redacted, type Scope } from "effect"
import type postgres from "postgres"
import { ConfigurationError, WarehouseError } from "../core/errors.ts"
import { isSettings } from "./failures.ts"
import { openPool } from "./pool.ts"
import { boundOf } from "./route.ts"
import { query } from "./statements.ts"

/** Most connections of a pool, beside its heartbeat's. Each stream loads on one; the ledger needs the others. */
const POOL_SIZE = 10
const CONNECT_TIMEOUT_SECONDS = 15
const IDLE_TIMEOUT_SECONDS = 60
/** Longest time for the statements under way when a pool is closed. */
const CLOSE_TIMEOUT_SECONDS = 5

/** A connection for renewals alone. Work that takes all connections of the pool must not let its own leases expire. */
export interface HeartbeatConnection {
  readonly sql: () => postgres.Sql
  readonly replace: () => void
  readonly close: () => Promise<void>
}

const connections = new WeakMap<postgres.Sql, HeartbeatConnection>()

/** Gives a pool its heartbeat's connection, which opens with the first renewal. */
export const addHeartbeat = (pool: postgres.Sql, open: () => postgres.Sql): HeartbeatConnection => {
  let current: postgres.Sql | undefined
  const end = () => {
    const former = current
    current = undefined
    return former === undefined ? Promise.resolve() : former.end({ timeout: 0 })
  }
  const connection: HeartbeatConnection = {
    sql: () => {
      current ??= open()
      return current
    },
    replace: () => void end(),
    close: end,
  }
  connections.set(pool, connection)
  return connection
}

export const heartbeatOf = (pool: postgres.Sql): Pick<HeartbeatConnection, "sql" | "replace"> =>
  connections.get(pool) ?? { sql: () => pool, replace: () => undefined }

/** The owner's connection to the Postgres that holds the warehouse, given or embedded. */
export class Warehouse extends Context.Tag("paycombat-sync/Warehouse")<
  Warehouse,
  {
    readonly sql: postgres.Sql
    /** True for the embedded server, which is migrated without asking. A given database is not. */
    readonly isEmbedded: boolean
    /** Login that may read `analytics` and no more, if there is one. */
    readonly readerUrl: Option.Option<Redacted.Redacted>
    /** Login of `sql`. It may do everything in this database. */
    readonly ownerUrl: Redacted.Redacted
    /** Fails when the embedded database has moved to another port. Absent for a given one. */
    readonly moved?: Effect.Effect<never, WarehouseError>
  }
>() {}

/** The fibers at work on each pool. They are interrupted before the pool is closed. */
const workOn = new WeakMap<postgres.Sql, Set<Fiber.RuntimeFiber<unknown>>>()

/**
 * Works on a pool while it is open. Closing the pool interrupts the work first, and waits until its end is booked: a
 * race around the pool would interrupt the run only after the pool was closed.
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

interface Opened {
  readonly sql: postgres.Sql
  readonly heartbeat: HeartbeatConnection
  /** Longest time until it connects or fails, in seconds. */
  readonly boundSeconds: number
}

/** Opens the pool without connecting. Fails for a wrong address, which can only be the one of DATABASE_URL. */
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

export const silent = (seconds: number) =>
  new WarehouseError({
    code: "CONNECT_TIMEOUT",
    message: `Postgres takes connections and does not answer within ${seconds} s (CONNECT_TIMEOUT): see that it is well.`,
  })

/**
 * Connects to a Postgres, until the scope closes. It needs no session state, so it works through a transaction-pooling
 * proxy: no named statements, no type look-up, no session settings but start-up ones. Times and numbers come back as
 * the text that Postgres prints: nothing on the way may round or cut them.
 *
 * Fails within 15 seconds per host, or the address's `connect_timeout`, also if a host takes the login and then answers
 * nothing. Can be interrupted.
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
