import { basename, dirname, resolve } from "node:path"
import { Effect, Fiber, Layer, Option } from "effect"
import * as Config from "./config/config.ts"
import { Origins } from "./config/environment.ts"
import { ConfigurationError, type WarehouseError } from "./core/errors.ts"
import { connect, Warehouse } from "./postgres/connect.ts"
import { embeddedPostgres } from "./postgres/embedded/embeddedPostgres.ts"
import { clusterExists } from "./postgres/embedded/state.ts"

/** Opens the warehouse: the given Postgres, or the embedded one. */

/** The embedded Postgres starts within this time unless it has to replay its log. */
const STARTED_WITHIN = "2 seconds"

/** Starts the embedded Postgres, and logs the reason if that takes long. */
const startedEmbedded = (dataDir: string) =>
  Effect.gen(function* () {
    const notYet = yield* Effect.logInfo(
      "the embedded Postgres is starting: after a crash it first replays its log, which may take minutes",
    ).pipe(Effect.delay(STARTED_WITHIN), Effect.fork)
    return yield* Effect.ensuring(embeddedPostgres(dataDir), Fiber.interrupt(notYet))
  })

/** The given or embedded Postgres, open until the scope closes. The embedded one is created if there is none. */
export const warehouse = (
  settings: Config.DatabaseSettings,
): Layer.Layer<Warehouse, ConfigurationError | WarehouseError> =>
  Layer.scoped(
    Warehouse,
    Effect.gen(function* () {
      if (Option.isSome(settings.url)) {
        const sql = yield* connect(settings.url.value)
        return { sql, isEmbedded: false, readerUrl: settings.readerUrl, ownerUrl: settings.url.value }
      }
      const server = yield* startedEmbedded(settings.dataDir)
      for (const note of server.notes) yield* Effect.logInfo(note)
      const sql = yield* connect(server.ownerUrl)
      const { ownerUrl, moved } = server
      return { sql, isEmbedded: true, readerUrl: Option.some(server.readerUrl), ownerUrl, moved }
    }),
  )

/** The configured Postgres; an embedded one is created if there is none. */
export const configuredWarehouse: Layer.Layer<Warehouse, ConfigurationError | WarehouseError> =
  Layer.unwrapEffect(Effect.map(Config.database, warehouse))

/** Names the data directory that was searched, and the setting that chose it. */
const searched = (dataDir: string) =>
  Effect.map(Origins, ({ file, origins }) => {
    const directory = resolve(dataDir)
    const origin = origins.get("PAYCOMBAT_DATA_DIR")
    if (origin !== undefined) return `${directory} (PAYCOMBAT_DATA_DIR of ${origin})`
    const place = file?.isThere
      ? ` in the environment or in ${file.path}`
      : file === undefined
        ? ""
        : `, and there is no ${basename(file.path)} in ${dirname(file.path)}`
    return `${directory} (the default: PAYCOMBAT_DATA_DIR is not set${place})`
  })

/**
 * Returns an error that says that nothing was synced yet and where the warehouse was looked for, if `settings` name no
 * Postgres and the data directory holds no embedded one. Creates nothing.
 */
export const missingWarehouse = (
  settings: Config.DatabaseSettings,
): Effect.Effect<Option.Option<string>, ConfigurationError> =>
  Effect.gen(function* () {
    if (Option.isSome(settings.url) || (yield* clusterExists(settings.dataDir))) return Option.none()
    return Option.some(
      `Nothing was synced yet: there is no database in ${yield* searched(settings.dataDir)}. Run \`paycombat-sync sync\`` +
        " first. If the warehouse is elsewhere, set PAYCOMBAT_DATA_DIR or DATABASE_URL, or go to the directory of its .env.",
    )
  })

/** The configured Postgres for work on existing data: `ConfigurationError` if there is none. Creates none. */
export const existingWarehouse = (
  settings: Config.DatabaseSettings,
): Layer.Layer<Warehouse, ConfigurationError | WarehouseError> =>
  Layer.unwrapEffect(
    Effect.flatMap(
      missingWarehouse(settings),
      Option.match({
        onNone: () => Effect.succeed(warehouse(settings)),
        onSome: message => Effect.fail(new ConfigurationError({ message })),
      }),
    ),
  )

/** The configured Postgres if it exists; creates none. */
export const configuredExisting: Layer.Layer<Warehouse, ConfigurationError | WarehouseError> =
  Layer.unwrapEffect(Effect.map(Config.database, settings => existingWarehouse(settings)))
