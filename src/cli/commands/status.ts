import * as Command from "@effect/cli/Command"
import { onDemand } from "./onDemand.ts"
import { account, json, stream } from "./shared.ts"

export const status = Command.make(
  "status",
  { account, stream, json },
  onDemand(() => import("../status.ts")),
).pipe(
  Command.withDescription("Last run, freshness, rows, rejects and removed records per account and stream."),
)
