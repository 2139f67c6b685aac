import { describe, expect, it } from "@effect/vitest"
import { Duration, Effect, Fiber, TestClock } from "effect"
import { MAX_ATTEMPTS, Usage } from "../../src/paycombat/client/client.ts"
import { against, busiestSecond, ok, PATH, played, type Reply, settle, text, waits } from "./played.ts"

describe("a failure that may pass", () => {
  const passing: ReadonlyArray<readonly [string, () => Reply]> = [
    ["408", () => text("", { status: 408 })],
    ["429", () => text("", { status: 429 })],
    ["500", () => text("<html>oops", { status: 500 })],
    ["503", () => text("", { status: 503 })],
    ["a broken connection", () => "reset"],
    ["no answer in time", () => "hang"],
    ["a body that never ends", () => new Response(new ReadableStream())],
    ["a body that breaks", () => new Response(brokenStream())],
    ["a body cut in the middle", () => text('{"status":true,"data":[{"id":"a"')],
    ["an empty body", () => text("")],
    [
      "an upstream 503 under HTTP 200",
      () => Response.json({ status: true, data: { success: false, status_code: 503 } }),
    ],
  ]
  it.effect.each(passing)("is retried: %s", ([, reply]) =>
    Effect.gen(function* () {
      const { client, sent } = yield* against(n => (n === 1 ? reply() : ok()))
      const usage = { requests: 0, retries: 0 }
      const answer = yield* played(Effect.provideService(client.get(PATH), Usage, usage))
      expect(answer.status).toBe(200)
      expect(sent).toHaveLength(2)
      expect(usage).toEqual({ requests: 2, retries: 1 })
    }),
  )

  const remedies: ReadonlyArray<readonly [string, () => Reply, string]> = [
    ["429", () => text("", { status: 429 }), "lower PAYCOMBAT_RATE_PER_SECOND"],
    ["408", () => text("", { status: 408 }), "ask PayCombat"],
    ["503", () => text("", { status: 503 }), "ask PayCombat"],
    ["a broken connection", () => "reset", "check PAYCOMBAT_BASE_URL and the way there, or ask PayCombat"],
    ["no answer in time", () => "hang", "raise PAYCOMBAT_TIMEOUT_SECONDS, or lower PAYCOMBAT_PAGE_SIZE"],
    ["a body cut in the middle", () => text('{"data":['), "lower PAYCOMBAT_PAGE_SIZE, or ask PayCombat"],
    [
      "429 under HTTP 200",
      () => Response.json({ success: false, status_code: 429 }),
      "PAYCOMBAT_RATE_PER_SECOND",
    ],
  ]
  it.effect.each(remedies)("that does not pass ends with advice, stated once: %s", ([, reply, remedy]) =>
    Effect.gen(function* () {
      const { client } = yield* against(reply)
      const { message } = yield* Effect.flip(played(client.get(PATH)))
      expect(message).toContain(
        `still so after ${MAX_ATTEMPTS} attempts: the next run asks again; if it stays so, `,
      )
      expect(message.endsWith(remedy)).toBe(true)
      expect(message.split("asks again")).toHaveLength(2)
    }),
  )

  it.effect("is retried a bounded number of times, with growing and random waits", () =>
    Effect.gen(function* () {
      const { client, sent } = yield* against(() => text("", { status: 502 }))
      const error = yield* Effect.flip(played(client.get(PATH)))
      expect(error).toMatchObject({ _tag: "EndpointError", reason: "unavailable", status: 502, path: PATH })
      expect(error.message).toBe(
        `GET ${PATH}: HTTP 502, still so after ${MAX_ATTEMPTS} attempts: the next run asks again; if it stays so, ask PayCombat`,
      )
      expect(sent).toHaveLength(MAX_ATTEMPTS)
      for (const [index, wait] of waits(sent).entries()) {
        expect(wait).toBeGreaterThanOrEqual(250 * 2 ** index)
        expect(wait).toBeLessThanOrEqual(750 * 2 ** index + 100)
      }
      const { client: other, sent: otherSent } = yield* against(() => text("", { status: 502 }))
      yield* Effect.flip(played(other.get(PATH)))
      expect(waits(otherSent)).not.toEqual(waits(sent))
    }),
  )

  it.effect("takes no slot while it waits", () =>
    Effect.gen(function* () {
      const { client, sent } = yield* against(
        (_, { url }) => (url.pathname.endsWith("/bad") ? text("", { status: 500 }) : ok()),
        { concurrency: 1 },
      )
      const bad = yield* Effect.fork(client.get("/bad"))
      yield* TestClock.adjust("200 millis")
      yield* settle
      yield* client.get("/good").pipe(Effect.fork, Effect.zipRight(TestClock.adjust("50 millis")))
      expect(sent.map(({ url }) => url.pathname)).toEqual(["/base/bad", "/base/good"])
      yield* Fiber.interrupt(bad)
    }),
  )

  it.effect("names the time that an answer was waited for", () =>
    Effect.gen(function* () {
      const { client } = yield* against(() => "hang", { timeout: Duration.seconds(7) })
      const error = yield* Effect.flip(played(client.get(PATH)))
      expect(error.message).toContain("no complete answer within 7 s")
    }),
  )

  it.effect("names the system's code of a broken connection", () =>
    Effect.gen(function* () {
      const { client } = yield* against(() => "reset")
      const error = yield* Effect.flip(played(client.get(PATH)))
      expect(error.message).toContain("connection failed (ECONNRESET)")
    }),
  )
})

describe("Retry-After", () => {
  const start = Date.parse("2025-01-01T00:00:00Z")
  const forms: ReadonlyArray<readonly [string, Record<string, string>, number]> = [
    ["seconds", { "retry-after": "17" }, 17_000],
    ["a date", { "retry-after": "Wed, 01 Jan 2025 00:00:20 GMT" }, 20_000],
    [
      "a date by another clock",
      { "retry-after": "Wed, 01 Jan 2025 05:00:40 GMT", date: "Wed, 01 Jan 2025 05:00:10 GMT" },
      30_000,
    ],
    ["a date in the past", { "retry-after": "Tue, 31 Dec 2024 23:00:00 GMT" }, 0],
    ["nonsense", { "retry-after": "soon" }, 0],
    ["text that a lenient reader takes for a date", { "retry-after": "soon 2099" }, 0],
    ["a negative number", { "retry-after": "-120" }, 0],
    ["decimals", { "retry-after": "2.5" }, 2_500],
    ["nothing", { "retry-after": "" }, 0],
    ["ISO 8601", { "retry-after": "2025-01-01T00:00:09Z" }, 9_000],
  ]
  for (const status of [429, 503]) {
    it.effect.each(forms)(`with ${status} is obeyed: %s`, ([, headers, millis]) =>
      Effect.gen(function* () {
        const { client, sent } = yield* against(n => (n === 1 ? text("", { status, headers }) : ok()))
        yield* TestClock.setTime(start)
        yield* played(client.get(PATH))
        expect(sent).toHaveLength(2)
        expect(sent[1]!.atMillis - start).toBeGreaterThanOrEqual(millis)
        expect(sent[1]!.atMillis - start).toBeLessThanOrEqual(millis + 1_500)
      }),
    )
  }

  it.effect("holds back every request of the account", () =>
    Effect.gen(function* () {
      const { client, sent } = yield* against(n =>
        n === 1 ? text("", { status: 429, headers: { "retry-after": "60" } }) : ok(),
      )
      const first = yield* Effect.fork(client.get("/first"))
      yield* TestClock.adjust("1 seconds")
      yield* settle
      const others = yield* Effect.fork(
        Effect.all([client.get("/second"), client.get("/third")], { concurrency: "unbounded" }),
      )
      yield* TestClock.adjust("58 seconds")
      yield* settle
      expect(sent).toHaveLength(1)
      yield* played(Effect.all([Fiber.join(first), Fiber.join(others)]))
      expect(sent).toHaveLength(4)
      for (const { atMillis } of sent.slice(1)) expect(atMillis).toBeGreaterThanOrEqual(60_000)
      expect(busiestSecond(sent)).toBe(3)
    }),
  )

  it.effect(
    "longer than a run waits ends the call, names the time of the next attempt, and holds back other calls",
    () =>
      Effect.gen(function* () {
        const { client, sent } = yield* against(n =>
          n === 1 ? text("", { status: 503, headers: { "retry-after": "3600" } }) : ok(),
        )
        yield* TestClock.setTime(start)
        const error = yield* Effect.flip(played(client.get(PATH)))
        expect(error).toMatchObject({ reason: "unavailable", status: 503 })
        expect(error.message).toContain("try again after 2025-01-01T01:00:00Z")
        yield* TestClock.adjust("10 minutes")
        const next = yield* Effect.flip(played(client.get("/other")))
        expect(next).toMatchObject({ reason: "unavailable", path: "/other" })
        expect(next.message).toContain("try again after 2025-01-01T01:00:00Z")
        expect(sent).toHaveLength(1)
        yield* TestClock.adjust("1 hours")
        expect((yield* played(client.get(PATH))).status).toBe(200)
      }),
  )
})

describe("an API that does not come back", () => {
  it.effect("is waited for no longer than three of its longest pauses, even if each is short", () =>
    Effect.gen(function* () {
      const { client, sent } = yield* against(() =>
        text("", { status: 429, headers: { "retry-after": "290" } }),
      )
      const error = yield* Effect.flip(played(client.get(PATH), "5 seconds"))
      expect(error).toMatchObject({ reason: "unavailable" })
      expect(error.message).toContain("try again after 1970-01-01T00:")
      expect(sent.length).toBeLessThan(MAX_ATTEMPTS)
      const lastMillis = sent.at(-1)!.atMillis
      expect(lastMillis).toBeLessThan(15 * 60_000)
      for (const path of ["/one", "/two"]) {
        const next = yield* Effect.flip(played(client.get(path)))
        expect(next.message).toContain("PayCombat asked for a pause")
      }
      expect(sent.at(-1)!.atMillis).toBe(lastMillis)
    }),
  )

  it.effect("is waited for as often as it answers in between", () =>
    Effect.gen(function* () {
      const { client } = yield* against(n =>
        n % 2 === 1 ? text("", { status: 429, headers: { "retry-after": "290" } }) : ok(),
      )
      for (let calls = 0; calls < 8; calls++)
        expect((yield* played(client.get(PATH), "10 seconds")).status).toBe(200)
    }),
  )

  it.effect("is told apart from one that requests a century", () =>
    Effect.gen(function* () {
      const { client, sent } = yield* against(() =>
        text("", { status: 503, headers: { "retry-after": "99999999999999999999" } }),
      )
      const error = yield* Effect.flip(played(client.get(PATH)))
      expect(error.message).toContain("longer than a year: ask PayCombat")
      expect(sent).toHaveLength(1)
    }),
  )

  it.effect("in one of its parts gets one attempt for each further call there, until it answers", () =>
    Effect.gen(function* () {
      let isAway = true
      const { client, sent } = yield* against((_, { url }) =>
        isAway && url.pathname.includes("/payout") ? text("", { status: 503 }) : ok(),
      )
      const asked = (path: string) =>
        Effect.map(played(Effect.exit(client.get(path)), "2 seconds"), () => sent.splice(0).length)
      expect(yield* asked("/api/v1/payout/list")).toBe(MAX_ATTEMPTS)
      expect(yield* asked("/api/v1/payout/all")).toBe(MAX_ATTEMPTS)
      expect(yield* asked("/api/v1/payout?type=x")).toBe(1)
      expect(yield* asked("/api/v1/customer/list")).toBe(1)
      expect(yield* asked("/api/v1/payout/get-all")).toBe(1)
      isAway = false
      expect(yield* asked("/api/v1/payout/list")).toBe(1)
      isAway = true
      expect(yield* asked("/api/v1/payout/list")).toBe(MAX_ATTEMPTS)
    }),
  )

  it.effect(
    "with only 429 holds back the whole account, no longer than the call that exceeded the rate",
    () =>
      Effect.gen(function* () {
        const { client, sent } = yield* against(n => (n <= 3 ? text("", { status: 429 }) : ok()), {
          ratePerSecond: 1_000,
        })
        const call = yield* Effect.fork(client.get("/first"))
        yield* TestClock.adjust("10 millis")
        yield* settle
        const other = yield* Effect.fork(client.get("/second"))
        yield* TestClock.adjust("200 millis")
        yield* settle
        expect(sent).toHaveLength(1)
        yield* played(Effect.all([Fiber.join(call), Fiber.join(other)]))
        expect(sent.length).toBeLessThanOrEqual(6)
      }),
  )
})

function brokenStream(): ReadableStream {
  return new ReadableStream({
    start: controller => {
      controller.enqueue(new TextEncoder().encode('{"status":'))
      controller.error(new Error("broken"))
    },
  })
}
