import { Effect } from "effect"
import * as App from "../../app.ts"
import { print, printJson } from "../terminal/output.ts"
import { waiting } from "../terminal/waiting.ts"

const UP_TO_DATE = "The database is up to date."

const lineOf = (label: string, names: ReadonlyArray<string>) =>
  names.length === 0 ? [] : [`${label}: ${names.join(", ")}`]

const check = (isJson: boolean) =>
  Effect.gen(function* () {
    const pending = yield* App.pending
    const lines = [
      ...lineOf("migrations to apply", pending.migrations),
      ...lineOf("views to create", pending.views),
      ...lineOf("views to grant to paycombat_reader", pending.grants),
    ]
    yield* isJson ? printJson(pending) : print(lines.length === 0 ? UP_TO_DATE : lines.join("\n"))
    if (lines.length > 0) process.exitCode = 1
  })

const apply = (isJson: boolean) =>
  Effect.gen(function* () {
    const report = yield* waiting("migrating", () => App.migrateWarehouse)
    const lines = [...lineOf("applied", report.applied), ...lineOf("views", report.views), ...report.notes]
    yield* isJson ? printJson(report) : print(lines.length === 0 ? UP_TO_DATE : lines.join("\n"))
  })

export const run = (options: { readonly check: boolean; readonly json: boolean }) =>
  options.check
    ? Effect.provide(check(options.json), App.configuredExisting)
    : Effect.provide(apply(options.json), App.configuredWarehouse)
