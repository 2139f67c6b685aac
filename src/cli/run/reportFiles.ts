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

/** Where a report goes. Nobody ever finds half of one: it gets its name when it is whole. */

/** What a report says of a business is not for everybody on the machine. */
const FILE_MODE = 0o600
const DIRECTORY_MODE = 0o700

const refuse = (message: string) => new ConfigurationError({ message })

const failureOf = (file: string, error: unknown): ConfigurationError | WarehouseError => {
  if (error instanceof ConfigurationError || error instanceof WarehouseError) return error
  const why = (error as NodeJS.ErrnoException).code ?? String(error)
  return refuse(
    `The report cannot be written to ${file} (${why}): name another place, as in \`report /tmp/report.html\`.`,
  )
}

/** A failure of the file system, and what to do about it; what Postgres fails with is not the file system's fault. */
const asFailure = (file: string) => (error: unknown) => {
  throw (error as NodeJS.ErrnoException).syscall === undefined ? error : failureOf(file, error)
}

const writing = <A>(
  file: string,
  write: () => Promise<A>,
): Effect.Effect<A, ConfigurationError | WarehouseError> =>
  Effect.tryPromise({ try: write, catch: error => failureOf(file, error) })

const unfinishedOf = (file: string): string => `${resolve(file)}.${randomBytes(4).toString("hex")}.unfinished`

const openedFor = (file: string) => createWriteStream(file, { mode: FILE_MODE, flags: "wx", flush: true })

/** Refuses a place that is a directory, before anything is read for it. */
export const refuseDirectory = (file: string) =>
  writing(file, async () => {
    const found = await stat(file).catch(() => undefined)
    if (found?.isDirectory()) throw refuse(`${file} is a directory: name a file, or add --format csv.`)
  })

export type WriteText = (text: AsyncIterable<string> | Iterable<string>) => Promise<void>

/**
 * Lets `use` write text to a file as it comes. One that is there already is replaced, and not before all has come;
 * where it does not, nothing is left of it.
 */
export const intoFile = <A, E>(
  file: string,
  use: (write: WriteText) => Effect.Effect<A, E>,
): Effect.Effect<A, E> =>
  Effect.suspend(() => {
    const unfinished = unfinishedOf(file)
    const write: WriteText = async text => {
      await pipeline(Readable.from(text), openedFor(unfinished)).catch(asFailure(file))
      await rename(unfinished, file).catch(asFailure(file))
    }
    // Not by the promise itself: the process would not wait for one that is told to stop.
    return Effect.ensuring(
      use(write),
      Effect.promise(() => rm(unfinished, { force: true })),
    )
  })

/** Writes text to stdout as it comes, and no faster than it is read. Its reader may stop reading. */
export const intoStdout: WriteText = async text => {
  const { stdout } = process
  // `main.ts` answers for an error of stdout; one of the connection that the text comes from is thrown. Stdout is never
  // destroyed, and forgets its error at once: only the event tells which of the two it was.
  let ofStdout: unknown
  const note = (error: unknown) => {
    ofStdout = error
  }
  stdout.once("error", note)
  try {
    await pipeline(Readable.from(text), stdout, { end: false })
  } catch (error) {
    if (error !== ofStdout && !stdout.destroyed) throw error
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
    await pipeline(Readable.from(text()), openedFor(join(directory, `${view}.csv`)))
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

/** Puts the new directory in the place of the old one; answers with the number of its files. */
const replaceDirectory = async (directory: string, unfinished: string): Promise<number> => {
  const written = await readdir(unfinished)
  const found = await readdir(directory).catch(() => [])
  // A file that is no view's is somebody's, whatever its ending.
  const foreign = found.find(name => !written.includes(name))
  if (foreign !== undefined)
    throw refuse(`${directory} holds ${foreign}, which is no such file: name a new directory, or empty it.`)
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

/** Writes a directory with a file of each view that `read` hands over; answers with their number. */
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
