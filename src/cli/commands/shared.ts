import * as Options from "@effect/cli/Options"

/** Options that several commands have. */

export const json = Options.boolean("json").pipe(Options.withDescription("Print JSON."))

export const account = Options.text("account").pipe(
  Options.withDescription("Only this account (repeatable)."),
  Options.repeated,
)

export const stream = Options.text("stream").pipe(
  Options.withDescription("Only this stream (repeatable)."),
  Options.repeated,
)

/** The parser drops a repeated option that has no value, which would widen what is asked for to everything. */
export const REPEATED = ["--account", "--stream", "--path", "--fault"]
