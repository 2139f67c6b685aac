import * as Command from "@effect/cli/Command"
import * as Options from "@effect/cli/Options"
import { Console, Effect, Layer } from "effect"
import * as App from "../App.ts"
import { liveProgress } from "./live.ts"
import { accountOption, jsonOption, printJson, streamOption, table } from "./output.ts"

const count = (value: number) => String(value)

/** What a run did, one line per stream, and what each has to say. */
export const printSummary = ({ streams }: App.RunSummary): Effect.Effect<void> => {
  const rows = streams.map(stream => [
    ...(new Set(streams.map(({ account }) => account)).size > 1 ? [stream.account] : []),
    stream.stream,
    stream.status,
    count(stream.extracted),
    count(stream.inserted),
    count(stream.updated),
    count(stream.unchanged),
    count(stream.rejected),
    count(stream.removed),
    count(stream.requests),
  ])
  const columns = [
    "stream",
    "status",
    "read",
    "new",
    "changed",
    "unchanged",
    "rejected",
    "removed",
    "requests",
  ]
  const words = streams.flatMap(({ account, stream, error, note }) =>
    [error, note].flatMap(text => (text === null ? [] : [`${account}/${stream}: ${text}`])),
  )
  return Console.log(
    [table({ columns: rows[0]?.length === 10 ? ["account", ...columns] : columns, rows }), ...words].join(
      "\n",
    ),
  )
}

/** Exit code 1 for a run that missed something, or, when strict, that had rejects. */
export const bookExitCode = ({ status }: App.RunSummary, isStrict: boolean): Effect.Effect<void> =>
  Effect.sync(() => {
    if (status === "failed" || (isStrict && status === "complete_with_rejects")) process.exitCode = 1
  })

/** Runs something with live progress on a terminal, and with plain log lines elsewhere. */
export const withProgress = <A, E, R>(
  work: Effect.Effect<A, E, R>,
  isLive: boolean,
): Effect.Effect<A, E, R> =>
  Effect.scoped(
    Effect.flatMap(isLive ? liveProgress : Effect.succeed(Layer.empty), layer => Effect.provide(work, layer)),
  )

export const sync = Command.make(
  "sync",
  {
    account: accountOption,
    stream: streamOption,
    full: Options.boolean("full").pipe(
      Options.withDescription(
        "Read every list from its beginning, even where a broken-off pass could go on.",
      ),
    ),
    migrate: Options.boolean("migrate").pipe(
      Options.withDescription("Bring the database of DATABASE_URL up to date first."),
    ),
    strict: Options.boolean("strict").pipe(Options.withDescription("Exit with 1 when there are rejects.")),
    json: jsonOption,
  },
  options =>
    Effect.gen(function* () {
      const work = App.sync({
        accounts: options.account,
        streams: options.stream,
        full: options.full,
        migrate: options.migrate,
      }).pipe(Effect.provide(App.configuredWarehouse), Effect.provide(App.http))
      const summary = yield* withProgress(work, process.stderr.isTTY === true && !options.json)
      yield* options.json ? printJson(summary) : printSummary(summary)
      yield* bookExitCode(summary, options.strict)
    }),
).pipe(Command.withDescription("One pass over all streams of all accounts."))
