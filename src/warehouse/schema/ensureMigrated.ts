import { Effect } from "effect"
import { ConfigurationError, type WarehouseError } from "../../core/errors.ts"
import { counted } from "../../core/words.ts"
import { Warehouse } from "../../postgres/connect.ts"
import { read } from "../../postgres/statements.ts"
import { migrate, pendingMigrations } from "./migrator.ts"

/** The sentence for a given Postgres without tables of this program; undefined where it has some, or is the embedded one. */
export const withoutTables: Effect.Effect<string | undefined, WarehouseError, Warehouse> = Effect.gen(
  function* () {
    const { sql, isEmbedded } = yield* Warehouse
    if (isEmbedded) return undefined
    const [found] = yield* read(
      () => sql<[{ isMade: boolean; name: string }]>`
        SELECT to_regclass('sync.stream_runs') IS NOT NULL AS "isMade", current_database() AS name`,
    )
    return found.isMade
      ? undefined
      : `Nothing was synced yet: the database ${found.name} (DATABASE_URL) holds no tables of paycombat-sync`
  },
)

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
      const empty = yield* withoutTables
      if (empty !== undefined) return yield* new ConfigurationError({ message: `${empty}: ${remedy}.` })
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
