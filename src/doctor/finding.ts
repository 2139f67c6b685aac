import { Context, Effect } from "effect"

/** What an examination says: one line for each check. */

export type Level = "pass" | "warn" | "fail"

export interface Finding {
  readonly level: Level
  /** What was looked at, in a word or two. */
  readonly check: string
  /** What was found and, unless all is well, what to do. */
  readonly message: string
  readonly account?: string
  readonly stream?: string
}

type About = Pick<Finding, "account" | "stream">

/** Where findings go as they are made, and what is being looked at meanwhile. The default keeps nothing. */
export class Listener extends Context.Reference<Listener>()("paycombat-sync/doctor/Listener", {
  defaultValue: () => ({
    found: (_: Finding): Effect.Effect<void> => Effect.void,
    doing: (_: string): Effect.Effect<void> => Effect.void,
  }),
}) {}

export const finding = (level: Level, check: string, message: string, about: About = {}): Finding => ({
  level,
  check,
  message,
  ...about,
})

/** The gravest of all. */
export const worstLevel = (findings: ReadonlyArray<Finding>): Level =>
  (["fail", "warn"] as const).find(level => findings.some(found => found.level === level)) ?? "pass"

/** Clocks that differ by no more are taken for right, in milliseconds. */
const CLOCK_TOLERANCE_MILLIS = 5_000

/** A clock that is not this machine's: `skewMillis` is how far it is ahead; undefined where it does not tell. */
export const ofClock = (
  check: string,
  whose: string,
  skewMillis: number | undefined,
  about: About = {},
): Finding => {
  if (skewMillis === undefined)
    return finding("pass", check, `${whose} does not tell its time: not compared.`, about)
  const seconds = Math.round(Math.abs(skewMillis) / 1000)
  return Math.abs(skewMillis) <= CLOCK_TOLERANCE_MILLIS
    ? finding("pass", check, `${whose} and this machine agree on the time.`, about)
    : finding(
        "warn",
        check,
        `${whose} is ${seconds} s ${skewMillis > 0 ? "ahead of" : "behind"} this machine: records are dated by these clocks; set the one that is wrong by NTP.`,
        about,
      )
}
