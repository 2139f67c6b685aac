import { describe, expect, it } from "@effect/vitest"
import { Effect, Redacted } from "effect"
import { start as startSandbox } from "../../src/sandbox/sandbox.ts"
import {
  type Cli,
  cli,
  databaseEnvironment,
  type Environment,
  linesOf,
  sandboxEnvironment,
} from "../support/cli.ts"
import { listPath, STREAM_NAMES } from "../support/lists.ts"
import { runSql, testDatabase } from "../support/postgres.ts"
import { slow } from "../support/slow.ts"
import { MIGRATED, SMALL } from "../support/warehouse.ts"
import { parsePrometheus, type Sample, valueOf } from "./prometheusText.ts"

/** Tests the real `serve` as a process of its own. */

const EVERY_TWO_SECONDS = { PAYCOMBAT_SCHEDULE: "*/2 * * * * *", PAYCOMBAT_FULL_SCHEDULE: "0 0 1 1 *" }
/** No tick comes during a test; there is only the run at the start. */
const NEVER = { PAYCOMBAT_SCHEDULE: "0 0 1 1 *", PAYCOMBAT_FULL_SCHEDULE: "0 0 1 1 *" }
const PORT_0 = { PAYCOMBAT_HTTP_PORT: "0" }
const LIMIT = "2 minutes"

interface StatusJson {
  readonly databaseProblem: string | null
  readonly running: ReadonlyArray<{ readonly account: string }>
  readonly streams: ReadonlyArray<{
    readonly account: string
    readonly stream: string
    readonly problem: { readonly kind: string; readonly message: string } | null
    readonly status: { readonly rows: number } | null
  }>
  readonly runs: ReadonlyArray<{ readonly status: string }>
}

const parts = Effect.gen(function* () {
  const database = yield* testDatabase({ template: MIGRATED })
  const sandbox = yield* startSandbox(SMALL)
  const program = yield* cli({
    ...sandboxEnvironment(sandbox),
    ...databaseEnvironment(database.ownerUrl),
    ...PORT_0,
  })
  return { database, sandbox, program }
})

const ADDRESS = /listening on (http:\/\/[^\s;"]+)/

/** Starts `serve`, and waits until it listens. */
const serving = (program: Cli, environment: Environment, ...args: ReadonlyArray<string>) =>
  Effect.gen(function* () {
    const process = yield* program.start(["serve", ...args], environment)
    yield* process.printed("listening on http://")
    const url = ADDRESS.exec(process.stderr())![1]!
    const ask = (path: string) =>
      Effect.promise(async () => {
        // Uses a new connection. The server may be about to close an idle one.
        const response = await fetch(`${url}${path}`, { headers: { connection: "close" } })
        return { status: response.status, text: await response.text() }
      })
    const status = Effect.map(ask("/status.json"), ({ text }) => JSON.parse(text) as StatusJson)
    const metrics = Effect.map(ask("/metrics"), ({ text }) => parsePrometheus(text))
    return { ...process, url, ask, status, metrics }
  })

const until = <A>(look: Effect.Effect<A>, isSo: (seen: A) => boolean) =>
  look.pipe(Effect.delay("100 millis"), Effect.repeat({ until: isSo }), Effect.timeout(LIMIT), Effect.orDie)

const completed = (samples: ReadonlyArray<Sample>) =>
  valueOf(samples, "runs_total", { status: "complete" }) ?? 0

describe("serve", () => {
  it.scopedLive("syncs at its start and at each tick, reports it, and stops on SIGTERM", () =>
    Effect.gen(function* () {
      const { program, sandbox } = yield* parts
      const begun = Date.now()
      const { metrics, status, ask, stop } = yield* serving(program, EVERY_TWO_SECONDS)
      // A run is counted a moment before its summary is logged. Two runs are surely logged once a third is
      // counted.
      const samples = yield* until(metrics, seen => completed(seen) >= 3 && valueOf(seen, "ready") === 1)
      const payouts = { account: "default", stream: "payouts" }
      expect(valueOf(samples, "rows_total", { ...payouts, outcome: "inserted" })).toBe(
        sandbox.truth.count("payouts"),
      )
      expect(valueOf(samples, "rows_total", { ...payouts, outcome: "unchanged" })).toBeGreaterThan(0)
      expect(
        valueOf(samples, "requests_total", { account: "default", stream: "payouts", status: "200" }),
      ).toBeGreaterThan(10)
      expect(valueOf(samples, "lag_seconds", payouts)).toBeLessThan((Date.now() - begun) / 1_000)
      expect(valueOf(samples, "open_rejects", payouts)).toBe(0)
      expect(valueOf(samples, "next_tick_timestamp_seconds", { schedule: "incremental" })).toBeGreaterThan(
        1e9,
      )
      expect(yield* ask("/readyz")).toMatchObject({ status: 200 })
      const snapshot = yield* status
      expect(snapshot.streams).toHaveLength(STREAM_NAMES.length)
      expect(snapshot.streams.find(({ stream }) => stream === "payouts")!.status!.rows).toBe(
        sandbox.truth.count("payouts"),
      )
      const html = (yield* ask("/")).text
      expect(html).toContain("The figures can be trusted")
      const { code, stdout, stderr } = yield* stop("SIGTERM")
      expect([code, stdout]).toEqual([143, ""])
      const lines = linesOf(stderr).map(line => JSON.parse(line) as Record<string, string>)
      const run = lines.find(({ message }) => message?.startsWith("complete: 20 read"))!
      expect(run).toMatchObject({ level: "info", account: "default", stream: "payouts" })
      expect(run.run).toMatch(/^[0-9a-f-]{36}$/)
      const summed = lines.filter(({ message }) => message?.startsWith("run complete after"))
      expect(summed.length).toBeGreaterThanOrEqual(2)
      expect(summed[0]).toMatchObject({ level: "info", account: "default", run: run.run })
      expect(new Set(summed.map(line => line.run)).size).toBe(summed.length)
      for (const text of [html, stderr, JSON.stringify(samples), JSON.stringify(snapshot)])
        expect(text).not.toContain(sandbox.token)
    }),
  )

  it.scopedLive(
    "ends a run on SIGINT: the rows read so far stay, and the run is recorded as interrupted",
    () =>
      Effect.gen(function* () {
        const { program, sandbox, database } = yield* parts
        sandbox.setFault(({ path, query }) =>
          path === listPath("transactions") && Number(query.get("page")) >= 2 ? { hang: true } : undefined,
        )
        const { status, stop, ask } = yield* serving(program, {
          ...NEVER,
          PAYCOMBAT_PAGE_SIZE: "10",
          // Longer than any wait for the end.
          PAYCOMBAT_TIMEOUT_SECONDS: "600",
        })
        yield* until(
          status,
          ({ running, streams }) => running.length > 0 && streams.every(({ status }) => status !== null),
        )
        expect(yield* ask("/readyz")).toMatchObject({ status: 503 })
        expect((yield* ask("/")).text).toContain("In progress")
        const begun = Date.now()
        const { code } = yield* stop("SIGINT")
        expect(code).toBe(130)
        expect(Date.now() - begun).toBeLessThan(30_000)
        const booked = yield* Effect.promise(() =>
          runSql(database.ownerUrl, "SELECT status FROM sync.stream_runs WHERE stream = 'transactions'"),
        )
        expect(booked).toEqual([{ status: "interrupted" }])
        const leases = yield* Effect.promise(() =>
          runSql(database.ownerUrl, "SELECT 1 FROM sync.leases WHERE expires_at > clock_timestamp()"),
        )
        expect(leases).toEqual([])
      }),
  )

  slow(() => {
    it.scopedLive("keeps accounts apart: a refused token of one does not affect the other", () =>
      Effect.gen(function* () {
        const { program, database, sandbox: eu } = yield* parts
        const apac = yield* startSandbox({ ...SMALL, token: "apac-token" })
        apac.setFault(() => ({ status: 401 }))
        const { metrics, status, ask } = yield* serving(program, {
          ...EVERY_TWO_SECONDS,
          PAYCOMBAT_ACCOUNTS: "eu,apac",
          PAYCOMBAT_BASE_URL_EU: eu.url,
          PAYCOMBAT_TOKEN_EU: eu.token,
          PAYCOMBAT_BASE_URL_APAC: apac.url,
          PAYCOMBAT_TOKEN_APAC: apac.token,
        })
        yield* until(metrics, seen => (valueOf(seen, "runs_total", { status: "failed" }) ?? 0) >= 2)
        const { streams } = yield* until(status, ({ streams }) =>
          streams.every(({ account, problem }) =>
            account === "eu" ? problem === null : problem?.kind === "failed",
          ),
        )
        expect(streams.filter(({ account }) => account === "apac")).toHaveLength(STREAM_NAMES.length)
        expect((yield* ask("/readyz")).text).toContain("apac/customers: failed")
        // No list is requested twice in a run. The other account may have had more or fewer runs by now.
        const { total } = apac.requests
        const [made] = yield* Effect.promise(() =>
          runSql(
            database.ownerUrl,
            "SELECT count(DISTINCT run_id)::int AS runs FROM sync.stream_runs WHERE account = 'apac'",
          ),
        )
        expect(total).toBeLessThanOrEqual(STREAM_NAMES.length * made!.runs)

        apac.setFault(null)
        yield* until(status, ({ streams }) => streams.every(({ problem }) => problem === null))
        expect(yield* ask("/readyz")).toMatchObject({ status: 200 })
      }),
    )
  })

  slow(() => {
    it.scopedLive("survives an outage of its database, reports it, and continues afterwards", () =>
      Effect.gen(function* () {
        const { program, database } = yield* parts
        const { metrics, ask, status } = yield* serving(program, EVERY_TWO_SECONDS)
        yield* until(metrics, seen => completed(seen) >= 1)
        const name = new URL(Redacted.value(database.ownerUrl)).pathname.slice(1)
        const admin = Redacted.make(Redacted.value(database.ownerUrl).replace(/\/[^/]*$/, "/postgres"))
        const allow = (isAllowed: boolean) =>
          Effect.promise(() => runSql(admin, `ALTER DATABASE ${name} ALLOW_CONNECTIONS ${isAllowed}`))
        const cut = Effect.promise(() =>
          runSql(
            admin,
            `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '${name}' AND usename = current_user`,
          ),
        )
        yield* allow(false)
        // Terminates the sessions again, because one may have been connecting.
        yield* until(Effect.zipRight(cut, status), ({ databaseProblem }) => databaseProblem !== null)
        expect(yield* ask("/readyz")).toMatchObject({ status: 503 })
        expect(yield* ask("/healthz")).toMatchObject({ status: 200 })
        expect((yield* ask("/")).text).toContain("The database cannot be used")
        expect(valueOf(yield* metrics, "database_up")).toBe(0)
        yield* allow(true)
        const before = completed(yield* metrics)
        yield* until(metrics, seen => completed(seen) > before)
        yield* until(ask("/readyz"), ({ status }) => status === 200)
      }),
    )
  })

  it.scopedLive("reports mistakes in its settings before it starts anything, and exits with 2", () =>
    Effect.gen(function* () {
      const { program } = yield* parts
      const wrong: ReadonlyArray<readonly [Environment, ReadonlyArray<string>, string]> = [
        [{ PAYCOMBAT_SCHEDULE: "hourly" }, [], "PAYCOMBAT_SCHEDULE"],
        [{ PAYCOMBAT_FULL_SCHEDULE: "0 25 * * *" }, [], "PAYCOMBAT_FULL_SCHEDULE"],
        [{ PAYCOMBAT_TIMEZONE: "Mars/Base" }, [], "PAYCOMBAT_TIMEZONE"],
        [{ PAYCOMBAT_HTTP_PORT: "80000" }, [], "PAYCOMBAT_HTTP_PORT"],
        [
          { PAYCOMBAT_HTTP_HOST: "192.0.2.1", PAYCOMBAT_HTTP_PORT: "8787" },
          [],
          "Cannot listen on 192.0.2.1:8787",
        ],
        [{}, ["--max-age", "soon"], "--max-age soon"],
        [{ PAYCOMBAT_RATE_PER_SECOND: "fast" }, [], "PAYCOMBAT_RATE_PER_SECOND"],
        [
          { OTEL_TRACES_EXPORTER: "otlp", OTEL_EXPORTER_OTLP_PROTOCOL: "grpc" },
          [],
          "OTEL_EXPORTER_OTLP_PROTOCOL",
        ],
      ]
      const ended = yield* Effect.forEach(
        wrong,
        ([environment, args, words]) =>
          Effect.map(program.run(["serve", ...args], environment), end => ({ end, words })),
        { concurrency: 2 },
      )
      for (const { end, words } of ended) {
        expect([end.code, end.stdout, linesOf(end.stderr).length], end.stderr).toEqual([2, "", 1])
        expect(end.stderr).toContain(words)
      }
    }),
  )
})
