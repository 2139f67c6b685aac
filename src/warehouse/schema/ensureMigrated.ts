import { Effect } from "effect"
import { ConfigurationError, type WarehouseError } from "../../core/errors.ts"
import { counted } from "../../core/words.ts"
import { Warehouse } from "../../postgres/connect.ts"
import { read } from "../../postgres/statements.ts"
import { migrate, pendingMigrations } from "./migrator.ts"

/** Says that a given Postgres has no tables of this program; undefined if it has some, or is the embedded one. */
export const withoutTables: Effect.Effect<string | undefined, WarehouseError, Warehouse> = Effect.gen(
  function* () {
    const { sql, isEmbedded } = yield* Warehouse
    if (isEmbedded) return undefined
    const [database] = yield* read(
      () => sql<[{ isMade: boolean; name: string }]>`
        SELECT to_regclass('sync.stream_runs') IS NOT NULL AS "isMade", current_database() AS name`,
    )
    return database.isMade
      ? undefined
      : `Nothing was synced yet: the database ${database.name} (DATABASE_URL) holds no tables of paycombat-sync`
  },
)

/**
 * Ensures that tables and views are up to date. Migrates the embedded database always, and a given one only with
 * `isMigrating`: otherwise a `ConfigurationError` says what is missing, and what to do.
 */
export const upToDate = (
  isMigrating: boolean,
  remedy = "run `paycombat-sync migrate`, or add --migrate",
): Effect.Effect<void, ConfigurationError | WarehouseError, Warehouse> =>
  Effect.gen(function* () {
    const { sql, isEmbedded } = yield* Warehouse
    const { migrations, views } = yield* pendingMigrations(sql)
    if (migrations.length + views.length === 0) return
    if (!isEmbedded && !isMigrating) {
      const empty = yield* withoutTables
      if (empty !== undefined) return yield* new ConfigurationError({ message: `${empty}: ${remedy}.` })
      return yield* new ConfigurationError({
        message:
          `The database is not up to date (${migrations.length} migrations and ${views.length} views to go):` +
          ` ${remedy}.`,
      })
    }
    // A migration may rewrite a table of many millions of rows. The line shows that the process does not hang.
    yield* Effect.logInfo(
      `bringing the database up to date: ${counted(migrations.length, "migration")}, ${counted(views.length, "view")}`,
    )
    const report = yield* migrate(sql)
    for (const note of report.notes) yield* Effect.logWarning(note)
  })
