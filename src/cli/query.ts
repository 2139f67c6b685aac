import { Effect } from "effect"
import * as App from "../App.ts"
import { demoDatabase } from "./demoDatabase.ts"
import { csv, objects, print, printJson, table } from "./output.ts"
import { waiting } from "./waiting.ts"

interface Options {
  readonly statement: string
  readonly csv: boolean
  readonly json: boolean
  readonly demo: boolean
}

/** Prints what one statement answers, every value as Postgres prints it. */
export const run = (options: Options) =>
  Effect.gen(function* () {
    const answer = yield* waiting("asking", () =>
      options.demo
        ? Effect.provide(App.query(options.statement), App.warehouse(demoDatabase))
        : App.queryConfigured(options.statement),
    )
    const { length } = answer.rows
    yield* options.json
      ? printJson(objects(answer))
      : print(options.csv ? csv(answer) : `${table(answer)}\n${length} ${length === 1 ? "row" : "rows"}`)
  })
