import { Effect } from "effect"
import * as App from "../../app.ts"
import { diagnose } from "../../doctor/doctor.ts"
import { CheckReporter, type Finding, type Level } from "../../doctor/finding.ts"
import { print, printJson } from "../terminal/output.ts"
import { visible } from "../terminal/visible.ts"
import { type At, transient, waiting } from "../terminal/waiting.ts"

interface Options {
  readonly account: ReadonlyArray<string>
  readonly stream: ReadonlyArray<string>
  readonly json: boolean
}

const MARK: Readonly<Record<Level, string>> = { pass: "✔ pass", warn: "! warn", fail: "✖ fail" }

const lineOf = ({ level, account, stream, check, message }: Finding): string => {
  const subject = [account, stream].filter(name => name !== undefined).join("/")
  return `${MARK[level]}  ${visible(`${subject === "" ? "" : `${subject} `}${check}: ${message}`)}`
}

const summaryOf = (checks: ReadonlyArray<Finding>): string => {
  const countOf = (level: Level) => checks.filter(check => check.level === level).length
  return `${countOf("pass")} passed, ${countOf("warn")} with a warning, ${countOf("fail")} failed.`
}

/** Reporter for JSON output. It shows the current check on stderr, and prints findings only at the end. */
const quiet = (at: At) =>
  CheckReporter.of({
    start: text => Effect.sync(() => at(text)),
    report: () => Effect.void,
  })

/** Examines everything, and prints a line for each check as soon as it is made. Sets the exit code by the result. */
export const run = (options: Options) =>
  Effect.gen(function* () {
    const { show, clear } = transient(!options.json)
    const reporter = CheckReporter.of({
      start: text => Effect.sync(() => show(text)),
      report: finding =>
        Effect.zipRight(
          Effect.sync(() => clear()),
          print(lineOf(finding)),
        ),
    })
    const examine = (receiver: typeof reporter) =>
      diagnose({ accounts: options.account, streams: options.stream }).pipe(
        Effect.provideService(CheckReporter, receiver),
        Effect.provide(App.http),
      )
    const examination = yield* options.json
      ? waiting("the settings", at => examine(quiet(at)))
      : Effect.ensuring(
          examine(reporter),
          Effect.sync(() => clear()),
        )
    if (!examination.isConfigured) process.exitCode = 2
    else if (examination.level === "fail") process.exitCode = 1
    yield* options.json ? printJson(examination) : print(summaryOf(examination.checks))
  })
