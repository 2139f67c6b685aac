import { randomBytes } from "node:crypto"
import { createWriteStream } from "node:fs"
import { mkdir, readdir, rename, rm, stat, writeFile } from "node:fs/promises"
import { join, resolve } from "node:path"
import { Readable } from "node:stream"
import { pipeline } from "node:stream/promises"
import { stringify } from "csv-stringify"
import { Effect, Option, type Redacted } from "effect"
import * as App from "../App.ts"
import { ConfigurationError, WarehouseError } from "../Errors.ts"
import { figuresOf, viewsOf } from "../Report.ts"
import type { ReportFilter } from "../report/data.ts"
import type { TakeView } from "../warehouse/reportViews.ts"
import { demoDatabase } from "./demoDatabase.ts"
import { print } from "./output.ts"

type Format = "html" | "csv" | "json"

interface Options {
  readonly file: Option.Option<string>
  readonly format: Option.Option<Format>
  readonly from: Option.Option<string>
  readonly to: Option.Option<string>
  readonly account: ReadonlyArray<string>
  readonly currency: ReadonlyArray<string>
  readonly demo: boolean
}

/** What a report says of a business is not for everybody on the machine. */
const FILE_MODE = 0o600
const DIRECTORY_MODE = 0o700

const refuse = (message: string) => new ConfigurationError({ message })

/** A day of the calendar, as YYYY-MM-DD. */
const dayOf = (
  name: string,
  given: Option.Option<string>,
): Effect.Effect<string | undefined, ConfigurationError> =>
  Option.match(given, {
    onNone: () => Effect.succeed(undefined),
    onSome: text => {
      const date = new Date(`${text}T00:00:00Z`)
      const isDay = /^\d{4}-\d{2}-\d{2}$/.test(text) && !Number.isNaN(date.getTime()) && text >= "1900"
      return isDay && date.toISOString().startsWith(text)
        ? Effect.succeed(text)
        : refuse(`${name} ${text} is not a day: it should look like 2026-01-31.`)
    },
  })

const formatOf = ({ format, file }: Options): Format =>
  Option.getOrElse(format, () => (Option.getOrElse(file, () => "").endsWith(".json") ? "json" : "html"))

const fileOf = ({ file, demo }: Options, format: Format): string =>
  Option.getOrElse(file, () => {
    const today = new Date().toISOString().slice(0, 10)
    return `paycombat-report-${demo ? "demo-" : ""}${today}${format === "csv" ? "" : `.${format}`}`
  })

/** A failure of the file system, and what to do about it. */
const writing = <A>(
  file: string,
  write: () => Promise<A>,
): Effect.Effect<A, ConfigurationError | WarehouseError> =>
  Effect.tryPromise({ try: write, catch: error => failureOf(file, error) })

const failureOf = (file: string, error: unknown): ConfigurationError | WarehouseError => {
  if (error instanceof ConfigurationError || error instanceof WarehouseError) return error
  const why = (error as NodeJS.ErrnoException).code ?? String(error)
  return refuse(
    `The report cannot be written to ${file} (${why}): name another place, as in \`report /tmp/report.html\`.`,
  )
}

const unfinishedOf = (file: string): string => `${resolve(file)}.${randomBytes(4).toString("hex")}.unfinished`

/** Nobody ever finds half a report: it gets its name when it is whole. */
const writeWhole = (file: string, text: string) =>
  writing(file, async () => {
    const found = await stat(file).catch(() => undefined)
    if (found?.isDirectory()) throw refuse(`${file} is a directory: name a file, or add --format csv.`)
    const unfinished = unfinishedOf(file)
    try {
      await writeFile(unfinished, text, { mode: FILE_MODE, flag: "wx", flush: true })
      await rename(unfinished, file)
    } finally {
      await rm(unfinished, { force: true })
    }
  })

/** `=1+2` from outside is a text, and a spreadsheet must not take it for more; a negative number is one. */
const safe = (text: string | null): string | null =>
  text !== null && /^[=+\-@\t\r]/.test(text) && !/^-?\d+(\.\d+)?$/.test(text) ? `'${text}` : text

const csvInto =
  (directory: string): TakeView =>
  async (view, columns, batches) => {
    const rows = async function* () {
      yield columns
      for await (const batch of batches) for (const row of batch) yield row.map(safe)
    }
    const target = createWriteStream(join(directory, `${view}.csv`), {
      mode: FILE_MODE,
      flags: "wx",
      flush: true,
    })
    await pipeline(Readable.from(rows()), stringify(), target)
  }

/** A directory that holds nothing but such files is replaced as a whole; any other is somebody's. */
const refuseForeign = (directory: string) =>
  writing(directory, async () => {
    const found = await stat(directory).catch(() => undefined)
    if (found === undefined) return
    const isOurs = found.isDirectory() && (await readdir(directory)).every(name => name.endsWith(".csv"))
    if (!isOurs)
      throw refuse(`${directory} holds other things than such files: name a new directory, or empty it.`)
  })

const csv = (
  directory: string,
  read: (take: TakeView) => Effect.Effect<void, ConfigurationError | WarehouseError>,
) =>
  Effect.gen(function* () {
    yield* refuseForeign(directory)
    const unfinished = unfinishedOf(directory)
    const work = Effect.gen(function* () {
      yield* writing(directory, () => mkdir(unfinished, { mode: DIRECTORY_MODE }))
      const take = csvInto(unfinished)
      // What the file system refuses is not Postgres' fault.
      yield* read((view, columns, batches) =>
        take(view, columns, batches).catch(error => {
          throw (error as NodeJS.ErrnoException).syscall === undefined ? error : failureOf(directory, error)
        }),
      )
      const files = yield* writing(directory, async () => {
        const written = await readdir(unfinished)
        const found = await readdir(directory).catch(() => [])
        // A file that is no view's is somebody's, whatever its ending.
        const foreign = found.find(name => !written.includes(name))
        if (foreign !== undefined)
          throw refuse(
            `${directory} holds ${foreign}, which is no such file: name a new directory, or empty it.`,
          )
        const old = `${unfinished}.old`
        await rename(directory, old).catch(error => {
          if (error.code !== "ENOENT") throw error
        })
        await rename(unfinished, directory).catch(async error => {
          await rename(old, directory).catch(() => undefined)
          throw error
        })
        await rm(old, { recursive: true, force: true })
        return written.length
      })
      yield* print(`${directory}: ${files} files, one of each view.`)
    })
    yield* Effect.ensuring(
      work,
      Effect.promise(() => rm(unfinished, { recursive: true, force: true })),
    )
  })

/** Writes the report, and says where it is. */
export const run = (options: Options) =>
  Effect.gen(function* () {
    const format = formatOf(options)
    const file = fileOf(options, format)
    if (format === "csv" && file === "-")
      return yield* refuse("--format csv writes a file of each view: name a directory instead of -.")
    if (format !== "csv" && file.endsWith(".csv"))
      return yield* refuse("CSV is a file of each view: name a directory, and add --format csv.")
    const filter: ReportFilter = {
      accounts: options.account,
      currencies: options.currency,
      from: yield* dayOf("--from", options.from),
      to: yield* dayOf("--to", options.to),
    }
    const asReader = <A, E>(use: (readerUrl: Redacted.Redacted) => Effect.Effect<A, E>) =>
      options.demo
        ? Effect.provide(App.asReader(use), App.warehouse(demoDatabase))
        : App.asConfiguredReader(use)
    if (format === "csv") return yield* csv(file, take => asReader(url => viewsOf(url, filter, take)))
    const figures = yield* asReader(url => figuresOf(url, filter, options.demo))
    const text =
      format === "json"
        ? `${JSON.stringify(figures, null, 2)}\n`
        : (yield* Effect.promise(() => import("../report/page.ts"))).page(figures)
    if (file === "-") return yield* print(text.trimEnd())
    yield* writeWhole(file, text)
    yield* print(`${file}: the report of ${figures.from} to ${figures.to}, as of ${figures.snapshotAt}.`)
  })
