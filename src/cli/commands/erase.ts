import * as Command from "@effect/cli/Command"
import * as Options from "@effect/cli/Options"
import { onDemand } from "./onDemand.ts"
import { account, json } from "./shared.ts"

export const erase = Command.make(
  "erase",
  {
    customer: Options.text("customer").pipe(Options.withDescription("The customer_id at PayCombat.")),
    account,
    yes: Options.boolean("yes").pipe(Options.withDescription("Do not ask first. Needed without a terminal.")),
    dryRun: Options.boolean("dry-run").pipe(
      Options.withDescription("Count the rows that would be deleted, and change nothing. Needs no --yes."),
    ),
    json,
  },
  onDemand(() => import("../run/erase.ts")),
).pipe(
  Command.withDescription(
    "Removes a customer's data for good: row, readiness, history, rejects. The customer's payments stay, with the customer's id and without any other personal field. A hash of the id stays, so that no later sync brings the data back. Backups, replicas and logs of Postgres are not changed. Restoring an older backup applies the known erasures again.",
  ),
)
