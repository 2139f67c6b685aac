import * as Args from "@effect/cli/Args"
import * as HelpDoc from "@effect/cli/HelpDoc"
import * as Options from "@effect/cli/Options"
import { Effect } from "effect"

/** Options and arguments that several commands have. */

export const json = Options.boolean("json").pipe(Options.withDescription("Print JSON."))

/** A file by its name, or - . The parser takes an option that it does not know for an argument. */
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

/** The parser drops a repeated option that has no value, which would widen what is asked for to everything. */
export const REPEATED = ["--account", "--stream", "--currency", "--path", "--fault"]

export const maxAge = Options.text("max-age").pipe(
  Options.withDescription(
    'How old the latest complete run may be, such as "26 hours". Without it: twice the time between two ticks of' +
      " PAYCOMBAT_SCHEDULE, and at least an hour.",
  ),
  Options.optional,
)
