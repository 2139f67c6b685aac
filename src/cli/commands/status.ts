import * as Command from "@effect/cli/Command"
import * as Options from "@effect/cli/Options"
import { onDemand } from "./onDemand.ts"
import { account, json, maxAge, stream } from "./shared.ts"

export const status = Command.make(
  "status",
  {
    account,
    stream,
    maxAge,
    strict: Options.boolean("strict").pipe(
      Options.withDescription("Exit with 1 also if the figures can be trusted only with exceptions."),
    ),
    json,
  },
  onDemand(() => import("../run/status.ts")),
).pipe(
  Command.withDescription(
    "Can the figures be trusted now? Prints for each configured account and stream the last run, freshness, rows" +
      " (≈ estimated in tables beyond 1 GiB), rejects, removed, left over and the running process; then the problems," +
      " and what to do. Exits with 1 if a stream never ran, its latest run failed, or its latest complete run is older" +
      " than --max-age; with --strict also if there are exceptions, such as rejects or an equation of ledger_check that differs." +
      " An account that is no longer configured is shown, but judged only if --account names it. If no account is" +
      " configured, every account that was ever synced is judged.",
  ),
)
