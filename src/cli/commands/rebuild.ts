import * as Command from "@effect/cli/Command"
import { onDemand } from "./onDemand.ts"
import { account, json, stream } from "./shared.ts"

export const rebuild = Command.make(
  "rebuild",
  { account, stream, json },
  onDemand(() => import("../run/rebuild.ts")),
).pipe(
  Command.withDescription(
    "Normalizes again from the stored raw records, without one API call: after an update, or to undo edits by hand.",
  ),
)
