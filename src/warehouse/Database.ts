import { Context, Effect, type Option, Redacted, Schedule, type Scope } from "effect"
import type postgres from "postgres"
import { WarehouseError } from "../Errors.ts"
import { openPool } from "./pool.ts"

/** Connections that one process holds at most: a stream loads on one, the rest are for the ledger and for leases. */
const POOL_SIZE = 10
const CONNECT_TIMEOUT_SECONDS = 15
const IDLE_TIMEOUT_SECONDS = 60

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
  }
>() {}

/**
 * Connects to a Postgres, closed with the scope. Nothing in it needs session state, so that it works through
 * a transaction-pooling proxy: no named statements, no type look-up, no session settings but start-up ones.
 * Times and numbers come back as the text Postgres prints: nothing on the way may round or cut them.
 */
export const connect = (url: Redacted.Redacted): Effect.Effect<postgres.Sql, WarehouseError, Scope.Scope> =>
  Effect.acquireRelease(
    attempt(async () => {
      const sql = openPool(Redacted.value(url), {
        max: POOL_SIZE,
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
      try {
        await sql`SELECT 1`
      } catch (error) {
        await sql.end({ timeout: 0 })
        throw error
      }
      return sql
    }),
    sql => Effect.promise(() => sql.end({ timeout: 5 })),
  )

/** SQLSTATE classes whose message repeats the value that was refused: it belongs in `sync.rejects`, not in a log. */
const VALUE_CLASSES = /^(22|23|54)/

/** SQLSTATE of an error that Postgres sent, if it is one. */
export const sqlState = (error: unknown): string | undefined =>
  error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : undefined

/** What went wrong, in one line that can be logged: never a value, a key or a password. */
const describe = (error: unknown): string => {
  const code = sqlState(error)
  if (code !== undefined && VALUE_CLASSES.test(code)) return `Postgres refused a value (SQLSTATE ${code}).`
  const message = error instanceof Error ? error.message || String(code) : String(error)
  return `Postgres: ${message.split("\n")[0]}${code === undefined ? "" : ` (${code})`}`
}

export const warehouseError = (error: unknown): WarehouseError => {
  const code = sqlState(error)
  return new WarehouseError({ message: describe(error), ...(code === undefined ? {} : { code }) })
}

/** Runs one promise of SQL. A transaction is one such promise: an Effect inside it could fail and still commit. */
export const attempt = <A>(run: () => Promise<A>): Effect.Effect<A, WarehouseError> =>
  Effect.tryPromise({ try: run, catch: warehouseError })

/** Further attempts when Postgres was in the way for a moment: a deadlock, a lost connection, a restart. */
const RETRIES_MAX = 4
const TRANSIENT = /^(40001|40P01|53300|55P03|57P0[123]|08...|CONNECTION_.*|CONNECT_TIMEOUT|ECONN.*)$/

/** Tries SQL that may be run twice again, where what was in its way may have passed. */
export const retryTransient = <A, E extends { readonly _tag: string; readonly code?: string }>(
  sql: Effect.Effect<A, E>,
): Effect.Effect<A, E> =>
  Effect.retry(sql, {
    while: error => error._tag === "WarehouseError" && TRANSIENT.test(error.code ?? ""),
    times: RETRIES_MAX,
    schedule: Schedule.jittered(Schedule.exponential("200 millis")),
  })
