import { Clock, Context, Effect } from "effect"
import type { Counts } from "../core/counts.ts"

/** Progress of a stream's run, reported at each batch and at the end. */
export interface StreamProgress {
  readonly account: string
  readonly stream: string
  /** `waiting`: until the streams that are read first have ended. */
  readonly status: "waiting" | "running" | "complete" | "complete_with_rejects" | "failed" | "interrupted"
  readonly pages: number
  readonly extracted: number
  /** Number of all records, if the API states it. */
  readonly total: number | undefined
  readonly inserted: number
  readonly updated: number
  readonly rejected: number
  readonly unanswered: number
  readonly message: string | null
}

export const noProgress = (
  account: string,
  stream: string,
  status: StreamProgress["status"],
): StreamProgress => ({
  account,
  stream,
  status,
  pages: 0,
  extracted: 0,
  total: undefined,
  inserted: 0,
  updated: 0,
  rejected: 0,
  unanswered: 0,
  message: null,
})

interface ProgressReporter {
  readonly tell: (progress: StreamProgress) => Effect.Effect<void>
}

/** Interval between two log lines of a running stream. */
const LOGGED_EVERY_MILLIS = 30_000

const counts = ({ extracted, total, inserted, updated, rejected, unanswered }: StreamProgress): string =>
  `${extracted}${total === undefined ? "" : ` of ${total}`} read, ${inserted} new, ${updated} changed` +
  (rejected === 0 ? "" : `, ${rejected} rejected`) +
  (unanswered === 0 ? "" : `, ${unanswered} unanswered`)

const logged = (): ProgressReporter => {
  const lastLogged = new Map<string, number>()
  return {
    tell: progress =>
      Effect.flatMap(Clock.currentTimeMillis, now => {
        const { account, stream, status, message } = progress
        const key = JSON.stringify([account, stream])
        const last = lastLogged.get(key)
        switch (status) {
          case "waiting":
            return Effect.void
          case "running":
            if (last !== undefined && now - last < LOGGED_EVERY_MILLIS)
              return Effect.logDebug(counts(progress))
            lastLogged.set(key, now)
            return Effect.logInfo(last === undefined ? "started" : counts(progress))
          default:
            lastLogged.delete(key)
            return status === "failed"
              ? Effect.logError(
                  `failed${progress.extracted > 0 ? ` after ${counts(progress)}` : ""}: ${message ?? ""}`,
                )
              : Effect.logInfo(`${status}: ${counts(progress)}${message === null ? "" : `. ${message}`}`)
        }
      }),
  }
}

/** The receiver of progress: the log by default, live lines on a terminal. */
export class Progress extends Context.Reference<Progress>()("paycombat-sync/Progress", {
  defaultValue: logged,
}) {}

export const figuresOf = ({ extracted, inserted, updated, rejected, unanswered }: Counts) => ({
  extracted,
  inserted,
  updated,
  rejected,
  unanswered,
})

/** Reports a change of one stream's progress. Values that the change does not name stay. */
export type TellChange = (change: Partial<StreamProgress>) => Effect.Effect<void>

export const changesOf = (initial: StreamProgress): Effect.Effect<TellChange> =>
  Effect.map(Progress, ({ tell }) => {
    let current = initial
    return change =>
      Effect.suspend(() => {
        current = { ...current, ...change }
        return tell(current)
      })
  })
