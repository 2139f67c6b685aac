import { Duration } from "effect"

/**
 * What the judgement on figures consists of, and the limits of freshness that it goes by. The view `analytics.verdict`
 * judges, and nothing else does.
 */

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

/** The limits of freshness: twice the schedule's interval, and no less than an hour; or `maxAgeSeconds`, where it is given. */
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

export type Level = "good" | "attention" | "bad"

export interface Finding {
  /** `good`: counted beside the figures, and no exception to them. */
  readonly level: Level
  /** Null where it is about the account. */
  readonly stream: string | null
  readonly kind: string
  /** What is the matter and what to do; the stream's name goes before it. */
  readonly text: string
}

/** The verdict on the figures of one account. */
export interface Verdict {
  readonly account: string
  readonly level: Level
  readonly sentence: string
  readonly findings: ReadonlyArray<Finding>
  /** Since when the level is what it is, as far as the ledger tells. */
  readonly since: string | null
}

const GRAVITY: Readonly<Record<Level, number>> = { good: 0, attention: 1, bad: 2 }

/** The gravest of these levels; `good` where there are none. */
export const gravest = (judged: ReadonlyArray<{ readonly level: Level }>): Level =>
  judged.reduce<Level>((worst, { level }) => (GRAVITY[level] > GRAVITY[worst] ? level : worst), "good")

/** Why a stream's figures cannot be trusted. */
export interface Problem {
  readonly kind: string
  readonly message: string
}

/** The findings on one stream, and those on its account as a whole. */
export const findingsOf = (findings: ReadonlyArray<Finding>, stream: string): ReadonlyArray<Finding> =>
  findings.filter(finding => finding.stream === stream || finding.stream === null)

/** The bad finding among these; null where there is none. */
export const problemOf = (findings: ReadonlyArray<Finding>): Problem | null => {
  const bad = findings.find(({ level }) => level === "bad")
  return bad === undefined ? null : { kind: bad.kind, message: bad.text }
}

/** The level and the sentence over several accounts; each that is not good is named. */
export const overall = (verdicts: ReadonlyArray<Verdict>): Pick<Verdict, "level" | "sentence"> => {
  const [first, ...others] = verdicts
  if (first === undefined)
    return { level: "bad", sentence: "Nothing was synced yet: no stream was ever read." }
  if (others.length === 0) return first
  const exceptions = verdicts.filter(({ level }) => level !== "good")
  if (exceptions.length === 0) return { level: "good", sentence: "The figures can be trusted." }
  const sentences = exceptions.map(({ account, sentence }) => `${account}: ${sentence}`)
  return { level: gravest(verdicts), sentence: sentences.join(" ") }
}
