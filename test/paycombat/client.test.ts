import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import * as FetchHttpClient from "@effect/platform/FetchHttpClient"
import * as HttpClient from "@effect/platform/HttpClient"
import * as HttpClientResponse from "@effect/platform/HttpClientResponse"
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import { describe, expect, it } from "@effect/vitest"
import { Clock, Effect, Fiber, Layer, TestClock } from "effect"
import { stringifyJson } from "../../src/core/json.ts"
import { make } from "../../src/paycombat/client/client.ts"
import { against, busiestSecond, ok, PATH, played, TOKEN, text } from "./played.ts"
import { accountOf } from "./support.ts"

describe("a request", () => {
  it.effect("is a GET with the token, under the base URL, and its answer has the time of sending", () =>
    Effect.gen(function* () {
      const slow = Effect.delay(Effect.succeed(ok([{ id: "a" }])), "3 seconds")
      const { client, sent } = yield* against(() => slow)
      yield* TestClock.setTime(Date.parse("2025-01-01T00:00:00Z"))
      const answer = yield* played(client.get(`${PATH}?type=company`, { page: 1, limit: 100 }))
      expect(sent).toHaveLength(1)
      expect(sent[0]!.url.href).toBe("https://api.example/base/api/v1/things?type=company&page=1&limit=100")
      expect(sent[0]).toMatchObject({ method: "GET", headers: { "x-token": TOKEN } })
      const body = { status: true, message: "OK", data: [{ id: "a" }] }
      expect(answer).toEqual({
        body,
        readAt: new Date("2025-01-01T00:00:00Z"),
        status: 200,
        bytes: JSON.stringify(body).length,
      })
    }),
  )

  it.effect("that fails is named by its route, without an id", () =>
    Effect.gen(function* () {
      const { client } = yield* against(() => text("", { status: 500 }))
      const error = yield* played(Effect.flip(client.get(`${PATH}/anna`, {}, { route: `${PATH}/{id}` })))
      expect(error).toMatchObject({ _tag: "EndpointError", path: `${PATH}/{id}` })
      expect(error.message).toContain(`GET ${PATH}/{id}: HTTP 500, still so`)
      expect(JSON.stringify(error)).not.toContain("anna")
    }),
  )

  it.effect("is dated by a clock that starts where it is told and never goes back", () =>
    Effect.gen(function* () {
      const live = yield* Clock.clockWith(Effect.succeed)
      const { client: unset } = yield* against(() => ok())
      expect((yield* played(unset.get(PATH))).readAt).toEqual(new Date(0))
      const http = HttpClient.make(request => Effect.succeed(HttpClientResponse.fromWeb(request, ok())))
      const client = yield* make(accountOf({ url: "http://x.example", token: TOKEN }), {
        startedAt: new Date(5_000),
      }).pipe(Effect.provideService(HttpClient.HttpClient, http))
      const first = (yield* played(client.get(PATH))).readAt
      expect(first.getTime()).toBeGreaterThanOrEqual(5_000)
      const hourBack = (millis: number) => millis - 3_600_000
      const setBack: Clock.Clock = Object.assign(Object.create(live), {
        unsafeCurrentTimeMillis: () => hourBack(live.unsafeCurrentTimeMillis()),
        currentTimeMillis: Effect.map(live.currentTimeMillis, hourBack),
      })
      yield* TestClock.adjust("1 seconds")
      const second = (yield* played(client.get(PATH)).pipe(Effect.withClock(setBack))).readAt
      expect(second.getTime() - first.getTime()).toBeGreaterThanOrEqual(1_000)
    }),
  )

  it.effect("is never sent more often than the rate allows, for any number of callers", () =>
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
