import { Effect, Layer, Logger, LogLevel, Option, Redacted } from "effect"
import type postgres from "postgres"
import { Warehouse } from "../../src/postgres/connect.ts"

/** Runs what works on a warehouse and asks no API, silent. */
export const onWarehouse =
  (sql: postgres.Sql) =>
  <A, E>(work: Effect.Effect<A, E, Warehouse>): Effect.Effect<A, E> =>
    work.pipe(
      Effect.provide(
        Layer.succeed(
          Warehouse,
          Warehouse.of({
            sql,
            isEmbedded: false,
            readerUrl: Option.none(),
            ownerUrl: Redacted.make("postgres://nobody@127.0.0.1:1/nowhere"),
          }),
        ),
      ),
      Logger.withMinimumLogLevel(LogLevel.None),
    )
