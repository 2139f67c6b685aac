import * as Command from "@effect/cli/Command"
import * as Options from "@effect/cli/Options"
import { Console, Effect } from "effect"
import * as App from "../App.ts"
import { jsonOption, printJson } from "./output.ts"

const listed = (what: string, names: ReadonlyArray<string>) =>
  names.length === 0 ? [] : [`${what}: ${names.join(", ")}`]

const check = (isJson: boolean) =>
  Effect.gen(function* () {
    const pending = yield* App.pending
    const isCurrent = pending.migrations.length + pending.views.length === 0
    const lines = [
      ...listed("migrations to apply", pending.migrations),
      ...listed("views to create", pending.views),
    ]
    yield* isJson
      ? printJson(pending)
      : Console.log(isCurrent ? "The database is up to date." : lines.join("\n"))
    if (!isCurrent) process.exitCode = 1
  })

const apply = (isJson: boolean) =>
  Effect.gen(function* () {
    const report = yield* App.migrateWarehouse
    const done = [...listed("applied", report.applied), ...listed("views", report.views), ...report.notes]
    yield* isJson
      ? printJson(report)
      : Console.log(done.length === 0 ? "The database is up to date." : done.join("\n"))
  })

export const migrate = Command.make(
  "migrate",
  {
    check: Options.boolean("check").pipe(
      Options.withDescription("Only say what is missing; exit with 1 when something is."),
    ),
    json: jsonOption,
  },
  options =>
    (options.check ? check(options.json) : apply(options.json)).pipe(Effect.provide(App.configuredWarehouse)),
).pipe(Command.withDescription("Brings the database up to date."))
