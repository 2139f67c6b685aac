import { Context, Effect } from "effect"

/** How far a stream's run is: told at each batch, and when it ends. */
export interface StreamProgress {
  readonly account: string
  readonly stream: string
  readonly status: "waiting" | "running" | "complete" | "complete_with_rejects" | "failed" | "interrupted"
  readonly pages: number
  readonly extracted: number
  /** How many there are, where the API says so. */
  readonly total: number | undefined
  readonly inserted: number
  readonly updated: number
  readonly rejected: number
  readonly message: string | null
}

/** Who is told about progress: a log by default, live lines on a terminal. */
export class Progress extends Context.Reference<Progress>()("paycombat-sync/Progress", {
  defaultValue: () => ({ tell: (progress: StreamProgress) => logged(progress) }),
}) {}

/** One plain line for what a person who reads a log wants to know: beginnings, ends, and now and then a page. */
const logged = (progress: StreamProgress): Effect.Effect<void> => {
  const { status, pages, extracted, inserted, updated, rejected, message } = progress
  const counts = `${extracted} records in ${pages} pages: ${inserted} new, ${updated} changed, ${rejected} rejected`
  switch (status) {
    case "waiting":
      return Effect.void
    case "running":
      return pages === 0 ? Effect.logInfo("started") : Effect.logDebug(counts)
    case "failed":
      return Effect.logError(`failed after ${counts}. ${message ?? ""}`)
    default:
      return Effect.logInfo(`${status}: ${counts}${message === null ? "" : `. ${message}`}`)
  }
}
