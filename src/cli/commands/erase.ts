import * as Command from "@effect/cli/Command"
import * as Options from "@effect/cli/Options"
import { onDemand } from "./onDemand.ts"
import { account, json } from "./shared.ts"

export const erase = Command.make(
  "erase",
  {
    customer: Options.text("customer").pipe(Options.withDescription("The customer_id, as PayCombat has it.")),
    account,
    yes: Options.boolean("yes").pipe(
      Options.withDescription("Do not ask first: needed where there is no terminal."),
    ),
    dryRun: Options.boolean("dry-run").pipe(
      Options.withDescription("Count what would go, and change nothing. Needs no --yes."),
    ),
    json,
  },
  onDemand(() => import("../run/erase.ts")),
).pipe(
  Command.withDescription(
    "Removes a customer's data for good: row, readiness, history, rejects. Their payments stay, with the customer's id and without any other personal field. What is left is a hash of the id, so that no later sync brings anything back. Backups, replicas and logs of Postgres are not reached. Restoring an older backup applies the erasures again that it knows of.",
  ),
)
