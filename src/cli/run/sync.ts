import { Effect } from "effect"
import * as App from "../../app.ts"
import { counted, isComplete } from "../../core/words.ts"
import { isLive, print, printJson, table, verdictLines } from "../terminal/output.ts"
import { visible } from "../terminal/visible.ts"

interface Options {
  readonly account: ReadonlyArray<string>
  readonly stream: ReadonlyArray<string>
  readonly full: boolean
  readonly confirmRemovals: boolean
  readonly migrate: boolean
  readonly wait: boolean
  readonly strict: boolean
  readonly json: boolean
}

type Stream = App.StreamSummary

/** Counts of a stream, by column. A rare count has a column only if it is not 0 everywhere. */
const FIGURES: ReadonlyArray<{ readonly name: string; of: (stream: Stream) => number; isRare?: true }> = [
  { name: "read", of: ({ extracted }) => extracted },
  { name: "new", of: ({ inserted }) => inserted },
  { name: "changed", of: ({ updated }) => updated },
  { name: "unchanged", of: ({ unchanged }) => unchanged },
  { name: "rejected", of: ({ rejected }) => rejected },
  { name: "unanswered", of: ({ unanswered }) => unanswered, isRare: true },
  { name: "removed", of: ({ removed }) => removed },
  { name: "requests", of: ({ requests }) => requests },
]

export const printSummary = ({ streams }: App.RunSummary): Effect.Effect<void> => {
  const isNamed = new Set(streams.map(({ account }) => account)).size > 1
  const figures = FIGURES.filter(
    ({ of, isRare }) => isRare !== true || streams.some(stream => of(stream) > 0),
  )
  const rows = streams.map(stream => [
    ...(isNamed ? [stream.account] : []),
    stream.stream,
    stream.status,
    ...figures.map(({ of }) => String(of(stream))),
  ])
  const byText = new Map<string, Array<string>>()
  for (const { account, stream, error, note } of streams) {
    for (const text of [error, note]) {
      if (text !== null) byText.set(text, [...(byText.get(text) ?? []), `${account}/${stream}`])
    }
  }
  const columns = [...(isNamed ? ["account"] : []), "stream", "status", ...figures.map(({ name }) => name)]
  const fields = streams.reduce((sum, { fieldRejected }) => sum + fieldRejected, 0)
  const items = streams.reduce((sum, { itemRejected }) => sum + itemRejected, 0)
  const lines = [
    table({ columns, rows }),
    ...Array.from(byText, ([text, names]) => visible(`${names.join(", ")}: ${text}`)),
    ...(fields > 0
      ? [
          `${counted(fields, "field")} could not be read and ${fields === 1 ? "is" : "are"} null: see \`paycombat-sync rejects list --kind field\`.`,
        ]
      : []),
    ...(items > 0
      ? [
          `${counted(items, "item")} in records could not be read and ${items === 1 ? "is" : "are"} in no figure: see \`paycombat-sync rejects list --kind item\`.`,
        ]
      : []),
    ...(streams.some(({ rejected }) => rejected > 0)
      ? ["For the rejected records and the reasons, run `paycombat-sync rejects list`."]
      : []),
  ]
  return print(lines.join("\n"))
}

export const printVerdicts = ({ verdicts }: App.SyncSummary): Effect.Effect<void> =>
  print(verdictLines(verdicts).join("\n"))

/** Sets exit code 1 for a run that missed something, or, if strict, that had rejects. */
export const setExitCode = ({ status }: App.RunSummary, isStrict: boolean): Effect.Effect<void> =>
  Effect.sync(() => {
    if (isStrict ? status !== "complete" : !isComplete(status)) process.exitCode = 1
  })

/** True if a stream of the run is complete, and its figures cannot be trusted all the same. */
const isBad = ({ streams, verdicts }: App.SyncSummary): boolean =>
  verdicts.some(({ account, findings }) =>
    findings.some(
      ({ level, stream }) =>
        level === "bad" && streams.some(each => each.account === account && each.stream === stream),
    ),
  )

/** Runs an effect with live progress if stderr is a terminal, and with plain log lines otherwise. */
export const withProgress = <A, E, R>(
  work: Effect.Effect<A, E, R>,
  isJson: boolean,
): Effect.Effect<A, E, R> =>
  isJson || !isLive()
    ? work
    : Effect.promise(() => import("../terminal/live.ts")).pipe(
        Effect.flatMap(({ liveProgress }) => liveProgress),
        Effect.flatMap(layer => Effect.provide(work, layer)),
        Effect.scoped,
      )

/** Syncs once. Mistakes in the settings are reported before a database is started. */
export const run = (options: Options) =>
  Effect.gen(function* () {
    const settings = yield* App.runSettings({
      accounts: options.account,
      streams: options.stream,
      full: options.full,
      confirmsRemovals: options.confirmRemovals,
      wait: options.wait,
    })
    const work = App.syncWith(settings, options.migrate).pipe(
      Effect.provide(App.configuredWarehouse),
      Effect.provide(App.http),
    )
    const summary = yield* withProgress(work, options.json)
    yield* options.json ? printJson(summary) : Effect.zipRight(printSummary(summary), printVerdicts(summary))
    yield* setExitCode(summary, options.strict)
    if (isBad(summary)) process.exitCode = 1
  })
