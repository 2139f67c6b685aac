import * as Command from "@effect/cli/Command"
import { ConfigProvider, Effect } from "effect"
import { onDemand } from "./onDemand.ts"
import { json } from "./shared.ts"

/** Whatever the environment says, simulated money must not meet a real warehouse. */
const NO_ENVIRONMENT = ConfigProvider.fromMap(new Map())

const run = onDemand(() => import("../demo.ts"))

export const demo = Command.make("demo", { json }, options =>
  Effect.withConfigProvider(run(options), NO_ENVIRONMENT),
).pipe(
  Command.withDescription(
    "The product in one command: simulated API, embedded Postgres, one sync, three answers.",
  ),
)
