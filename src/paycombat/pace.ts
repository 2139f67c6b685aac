import { Clock, Effect } from "effect"

/**
 * When an account's requests may be sent: never closer together than the rate allows, and not at all while
 * the API asked for a pause. Even spacing, not a bucket: a bucket lets twice the rate through in the first
 * second, and `RateLimiter` rounds its interval up to whole milliseconds.
 */
export interface Pace {
  /** Waits for the next slot. Fails with the milliseconds left when a pause is longer than a run should wait. */
  readonly take: Effect.Effect<void, PausedFor>
  /** Nothing is sent for so long, by any stream of the account. */
  readonly pause: (millis: number) => Effect.Effect<void>
  /** The API answered what was asked: pauses up to now have helped. */
  readonly resume: Effect.Effect<void>
}

/** Longest time, in pauses as long as the longest one, that is waited without one answer in between. */
const PAUSES_WITHOUT_ANSWER_MAX = 3

export interface PausedFor {
  readonly millis: number
}

/** Faster than this (100 per second), the grain of a timer would cost more than the spacing it keeps. */
const SHORT_INTERVAL_MILLIS = 10
const TIMER_GRAIN_MILLIS = 1

export const makePace = (ratePerSecond: number, maxPauseMillis: number): Effect.Effect<Pace> =>
  Effect.map(Effect.makeSemaphore(1), turn => {
    const interval = 1000 / ratePerSecond
    const early = interval < SHORT_INTERVAL_MILLIS ? TIMER_GRAIN_MILLIS : 0
    let nextSlot = Number.NEGATIVE_INFINITY
    let pausedUntil = Number.NEGATIVE_INFINITY
    /** When the first of the pauses began that no answer has ended yet. */
    let pausedSince = Number.POSITIVE_INFINITY
    const isTooLong = (now: number) =>
      pausedUntil - now > maxPauseMillis ||
      (pausedUntil > now && pausedUntil - pausedSince > PAUSES_WITHOUT_ANSWER_MAX * maxPauseMillis)

    // Looks again after each sleep: a pause may have begun meanwhile.
    const take: Effect.Effect<void, PausedFor> = Effect.flatMap(monotonicMillis, now => {
      if (isTooLong(now)) return Effect.fail({ millis: pausedUntil - now })
      const wait = Math.max(nextSlot - early, pausedUntil) - now
      if (wait > 0) return Effect.zipRight(Effect.sleep(Math.ceil(wait)), take)
      nextSlot = Math.max(nextSlot, now) + interval
      return Effect.void
    })
    return {
      take: turn.withPermits(1)(take),
      pause: millis =>
        Effect.map(monotonicMillis, now => {
          pausedUntil = Math.max(pausedUntil, now + millis)
          pausedSince = Math.min(pausedSince, now)
        }),
      resume: Effect.sync(() => {
        pausedSince = Number.POSITIVE_INFINITY
      }),
    }
  })

/** Time that only goes on. Not the wall clock: setting it back would stop every request until it has caught up. */
export const monotonicMillis = Effect.map(Clock.currentTimeNanos, nanos => Number(nanos) / 1e6)
