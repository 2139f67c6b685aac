import { Effect, type Scope } from "effect"
import { transient } from "./transient.ts"

/** How far a report is: on a terminal a line that goes again, elsewhere a line in the log now and then. */

const DRAWN_EVERY_MILLIS = 100
const LOGGED_EVERY_SECONDS = 15

export interface ReportProgress {
  /** What is being written, and how many rows of it are. */
  readonly at: (what: string, rows: number) => void
}

const thousands = new Intl.NumberFormat("en-US")

/** Tells until the scope closes. */
export const reportProgress: Effect.Effect<ReportProgress, never, Scope.Scope> = Effect.gen(function* () {
  const line = transient(true)
  let [what, rows] = ["", 0]
  const text = () => `${what}: ${thousands.format(rows)} rows`
  const timer = setInterval(() => {
    if (what !== "") line.show(text())
  }, DRAWN_EVERY_MILLIS)
  yield* Effect.addFinalizer(() =>
    Effect.sync(() => {
      clearInterval(timer)
      line.clear()
    }),
  )
  if (!process.stderr.isTTY)
    yield* Effect.suspend(() =>
      what === "" ? Effect.void : Effect.logInfo(`Writing ${text()} so far.`),
    ).pipe(Effect.delay(`${LOGGED_EVERY_SECONDS} seconds`), Effect.forever, Effect.forkScoped)
  return {
    at: (named, count) => {
      what = named
      rows = count
    },
  }
})

/** The same batches, told of as they pass. */
export async function* told<Batch extends ReadonlyArray<unknown>>(
  progress: ReportProgress,
  what: string,
  batches: AsyncIterable<Batch>,
): AsyncGenerator<Batch> {
  let rows = 0
  progress.at(what, rows)
  for await (const batch of batches) {
    rows += batch.length
    progress.at(what, rows)
    yield batch
  }
}
