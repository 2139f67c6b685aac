import * as Command from "@effect/cli/Command"
import * as Options from "@effect/cli/Options"
import { onDemand } from "./onDemand.ts"
import { account, json, stream } from "./shared.ts"

export const sync = Command.make(
  "sync",
  {
    account,
    stream,
    full: Options.boolean("full").pipe(
      Options.withDescription(
        "Full refresh: read every list from start to end, even if an incremental run or the rest of an interrupted pass would do.",
      ),
    ),
    confirmRemovals: Options.boolean("confirm-removals").pipe(
      Options.withDescription(
        "Read every list whole, and believe that what it does not show any more is gone, also where that is a large part of what is stored.",
      ),
    ),
    migrate: Options.boolean("migrate").pipe(
      Options.withDescription("Bring the database of DATABASE_URL up to date first."),
    ),
    wait: Options.boolean("wait").pipe(
      Options.withDescription("Wait for accounts that another run holds, instead of skipping them."),
    ),
    strict: Options.boolean("strict").pipe(Options.withDescription("Exit with 1 if there are rejects.")),
    json,
  },
  onDemand(() => import("../run/sync.ts")),
).pipe(Command.withDescription("One pass over all streams of all accounts."))
