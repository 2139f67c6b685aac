import { describe, expect, it } from "@effect/vitest"
import { Effect, Either } from "effect"
import { FAULTS, rateLimit, seededFaults, start } from "../../src/sandbox/Sandbox.ts"
import { ask, PATHS, small } from "./reading.ts"

describe("faults", () => {
  it.scoped("answers in place of the truth what the hook says, request by request", () =>
    Effect.gen(function* () {
      const sandbox = yield* start(small)
      const whole = yield* ask(sandbox, PATHS.customers)
      const during = (fault: (typeof FAULTS)[keyof typeof FAULTS]) => {
        sandbox.setFault(({ nth }) => (nth === 1 ? fault : undefined))
        sandbox.resetRequests()
        return Effect.either(ask(sandbox, PATHS.customers))
      }
      const limited = Either.getOrThrow(yield* during(FAULTS["rate-limit"]))
      expect([limited.status, limited.headers.get("retry-after")]).toEqual([429, "1"])
      expect(Either.getOrThrow(yield* during(FAULTS["server-error"])).status).toBe(500)
      expect(Either.getOrThrow(yield* during(FAULTS.html)).text).toContain("<!doctype html>")
      const truncated = Either.getOrThrow(yield* during(FAULTS.truncated))
      expect(truncated.status).toBe(200)
      expect(() => JSON.parse(truncated.text)).toThrow()
      const failed = Either.getOrThrow(yield* during(FAULTS["status-false"]))
      expect([failed.status, JSON.parse(failed.text).status]).toEqual([200, false])
      expect(Either.isLeft(yield* during(FAULTS.reset))).toBe(true)
      expect(Either.isLeft(yield* during(FAULTS.cut))).toBe(true)
      expect(yield* ask(sandbox, PATHS.customers)).toMatchObject({ status: 200, text: whole.text })
      sandbox.setFault(() => ({ delayMillis: 50 }))
      const began = performance.now()
      expect((yield* ask(sandbox, PATHS.customers)).text).toBe(whole.text)
      expect(performance.now() - began).toBeGreaterThan(45)
    }),
  )

  it("are the same for the same seed, at about the chance given, and let a patient client through", () => {
    const run = (seed: number) => {
      const hook = seededFaults(seed, { "rate-limit": 0.2, reset: 0.1 })
      return Array.from({ length: 2_000 }, (_, n) =>
        hook({
          method: "GET",
          path: "/a",
          query: new URLSearchParams({ page: `${n % 3}` }),
          n: n + 1,
          nth: n + 1,
        }),
      )
    }
    const faults = run(7)
    expect(run(7)).toEqual(faults)
    expect(run(8)).not.toEqual(faults)
    const share = faults.filter(fault => fault !== undefined).length / faults.length
    expect(share).toBeGreaterThan(0.2)
    expect(share).toBeLessThan(0.35)
    for (let n = 6; n < faults.length; n++)
      expect([faults[n - 6], faults[n - 3], faults[n]].includes(undefined)).toBe(true)
  })

  it.scoped("refuses what goes beyond a rate", () =>
    Effect.gen(function* () {
      const sandbox = yield* start({ ...small, fault: rateLimit(5) })
      const answers = yield* Effect.all(
        Array.from({ length: 20 }, () => ask(sandbox, PATHS.payouts)),
        { concurrency: 20 },
      )
      const refused = answers.filter(({ status }) => status === 429).length
      expect(refused).toBeGreaterThanOrEqual(10)
      expect(refused).toBeLessThan(20)
    }),
  )
})
