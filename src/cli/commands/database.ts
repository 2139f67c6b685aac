import * as Command from "@effect/cli/Command"
import * as Options from "@effect/cli/Options"
import { onDemand } from "./onDemand.ts"
import { file, json } from "./shared.ts"

const backup = Command.make(
  "backup",
  { file, json },
  onDemand(() => import("../run/backup.ts")),
).pipe(
  Command.withDescription(
    "Saves the warehouse to one file, including history that a sync could not fetch again. Syncs may run meanwhile. Replaces a file" +
      " of that name.",
  ),
)

const restore = Command.make(
  "restore",
  {
    file,
    replace: Options.boolean("replace").pipe(
      Options.withDescription(
        "Delete everything in the warehouse first. Without it, only an empty warehouse is filled.",
      ),
    ),
    yes: Options.boolean("yes").pipe(
      Options.withDescription("With --replace: do not ask first. Needed without a terminal."),
    ),
    erasuresFrom: Options.text("erasures-from").pipe(
      Options.withDescription("A later backup: the erasures that it records are applied again."),
      Options.optional,
    ),
    json,
  },
  onDemand(() => import("../run/restore.ts")),
).pipe(
  Command.withDescription(
    "Fills an empty warehouse from a backup, and applies all later erasures that it knows of again.",
  ),
)

export const database = Command.make(
  "database",
  {
    owner: Options.boolean("owner").pipe(Options.withDescription("Print the owner's address, too.")),
    demo: Options.boolean("demo").pipe(Options.withDescription("The demo's database.")),
    json,
  },
  onDemand(() => import("../run/database.ts")),
).pipe(
  Command.withDescription(
    "Starts the embedded Postgres, prints its address, and keeps it up for psql and BI tools.",
  ),
  Command.withSubcommands([backup, restore]),
)
