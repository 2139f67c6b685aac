import { resolve } from "node:path"
import { Effect, Layer, Option } from "effect"
import * as App from "../../app.ts"
import type { DatabaseSettings } from "../../config/config.ts"
import { ConfigurationError } from "../../core/errors.ts"

/** The demo's own database. Simulated money must never reach a real warehouse. */
export const demoDatabase: DatabaseSettings = {
  url: Option.none(),
  dataDir: ".paycombat-demo",
  readerUrl: Option.none(),
}

/** Opens the demo's existing database. Fails with `ConfigurationError` if there is none; never creates one. */
export const existingDemo = Layer.unwrapEffect(
  Effect.map(App.missingWarehouse(demoDatabase), missing =>
    Option.isNone(missing)
      ? App.warehouse(demoDatabase)
      : Layer.fail(
          new ConfigurationError({
            message: `There is no demo in ${resolve(demoDatabase.dataDir)}: run \`paycombat-sync demo\` in this directory first.`,
          }),
        ),
  ),
)
