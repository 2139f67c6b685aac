import { Effect } from "effect"
import * as App from "../../app.ts"
import { print, printJson } from "../terminal/output.ts"
import { printSummary, setExitCode, withProgress } from "./sync.ts"

interface Options {
  readonly account: ReadonlyArray<string>
  readonly stream: ReadonlyArray<string>
  readonly json: boolean
}

export const run = ({ account, stream, json }: Options) =>
  Effect.gen(function* () {
    const work = App.rebuild({ accounts: account, streams: stream }).pipe(
      Effect.provide(App.configuredExisting),
    )
    const summary = yield* withProgress(work, json)
    if (summary === undefined)
      return yield* json ? printJson(null) : print("Nothing is stored yet: run `paycombat-sync sync`.")
    yield* json ? printJson(summary) : printSummary(summary)
    yield* setExitCode(summary, true)
  })
