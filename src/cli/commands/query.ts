import * as Args from "@effect/cli/Args"
import * as Command from "@effect/cli/Command"
import * as Options from "@effect/cli/Options"
import { onDemand } from "./onDemand.ts"
import { json } from "./shared.ts"

export const query = Command.make(
  "query",
  {
    statement: Args.text({ name: "statement" }).pipe(
      Args.withDescription(
        'One SQL statement on the views of analytics: "SELECT * FROM analytics.settlement".',
      ),
    ),
    csv: Options.boolean("csv").pipe(Options.withDescription("Print CSV.")),
    json,
    demo: Options.boolean("demo").pipe(Options.withDescription("Query the demo's database.")),
  },
  onDemand(() => import("../run/query.ts")),
).pipe(Command.withDescription("Runs one SQL statement as a login that can only read analytics."))
