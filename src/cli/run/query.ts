import { Effect } from "effect"
import * as App from "../../app.ts"
import { ConfigurationError } from "../../core/errors.ts"
import { counted } from "../../core/words.ts"
import { csvHead, csvRows } from "../terminal/csv.ts"
import { jsonText } from "../terminal/jsonRows.ts"
import { print, table } from "../terminal/output.ts"
import { waiting } from "../terminal/waiting.ts"
import { existingDemo } from "./demoDatabase.ts"
import { intoStdout } from "./reportFiles.ts"

interface Options {
  readonly statement: string
  readonly csv: boolean
  readonly json: boolean
  readonly demo: boolean
}

/** Rows that are turned into CSV at a time. */
const BATCH_ROWS = 1_000

function* csvText({ columns, types, rows }: App.QueryAnswer): Generator<string> {
  yield csvHead(columns)
  for (let from = 0; from < rows.length; from += BATCH_ROWS)
    yield csvRows(rows.slice(from, from + BATCH_ROWS), types)
}

/** Prints the answer to one statement as a table, as CSV like psql's, or as JSON with typed values. */
export const run = (options: Options) =>
  Effect.gen(function* () {
    if (options.csv && options.json)
      return yield* new ConfigurationError({ message: "--csv and --json are two formats: give one of them." })
    const answer = yield* waiting("running the statement", () =>
      options.demo
        ? Effect.provide(App.query(options.statement), existingDemo)
        : App.queryConfigured(options.statement),
    )
    if (options.json) return yield* Effect.promise(() => intoStdout(jsonText(answer)))
    if (options.csv) return yield* Effect.promise(() => intoStdout(csvText(answer)))
    yield* print(`${table(answer)}\n${counted(answer.rows.length, "row")}`)
  })
