import { Clock, Effect } from "effect"

/**
 * Permission to ask the API about an account. One process has it at a time, and hands it on. `rateLimiter.ts` checks it before
 * each request and knows nothing of how it is given: `sync/holding.ts` gives it to the holder of the account's lease.
 */
export interface Grant {
  /** True while requests may be sent. */
  readonly isValid: Effect.Effect<boolean>
  /** Waits until it is valid again. It may never be: then the run that waits here is ended elsewhere. */
  readonly renewed: Effect.Effect<void>
  /** Time since the former holder could send its last request, in milliseconds; null where there was no holder. */
  readonly idleMillis: number | null
  /** Rest of the pause that the API asked a former holder for, in milliseconds. */
  readonly pauseMillis: number
  /** Takes note that the API asked for a pause of so many milliseconds, so that the next holder keeps to it. */
  readonly paused: (millis: number) => Effect.Effect<void>
}

/** The grant of a client that shares its account with no other process. */
export const UNSHARED: Grant = {
  isValid: Effect.succeed(true),
  renewed: Effect.void,
  idleMillis: null,
  pauseMillis: 0,
  paused: () => Effect.void,
}

/**
 * When an account's requests may be sent: never closer together than the rate allows, not at all while the API asked for
 * a pause, and only with a valid grant. Even spacing, not a bucket: a bucket lets twice the rate through in the first
 * second, and `RateLimiter` rounds its interval up to whole milliseconds.
 */
export interface RateLimiter {
  /** Waits for the next slot. Fails with the milliseconds left when a pause is longer than a run should wait. */
  readonly take: Effect.Effect<void, PausedFor>
  /** Sends nothing for so many milliseconds, for any stream of the account, here or with the next holder of the grant. */
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
/**
 * The API counts a request when it arrives. One that is this much longer on its way than those after it still shares no
 * second with more of them than the rate allows.
 */
const ARRIVAL_JITTER_MILLIS = 50

/** Makes the rate limiter of an account. `maxPauseMillis` is the longest pause that is waited for. */
export const makeRateLimiter = (
  ratePerSecond: number,
  maxPauseMillis: number,
  grant: Grant = UNSHARED,
): Effect.Effect<RateLimiter> =>
  Effect.gen(function* () {
    const turn = yield* Effect.makeSemaphore(1)
    const start = yield* monotonicMillis
    const interval = (1000 + ARRIVAL_JITTER_MILLIS) / ratePerSecond
    const early = interval < SHORT_INTERVAL_MILLIS ? TIMER_GRAIN_MILLIS : 0
    // The former holder may have sent its last request just before it handed the grant on.
    let nextSlot = start + (grant.idleMillis === null ? 0 : interval - Math.max(0, grant.idleMillis))
    let pausedUntil = start + grant.pauseMillis
    /** When the first of the pauses began that no answer has ended yet. */
    let pausedSince = grant.pauseMillis > 0 ? start : Number.POSITIVE_INFINITY
    const isTooLong = (now: number) =>
      pausedUntil - now > maxPauseMillis ||
      (pausedUntil > now && pausedUntil - pausedSince > PAUSES_WITHOUT_ANSWER_MAX * maxPauseMillis)

    // Looks again after each wait: a pause may have begun, or the grant have run out meanwhile.
    const take: Effect.Effect<void, PausedFor> = Effect.gen(function* () {
      while (true) {
        const now = yield* monotonicMillis
        if (isTooLong(now)) return yield* Effect.fail({ millis: pausedUntil - now })
        const wait = Math.max(nextSlot - early, pausedUntil) - now
        if (wait > 0) yield* Effect.sleep(Math.ceil(wait))
        else if (!(yield* grant.isValid)) yield* grant.renewed
        else {
          nextSlot = Math.max(nextSlot, now) + interval
          return
        }
      }
    })
    return {
      take: turn.withPermits(1)(take),
      pause: millis =>
        Effect.gen(function* () {
          const now = yield* monotonicMillis
          pausedUntil = Math.max(pausedUntil, now + millis)
          pausedSince = Math.min(pausedSince, now)
          yield* grant.paused(millis)
        }),
      resume: Effect.sync(() => {
        pausedSince = Number.POSITIVE_INFINITY
      }),
    }
  })

/** Monotonic time in milliseconds. Not the wall clock: setting it back would stop every request until it has caught up. */
export const monotonicMillis = Effect.map(Clock.currentTimeNanos, nanos => Number(nanos) / 1e6)
