import * as Command from "@effect/cli/Command"
import { onDemand } from "./onDemand.ts"
import { account, json, stream } from "./shared.ts"

export const rebuild = Command.make(
  "rebuild",
  { account, stream, json },
  onDemand(() => import("../run/rebuild.ts")),
).pipe(
  Command.withDescription(
    "Normalizes the stored raw records again, without any API call: after an update, or to undo manual edits.",
  ),
)
