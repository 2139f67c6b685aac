import { once } from "node:events"
import { writeFile } from "node:fs/promises"
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { join } from "node:path"
import { describe, expect, it } from "@effect/vitest"
import { Effect, Redacted } from "effect"
import { type Fault, start } from "../../src/sandbox/sandbox.ts"
import { cli, databaseEnvironment, type Ended, linesOf, sandboxEnvironment } from "../support/cli.ts"
import { testDatabase } from "../support/postgres.ts"
import { slow } from "../support/slow.ts"
import { MIGRATED, SMALL } from "../support/warehouse.ts"
import { parsePrometheus, valueOf } from "./prometheusText.ts"

/** Tests the export to an OpenTelemetry collector, and the absence of any export without one. */

interface Received {
  readonly path: string
  readonly headers: NodeJS.Dict<string | Array<string>>
  readonly body: string
}

/** A collector that records requests, and answers or keeps the sender waiting. */
const collector = (isAnswering = true) =>
  Effect.acquireRelease(
    Effect.promise(async () => {
      const received: Array<Received> = []
      const server = createServer((request, response) => {
        let body = ""
        request.setEncoding("utf8").on("data", text => {
          body += text
        })
        request.on("end", () => {
          received.push({ path: request.url!, headers: request.headers, body })
          if (isAnswering) response.setHeader("content-type", "application/json").end("{}")
        })
      })
      server.listen(0, "127.0.0.1")
      await once(server, "listening")
      return { received, server, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` }
    }),
    ({ server }) =>
      Effect.sync(() => {
        server.closeAllConnections()
        server.close()
      }),
  )

const parts = Effect.gen(function* () {
  const { ownerUrl } = yield* testDatabase({ template: MIGRATED })
  const sandbox = yield* start({ ...SMALL, token: "very-secret-token" })
  const program = yield* cli({ ...sandboxEnvironment(sandbox), ...databaseEnvironment(ownerUrl) })
  return { sandbox, ...program }
})

const SYNC = ["sync", "--stream", "payouts", "--json"]

/** Retries a run that reports that it had no time left, because it gives a slow collector only seconds. */
const delivered = (run: Effect.Effect<Ended>) =>
  Effect.repeat(run, { while: ({ stderr }) => stderr.includes("not reach the collector") })

/** Much longer than the time given to a silent collector, much shorter than the exporters' own timeout. */
const BOUND_MILLIS = 30_000
const PATIENT = {
  OTEL_EXPORTER_OTLP_TIMEOUT: "600000",
  OTEL_BSP_EXPORT_TIMEOUT: "600000",
  OTEL_METRIC_EXPORT_INTERVAL: "600000",
  OTEL_METRIC_EXPORT_TIMEOUT: "600000",
}

/** Longer than the time given to a collector. */
const SLOWER_THAN_PATIENCE = "4 seconds"
const LONG_ROW = 1_000
const LONG_ROWS = 5_000

describe.concurrent("telemetry", () => {
  it.scopedLive("sends the spans and metrics of a sync before it ends, without the token", () =>
    Effect.gen(function* () {
      const { run, sandbox, directory } = yield* parts
      const { received, url } = yield* collector()
      // The exporters do not read the file themselves.
      yield* Effect.promise(() =>
        writeFile(
          join(directory, ".env"),
          `OTEL_EXPORTER_OTLP_ENDPOINT=${url}\nOTEL_EXPORTER_OTLP_HEADERS=x-key=abc\nOTEL_SERVICE_NAME=books\n`,
        ),
      )
      expect(yield* delivered(run(SYNC))).toMatchObject({ code: 0 })
      expect(new Set(received.map(({ path }) => path))).toEqual(new Set(["/v1/traces", "/v1/metrics"]))
      for (const { headers, body } of received) {
        expect(headers["x-key"]).toBe("abc")
        expect(body).toContain('"stringValue":"books"')
        expect(body).not.toContain(sandbox.token)
      }
      const of = (path: string) =>
        received
          .filter(one => one.path === path)
          .map(({ body }) => body)
          .join("\n")
      const names = [...of("/v1/traces").matchAll(/"name":"([^"]+)"/g)].map(([, name]) => name)
      expect(names).toEqual(expect.arrayContaining(["sync", "stream", "http.client GET"]))
      expect(of("/v1/traces")).toContain('{"key":"stream","value":{"stringValue":"payouts"}}')
      expect(of("/v1/metrics")).toContain("paycombat_sync_rows_total")
      expect(of("/v1/metrics")).toContain("paycombat_sync_requests_total")
    }),
  )

  it.scopedLive("shows no customer id in spans or logs, answered or not, at any log level", () =>
    Effect.gen(function* () {
      const { run, sandbox } = yield* parts
      const { received, url } = yield* collector()
      const customers = Array.from({ length: SMALL.customers! }, (_, index) =>
        sandbox.idOf("customers", index),
      )
      let faults: Array<Fault> = []
      sandbox.setFault(({ path }) => (customers.some(id => path.includes(id)) ? faults.pop() : undefined))
      const streams = ["customers", "wallet_readiness"].flatMap(name => ["--stream", name])
      const environment = {
        OTEL_EXPORTER_OTLP_ENDPOINT: url,
        PAYCOMBAT_LOG_LEVEL: "debug",
        PAYCOMBAT_RATE_PER_SECOND: "1000",
      }
      const pass = run(["sync", "--full", ...streams], environment)
      const first = Effect.suspend(() => {
        faults = [{ status: 503 }, { reset: true }, { status: 429 }]
        return pass
      })
      // The second pass asks by id about records that the list no longer shows.
      let gone = 5
      const second = Effect.suspend(() => {
        sandbox.remove("customers", gone++)
        return pass
      })
      expect(yield* delivered(first)).toMatchObject({ code: 0 })
      expect(yield* delivered(second)).toMatchObject({ code: 0 })
      const sent = received.map(({ body, headers }) => `${body}${JSON.stringify(headers)}`).join("\n")
      expect(customers.filter(id => sent.includes(id))).toEqual([])
      expect(sent).not.toContain(sandbox.token)
      const told = [
        "customer-wallet-is-ready/{id}",
        "customer/customer/{id}",
        "answered 503",
        "answered 429",
        "no answer",
        "again in",
      ]
      expect(told.filter(words => !sent.includes(words))).toEqual([])
      const asked = sandbox.requests.recent.filter(({ path }) => path.includes(customers[5]!))
      expect(asked.length).toBeGreaterThan(1)
    }),
  )

  slow(() => {
    it.scopedLive("leaves out an unsupported exporter, warns about it, and sends the rest", () =>
      Effect.gen(function* () {
        const { run } = yield* parts
        const { received, url } = yield* collector()
        const environment = {
          OTEL_EXPORTER_OTLP_ENDPOINT: url,
          OTEL_TRACES_EXPORTER: "otlp,zipkin",
          OTEL_METRICS_EXPORTER: "prometheus",
        }
        const ended = yield* delivered(run(SYNC, environment))
        expect(ended.code).toBe(0)
        expect(linesOf(ended.stderr).filter(line => line.includes("OTEL_"))).toEqual([
          expect.stringMatching(/WARN OTEL_TRACES_EXPORTER: zipkin is not supported and is left out/),
          expect.stringMatching(/WARN OTEL_METRICS_EXPORTER: prometheus .*\/metrics/),
        ])
        expect(new Set(received.map(({ path }) => path))).toEqual(new Set(["/v1/traces"]))
      }),
    )
  })

  it.scopedLive("sends no value for an unknown gauge, not even NaN", () =>
    Effect.gen(function* () {
      const { start, sandbox } = yield* parts
      const { received, url } = yield* collector()
      sandbox.setFault(() => ({ hang: true }))
      const serving = yield* start(["serve"], {
        PAYCOMBAT_HTTP_PORT: "0",
        OTEL_EXPORTER_OTLP_ENDPOINT: url,
        OTEL_TRACES_EXPORTER: "none",
        OTEL_METRIC_EXPORT_INTERVAL: "500",
      })
      yield* serving.printed("listening on http://")
      const address = /http:\/\/127[^\s;"]+/.exec(serving.stderr())![0]
      const samples = Effect.promise(async () =>
        parsePrometheus(await (await fetch(`${address}/metrics`)).text()),
      )
      const look = Effect.zipRight(
        Effect.promise(() => fetch(address)),
        samples,
      )
      yield* Effect.repeat(look, { until: seen => valueOf(seen, "lease_held", { stream: "payouts" }) === 1 })
      expect(valueOf(yield* samples, "lag_seconds")).toBeUndefined()
      received.length = 0
      yield* Effect.sleep("50 millis").pipe(
        Effect.repeat({
          until: () => received.some(({ body }) => body.includes("paycombat_sync_lease_held")),
        }),
      )
      for (const { body } of received) {
        expect(body).not.toContain("paycombat_sync_lag_seconds")
        expect(body).not.toMatch(/"as(Double|Int)":(null|"NaN")/)
      }
    }),
  )

  slow(() => {
    it.scopedLive("sends nothing without a collector, or if it is switched off", () =>
      Effect.gen(function* () {
        const { run } = yield* parts
        const { received, url } = yield* collector()
        const endpoint = { OTEL_EXPORTER_OTLP_ENDPOINT: url }
        for (const environment of [
          { OTEL_SERVICE_NAME: "books", OTEL_TRACES_EXPORTER: "console" },
          { ...endpoint, OTEL_SDK_DISABLED: "true" },
          { ...endpoint, OTEL_TRACES_EXPORTER: "none", OTEL_METRICS_EXPORTER: "none" },
        ])
          expect(yield* run(SYNC, environment)).toMatchObject({ code: 0 })
        expect(received).toEqual([])
        const traces = run(SYNC, { ...endpoint, OTEL_METRICS_EXPORTER: "none" })
        expect(yield* delivered(traces)).toMatchObject({ code: 0 })
        expect(new Set(received.map(({ path }) => path))).toEqual(new Set(["/v1/traces"]))
        const grpc = yield* run(SYNC, { ...endpoint, OTEL_EXPORTER_OTLP_PROTOCOL: "grpc" })
        expect([grpc.code, linesOf(grpc.stderr).length]).toEqual([2, 1])
        expect(grpc.stderr).toContain("OTEL_EXPORTER_OTLP_PROTOCOL")
      }),
    )
  })

  slow(() => {
    it.scopedLive("does not truncate output that a slow reader has not read yet", () =>
      Effect.gen(function* () {
        const { readerUrl } = yield* testDatabase({ template: MIGRATED })
        const { start } = yield* cli({ PAYCOMBAT_READER_URL: Redacted.value(readerUrl) })
        const { received, url } = yield* collector()
        // More than fits into a pipe between two processes.
        const statement = `SELECT repeat('x', ${LONG_ROW}) AS row FROM generate_series(1, ${LONG_ROWS})`
        const running = yield* start(["query", statement, "--csv"], { OTEL_EXPORTER_OTLP_ENDPOINT: url })
        running.process.stdout!.pause()
        yield* Effect.sleep("50 millis").pipe(Effect.repeat({ until: () => received.length > 0 }))
        yield* Effect.sleep(SLOWER_THAN_PATIENCE)
        expect(running.process.exitCode).toBe(null)
        running.process.stdout!.resume()
        const { code, stdout } = yield* running.ended
        expect([code, stdout.length]).toEqual([0, "row\n".length + LONG_ROWS * (LONG_ROW + 1)])
      }),
    )
  })

  slow(() => {
    it.scopedLive(
      "delays a sync by a few seconds at most if the collector does not answer, and warns about it",
      () =>
        Effect.gen(function* () {
          const { run } = yield* parts
          const { received, url } = yield* collector(false)
          const begun = yield* Effect.sync(() => Date.now())
          yield* run(SYNC)
          const without = Date.now() - begun
          const again = Date.now()
          const ended = yield* run(SYNC, { OTEL_EXPORTER_OTLP_ENDPOINT: url, ...PATIENT })
          expect(Date.now() - again - without).toBeLessThan(BOUND_MILLIS)
          expect(ended.code).toBe(0)
          expect(JSON.parse(ended.stdout)).toMatchObject({ status: "complete" })
          yield* Effect.sleep("50 millis").pipe(Effect.repeat({ until: () => received.length > 0 }))
          const refused = yield* run(SYNC, { OTEL_EXPORTER_OTLP_ENDPOINT: "http://127.0.0.1:1" })
          expect(refused.code).toBe(0)
          for (const { stderr } of [ended, refused])
            expect(stderr).toMatch(/traces did not reach|traces do not reach/)
        }),
    )
  })
})
