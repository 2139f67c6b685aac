import * as Args from "@effect/cli/Args"
import * as Command from "@effect/cli/Command"
import * as Options from "@effect/cli/Options"
import { onDemand } from "./onDemand.ts"
import { account, json, stream } from "./shared.ts"

const all = Options.boolean("all").pipe(
  Options.withDescription("Also those that the list does not show any more."),
)

const kind = Options.choice("kind", ["record", "item", "field", "merchant"]).pipe(
  Options.withDescription(
    "record: no row; item: an item of a list in a record, such as a wallet's account, has no row or an empty one; field: one value is null in its row; merchant: another merchant's record. May be given several times.",
  ),
  Options.repeated,
)

const list = Command.make(
  "list",
  { account, stream, kind, all, json },
  onDemand(async () => ({ run: (await import("../run/rejects.ts")).list })),
).pipe(
  Command.withDescription(
    "The rejects that are open, the newest first; --json prints all of them, as they came. A reason quotes no value.",
  ),
)

const show = Command.make(
  "show",
  { id: Args.integer({ name: "id" }), json },
  onDemand(async () => ({ run: (await import("../run/rejects.ts")).show })),
).pipe(Command.withDescription("One reject with the record as it was read: personal data, on stdout."))

const replay = Command.make(
  "replay",
  {
    ids: Args.integer({ name: "id" }).pipe(
      Args.withDescription("Numbers of rejects; all that are open where there is none."),
      Args.repeated,
    ),
    account,
    stream,
    all,
    strict: Options.boolean("strict").pipe(
      Options.withDescription("Exit with 1 when some still cannot become a row."),
    ),
    json,
  },
  onDemand(async () => ({ run: (await import("../run/rejects.ts")).replay })),
).pipe(
  Command.withDescription(
    "Decodes rejects again, as of the time they were read, and makes rows of those that decode now.",
  ),
)

export const rejects = Command.make("rejects").pipe(
  Command.withDescription(
    "Records that could not become a row, and items and fields of records that could not be read. Needs the owner's login.",
  ),
  Command.withSubcommands([list, show, replay]),
)
