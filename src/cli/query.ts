import * as Args from "@effect/cli/Args"
import * as Command from "@effect/cli/Command"
import * as Options from "@effect/cli/Options"
import { Console, Effect } from "effect"
import * as App from "../App.ts"
import { demoDatabase } from "./demo.ts"
import { csv, jsonOption, objects, printJson, table } from "./output.ts"

export const query = Command.make(
  "query",
  {
    statement: Args.text({ name: "statement" }).pipe(
      Args.withDescription(
        'One SQL statement on the views of analytics: "SELECT * FROM analytics.settlement".',
      ),
    ),
    csv: Options.boolean("csv").pipe(Options.withDescription("Print CSV.")),
    json: jsonOption,
    demo: Options.boolean("demo").pipe(Options.withDescription("Ask the demo's database.")),
  },
  options =>
    Effect.gen(function* () {
      const answer = yield* App.query(options.statement).pipe(
        Effect.provide(options.demo ? App.warehouse(demoDatabase) : App.configuredWarehouse),
      )
      yield* options.json
        ? printJson(objects(answer))
        : Console.log(options.csv ? csv(answer) : `${table(answer)}\n${answer.rows.length} rows`)
    }),
).pipe(
  Command.withDescription("Answers one SQL statement, as a login that can read analytics and nothing else."),
)
