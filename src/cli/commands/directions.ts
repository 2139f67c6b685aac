import * as Args from "@effect/cli/Args"
import * as Command from "@effect/cli/Command"
import * as Options from "@effect/cli/Options"
import { onDemand } from "./onDemand.ts"
import { account, json } from "./shared.ts"

const type = Args.text({ name: "type" }).pipe(Args.withDescription("Event type, such as PAYIN."))
const name = Args.text({ name: "name" }).pipe(
  Args.withDescription("Event name, such as PAYIN_COMPLETED; '*' (quoted) for any."),
)
const demo = Options.boolean("demo").pipe(Options.withDescription("The rules of the demo's database."))
const yes = Options.boolean("yes").pipe(Options.withDescription("Do not ask first."))

const list = Command.make(
  "list",
  { account, demo, json },
  onDemand(async () => ({ run: (await import("../run/directions.ts")).list })),
).pipe(
  Command.withDescription(
    "Lists each type and name of transaction in the data, the rule that decides what it does to a balance, and the money that hangs on it.",
  ),
)

const set = Command.make(
  "set",
  {
    type,
    name,
    direction: Args.text({ name: "direction" }).pipe(
      Args.withDescription("in (or +1): money in; out (or -1): money out; none (or 0): neither."),
    ),
    asSent: Options.boolean("as-sent").pipe(
      Options.withDescription("Amounts count with the sign that they were sent with."),
    ),
    demo,
    yes,
    json,
  },
  onDemand(async () => ({ run: (await import("../run/directions.ts")).set })),
).pipe(
  Command.withDescription(
    "Sets the rule for a type and name. It counts as confirmed, and takes effect at once.",
  ),
)

const confirm = Command.make(
  "confirm",
  { type: Args.optional(type), name: Args.optional(name), demo, yes, json },
  onDemand(async () => ({ run: (await import("../run/directions.ts")).confirm })),
).pipe(
  Command.withDescription(
    "Confirms rules: all, those of a type, or the one of a type and name. Prints what is newly counted, and asks first on a terminal.",
  ),
)

export const directions = Command.make("directions").pipe(
  Command.withDescription("Shows and sets what transactions do to balances. Needs the owner's login."),
  Command.withSubcommands([list, set, confirm]),
)
