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
    "Saves the warehouse to one file, while syncs may go on: also what a sync could not fetch again. Replaces a file" +
      " of that name.",
  ),
)

const restore = Command.make(
  "restore",
  {
    file,
    replace: Options.boolean("replace").pipe(
      Options.withDescription(
        "Delete what the warehouse holds first; without it only an empty one is filled.",
      ),
    ),
    yes: Options.boolean("yes").pipe(
      Options.withDescription("With --replace: do not ask first. Needed where there is no terminal."),
    ),
    erasuresFrom: Options.text("erasures-from").pipe(
      Options.withDescription("A later backup: who was erased by then is erased again."),
      Options.optional,
    ),
    json,
  },
  onDemand(() => import("../run/restore.ts")),
).pipe(
  Command.withDescription(
    "Fills an empty warehouse from a backup, and erases again whoever is known to have been erased since.",
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
