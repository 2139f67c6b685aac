import { Duration } from "effect"

/** The parts of a verdict on figures, and the limits of freshness. Only the view `analytics.verdict` judges. */

/** Largest age in intervals between two ticks. Beyond it a run was missed, and is not just late. */
const INTERVALS_TOLERATED = 2
/** Smallest age that counts as stale, however often the schedule ticks, because a full pass takes its time. */
const MAX_AGE_MIN_SECONDS = 3_600

export interface Limits {
  /** Age of the latest complete run, in seconds, beyond which figures are stale. */
  readonly maxAgeSeconds: number
  /** The same for the latest complete pass over the whole list. */
  readonly fullMaxAgeSeconds: number
}

/** The limits of freshness: twice the schedule's interval, at least an hour; or `maxAgeSeconds`, if given. */
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

/** An age as a person says it: `3 h`, `2 d`. */
export const ago = (seconds: number): string => {
  const [unit, name] = UNITS.find(([unit]) => seconds >= 2 * unit) ??
    UNITS.find(([unit]) => seconds >= unit) ?? [1, "s"]
  return `${Math.floor(Math.max(0, seconds) / unit)} ${name}`
}

/** A limit in full (`2h 30m`). Rounded, it could read like an age beyond it. */
export const limitInWords = (seconds: number): string => Duration.format(Duration.seconds(seconds))

/** Seconds since a time that Postgres printed; null for null. */
export const ageSeconds = (time: string | null, now: Date): number | null =>
  time === null ? null : Math.max(0, (now.getTime() - new Date(time).getTime()) / 1000)

export type Level = "good" | "attention" | "bad"

export interface Finding {
  /** `good`: counted beside the figures, and no exception to them. */
  readonly level: Level
  /** Null for the account as a whole. */
  readonly stream: string | null
  readonly kind: string
  /** The problem and its remedy, without the stream's name. */
  readonly text: string
}

export interface Verdict {
  readonly account: string
  readonly level: Level
  readonly sentence: string
  readonly findings: ReadonlyArray<Finding>
  /** Start of the present level, if the ledger shows it. */
  readonly since: string | null
}

const GRAVITY: Readonly<Record<Level, number>> = { good: 0, attention: 1, bad: 2 }

export const gravest = (judged: ReadonlyArray<{ readonly level: Level }>): Level =>
  judged.reduce<Level>((worst, { level }) => (GRAVITY[level] > GRAVITY[worst] ? level : worst), "good")

export interface Problem {
  readonly kind: string
  readonly message: string
}

export const findingsOf = (findings: ReadonlyArray<Finding>, stream: string): ReadonlyArray<Finding> =>
  findings.filter(finding => finding.stream === stream || finding.stream === null)

/** The first bad finding; null if there is none. */
export const problemOf = (findings: ReadonlyArray<Finding>): Problem | null => {
  const bad = findings.find(({ level }) => level === "bad")
  return bad === undefined ? null : { kind: bad.kind, message: bad.text }
}

/** The level and the sentence over several accounts; names each account that is not good. */
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
