import * as Args from "@effect/cli/Args"
import * as Command from "@effect/cli/Command"
import * as Options from "@effect/cli/Options"
import { onDemand } from "./onDemand.ts"
import { account, json, stream } from "./shared.ts"

const all = Options.boolean("all").pipe(Options.withDescription("Include rejects that are no longer listed."))

const kind = Options.choice("kind", ["record", "item", "field", "merchant"]).pipe(
  Options.withDescription(
    "record: the record has no row; item: an item of a list in a record, such as a wallet's account, has no row or an empty one; field: one value is null in its row; merchant: another merchant's record (repeatable).",
  ),
  Options.repeated,
)

const list = Command.make(
  "list",
  { account, stream, kind, all, json },
  onDemand(async () => ({ run: (await import("../run/rejects.ts")).list })),
).pipe(
  Command.withDescription(
    "Lists the open rejects, the newest first; --json prints all of them, the oldest first. A reason quotes no value.",
  ),
)

const show = Command.make(
  "show",
  { id: Args.integer({ name: "id" }), json },
  onDemand(async () => ({ run: (await import("../run/rejects.ts")).show })),
).pipe(
  Command.withDescription("Prints one reject with the record as it was read. It may hold personal data."),
)

const replay = Command.make(
  "replay",
  {
    ids: Args.integer({ name: "id" }).pipe(
      Args.withDescription("Ids of rejects; without ids, all open rejects."),
      Args.repeated,
    ),
    account,
    stream,
    all,
    strict: Options.boolean("strict").pipe(
      Options.withDescription("Exit with 1 if a record still cannot become a row."),
    ),
    json,
  },
  onDemand(async () => ({ run: (await import("../run/rejects.ts")).replay })),
).pipe(
  Command.withDescription(
    "Decodes rejects again, with the time they were read, and stores rows for those that now decode.",
  ),
)

export const rejects = Command.make("rejects").pipe(
  Command.withDescription(
    "Works on records that could not become a row, and on items and fields that could not be read. Needs the owner's login.",
  ),
  Command.withSubcommands([list, show, replay]),
)
