import { once } from "node:events"
import { request } from "node:http"
import { type AddressInfo, connect, type Socket } from "node:net"
import { setTimeout } from "node:timers/promises"
import { describe, expect, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Metric, Scope } from "effect"
import { limitsOf, type Verdict } from "../../src/core/verdict.ts"
import * as Metrics from "../../src/observe/metrics.ts"
import { boundedServer, CONNECTIONS_MAX, REQUESTS_PER_CONNECTION_MAX } from "../../src/serve/connections.ts"
import { isOurHost, listen } from "../../src/serve/http.ts"
import type { Snapshot } from "../../src/serve/snapshot.ts"
import { parsePrometheus, valueOf } from "./prometheusText.ts"

/** Tests the HTTP server with well-behaved clients and with others. */

const NOW = "2026-03-10T12:00:00.000Z"

const GOOD: Verdict = {
  account: "default",
  level: "good",
  sentence: "The figures can be trusted.",
  findings: [],
  since: NOW,
}

const snapshot = (given: Partial<Snapshot> = {}): Snapshot => ({
  version: "1.2.3",
  now: NOW,
  figuresAt: NOW,
  startedAt: "2026-03-10T11:00:00.000Z",
  isStopping: false,
  databaseProblem: null,
  accounts: ["default"],
  verdicts: [GOOD],
  streams: [],
  runs: [],
  running: [],
  next: { incremental: "2026-03-10T12:15:00.000Z", full: "2026-03-11T02:00:00.000Z" },
  droppedTicks: {},
  limits: limitsOf({ incremental: 900, full: 86_400 }),
  ...given,
})

const HOST = "127.0.0.1"

/** Much longer than the server waits for a silent client, much shorter than Node's own limit. */
const SHUT_OUT_WITHIN_MILLIS = 40_000
/**
 * Much longer than a connected client may delay a server's end, much shorter than an idle connection may
 * last.
 */
const CLOSED_WITHIN_MILLIS = 15_000

const listening = (given: Partial<Snapshot> = {}) =>
  listen(
    { host: HOST, port: 0 },
    Effect.sync(() => snapshot(given)),
  )

const get = (url: string, init: RequestInit = {}) =>
  Effect.promise(() => fetch(url, { redirect: "manual", ...init }))
const textOf = (response: Response) => Effect.promise(() => response.text())

/** Returns the status of a request with a Host header, which fetch would not send. */
const statusAs = (url: string, host: string) =>
  Effect.promise(
    () =>
      new Promise<number | undefined>((resolve, reject) =>
        request(url, { headers: { host } }, response => {
          response.resume()
          resolve(response.statusCode)
        })
          .on("error", reject)
          .end(),
      ),
  )

/** Reads a raw connection until it closes. Returns its data and the time that took. */
const raw = (url: string, words: string) =>
  Effect.promise(async () => {
    const begun = Date.now()
    const socket = connect(Number(new URL(url).port), HOST)
    socket.write(words)
    let heard = ""
    socket.on("data", data => {
      heard += data
    })
    await new Promise(resolve => socket.on("close", resolve).on("error", resolve))
    return { heard, millis: Date.now() - begun }
  })

describe.concurrent("the server", () => {
  it.scopedLive("answers five paths, and no other", () =>
    Effect.gen(function* () {
      const url = yield* listening()
      const kinds: Record<string, string> = {
        "/": "text/html; charset=utf-8",
        "/?x=1": "text/html; charset=utf-8",
        "/healthz": "text/plain",
        "/readyz": "application/json; charset=utf-8",
        "/status.json": "application/json; charset=utf-8",
        "/metrics": "text/plain; version=0.0.4; charset=utf-8",
      }
      for (const [path, kind] of Object.entries(kinds)) {
        const response = yield* get(`${url}${path}`)
        expect([path, response.status, response.headers.get("content-type")]).toEqual([path, 200, kind])
        expect(response.headers.get("x-content-type-options")).toBe("nosniff")
        expect(response.headers.get("content-security-policy")).toContain("default-src 'none'")
        expect(response.headers.get("cache-control")).toBe("no-store")
        const head = yield* get(`${url}${path}`, { method: "HEAD" })
        expect([head.status, yield* textOf(head)]).toEqual([200, ""])
      }
      for (const path of [
        "/favicon.ico",
        "/constructor",
        "/__proto__",
        "/healthz/",
        "//healthz",
        "/../etc/passwd",
      ])
        expect([path, (yield* get(`${url}${path}`)).status]).toEqual([path, 404])
      for (const method of ["POST", "PUT", "DELETE", "OPTIONS", "PATCH"]) {
        const response = yield* get(`${url}/healthz`, { method })
        expect([method, response.status, response.headers.get("allow")]).toEqual([method, 405, "GET, HEAD"])
      }
    }),
  )

  it.scopedLive("gives the reasons if it is not ready", () =>
    Effect.gen(function* () {
      const url = yield* listening({
        isStopping: true,
        databaseProblem: "The database is away.",
        verdicts: [
          {
            account: "eu",
            level: "bad",
            sentence: "The figures cannot be trusted: payouts (never read).",
            findings: [{ level: "bad", stream: "payouts", kind: "never", text: "Was never read." }],
            since: null,
          },
        ],
      })
      const response = yield* get(`${url}/readyz`)
      expect(response.status).toBe(503)
      expect(JSON.parse(yield* textOf(response))).toEqual({
        ready: false,
        level: "bad",
        sentence: "The database cannot be used.",
        reasons: ["The process is stopping.", "The database is away.", "eu/payouts: Was never read."],
      })
      expect((yield* get(`${url}/healthz`)).status).toBe(200)
      const html = yield* textOf(yield* get(url))
      expect(html).toContain("The database is away.")
    }),
  )

  it.scopedLive("escapes every text in the page", () =>
    Effect.gen(function* () {
      const message = `<img src=x onerror="alert('1')"> & so on`
      const url = yield* listening({
        databaseProblem: message,
        streams: [
          {
            account: "a",
            stream: "<b>",
            status: null,
            ageSeconds: null,
            problem: { kind: "failed", message },
          },
        ],
      })
      const html = yield* textOf(yield* get(url))
      expect(html).not.toContain("<img")
      expect(html).not.toContain("<b>")
      expect(html).toContain("&lt;img src=x onerror=&quot;alert(&#39;1&#39;)&quot;&gt; &amp; so on")
    }),
  )

  it.scopedLive("refuses a request with a foreign host name", () =>
    Effect.gen(function* () {
      const url = yield* listening()
      for (const host of ["evil.example", "127.0.0.1.evil.example:80", "localhost.evil.example"])
        expect([host, yield* statusAs(`${url}/status.json`, host)]).toEqual([host, 421])
      for (const host of ["localhost:8787", "127.0.0.1", "[::1]:8787", "LOCALHOST"])
        expect([host, yield* statusAs(`${url}/status.json`, host)]).toEqual([host, 200])
      expect(isOurHost(undefined, HOST)).toBe(false)
      expect(isOurHost("status.example.com", "0.0.0.0")).toBe(true)
    }),
  )

  it.scopedLive("closes silent connections, and refuses requests that are too large", () =>
    Effect.gen(function* () {
      const url = yield* listening()
      const [silent, long] = yield* Effect.all(
        [
          raw(url, "GET / HTTP/1.1\r\nHost: localhost\r\nX-Slow: "),
          raw(url, `GET / HTTP/1.1\r\nHost: localhost\r\nX-Long: ${"x".repeat(20_000)}\r\n\r\n`),
        ],
        { concurrency: 2 },
      )
      expect(silent.heard).toContain("408")
      expect(silent.millis).toBeLessThan(SHUT_OUT_WITHIN_MILLIS)
      expect(long.heard).toContain("431")
      expect((yield* get(`${url}/healthz`)).status).toBe(200)
    }),
  )

  it.scopedLive("answers while slow clients fill all its connections", () =>
    Effect.gen(function* () {
      const url = yield* listening()
      const port = Number(new URL(url).port)
      const open = new Set<Socket>()
      let isOver = false
      let closed = 0
      // A hostile client reconnects after it is cut off.
      const trickle = () => {
        const socket = connect(port, HOST)
        open.add(socket)
        socket.on("error", () => undefined)
        socket.on("connect", () => socket.write("GET / HTTP/1.1\r\nHost: localhost\r\nX-Slow: "))
        socket.on("close", () => {
          open.delete(socket)
          closed++
          if (!isOver) globalThis.setTimeout(trickle, 20)
        })
      }
      const bytes = setInterval(() => {
        for (const socket of open) socket.write("x")
      }, 100)
      yield* Effect.addFinalizer(() =>
        Effect.sync(() => {
          isOver = true
          clearInterval(bytes)
          for (const socket of open) socket.destroy()
        }),
      )
      for (let i = 0; i < CONNECTIONS_MAX + 80; i++) trickle()
      while (closed === 0) yield* Effect.promise(() => setTimeout(10))
      const statuses: Array<number | undefined> = []
      // Uses a new connection for each probe, as monitors do.
      for (let i = 0; i < 20; i++) statuses.push(yield* statusAs(`${url}/healthz`, "localhost"))
      expect(statuses).toEqual(Array(20).fill(200))
      expect(open.size).toBeGreaterThan(CONNECTIONS_MAX / 2)
    }),
  )

  it.scopedLive("keeps a connection that is being answered, and closes the one that waits longest", () =>
    Effect.gen(function* () {
      const asked = yield* Deferred.make<void>()
      const letGo = yield* Deferred.make<void>()
      const answer = Deferred.succeed(asked, undefined).pipe(
        Effect.zipRight(Deferred.await(letGo)),
        Effect.as(snapshot()),
      )
      const url = yield* listen({ host: HOST, port: 0 }, answer)
      const port = Number(new URL(url).port)
      const held = yield* Effect.fork(statusAs(`${url}/status.json`, "localhost"))
      const silent: Array<Socket> = []
      yield* Effect.addFinalizer(() =>
        Effect.sync(() => {
          for (const socket of silent) socket.destroy()
        }),
      )
      yield* Deferred.await(asked)
      const connected = Effect.promise(async () => {
        const socket = connect(port, HOST)
        socket.on("error", () => undefined)
        silent.push(socket)
        await once(socket, "connect")
        return socket
      })
      const first = yield* connected
      const ended = new Promise(resolve => first.on("close", resolve).resume())
      for (let i = 0; i < CONNECTIONS_MAX - 1; i++) yield* connected
      yield* Effect.promise(() => ended)
      expect(silent.filter(({ closed }) => closed)).toEqual([first])
      yield* Deferred.succeed(letGo, undefined)
      expect(yield* Fiber.join(held)).toBe(200)
    }),
  )

  it.scopedLive("closes one connection for each new one if all are taken", () =>
    Effect.gen(function* () {
      const server = boundedServer()
      const taken: Array<Socket> = []
      const clients: Array<Socket> = []
      yield* Effect.addFinalizer(() =>
        Effect.sync(() => {
          server.close()
          for (const socket of [...clients, ...taken]) socket.destroy()
        }),
      )
      const isFull = new Promise<void>(resolve => {
        server.on("connection", (socket: Socket) => {
          taken.push(socket)
          // At once: a silent connection would be closed later in any case.
          if (taken.length === CONNECTIONS_MAX + 10) resolve()
        })
      })
      yield* Effect.promise(() => once(server.listen(0, HOST), "listening"))
      const { port } = server.address() as AddressInfo
      for (let n = 0; n < CONNECTIONS_MAX + 10; n++)
        clients.push(connect(port, HOST).on("error", () => undefined))
      const closed = yield* Effect.promise(() =>
        isFull.then(() => taken.flatMap(({ destroyed }, n) => (destroyed ? [n] : []))),
      )
      expect(closed).toEqual(Array.from({ length: 10 }, (_, n) => n))
    }),
  )

  it.scopedLive("answers so many requests of one connection, and refuses those that were sent ahead", () =>
    Effect.gen(function* () {
      const url = yield* listening()
      const heard = yield* Effect.promise(async () => {
        const socket = connect({ port: Number(new URL(url).port), host: HOST })
        socket.write("GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(200))
        let text = ""
        for await (const chunk of socket) text += chunk
        return text
      })
      const bodies = heard.split('"ready"').length - 1
      expect(bodies).toBe(REQUESTS_PER_CONNECTION_MAX)
    }),
  )

  it.scopedLive("treats a request for an upgrade like any other request", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const url = yield* Scope.extend(listening(), scope)
      const asking = (protocol: string) =>
        Effect.promise(async () => {
          // This client keeps its half open when the server closes.
          const socket = connect({ port: Number(new URL(url).port), host: HOST, allowHalfOpen: true })
          socket.on("error", () => {})
          socket.write(
            `GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: ${protocol}\r\n` +
              "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
          )
          let heard = ""
          socket.on("data", data => {
            heard += data
          })
          while (!heard.endsWith("\r\n\r\nok\n") && !socket.readableEnded) await setTimeout(10)
          return { heard, socket }
        })
      const ended = ({ socket }: { readonly socket: Socket }) =>
        Effect.promise(async () => {
          if (!socket.readableEnded) await once(socket, "end")
        })
      for (const protocol of ["h2c", "websocket"]) {
        const { heard, socket } = yield* asking(protocol)
        expect(heard).toMatch(/^HTTP\/1\.1 200 /)
        expect(heard.toLowerCase()).toContain("keep-alive")
        socket.resetAndDestroy()
        yield* Effect.promise(() => setTimeout(100))
        expect((yield* get(`${url}/healthz`)).status).toBe(200)
      }
      const idle = yield* asking("websocket")
      const begun = Date.now()
      yield* ended(idle)
      expect(Date.now() - begun).toBeLessThan(SHUT_OUT_WITHIN_MILLIS)
      const last = yield* asking("h2c")
      const closing = Date.now()
      yield* Scope.close(scope, Exit.void)
      expect(Date.now() - closing).toBeLessThan(CLOSED_WITHIN_MILLIS)
      yield* ended(last)
      for (const { socket } of [idle, last]) socket.destroy()
    }),
  )

  it.scopedLive("names a taken port in its error, and closes despite an open connection", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const url = yield* Scope.extend(listening(), scope)
      const port = Number(new URL(url).port)
      const { _tag, message } = yield* Effect.flip(
        listen(
          { host: HOST, port },
          Effect.sync(() => snapshot()),
        ),
      )
      expect(_tag).toBe("ConfigurationError")
      expect(message).toContain(`Cannot listen on ${HOST}:${port}: another process listens there already`)
      expect(message).toContain("PAYCOMBAT_HTTP_PORT")

      const hanging = yield* Effect.fork(raw(url, "GET / HTTP/1.1\r\nHost: localhost\r\n"))
      yield* Effect.promise(() => setTimeout(200))
      const begun = Date.now()
      yield* Scope.close(scope, Exit.void)
      expect(Date.now() - begun).toBeLessThan(CLOSED_WITHIN_MILLIS)
      yield* hanging
      const gone = yield* Effect.either(Effect.tryPromise(() => fetch(url)))
      expect(gone._tag).toBe("Left")
    }),
  )

  it.scopedLive("writes metrics that a strict parser accepts, with any text in a label", () =>
    Effect.gen(function* () {
      const account = 'a"b\\c\nd'
      yield* Metrics.begin([account])
      yield* Metrics.countRequest(account, 204)
      yield* Metrics.countRequest(account, 503)
      yield* Metrics.countRequest(account, undefined)
      yield* Metrics.countRequest(account, 204)
      for (const status of [999, 299, 1]) yield* Metrics.countRequest(account, status)
      yield* Metrics.countRetry(account, 503)
      yield* Metric.set(Metrics.labelled(Metrics.lag, { account }), Metrics.UNKNOWN)
      const url = yield* listening()
      const scraped = Effect.flatMap(get(`${url}/metrics`), response =>
        Effect.map(textOf(response), parsePrometheus),
      )
      const before = yield* scraped
      yield* Metric.update(Metrics.runSeconds, 2)
      yield* Metric.update(Metrics.runSeconds, 100_000)
      const samples = yield* scraped
      expect(valueOf(samples, "requests_total", { account, status: "204" })).toBe(2)
      expect(valueOf(samples, "requests_total", { account, status: "503" })).toBe(1)
      expect(valueOf(samples, "requests_total", { account, status: "none" })).toBe(1)
      // All unregistered status numbers share one series.
      expect(valueOf(samples, "requests_total", { account, status: "other" })).toBe(3)
      expect(valueOf(samples, "retries_total", { account, status: "503" })).toBe(1)
      expect(valueOf(samples, "dropped_ticks_total", { account, schedule: "full" })).toBe(0)
      expect(valueOf(samples, "lag_seconds", { account })).toBeUndefined()
      expect(valueOf(samples, "build_info")).toBe(1)
      const buckets = samples.filter(({ name }) => name.endsWith("run_duration_seconds_bucket"))
      const counts = buckets.map(({ value }) => value)
      expect(counts).toEqual([...counts].sort((a, b) => a - b))
      expect(buckets.at(-1)!.labels.le).toBe("+Inf")
      expect(buckets.at(-1)!.value).toBe(valueOf(samples, "run_duration_seconds_count"))
      // The counters include earlier tests of this process.
      const more = (name: string, labels = {}) =>
        valueOf(samples, name, labels)! - (valueOf(before, name, labels) ?? 0)
      expect(more("run_duration_seconds_bucket", { le: "5" })).toBe(1)
      expect(more("run_duration_seconds_bucket", { le: "+Inf" })).toBe(2)
      expect(more("run_duration_seconds_sum")).toBeCloseTo(100_002)
    }),
  )
})
