import { Effect } from "effect"
import { counted } from "./counted.ts"
import { ConfigurationError, type WarehouseError } from "./Errors.ts"
import { Warehouse } from "./warehouse/Database.ts"
import { migrate, pendingMigrations } from "./warehouse/migrator.ts"

/**
 * Makes sure that the tables and views are the program's. The embedded database is brought up to date by
 * itself, a given one only when told to: otherwise a `ConfigurationError` says what is missing, and what to do.
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
      return yield* new ConfigurationError({
        message:
          `The database is not up to date (${migrations.length} migrations and ${views.length} views to go):` +
          ` ${remedy}.`,
      })
    }
    // A migration may rewrite a table of many millions of rows: nobody should take it for a process that hangs.
    yield* Effect.logInfo(
      `bringing the database up to date: ${counted(migrations.length, "migration")}, ${counted(views.length, "view")}`,
    )
    const report = yield* migrate(sql)
    for (const note of report.notes) yield* Effect.logWarning(note)
  })
