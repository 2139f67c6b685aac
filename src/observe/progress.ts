import { Clock, Context, Effect } from "effect"

/** How far a stream's run is: told at each batch, and when it ends. */
export interface StreamProgress {
  readonly account: string
  readonly stream: string
  /** `waiting`: for the streams that are read before it. */
  readonly status: "waiting" | "running" | "complete" | "complete_with_rejects" | "failed" | "interrupted"
  readonly pages: number
  readonly extracted: number
  /** How many there are, where the API says so. */
  readonly total: number | undefined
  readonly inserted: number
  readonly updated: number
  readonly rejected: number
  /** Look-ups that got no answer. */
  readonly unanswered: number
  readonly message: string | null
}

interface Told {
  readonly tell: (progress: StreamProgress) => Effect.Effect<void>
}

/** How often a stream that goes on says so in a log. */
const LOGGED_EVERY_MILLIS = 30_000

const counts = ({ extracted, total, inserted, updated, rejected, unanswered }: StreamProgress): string =>
  `${extracted}${total === undefined ? "" : ` of ${total}`} read, ${inserted} new, ${updated} changed` +
  (rejected === 0 ? "" : `, ${rejected} rejected`) +
  (unanswered === 0 ? "" : `, ${unanswered} unanswered`)

/** Plain lines for a person who reads a log: beginnings, ends, and now and then how far a long stream is. */
const logged = (): Told => {
  const lastSaid = new Map<string, number>()
  return {
    tell: progress =>
      Effect.flatMap(Clock.currentTimeMillis, now => {
        const { account, stream, status, message } = progress
        const key = JSON.stringify([account, stream])
        const last = lastSaid.get(key)
        switch (status) {
          case "waiting":
            return Effect.void
          case "running":
            if (last !== undefined && now - last < LOGGED_EVERY_MILLIS)
              return Effect.logDebug(counts(progress))
            lastSaid.set(key, now)
            return Effect.logInfo(last === undefined ? "started" : counts(progress))
          default:
            lastSaid.delete(key)
            return status === "failed"
              ? Effect.logError(
                  `failed${progress.extracted > 0 ? ` after ${counts(progress)}` : ""}: ${message ?? ""}`,
                )
              : Effect.logInfo(`${status}: ${counts(progress)}${message === null ? "" : `. ${message}`}`)
        }
      }),
  }
}

/** Who is told about progress: a log by default, live lines on a terminal. */
export class Progress extends Context.Reference<Progress>()("paycombat-sync/Progress", {
  defaultValue: logged,
}) {}
