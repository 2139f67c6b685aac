import { randomBytes } from "node:crypto"
import { createWriteStream } from "node:fs"
import { mkdir, readdir, rename, rm, stat } from "node:fs/promises"
import { join, resolve } from "node:path"
import { Readable } from "node:stream"
import { pipeline } from "node:stream/promises"
import { Effect } from "effect"
import { ConfigurationError, WarehouseError } from "../../core/errors.ts"
import type { TakeView } from "../../warehouse/report/views.ts"
import { csvHead, csvRows } from "../terminal/csv.ts"

/** Writes reports to files and directories. A report gets its final name only when it is complete. */

/** Only the owner may read a report, because it describes the business. */
const FILE_MODE = 0o600
const DIRECTORY_MODE = 0o700

const refuse = (message: string) => new ConfigurationError({ message })

const failureOf = (file: string, error: unknown): ConfigurationError | WarehouseError => {
  if (error instanceof ConfigurationError || error instanceof WarehouseError) return error
  const code = (error as NodeJS.ErrnoException).code ?? String(error)
  return refuse(
    `The report cannot be written to ${file} (${code}): name another place, such as \`report /tmp/report.html\`.`,
  )
}

/** Converts an error of the file system into one that says what to do. Errors of Postgres pass unchanged. */
const asFailure = (file: string) => (error: unknown) => {
  throw (error as NodeJS.ErrnoException).syscall === undefined ? error : failureOf(file, error)
}

const writing = <A>(
  file: string,
  write: () => Promise<A>,
): Effect.Effect<A, ConfigurationError | WarehouseError> =>
  Effect.tryPromise({ try: write, catch: error => failureOf(file, error) })

const unfinishedOf = (file: string): string => `${resolve(file)}.${randomBytes(4).toString("hex")}.unfinished`

const openNew = (file: string) => createWriteStream(file, { mode: FILE_MODE, flags: "wx", flush: true })

/** Refuses a directory as the target, before anything is read for the report. */
export const refuseDirectory = (file: string) =>
  writing(file, async () => {
    const existing = await stat(file).catch(() => undefined)
    if (existing?.isDirectory()) throw refuse(`${file} is a directory: name a file, or add --format csv.`)
  })

export type WriteText = (text: AsyncIterable<string> | Iterable<string>) => Promise<void>

/** Lets `use` write text to a file. An existing file is replaced when all text has arrived, and not before. */
export const intoFile = <A, E>(
  file: string,
  use: (write: WriteText) => Effect.Effect<A, E>,
): Effect.Effect<A, E> =>
  Effect.suspend(() => {
    const unfinished = unfinishedOf(file)
    const write: WriteText = async text => {
      await pipeline(Readable.from(text), openNew(unfinished)).catch(asFailure(file))
      await rename(unfinished, file).catch(asFailure(file))
    }
    // Deleted by a finalizer, because the process would not wait for the promise after an interruption.
    return Effect.ensuring(
      use(write),
      Effect.promise(() => rm(unfinished, { force: true })),
    )
  })

/** Writes text to stdout as it arrives, at the pace of the reader. The reader may stop reading. */
export const intoStdout: WriteText = async text => {
  const { stdout } = process
  // `main.ts` handles errors of stdout. An error of the text's source (the database connection) is thrown here. Stdout
  // is never destroyed and forgets its error at once, so only the event tells the two apart.
  let stdoutError: unknown
  const note = (error: unknown) => {
    stdoutError = error
  }
  stdout.once("error", note)
  try {
    await pipeline(Readable.from(text), stdout, { end: false })
  } catch (error) {
    if (error !== stdoutError && !stdout.destroyed) throw error
  } finally {
    stdout.off("error", note)
  }
}

const csvInto =
  (directory: string): TakeView =>
  async (view, { columns, types }, batches) => {
    const text = async function* () {
      yield csvHead(columns)
      for await (const batch of batches) yield csvRows(batch, types)
    }
    await pipeline(Readable.from(text()), openNew(join(directory, `${view}.csv`)))
  }

/** Refuses a directory with foreign files. A directory that holds only CSV files is replaced as a whole. */
const refuseForeign = (directory: string) =>
  writing(directory, async () => {
    const existing = await stat(directory).catch(() => undefined)
    if (existing === undefined) return
    const isOurs = existing.isDirectory() && (await readdir(directory)).every(name => name.endsWith(".csv"))
    if (!isOurs) throw refuse(`${directory} holds other files than CSV: name a new directory, or empty it.`)
  })

/** Replaces the old directory by the new one. Returns the number of its files. */
const replaceDirectory = async (directory: string, unfinished: string): Promise<number> => {
  const written = await readdir(unfinished)
  const existing = await readdir(directory).catch(() => [])
  // A file that no view wrote is foreign, even if it ends in .csv.
  const foreign = existing.find(name => !written.includes(name))
  if (foreign !== undefined)
    throw refuse(
      `${directory} holds ${foreign}, which is not a file of a view: name a new directory, or empty it.`,
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
}

/** Writes a directory with one file per view that `read` passes on. Returns the number of files. */
export const csvDirectory = (
  directory: string,
  read: (take: TakeView) => Effect.Effect<void, ConfigurationError | WarehouseError>,
): Effect.Effect<number, ConfigurationError | WarehouseError> =>
  Effect.gen(function* () {
    yield* refuseForeign(directory)
    const unfinished = unfinishedOf(directory)
    const work = Effect.gen(function* () {
      yield* writing(directory, () => mkdir(unfinished, { mode: DIRECTORY_MODE }))
      const take = csvInto(unfinished)
      yield* read((...view) => take(...view).catch(asFailure(directory)))
      return yield* writing(directory, () => replaceDirectory(directory, unfinished))
    })
    return yield* Effect.ensuring(
      work,
      Effect.promise(() => rm(unfinished, { recursive: true, force: true })),
    )
  })
