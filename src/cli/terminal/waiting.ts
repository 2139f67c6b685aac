import { Effect, Logger } from "effect"
import { createLogUpdate } from "log-update"
import { grouped } from "../../core/words.ts"
import { lineLogger, loggedBy } from "./logging.ts"
import { isLive } from "./output.ts"
import { visible } from "./visible.ts"

/** Shows the activity of a slow command: a temporary line on a terminal, else a log line now and then. */

/** A temporary line on stderr that shows the current activity. */
interface Transient {
  readonly show: (text: string) => void
  readonly clear: () => void
}

const NONE: Transient = { show: () => undefined, clear: () => undefined }

/** Opens a temporary line. It does nothing if it is not wanted or stderr is not a terminal. */
export const transient = (isWanted: boolean): Transient => {
  if (!isWanted || !isLive()) return NONE
  const draw = createLogUpdate(process.stderr)
  const clear = () => {
    draw.clear()
    // Shows the cursor again, which is hidden while a line is redrawn.
    draw.done()
  }
  return { show: text => draw(`… ${visible(text)}`), clear }
}

/** Delay before the line appears. Quick work needs no message. */
const SHOWN_AFTER_MILLIS = 1_000
const DRAWN_EVERY_MILLIS = 200
const LOGGED_EVERY = "15 seconds"

/** Sets the current activity, and the number of rows done if they are counted. */
export type At = (activity: string, rows?: number) => void

/** Runs an effect that may take long. `activity` is shown until `at` sets another one. */
export const waiting = <A, E, R>(
  activity: string,
  work: (at: At) => Effect.Effect<A, E, R>,
): Effect.Effect<A, E, R> =>
  Effect.gen(function* () {
    const startedAt = Date.now()
    let now: { readonly activity: string; readonly rows?: number } = { activity }
    const text = () => {
      const rows = now.rows === undefined ? "" : `${grouped.format(now.rows)} rows, `
      return `${now.activity}: ${rows}${Math.floor((Date.now() - startedAt) / 1000)} s`
    }
    const at: At = (activity, rows) => {
      now = { activity, ...(rows === undefined ? {} : { rows }) }
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
    // A log line replaces the temporary line, which is then drawn below it.
    const logger = Logger.map(lineLogger, text => {
      line.clear()
      console.error(text)
    })
    return yield* Effect.provide(work(at), loggedBy(logger))
  }).pipe(Effect.scoped)

/** Passes batches on, and sets the number of rows done. */
export async function* countingRows<Batch extends ReadonlyArray<unknown>>(
  at: At,
  activity: string,
  batches: AsyncIterable<Batch>,
): AsyncGenerator<Batch> {
  let rows = 0
  at(activity, rows)
  for await (const batch of batches) {
    rows += batch.length
    at(activity, rows)
    yield batch
  }
}
