import { Effect } from "effect"
import * as App from "../../app.ts"
import { diagnose } from "../../doctor/doctor.ts"
import { type Finding, type Level, Listener } from "../../doctor/finding.ts"
import { print, printJson } from "../terminal/output.ts"
import { transient } from "../terminal/transient.ts"
import { visible } from "../terminal/visible.ts"
import { type At, waiting } from "../terminal/waiting.ts"

interface Options {
  readonly account: ReadonlyArray<string>
  readonly stream: ReadonlyArray<string>
  readonly json: boolean
}

const MARK: Readonly<Record<Level, string>> = { pass: "✔ pass", warn: "! warn", fail: "✖ fail" }

/** Whose line it is, which check it was, and what it says. */
const lineOf = ({ level, account, stream, check, message }: Finding): string => {
  const whose = [account, stream].filter(name => name !== undefined).join("/")
  return `${MARK[level]}  ${visible(`${whose === "" ? "" : `${whose} `}${check}: ${message}`)}`
}

const summaryOf = (checks: ReadonlyArray<Finding>): string => {
  const of = (level: Level) => checks.filter(check => check.level === level).length
  return `${of("pass")} passed, ${of("warn")} to look at, ${of("fail")} failed.`
}

/** For programs: nothing is printed before all is found, and stderr tells meanwhile what is looked at. */
const quiet = (at: At) =>
  Listener.of({
    doing: text => Effect.sync(() => at(text)),
    found: () => Effect.void,
  })

/** Examines everything and prints a line for each check as it is made; the exit code says how it went. */
export const run = (options: Options) =>
  Effect.gen(function* () {
    const { show, clear } = transient(!options.json)
    const listener = Listener.of({
      doing: text => Effect.sync(() => show(text)),
      found: finding =>
        Effect.zipRight(
          Effect.sync(() => clear()),
          print(lineOf(finding)),
        ),
    })
    const toldTo = (told: typeof listener) =>
      diagnose({ accounts: options.account, streams: options.stream }).pipe(
        Effect.provideService(Listener, told),
        Effect.provide(App.http),
      )
    const examination = yield* options.json
      ? waiting("the settings", at => toldTo(quiet(at)))
      : Effect.ensuring(
          toldTo(listener),
          Effect.sync(() => clear()),
        )
    if (!examination.isConfigured) process.exitCode = 2
    else if (examination.level === "fail") process.exitCode = 1
    yield* options.json ? printJson(examination) : print(summaryOf(examination.checks))
  })
