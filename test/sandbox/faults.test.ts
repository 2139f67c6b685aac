import { describe, expect, it } from "@effect/vitest"
import { Effect, Either } from "effect"
import { FAULTS, type FaultName, seededFaults, start } from "../../src/sandbox/sandbox.ts"
import { ask, PATHS, small } from "./reading.ts"

describe("faults", () => {
  it.scoped("answers as the hook says, request by request", () =>
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

  it.scoped("changes the form of the true answer, or gives another one", () =>
    Effect.gen(function* () {
      const sandbox = yield* start(small)
      const truth = yield* ask(sandbox, PATHS.transactions)
      const during = (name: FaultName, path: string, query = "") => {
        sandbox.setFault(() => FAULTS[name])
        return ask(sandbox, `${path}${query}`)
      }
      for (const name of ["html-type", "bom", "gzip", "clock-behind", "clock-ahead"] as const)
        expect(JSON.parse((yield* during(name, PATHS.transactions)).text)).toEqual(JSON.parse(truth.text))
      expect((yield* during("html-type", PATHS.transactions)).headers.get("content-type")).toContain("html")
      expect((yield* during("clock-ahead", PATHS.transactions)).headers.get("date")).toContain("2100")
      expect((yield* during("first-page", PATHS.transactions, "?page=3")).text).toContain(
        sandbox.idOf("transactions", 0),
      )
      const [one, other] = [0, 1].map(index => sandbox.idOf("customers", index))
      const mistaken = yield* during("other-record", `/api/v1/customer/customer/${one}`)
      expect(JSON.parse(mistaken.text).data.customer_id).toBe(other)
      const foreign = JSON.parse((yield* during("other-merchant", PATHS.transactions)).text)
      expect(foreign.data[0].org_id).toBe("another-merchant")
      for (const name of ["utf-16", "not-utf-8"] as const)
        expect((yield* during(name, PATHS.transactions)).text).toContain("\ufffd")
    }),
  )

  it.scoped.each(["gigantic", "gzip-bomb"] as const)("%s is far more than a client should read", name =>
    Effect.gen(function* () {
      const sandbox = yield* start({ ...small, fault: () => FAULTS[name] })
      const bytes = yield* Effect.promise(async () => {
        const stop = new AbortController()
        const { body } = await fetch(sandbox.url, { signal: stop.signal })
        let read = 0
        for await (const chunk of body!) {
          read += chunk.length
          if (read > 128 * 2 ** 20) break
        }
        stop.abort()
        return read
      })
      expect(bytes).toBeGreaterThan(128 * 2 ** 20)
    }),
  )

  it.scoped("drip takes minutes", () =>
    Effect.gen(function* () {
      const sandbox = yield* start({ ...small, fault: () => FAULTS.drip })
      const read = yield* Effect.promise(async () => {
        const { body } = await fetch(sandbox.url, { headers: { "X-token": sandbox.token } })
        const chunk = await body!.getReader().read()
        return chunk.value!.length
      })
      expect(read).toBeLessThanOrEqual(2)
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
})
