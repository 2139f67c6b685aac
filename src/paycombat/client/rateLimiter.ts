import { Clock, Effect } from "effect"

/** Permission to ask the API about an account, which one process has at a time: the holder of the account's lease. */
export interface Grant {
  readonly isValid: Effect.Effect<boolean>
  /** Waits until it is valid again. If it never is, other code ends the waiting run. */
  readonly renewed: Effect.Effect<void>
  /** Time since the former holder could send its last request, in milliseconds; null without a former holder. */
  readonly idleMillis: number | null
  /** Rest of a pause that the API requested from a former holder, in milliseconds. */
  readonly pauseMillis: number
  /** Records that the API requested a pause of so many milliseconds, so that the next holder keeps it, too. */
  readonly paused: (millis: number) => Effect.Effect<void>
}

export const UNSHARED: Grant = {
  isValid: Effect.succeed(true),
  renewed: Effect.void,
  idleMillis: null,
  pauseMillis: 0,
  paused: () => Effect.void,
}

/**
 * Spaces an account's requests by its rate, outside of pauses, while the grant is valid. Spacing is even: a bucket lets
 * twice the rate through in the first second, and `RateLimiter` rounds its interval up to whole milliseconds.
 */
export interface RateLimiter {
  /** Waits for the next slot. Fails with the milliseconds left if a pause is longer than a run should wait. */
  readonly take: Effect.Effect<void, PausedFor>
  /** Sends nothing for so many milliseconds, for the whole account, here and with the next holder of the grant. */
  readonly pause: (millis: number) => Effect.Effect<void>
  /** The API answered, so the pauses before have helped. */
  readonly resume: Effect.Effect<void>
}

/** Longest wait without an answer in between, in pauses of the longest length. */
const PAUSES_WITHOUT_ANSWER_MAX = 3

export interface PausedFor {
  readonly millis: number
}

/** At shorter intervals (more than 100 per second), a timer would cost more than the spacing. */
const SHORT_INTERVAL_MILLIS = 10
const TIMER_GRAIN_MILLIS = 1
/** A request that takes this much longer than later ones still shares no second with more of them than the rate allows. */
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
    // The former holder may have sent its last request just before it passed the grant on.
    let nextSlot = start + (grant.idleMillis === null ? 0 : interval - Math.max(0, grant.idleMillis))
    let pausedUntil = start + grant.pauseMillis
    /** Start of the first pause that no answer has ended yet. */
    let pausedSince = grant.pauseMillis > 0 ? start : Number.POSITIVE_INFINITY
    const isTooLong = (now: number) =>
      pausedUntil - now > maxPauseMillis ||
      (pausedUntil > now && pausedUntil - pausedSince > PAUSES_WITHOUT_ANSWER_MAX * maxPauseMillis)

    // Checks again after each wait, because a pause may have begun, or the grant may have run out.
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

/** Monotonic time in milliseconds. A wall clock that is set back would stop every request until it has caught up. */
export const monotonicMillis = Effect.map(Clock.currentTimeNanos, nanos => Number(nanos) / 1e6)
