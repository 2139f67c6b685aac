import { Context, Effect } from "effect"

export type Level = "pass" | "warn" | "fail"

export interface Finding {
  readonly level: Level
  /** The subject of the check, in a word or two. */
  readonly check: string
  /** The result and, unless it is good, the remedy. */
  readonly message: string
  readonly account?: string
  readonly stream?: string
}

type About = Pick<Finding, "account" | "stream">

/** Receives findings as they are made, and the name of the check under way. The default keeps nothing. */
export class CheckReporter extends Context.Reference<CheckReporter>()("paycombat-sync/doctor/CheckReporter", {
  defaultValue: () => ({
    report: (_: Finding): Effect.Effect<void> => Effect.void,
    start: (_: string): Effect.Effect<void> => Effect.void,
  }),
}) {}

export const finding = (level: Level, check: string, message: string, about: About = {}): Finding => ({
  level,
  check,
  message,
  ...about,
})

/** Makes the findings of one check. */
export const checkOf = (check: string, about: About = {}) => {
  const of = (level: Level) => (message: string) => finding(level, check, message, about)
  return { pass: of("pass"), warn: of("warn"), fail: of("fail") }
}

export const worstLevel = (findings: ReadonlyArray<Finding>): Level =>
  (["fail", "warn"] as const).find(level => findings.some(found => found.level === level)) ?? "pass"

/** Largest difference of two clocks that counts as agreement, in milliseconds. */
const CLOCK_TOLERANCE_MILLIS = 5_000

/** Compares another clock with this machine's. `skewMillis`: how far it is ahead; undefined if it is unknown. */
export const ofClock = (
  check: string,
  whose: string,
  skewMillis: number | undefined,
  about: About = {},
): Finding => {
  if (skewMillis === undefined)
    return checkOf(check, about).pass(`${whose} does not tell its time: not compared.`)
  const seconds = Math.round(Math.abs(skewMillis) / 1000)
  return Math.abs(skewMillis) <= CLOCK_TOLERANCE_MILLIS
    ? checkOf(check, about).pass(`${whose} and this machine agree on the time.`)
    : checkOf(check, about).warn(
        `${whose} is ${seconds} s ${skewMillis > 0 ? "ahead of" : "behind"} this machine: records are dated by these clocks; set the one that is wrong by NTP.`,
      )
}
