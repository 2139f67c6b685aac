import { describe, expect, it } from "@effect/vitest"
import { Clock, Effect, Fiber, TestClock } from "effect"
import { type Grant, UNSHARED } from "../../src/paycombat/client/rateLimiter.ts"
import { against, busiestSecond, ok, PATH, played, settle, text } from "./played.ts"

/** A client with permission to send for as long as a test says. */
const granted = (given: Partial<Grant> = {}, reply: Parameters<typeof against>[0] = () => ok()) =>
  Effect.gen(function* () {
    let isValid = true
    const pauses: Array<number> = []
    const grant: Grant = {
      ...UNSHARED,
      isValid: Effect.sync(() => isValid),
      renewed: Effect.sleep("5 seconds"),
      paused: millis => Effect.sync(() => void pauses.push(millis)),
      ...given,
    }
    const played = yield* against(reply, { ratePerSecond: 10 }, { grant })
    return {
      ...played,
      pauses,
      allow: (allowed: boolean) => {
        isValid = allowed
      },
    }
  })

const wait = (seconds: number) => Effect.zipRight(TestClock.adjust(`${seconds} seconds`), settle)

describe("a grant that has run out", () => {
  it.effect("lets no request leave, queued before or sent later, until it is renewed", () =>
    Effect.gen(function* () {
      const { client, sent, allow } = yield* granted()
      const queued = yield* Effect.fork(
        Effect.all(
          Array.from({ length: 30 }, () => client.get(PATH)),
          { concurrency: "unbounded" },
        ),
      )
      yield* settle
      for (let i = 0; i < 5; i++) yield* Effect.zipRight(TestClock.adjust("110 millis"), settle)
      expect(sent.length).toBeGreaterThan(3)
      allow(false)
      const before = sent.length
      const later = yield* Effect.fork(client.get(PATH))
      for (let i = 0; i < 6; i++) yield* wait(10)
      expect(sent).toHaveLength(before)
      allow(true)
      yield* played(Effect.all([Fiber.join(queued), Fiber.join(later)]))
      expect(sent).toHaveLength(31)
      expect(busiestSecond(sent)).toBeLessThanOrEqual(10)
    }),
  )

  it.effect(
    "is noticed by a request that waits for its turn, although it was valid when the wait began",
    () =>
      Effect.gen(function* () {
        const { client, sent, allow } = yield* granted({ pauseMillis: 60_000 })
        const waiting = yield* Effect.fork(client.get(PATH))
        yield* wait(30)
        allow(false)
        yield* wait(60)
        expect(sent).toEqual([])
        allow(true)
        yield* played(Fiber.join(waiting))
        expect(sent).toHaveLength(1)
      }),
  )

  it.effect("holds back repetitions, too", () =>
    Effect.gen(function* () {
      const { client, sent, allow } = yield* granted({}, n => (n === 1 ? text("", { status: 500 }) : ok()))
      const again = yield* Effect.fork(client.get(PATH))
      yield* settle
      allow(false)
      for (let i = 0; i < 4; i++) yield* wait(10)
      expect(sent).toHaveLength(1)
      yield* Fiber.interrupt(again)
    }),
  )
})

describe("a grant that another holder had before", () => {
  it.effect("begins one interval after the holder's last possible request", () =>
    Effect.gen(function* () {
      const firstAt = (idleMillis: number | null) =>
        Effect.gen(function* () {
          const start = yield* Clock.currentTimeMillis
          const { client, sent } = yield* granted({ idleMillis })
          yield* played(client.get(PATH), "5 millis")
          return sent[0]!.atMillis - start
        })
      expect(yield* firstAt(0)).toBeGreaterThanOrEqual(100)
      expect(yield* firstAt(60)).toBeGreaterThanOrEqual(40)
      expect(yield* firstAt(60)).toBeLessThan(60)
      expect(yield* firstAt(10_000)).toBe(0)
      expect(yield* firstAt(null)).toBe(0)
    }),
  )

  it.effect("keeps the former holder's pause, and passes its own on", () =>
    Effect.gen(function* () {
      const { client, sent, pauses } = yield* granted({ pauseMillis: 90_000 }, n =>
        n === 1 ? text("", { status: 429, headers: { "retry-after": "20" } }) : ok(),
      )
      const start = yield* Clock.currentTimeMillis
      yield* played(client.get(PATH))
      expect(sent[0]!.atMillis - start).toBeGreaterThanOrEqual(90_000)
      expect(sent[1]!.atMillis - sent[0]!.atMillis).toBeGreaterThanOrEqual(20_000)
      expect(pauses[0]).toBe(20_000)
    }),
  )

  it.effect("ends the call without a request if that pause is longer than a run waits", () =>
    Effect.gen(function* () {
      const { client, sent } = yield* granted({ pauseMillis: 3_600_000 })
      const error = yield* played(Effect.flip(client.get(PATH)))
      expect(error.message).toContain("PayCombat asked for a pause: try again after 1970-01-01T01:00:0")
      expect(sent).toEqual([])
    }),
  )
})
