import * as Args from "@effect/cli/Args"
import * as HelpDoc from "@effect/cli/HelpDoc"
import * as Options from "@effect/cli/Options"
import { Effect } from "effect"

/** Defines the options and arguments that several commands share. */

export const json = Options.boolean("json").pipe(Options.withDescription("Print JSON."))

/** A file name, or - for stdout. The check is needed because the parser takes an unknown option for an argument. */
export const file = Args.text({ name: "file" }).pipe(
  Args.mapEffect(name =>
    name.startsWith("-") && name !== "-"
      ? Effect.fail(
          HelpDoc.p(`'${name}' is not an option of this command; a file of that name would be './${name}'.`),
        )
      : Effect.succeed(name),
  ),
)

export const account = Options.text("account").pipe(
  Options.withDescription("Only this account (repeatable)."),
  Options.repeated,
)

export const stream = Options.text("stream").pipe(
  Options.withDescription("Only this stream (repeatable)."),
  Options.repeated,
)

/** Repeatable options. The parser drops one without a value, which would widen the request to everything. */
export const REPEATED = ["--account", "--stream", "--currency", "--path", "--fault"]

export const maxAge = Options.text("max-age").pipe(
  Options.withDescription(
    'Largest age of the latest complete run, such as "26 hours". Default: twice the time between two ticks of' +
      " PAYCOMBAT_SCHEDULE, and at least an hour.",
  ),
  Options.optional,
)
