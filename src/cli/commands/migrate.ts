import * as Command from "@effect/cli/Command"
import * as Options from "@effect/cli/Options"
import { onDemand } from "./onDemand.ts"
import { json } from "./shared.ts"

export const migrate = Command.make(
  "migrate",
  {
    check: Options.boolean("check").pipe(
      Options.withDescription("Only list what is missing, and exit with 1 if anything is."),
    ),
    json,
  },
  onDemand(() => import("../run/migrate.ts")),
).pipe(Command.withDescription("Brings the database up to date."))
