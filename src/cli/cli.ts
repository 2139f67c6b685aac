import { stripVTControlCharacters } from "node:util"
import type * as CliApp from "@effect/cli/CliApp"
import * as CliConfig from "@effect/cli/CliConfig"
import * as Command from "@effect/cli/Command"
import * as HelpDoc from "@effect/cli/HelpDoc"
import * as ValidationError from "@effect/cli/ValidationError"
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import * as NodePath from "@effect/platform-node/NodePath"
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as NodeTerminal from "@effect/platform-node/NodeTerminal"
import { Cause, Console, Effect, Exit, Layer, Logger, Option } from "effect"
import {
  AccountError,
  ConfigurationError,
  EndpointError,
  LeaseError,
  WarehouseError,
} from "../core/errors.ts"
import { VERSION } from "../core/version.ts"
import { database } from "./commands/database.ts"
import { demo } from "./commands/demo.ts"
import { directions } from "./commands/directions.ts"
import { doctor } from "./commands/doctor.ts"
import { erase } from "./commands/erase.ts"
import { migrate } from "./commands/migrate.ts"
import { query } from "./commands/query.ts"
import { rebuild } from "./commands/rebuild.ts"
import { rejects } from "./commands/rejects.ts"
import { report } from "./commands/report.ts"
import { sandbox } from "./commands/sandbox.ts"
import { serve } from "./commands/serve.ts"
import { REPEATED } from "./commands/shared.ts"
import { status } from "./commands/status.ts"
import { sync } from "./commands/sync.ts"
import { UNSET } from "./terminal/logging.ts"
import { visible, visibleLines } from "./terminal/visible.ts"

/** Maps commands to functions of the application, and errors to one line and an exit code. */

const root = Command.make("paycombat-sync").pipe(
  Command.withDescription(
    "Keeps a merchant's PayCombat data in Postgres, ready for SQL, BI and compliance reports.",
  ),
  Command.withSubcommands([
    sync,
    serve,
    status,
    doctor,
    query,
    report,
    migrate,
    rejects,
    rebuild,
    directions,
    erase,
    database,
    sandbox,
    demo,
  ]),
)

const EXPECTED_ERRORS = [ConfigurationError, AccountError, EndpointError, LeaseError, WarehouseError]

const usage = (error: ValidationError.ValidationError): string => {
  const words = stripVTControlCharacters(HelpDoc.toAnsiText(error.error)).replace(/\s+/g, " ").trim()
  return `${/[.?]$/.test(words) ? words : `${words}.`} See paycombat-sync --help.`
}

const DEFECT_NOTE = "This is a defect of paycombat-sync: please report it with the lines above."

/** Prints an error: one clear line on stderr for an expected one, the whole cause for a defect. */
const explain = (cause: Cause.Cause<unknown>): Effect.Effect<void> =>
  Effect.sync(() => {
    if (Cause.isInterruptedOnly(cause)) return
    const failure = Option.getOrUndefined(Cause.failureOption(cause))
    if (ValidationError.isValidationError(failure)) return console.error(visible(usage(failure)))
    const isExpected = EXPECTED_ERRORS.some(kind => failure instanceof kind)
    if (isExpected) return console.error(visible((failure as Error).message))
    console.error(visibleLines(`${Cause.pretty(cause)}\n${DEFECT_NOTE}`))
  })

/** Console for the parser: prints help, with or without colours, and leaves errors to `explain`. */
const parserConsole = Effect.map(Console.consoleWith(Effect.succeed), console => {
  const isPlain = !process.stdout.isTTY || Boolean(process.env.NO_COLOR)
  const log = (text: string) => console.log(isPlain ? stripVTControlCharacters(text) : text)
  return { ...console, log: (text: unknown) => log(String(text).trimEnd()), error: () => Effect.void }
})

const refuseMissingValue = (argv: ReadonlyArray<string>): Effect.Effect<void, ConfigurationError> => {
  const option = REPEATED.find(name =>
    argv.some((word, i) => word === `${name}=` || (word === name && !argv[i + 1])),
  )
  return option === undefined
    ? Effect.void
    : Effect.fail(new ConfigurationError({ message: `${option} needs a value. See paycombat-sync --help.` }))
}

/** Runs a command line. Answers go to stdout; logs, progress and errors go to stderr. */
export const main = (argv: ReadonlyArray<string>): Effect.Effect<void, unknown, CliApp.CliApp.Environment> =>
  Effect.gen(function* () {
    yield* refuseMissingValue(argv)
    const parseAndRun = Command.run(root, { name: "paycombat-sync", version: VERSION })
    yield* Console.withConsole(parseAndRun(argv), yield* parserConsole)
  }).pipe(
    Logger.withMinimumLogLevel(UNSET),
    Effect.provide(CliConfig.layer({ showBuiltIns: false })),
    Effect.tapErrorCause(explain),
  )

/** Exit codes: 1 a stream failed · 2 usage or configuration · 3 other runs hold every account · 130/143 interrupted. */
export const exitCodeOf = (exit: Exit.Exit<unknown, unknown>, signal: NodeJS.Signals): number => {
  // A command that finished with bad news sets `process.exitCode`, which takes precedence over this 0.
  if (Exit.isSuccess(exit)) return 0
  if (Cause.isInterruptedOnly(exit.cause)) return signal === "SIGTERM" ? 143 : 130
  const failure = Option.getOrUndefined(Cause.failureOption(exit.cause))
  if (failure instanceof ConfigurationError || ValidationError.isValidationError(failure)) return 2
  return failure instanceof LeaseError && failure.reason === "held" ? 3 : 1
}

/** The parts of NodeContext that a command line needs. All of NodeContext takes longer to load. */
const platform = Layer.mergeAll(NodeFileSystem.layer, NodePath.layer, NodeTerminal.layer)

/** Runs the process's command line, and ends the process. `signal` returns the one that interrupted it. */
export const runProgram = (signal: () => NodeJS.Signals): void =>
  NodeRuntime.runMain(Effect.provide(main(process.argv), platform), {
    disableErrorReporting: true,
    disablePrettyLogger: true,
    teardown: (exit, onExit) => onExit(exitCodeOf(exit, signal())),
  })
