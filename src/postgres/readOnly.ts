import { Effect, Runtime } from "effect"
import type postgres from "postgres"
import type { WarehouseError } from "../core/errors.ts"
import { query } from "./statements.ts"

/** Makes a pool of a transaction: `begin` is a savepoint, and after the end nothing more is sent. */
const asPool = (tx: postgres.TransactionSql, over: AbortSignal): postgres.Sql =>
  new Proxy(tx, {
    apply: (target, self, args) => {
      over.throwIfAborted()
      return Reflect.apply(target, self, args)
    },
    get: (target, name) => {
      over.throwIfAborted()
      return name === "begin"
        ? (...args: ReadonlyArray<unknown>) => target.savepoint(args.at(-1) as never)
        : Reflect.get(target, name)
    },
  }) as unknown as postgres.Sql

/**
 * Reads in one transaction, whose statements Postgres itself ends after `statementMillis`. The limit is set within it:
 * a pooling proxy refuses it at the start of a connection, and would pass it on to other clients.
 */
export const readingWithin = <A, E>(
  sql: postgres.Sql,
  statementMillis: number,
  read: (sql: postgres.Sql) => Effect.Effect<A, E>,
): Effect.Effect<A, E | WarehouseError> =>
  Effect.flatMap(Effect.runtime<never>(), runtime => {
    // A lost connection leaves its transaction waiting for ever. `read` must end all the same.
    const over = new AbortController()
    return query(() =>
      sql.begin("read only", async tx => {
        await tx.unsafe(`SET LOCAL statement_timeout = ${Math.ceil(statementMillis)}`)
        return Runtime.runPromiseExit(runtime)(read(asPool(tx, over.signal)), { signal: over.signal })
      }),
    ).pipe(Effect.flatten, Effect.ensuring(Effect.sync(() => over.abort()))) as Effect.Effect<
      A,
      E | WarehouseError
    >
  })
