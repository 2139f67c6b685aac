import { ConfigProvider, Effect, Option, type Redacted } from "effect"
import * as App from "../../app.ts"
import { ConfigurationError, type WarehouseError } from "../../core/errors.ts"
import { documentOf, figuresOf, freshnessRule, type ReportMeta, viewsOf } from "../../report/report.ts"
import type { ReportData, ReportFilter } from "../../warehouse/report/types.ts"
import { print, say } from "../terminal/output.ts"
import { visibleJson } from "../terminal/visible.ts"
import { countingRows, waiting } from "../terminal/waiting.ts"
import { existingDemo } from "./demoDatabase.ts"
import { secondsOf } from "./maxAge.ts"
import { csvDirectory, intoFile, intoStdout, refuseDirectory, type WriteText } from "./reportFiles.ts"

type Format = "html" | "csv" | "json"

interface Options {
  readonly file: Option.Option<string>
  readonly format: Option.Option<Format>
  readonly from: Option.Option<string>
  readonly to: Option.Option<string>
  readonly account: ReadonlyArray<string>
  readonly currency: ReadonlyArray<string>
  readonly maxAge: Option.Option<string>
  readonly demo: boolean
  readonly json: boolean
}

type Failure = ConfigurationError | WarehouseError

type AsReader = <A, E>(
  use: (readerUrl: Redacted.Redacted) => Effect.Effect<A, E>,
) => Effect.Effect<A, E | Failure>

const refuse = (message: string) => new ConfigurationError({ message })

/** `csv` has its own message, because it needs a directory. */
const KNOWN_ENDINGS = ["html", "htm", "json", "csv"]

/** Expands `--json`, which is short for `--format json`, to stdout unless a file is named. */
const spelledOut = (options: Options): Effect.Effect<Options, ConfigurationError> => {
  const { json, format, file } = options
  if (!json) return Effect.succeed(options)
  if (Option.isSome(format) && format.value !== "json")
    return refuse(`--json and --format ${format.value} are two formats: give one of them.`)
  return Effect.succeed({
    ...options,
    format: Option.some("json"),
    file: Option.orElseSome(file, () => "-"),
  })
}

const formatOf = ({ format, file }: Options): Format =>
  Option.getOrElse(format, () => (Option.getOrElse(file, () => "").endsWith(".json") ? "json" : "html"))

const fileOf = ({ file, demo }: Options, format: Format): string =>
  Option.getOrElse(file, () => {
    const today = new Date().toISOString().slice(0, 10)
    return `paycombat-report-${demo ? "demo-" : ""}${today}${format === "csv" ? "" : `.${format}`}`
  })

/** Builds the report's meta data. The demo ignores all configured accounts and limits. */
const metaOf = ({ account, demo, maxAge }: Options): Effect.Effect<ReportMeta, ConfigurationError> =>
  Effect.gen(function* () {
    const seconds = Option.getOrUndefined(yield* secondsOf(maxAge))
    const rule = freshnessRule(seconds, account)
    const none = ConfigProvider.fromMap(new Map())
    return { isDemo: demo, rule: yield* demo ? Effect.withConfigProvider(rule, none) : rule }
  })

/** Says that a period has no data, because the user may have meant other days. */
const warnEmpty = ({ from, to }: ReportFilter) =>
  from === undefined && to === undefined
    ? Effect.void
    : say(
        `Nothing is dated ${[from === undefined ? "" : `from ${from}`, to === undefined ? "" : `to ${to}`].join(" ").trim()}: check that these are the right days.`,
      )

const isEmpty = ({ settlements: { totals, states } }: ReportData): boolean =>
  totals.total + states.total === 0

const csv = (asReader: AsReader, filter: ReportFilter, directory: string) =>
  Effect.gen(function* () {
    let dated = 0
    const files = yield* waiting("the views", at =>
      csvDirectory(directory, take =>
        asReader(url =>
          viewsOf(url, filter, (view, shape, batches, isDated) => {
            const withCount = async function* () {
              for await (const batch of countingRows(at, view, batches)) {
                if (isDated) dated += batch.length
                yield batch
              }
            }
            return take(view, shape, withCount(), isDated)
          }),
        ),
      ),
    )
    yield* print(`${directory}: ${files} files, one per view.`)
    if (dated === 0) yield* warnEmpty(filter)
  })

/** Escapes characters in JSON that a terminal would act on. No part ends inside a string. */
async function* escaped(parts: AsyncIterable<string> | Iterable<string>) {
  for await (const part of parts) yield visibleJson(part)
}

const json = (asReader: AsReader, filter: ReportFilter, meta: ReportMeta, file: string) =>
  waiting("the figures", at => {
    const watch = (rows: number) => at("long lists", rows)
    const by = (write: WriteText) => asReader(url => documentOf(url, filter, meta, write, watch))
    return file === "-" ? by(text => intoStdout(escaped(text))) : intoFile(file, by)
  })

const html = (asReader: AsReader, filter: ReportFilter, meta: ReportMeta, file: string) =>
  Effect.gen(function* () {
    const figures = yield* waiting("the figures", () => asReader(url => figuresOf(url, filter, meta)))
    const { page } = yield* Effect.promise(() => import("../../report/page.ts"))
    const text = page(figures)
    yield* file === "-"
      ? print(text.trimEnd())
      : intoFile(file, write =>
          Effect.tryPromise({ try: () => write([text]), catch: error => error as Failure }),
        )
    return figures
  })

export const run = (commandLine: Options) =>
  Effect.gen(function* () {
    const options = yield* spelledOut(commandLine)
    const format = formatOf(options)
    const file = fileOf(options, format)
    if (format === "csv" && file === "-")
      return yield* refuse("--format csv writes one file per view: name a directory instead of -.")
    const [, other] = /\.([a-z0-9]{1,5})$/i.exec(file) ?? []
    if (Option.isNone(options.format) && other !== undefined && !KNOWN_ENDINGS.includes(other.toLowerCase()))
      return yield* refuse(
        `A report is HTML, JSON or CSV: name a file that ends in .html or .json, or give --format for ${file}.`,
      )
    if (format !== "csv" && file.endsWith(".csv"))
      return yield* refuse("CSV is one file per view: name a directory, and add --format csv.")
    if (format === "csv" && Option.isSome(options.maxAge))
      return yield* refuse("--max-age is for html and json: freshness.csv has ages, but no verdict.")
    if (format !== "csv" && file !== "-") yield* refuseDirectory(file)
    const filter: ReportFilter = {
      accounts: options.account,
      currencies: options.currency,
      from: Option.getOrUndefined(options.from),
      to: Option.getOrUndefined(options.to),
    }
    const asReader: AsReader = use =>
      options.demo ? Effect.provide(App.asReader(use), existingDemo) : App.asConfiguredReader(use)
    if (format === "csv") return yield* csv(asReader, filter, file)
    const written = yield* (format === "json" ? json : html)(asReader, filter, yield* metaOf(options), file)
    if (file !== "-")
      yield* print(`${file}: the report of ${written.from} to ${written.to}, as of ${written.snapshotAt}.`)
    if (isEmpty(written)) yield* warnEmpty(filter)
  })
