import { Duration } from "effect"
import type { StreamStatus } from "./warehouse/Status.ts"

/** Whether the figures can be trusted now: what `status`, `/readyz` and the status page go by. */

/** Older than this many intervals between two ticks: a run was missed, and it is not just late. */
const INTERVALS_TOLERATED = 2
/** Less is not called stale, however often the schedule ticks: a full pass takes its time. */
const MAX_AGE_MIN_SECONDS = 3_600

export interface Limits {
  /** Age of the latest complete run, in seconds, beyond which figures are stale. */
  readonly maxAgeSeconds: number
  /** The same for the latest complete pass over the whole list. */
  readonly fullMaxAgeSeconds: number
}

/** What is too old: twice the schedule's interval, and no less than an hour; or `maxAgeSeconds`, where somebody says so. */
export const limitsOf = (
  interval: { readonly incremental: number; readonly full: number },
  maxAgeSeconds?: number,
): Limits => ({
  maxAgeSeconds: maxAgeSeconds ?? Math.max(INTERVALS_TOLERATED * interval.incremental, MAX_AGE_MIN_SECONDS),
  fullMaxAgeSeconds: Math.max(
    INTERVALS_TOLERATED * Math.max(interval.incremental, interval.full),
    MAX_AGE_MIN_SECONDS,
    maxAgeSeconds ?? 0,
  ),
})

export type ProblemKind = "never" | "failed" | "dead" | "stale" | "full_stale"

export interface Problem {
  readonly kind: ProblemKind
  /** What is the matter, and what to do about it. */
  readonly message: string
}

const UNITS = [
  [86_400, "d"],
  [3_600, "h"],
  [60, "min"],
] as const

/** `3 h`, `2 d`: how long, as a person says it. */
export const ago = (seconds: number): string => {
  const [unit, name] = UNITS.find(([unit]) => seconds >= 2 * unit) ??
    UNITS.find(([unit]) => seconds >= unit) ?? [1, "s"]
  return `${Math.floor(Math.max(0, seconds) / unit)} ${name}`
}

/** `2h 30m`: a limit, of which nothing may be left out, or it would read like the age that is beyond it. */
export const limitInWords = (seconds: number): string => Duration.format(Duration.seconds(seconds))

/** Seconds since a time that Postgres printed; null for none. */
export const ageSeconds = (time: string | null, now: Date): number | null =>
  time === null ? null : Math.max(0, (now.getTime() - new Date(time).getTime()) / 1000)

/** The first pass is still at work: nothing is wrong but that there is nothing to trust yet. */
const FIRST_UNDER_WAY = "its first pass is under way: wait for it."

/** What to think of a stream that was never read to its end; `message` says so and what to do, where nobody is at it. */
export const neverRan = (message: string, heldBy: string | null): Problem => ({
  kind: "never",
  message: heldBy === null ? message : FIRST_UNDER_WAY,
})

/** What of a status decides. */
export type Judged = Pick<StreamStatus, "lastEnded" | "isDead" | "heldBy" | "lastCompleteAt" | "lastFullAt">

const sentence = (text: string) => (/[.!?]$/.test(text) ? text : `${text}.`)

/** What is the matter with a stream, the gravest first; null where its figures can be trusted. */
export const problemOf = (status: Judged, limits: Limits, now: Date): Problem | null => {
  const { lastEnded, heldBy } = status
  const age = ageSeconds(status.lastCompleteAt, now)
  const fullAge = ageSeconds(status.lastFullAt, now)
  const figures = age === null ? "There are no complete figures yet." : `The figures are ${ago(age)} old.`
  if (lastEnded?.status === "failed")
    return {
      kind: "failed",
      message: `${sentence(`failed: ${lastEnded.error ?? "no reason was booked"}`)} ${figures}`,
    }
  if (status.isDead || lastEnded?.status === "dead")
    return {
      kind: "dead",
      message: `the latest run's process ended without a word; what it had committed stays, the next run goes on from there. ${figures}`,
    }
  if (age === null)
    return neverRan("was never read to its end: run `paycombat-sync sync`, or see that `serve` runs.", heldBy)
  if (age > limits.maxAgeSeconds)
    return {
      kind: "stale",
      message:
        `was read to its end ${ago(age)} ago, which is more than ${limitInWords(limits.maxAgeSeconds)}: ` +
        (heldBy === null
          ? "see that `serve` or your timer runs, or run `paycombat-sync sync`."
          : "a run is under way, wait for it."),
    }
  if (fullAge !== null && fullAge > limits.fullMaxAgeSeconds)
    return {
      kind: "full_stale",
      message:
        `was read whole ${ago(fullAge)} ago, which is more than ${limitInWords(limits.fullMaxAgeSeconds)}:` +
        " removals and late changes may be missing; run `paycombat-sync sync --full`.",
    }
  return null
}
