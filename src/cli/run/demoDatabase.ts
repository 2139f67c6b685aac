import { resolve } from "node:path"
import { Effect, Layer, Option } from "effect"
import * as App from "../../app.ts"
import type { DatabaseSettings } from "../../config/config.ts"
import { ConfigurationError } from "../../core/errors.ts"

/** The demo's own database: simulated money must never meet a real warehouse. */
export const demoDatabase: DatabaseSettings = {
  url: Option.none(),
  dataDir: ".paycombat-demo",
  readerUrl: Option.none(),
}

/** The demo's database as the demo left it; `ConfigurationError` where there is none, and none is made. */
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
