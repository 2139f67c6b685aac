import { Effect, Layer, Logger, LogLevel, Option, Redacted } from "effect"
import type postgres from "postgres"
import { Warehouse } from "../../src/postgres/connect.ts"

/** A warehouse on a connection of the test. It has no reader's login, and its address leads nowhere. */
export const warehouseOf = (sql: postgres.Sql) =>
  Warehouse.of({
    sql,
    isEmbedded: false,
    readerUrl: Option.none(),
    ownerUrl: Redacted.make("postgres://nobody@127.0.0.1:1/nowhere"),
  })

/** Runs work on a warehouse that sends no request, without logs. */
export const onWarehouse =
  (sql: postgres.Sql) =>
  <A, E>(work: Effect.Effect<A, E, Warehouse>): Effect.Effect<A, E> =>
    work.pipe(
      Effect.provide(Layer.succeed(Warehouse, warehouseOf(sql))),
      Logger.withMinimumLogLevel(LogLevel.None),
    )
