import * as Command from "@effect/cli/Command"
import { noSettings } from "../terminal/settings.ts"
import { onDemand } from "./onDemand.ts"
import { json } from "./shared.ts"

export const demo = Command.make(
  "demo",
  { json },
  // Simulated money must never reach a real warehouse, whatever the environment sets.
  onDemand(() => import("../run/demo.ts"), { configured: noSettings }),
).pipe(
  Command.withDescription(
    "The product in one command: simulated API, embedded Postgres, one sync, three answers.",
  ),
)
