import * as Command from "@effect/cli/Command"
import * as ValidationError from "@effect/cli/ValidationError"
import * as PlatformConfigProvider from "@effect/platform/PlatformConfigProvider"
import type * as NodeContext from "@effect/platform-node/NodeContext"
import { Cause, Effect, Exit, Option } from "effect"
import { database } from "./cli/database.ts"
import { demo } from "./cli/demo.ts"
import { logging } from "./cli/logging.ts"
import { migrate } from "./cli/migrate.ts"
import { query } from "./cli/query.ts"
import { sandbox } from "./cli/sandbox.ts"
import { status } from "./cli/status.ts"
import { sync } from "./cli/sync.ts"
import { AccountError, ConfigurationError, EndpointError, LeaseError, WarehouseError } from "./Errors.ts"
import { VERSION } from "./version.ts"

/** The command line: commands → functions of the application, errors → one line and an exit code. */

const root = Command.make("paycombat-sync").pipe(
  Command.withDescription(
    "Keeps a merchant's PayCombat data in Postgres, ready for SQL, BI and compliance reports.",
  ),
  Command.withSubcommands([sync, status, query, migrate, database, sandbox, demo]),
)

const OURS = [ConfigurationError, AccountError, EndpointError, LeaseError, WarehouseError]

/** One clear line for an error of ours; the parser of the command line has shown its own by then. */
const report = (cause: Cause.Cause<unknown>): Effect.Effect<void> =>
  Effect.sync(() => {
    const failure = Option.getOrUndefined(Cause.failureOption(cause))
    if (Cause.isInterruptedOnly(cause) || ValidationError.isValidationError(failure)) return
    const known = OURS.find(kind => failure instanceof kind)
    console.error(known === undefined ? Cause.pretty(cause) : (failure as Error).message)
  })

/** Runs a command line. What it printed is for stdout, what it says about itself for stderr. */
export const main = (argv: ReadonlyArray<string>): Effect.Effect<void, unknown, NodeContext.NodeContext> =>
  Command.run(root, { name: "paycombat-sync", version: VERSION })(argv).pipe(
    Effect.provide(logging),
    Effect.provide(PlatformConfigProvider.layerDotEnvAdd(".env")),
    Effect.tapErrorCause(report),
  )

/** 1 something failed · 2 wrong usage or configuration · 3 another run holds the lease · 130/143 interrupted. */
export const exitCodeOf = (exit: Exit.Exit<unknown, unknown>, signal: NodeJS.Signals): number => {
  // A command that did its work and has bad news sets `process.exitCode`, which stays in force with 0.
  if (Exit.isSuccess(exit)) return 0
  if (Cause.isInterruptedOnly(exit.cause)) return signal === "SIGTERM" ? 143 : 130
  const failure = Option.getOrUndefined(Cause.failureOption(exit.cause))
  if (failure instanceof ConfigurationError || ValidationError.isValidationError(failure)) return 2
  return failure instanceof LeaseError && failure.reason === "held" ? 3 : 1
}
