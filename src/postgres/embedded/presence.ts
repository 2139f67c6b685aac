import { Deferred, Effect } from "effect"
import postgres from "postgres"
import { withoutVariables } from "../driver.ts"
import type { Cluster } from "./cluster.ts"

/**
 * The connection that keeps the server up, with a shared advisory lock. The process that can take it exclusively is the
 * last one, and stops the server. Postgres releases the lock of a killed process.
 */
export interface PresenceLock {
  readonly port: number
  /** Completes when the connection is lost: the server crashed, or another process stopped it. */
  readonly lost: Deferred.Deferred<void>
  /** Releases the shared lock. True if no other process holds one; the lock is then held exclusively until `close`. */
  readonly isLast: Effect.Effect<boolean>
  readonly close: Effect.Effect<void>
}

/** `not yet`: the server does not answer now, or its last user is about to stop it. */
export type Refusal = "not yet" | "password"

/** Key of the lock, "pcsy", which no other software uses, in database `postgres`, which a reader may not enter. */
const LOCK_CLASS = 0x70637379
const LOCK = 1
const CONNECT_TIMEOUT_SECONDS = 10
const CLOSE_TIMEOUT_SECONDS = 2

export const acquirePresence = (cluster: Cluster, port: number): Effect.Effect<PresenceLock, Refusal> =>
  Effect.gen(function* () {
    const lost = yield* Deferred.make<void>()
    const sql = withoutVariables(() =>
      postgres({
        host: "127.0.0.1",
        port,
        database: "postgres",
        user: "paycombat",
        password: cluster.state.ownerPassword,
        max: 1,
        // By default the client replaces a connection after half an hour, which would release the lock.
        max_lifetime: null,
        idle_timeout: 0,
        connect_timeout: CONNECT_TIMEOUT_SECONDS,
        fetch_types: false,
        prepare: false,
        ssl: false,
        connection: { application_name: "paycombat-sync presence", search_path: "pg_catalog, pg_temp" },
        onnotice: () => undefined,
        onclose: () => Deferred.unsafeDone(lost, Effect.void),
      }),
    )
    const close = Effect.promise(() => sql.end({ timeout: CLOSE_TIMEOUT_SECONDS }).catch(() => undefined))
    const ask = (statement: string): Effect.Effect<boolean, Refusal> =>
      Effect.tryPromise({
        try: async () => (await sql.unsafe<Array<{ yes: boolean }>>(statement))[0]?.yes === true,
        catch: (error): Refusal =>
          error instanceof postgres.PostgresError && error.code.startsWith("28") ? "password" : "not yet",
      })
    const lock = `${LOCK_CLASS}, ${LOCK}`
    const isShared = yield* Effect.tapError(
      ask(`SELECT pg_try_advisory_lock_shared(${lock}) AS yes`),
      () => close,
    )
    if (!isShared) {
      yield* close
      return yield* Effect.fail("not yet" as const)
    }
    const isLast = ask(`SELECT pg_advisory_unlock_shared(${lock}) AS yes`).pipe(
      Effect.zipRight(ask(`SELECT pg_try_advisory_lock(${lock}) AS yes`)),
      // Without a connection there is no server to stop, or no way to stop it.
      Effect.orElseSucceed(() => false),
    )
    return { port, lost, isLast, close }
  }).pipe(Effect.uninterruptible)
