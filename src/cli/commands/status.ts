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
      Options.withDescription("Exit with 1 also where the figures can be trusted with exceptions only."),
    ),
    json,
  },
  onDemand(() => import("../run/status.ts")),
).pipe(
  Command.withDescription(
    "Can the figures be trusted now? Per configured account and stream: last run, freshness, rows (≈ estimated in" +
      " tables beyond 1 GiB), rejects, removed, left over, who is at work; then what is the matter, and what to do." +
      " Exits with 1 where a stream never ran, its latest run failed, or none was complete for longer than --max-age;" +
      " with --strict also where there are exceptions, such as rejects." +
      " An account that is not configured any more is shown, and judged where --account names it; where none is" +
      " configured, all that were ever synced are judged.",
  ),
)
