import { Effect, Logger } from "effect"
import { lineLogger, loggedBy } from "./logging.ts"
import { isLive } from "./output.ts"
import { transient } from "./transient.ts"

/** What a command is at, for whom it keeps waiting: on a terminal a line that goes again, elsewhere the log now and then. */

/** Nobody needs to be told what is over at once. */
const SHOWN_AFTER_MILLIS = 1_000
const DRAWN_EVERY_MILLIS = 200
const LOGGED_EVERY = "15 seconds"

/** Tells what the command is at now, and how many rows of it are done where they are counted. */
export type At = (what: string, rows?: number) => void

const thousands = new Intl.NumberFormat("en-US")

/** Does something that may take long. `what` is what it is at until `at` tells otherwise. */
export const waiting = <A, E, R>(
  what: string,
  work: (at: At) => Effect.Effect<A, E, R>,
): Effect.Effect<A, E, R> =>
  Effect.gen(function* () {
    const startedAt = Date.now()
    let now: { readonly what: string; readonly rows?: number } = { what }
    const text = () => {
      const rows = now.rows === undefined ? "" : `${thousands.format(now.rows)} rows, `
      return `${now.what}: ${rows}${Math.floor((Date.now() - startedAt) / 1000)} s`
    }
    const at: At = (what, rows) => {
      now = { what, ...(rows === undefined ? {} : { rows }) }
    }
    if (!isLive()) {
      const log = Effect.suspend(() => Effect.logInfo(text()))
      yield* log.pipe(Effect.delay(LOGGED_EVERY), Effect.forever, Effect.forkScoped)
      return yield* work(at)
    }
    const line = transient(true)
    const timer = setInterval(() => {
      if (Date.now() - startedAt > SHOWN_AFTER_MILLIS) line.show(text())
    }, DRAWN_EVERY_MILLIS)
    yield* Effect.addFinalizer(() =>
      Effect.sync(() => {
        clearInterval(timer)
        line.clear()
      }),
    )
    // A line of the log takes the place of the line that goes again, which is then drawn below it.
    const logger = Logger.map(lineLogger, text => {
      line.clear()
      console.error(text)
    })
    return yield* Effect.provide(work(at), loggedBy(logger))
  }).pipe(Effect.scoped)

/** The same batches, told of as they pass. */
export async function* told<Batch extends ReadonlyArray<unknown>>(
  at: At,
  what: string,
  batches: AsyncIterable<Batch>,
): AsyncGenerator<Batch> {
  let rows = 0
  at(what, rows)
  for await (const batch of batches) {
    rows += batch.length
    at(what, rows)
    yield batch
  }
}
