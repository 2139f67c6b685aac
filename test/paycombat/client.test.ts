import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { inspect } from "node:util"
import * as FetchHttpClient from "@effect/platform/FetchHttpClient"
import * as HttpClient from "@effect/platform/HttpClient"
import { RequestError } from "@effect/platform/HttpClientError"
import * as HttpClientResponse from "@effect/platform/HttpClientResponse"
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import { describe, expect, it } from "@effect/vitest"
import {
  Cause,
  Clock,
  Duration,
  Effect,
  Exit,
  Fiber,
  Layer,
  Logger,
  LogLevel,
  Redacted,
  TestClock,
  Tracer,
} from "effect"
import { stringifyJson } from "../../src/Json.ts"
import { type Account, BODY_LIMIT_BYTES, MAX_ATTEMPTS, make, Usage } from "../../src/paycombat/Client.ts"
import { accountOf } from "./support.ts"

const TOKEN = "tok_4f1c9e7d2b"

interface Sent {
  readonly atMillis: number
  readonly url: URL
  readonly headers: Readonly<Record<string, string>>
  readonly method: string
}

type Reply = Response | "hang" | "reset" | Effect.Effect<Response>

const ok = (data: unknown = []) => Response.json({ status: true, message: "OK", data })
const text = (body: string, init?: ResponseInit) => new Response(body, init)

/** A client over a server that is played by a function, and what was sent to it. */
const against = (reply: (n: number, sent: Sent) => Reply, account: Partial<Account> = {}) =>
  Effect.gen(function* () {
    const sent: Array<Sent> = []
    const http = HttpClient.make((request, url) =>
      Effect.gen(function* () {
        const atMillis = yield* Clock.currentTimeMillis
        const { headers, method } = request
        const one = { atMillis, url, headers, method }
        sent.push(one)
        const answer = reply(sent.length, one)
        if (answer === "hang") return yield* Effect.never
        if (answer === "reset") {
          const cause = Object.assign(new Error(`bad header ${TOKEN}`), { code: "ECONNRESET" })
          return yield* new RequestError({ request, reason: "Transport", cause })
        }
        const response = Effect.isEffect(answer) ? yield* answer : answer
        return HttpClientResponse.fromWeb(request, response)
      }),
    )
    const client = yield* make({
      name: "default",
      token: Redacted.make(TOKEN),
      baseUrl: "https://api.example/base/",
      pageSize: 100,
      ratePerSecond: 10,
      concurrency: 8,
      timeout: Duration.seconds(30),
      ...account,
    }).pipe(Effect.provideService(HttpClient.HttpClient, http))
    return { client, sent }
  })

/** Web streams settle in macrotasks, which the test clock does not wait for. */
const settle = Effect.promise(() => new Promise(resolve => setImmediate(resolve)))

/** Runs an effect to its end, moving the test's time for it. */
const played = <A, E>(effect: Effect.Effect<A, E>) =>
  Effect.gen(function* () {
    const fiber = yield* Effect.fork(effect)
    while (true) {
      yield* settle
      const exit = yield* Fiber.poll(fiber)
      if (exit._tag === "Some") return yield* exit.value
      yield* TestClock.adjust("500 millis")
    }
  })

const waits = (sent: ReadonlyArray<Sent>) =>
  sent.slice(1).map(({ atMillis }, index) => atMillis - sent[index]!.atMillis)

/** The most that were sent within any one second. */
const busiestSecond = (sent: ReadonlyArray<Sent>) =>
  Math.max(
    ...sent.map(
      ({ atMillis: from }) =>
        sent.filter(({ atMillis }) => atMillis >= from && atMillis < from + 1000).length,
    ),
  )

const PATH = "/api/v1/things"

describe("a request", () => {
  it.effect("is a GET with the token, under the base URL, and its answer tells when it was sent", () =>
    Effect.gen(function* () {
      const slow = Effect.delay(Effect.succeed(ok([{ id: "a" }])), "3 seconds")
      const { client, sent } = yield* against(() => slow)
      yield* TestClock.setTime(Date.parse("2025-01-01T00:00:00Z"))
      const answer = yield* played(client.get(`${PATH}?type=company`, { page: 1, limit: 100 }))
      expect(sent).toHaveLength(1)
      expect(sent[0]!.url.href).toBe("https://api.example/base/api/v1/things?type=company&page=1&limit=100")
      expect(sent[0]).toMatchObject({ method: "GET", headers: { "x-token": TOKEN } })
      expect(answer).toEqual({
        body: { status: true, message: "OK", data: [{ id: "a" }] },
        readAt: new Date("2025-01-01T00:00:00Z"),
        status: 200,
      })
    }),
  )

  it.effect("is never sent more often than the rate allows, whoever asks", () =>
    Effect.gen(function* () {
      const { client, sent } = yield* against(() => ok(), { ratePerSecond: 10 })
      const stream = Effect.all(Array.from({ length: 9 }, () => client.get(PATH)))
      yield* played(
        Effect.all(
          Array.from({ length: 5 }, () => stream),
          { concurrency: "unbounded" },
        ),
      )
      expect(sent).toHaveLength(45)
      expect(busiestSecond(sent)).toBe(10)
    }),
  )

  it.effect("keeps to the rate through errors too", () =>
    Effect.gen(function* () {
      const { client, sent } = yield* against(n => (n % 3 === 0 ? ok() : text("", { status: 500 })), {
        ratePerSecond: 4,
      })
      const all = Effect.all(
        Array.from({ length: 20 }, () => Effect.exit(client.get(PATH))),
        { concurrency: "unbounded" },
      )
      yield* played(all)
      expect(busiestSecond(sent)).toBeLessThanOrEqual(4)
    }),
  )

  it.effect("waits while as many as allowed are under way", () =>
    Effect.gen(function* () {
      let underWay = 0
      let most = 0
      const slow = Effect.acquireUseRelease(
        Effect.sync(() => {
          most = Math.max(most, ++underWay)
        }),
        () => Effect.sleep("2 seconds"),
        () => Effect.sync(() => underWay--),
      )
      const { client, sent } = yield* against(() => Effect.map(slow, () => ok()), {
        concurrency: 3,
        ratePerSecond: 1000,
      })
      yield* played(
        Effect.all(
          Array.from({ length: 10 }, () => client.get(PATH)),
          { concurrency: "unbounded" },
        ),
      )
      expect(sent).toHaveLength(10)
      expect(most).toBe(3)
    }),
  )

  it.effect("that is interrupted makes room for the next", () =>
    Effect.gen(function* () {
      const { client } = yield* against(n => (n === 1 ? "hang" : ok()), { concurrency: 1 })
      const fiber = yield* Effect.fork(client.get(PATH))
      yield* TestClock.adjust("1 seconds")
      yield* Fiber.interrupt(fiber)
      expect((yield* played(client.get(PATH))).status).toBe(200)
    }),
  )
})

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
  it.effect.each(passing)("is asked again: %s", ([, reply]) =>
    Effect.gen(function* () {
      const { client, sent } = yield* against(n => (n === 1 ? reply() : ok()))
      const usage = { requests: 0, retries: 0 }
      const answer = yield* played(Effect.provideService(client.get(PATH), Usage, usage))
      expect(answer.status).toBe(200)
      expect(sent).toHaveLength(2)
      expect(usage).toEqual({ requests: 2, retries: 1 })
    }),
  )

  it.effect("is asked again so often, with growing and random waits, and no more", () =>
    Effect.gen(function* () {
      const { client, sent } = yield* against(() => text("", { status: 502 }))
      const error = yield* Effect.flip(played(client.get(PATH)))
      expect(error).toMatchObject({ _tag: "EndpointError", reason: "unavailable", status: 502, path: PATH })
      expect(error.message).toBe(`GET ${PATH}: HTTP 502, still so after ${MAX_ATTEMPTS} attempts`)
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

  it.effect("holds no place in the line while it waits", () =>
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

  it.effect("says how long an answer was waited for", () =>
    Effect.gen(function* () {
      const { client } = yield* against(() => "hang", { timeout: Duration.seconds(7) })
      const error = yield* Effect.flip(played(client.get(PATH)))
      expect(error.message).toContain("no complete answer within 7 s")
    }),
  )

  it.effect("tells the system's code of a broken connection", () =>
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
  ]
  for (const status of [429, 503]) {
    it.effect.each(forms)(`of ${status} is obeyed: %s`, ([, headers, millis]) =>
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

  it.effect("beyond what a run waits for ends the call, says when to come back, and keeps others off", () =>
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

describe("an answer that will not change is not asked for again:", () => {
  it.effect("401 stops the account", () =>
    Effect.gen(function* () {
      const { client, sent } = yield* against(() => text("", { status: 401 }), { name: "apac-2" })
      const error = yield* Effect.flip(played(client.get(PATH)))
      expect(error._tag).toBe("AccountError")
      expect(error.message).toContain("PAYCOMBAT_TOKEN_APAC_2")
      expect(sent).toHaveLength(1)
    }),
  )

  const error = (message: unknown) =>
    Response.json({ success: false, error: { code: 4001, name: "X", message } })
  const asStatus = (status: number, response: Response) => new Response(response.body, { status })
  const cases: ReadonlyArray<readonly [string, () => Response, string, string]> = [
    ["403", () => text("", { status: 403 }), "refused", "this token may not read this endpoint"],
    ["404", () => text("", { status: 404 }), "refused", "nothing at this path"],
    ["400", () => asStatus(400, error("no such id")), "refused", 'refused with 400: "no such id"'],
    ["messages", () => asStatus(422, error(["a is bad", "b too"])), "refused", '"a is bad; b too"'],
    ["a message in lines", () => asStatus(400, error("one\n\ttwo\u0007")), "refused", '"one two"'],
    [
      "a mail address",
      () => asStatus(400, error("jane@example.com is not valid")),
      "refused",
      '"… is not valid"',
    ],
    ["a long message", () => asStatus(400, error("x".repeat(5_000))), "refused", `"${"x".repeat(200)}"`],
    ["an HTML error page", () => text("<html>no</html>", { status: 404 }), "refused", "nothing at this path"],
    [
      "a redirect",
      () => text("", { status: 302, headers: { location: "https://elsewhere.example/" } }),
      "refused",
      "PAYCOMBAT_BASE_URL",
    ],
    ["HTML", () => text(" <!doctype html><title>Login"), "malformed", "answered HTML, not JSON"],
    ["no JSON", () => text("Hello"), "malformed", "answered not JSON"],
    ["another encoding", () => new Response(Uint8Array.of(34, 0xe9, 34)), "malformed", "not UTF-8"],
    ["status: false", () => Response.json({ status: false, message: "No." }), "failed", '"No."'],
    [
      "success: false inside",
      () =>
        Response.json({
          status: true,
          data: { success: false, status_code: 400, error: { message: ["No."] } },
        }),
      "failed",
      'failed although HTTP says 200 (code 400): "No."',
    ],
  ]
  it.effect.each(cases)("%s", ([, reply, reason, message]) =>
    Effect.gen(function* () {
      const { client, sent } = yield* against(reply)
      const failure = yield* Effect.flip(played(client.get(PATH)))
      expect(failure).toMatchObject({ _tag: "EndpointError", reason, path: PATH })
      expect(failure.message).toContain(message)
      expect(failure.message).not.toMatch(/\n/)
      expect(failure.message.length).toBeLessThan(400)
      expect(sent).toHaveLength(1)
    }),
  )

  it.effect("a body over the bound is not read to its end", () =>
    Effect.gen(function* () {
      let given = 0
      const endless = new ReadableStream({
        pull: controller => {
          given += 2 ** 20
          controller.enqueue(new Uint8Array(2 ** 20))
        },
      })
      const { client } = yield* against(() => new Response(endless))
      const failure = yield* Effect.flip(played(client.get(PATH)))
      expect(failure).toMatchObject({ reason: "malformed" })
      expect(given).toBeLessThan(BODY_LIMIT_BYTES * 1.1)
    }),
  )
})

describe("the token", () => {
  it.effect("shows in no error, log or span, and no trace context goes to the API", () =>
    Effect.gen(function* () {
      const seen: Array<string> = []
      const logger = Logger.make(({ message, cause, annotations }) => {
        seen.push(inspect([message, Cause.pretty(cause), [...annotations]]))
      })
      const tracer = Tracer.make({
        span: (name, parent, context, links, startTime, kind) => {
          const attributes = new Map<string, unknown>()
          seen.push(name)
          return {
            _tag: "Span",
            name,
            spanId: "1",
            traceId: "2",
            parent,
            context,
            status: { _tag: "Started", startTime },
            attributes,
            links,
            sampled: true,
            kind,
            end: (_, exit) =>
              seen.push(inspect([...attributes]), Exit.isFailure(exit) ? Cause.pretty(exit.cause) : ""),
            attribute: (key, value) => attributes.set(key, value),
            event: event => seen.push(event),
            addLinks: () => {},
          }
        },
        context: run => run(),
      })
      const replies: ReadonlyArray<Reply> = [
        "reset",
        text(`{"message":"bad token ${TOKEN}"}`, { status: 500 }),
        Response.json({ error: { message: `bad token ${TOKEN}` } }, { status: 400 }),
        text(TOKEN),
        text("", { status: 401 }),
      ]
      const { client, sent } = yield* against(n => replies[n - 1]!)
      for (let calls = 0; calls < 3; calls++) {
        const exit = yield* played(Effect.exit(Effect.withSpan(client.get(PATH), "test"))).pipe(
          Effect.withTracer(tracer),
          Effect.provide(Logger.replace(Logger.defaultLogger, logger)),
          Logger.withMinimumLogLevel(LogLevel.All),
        )
        const failure = yield* Effect.flip(exit)
        const cause = Exit.isFailure(exit) ? Cause.pretty(exit.cause) : ""
        seen.push(cause, failure.message, JSON.stringify(failure), inspect(exit))
      }
      expect(sent).toHaveLength(replies.length)
      expect(seen.join("\n")).toContain("http.request.header.x-token")
      expect(seen.join("\n")).not.toContain(TOKEN)
      expect(Object.keys(sent[0]!.headers).sort()).toEqual(["accept", "x-token"])
    }),
  )

  it.effect.each(["", "two words", "line\nbreak", "umläut"])(
    "that a header cannot carry is not sent: %j",
    token =>
      Effect.gen(function* () {
        const { client, sent } = yield* against(() => ok(), { token: Redacted.make(token) })
        const error = yield* Effect.flip(client.get(PATH))
        expect(error._tag).toBe("AccountError")
        expect(error.message).toContain("PAYCOMBAT_TOKEN holds")
        expect(sent).toHaveLength(0)
      }),
  )
})

describe("over real HTTP", () => {
  const layers = { fetch: FetchHttpClient.layer, undici: NodeHttpClient.layerUndici }
  for (const [name, layer] of Object.entries(layers)) {
    it.scopedLive(`${name} does not carry the token along a redirect`, () =>
      Effect.gen(function* () {
        const asked: Array<string> = []
        const server = createServer((request, response) => {
          asked.push(request.url ?? "")
          if (request.url === "/moved") response.writeHead(307, { location: "/target" })
          response.end('{"status":true,"data":["é",9007199254740993]}')
        })
        yield* Effect.acquireRelease(
          Effect.async<void>(resume => {
            server.listen(0, "127.0.0.1", () => resume(Effect.void))
          }),
          () =>
            Effect.sync(() => server.closeAllConnections()).pipe(
              Effect.zipRight(Effect.sync(() => server.close())),
            ),
        )
        const { port } = server.address() as AddressInfo
        const account = accountOf({ url: `http://127.0.0.1:${port}`, token: TOKEN })
        const client = yield* Effect.provide(make(account), yield* Layer.build(layer))
        const error = yield* Effect.flip(client.get("/moved"))
        expect(error).toMatchObject({ reason: "refused", status: 307 })
        expect(asked).toEqual(["/moved"])
        const { body } = yield* client.get("/target")
        expect(stringifyJson(body)).toBe('{"status":true,"data":["é",9007199254740993]}')
      }),
    )
  }
})

function brokenStream(): ReadableStream {
  return new ReadableStream({
    start: controller => {
      controller.enqueue(new TextEncoder().encode('{"status":'))
      controller.error(new Error("broken"))
    },
  })
}
