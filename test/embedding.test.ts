import { describe, expect, it } from "@effect/vitest"
import { Config, Deferred, Duration, Effect, Fiber, Layer, Logger, ManagedRuntime, Redacted } from "effect"
import { afterAll, beforeAll } from "vitest"
import { accounts as configured } from "../src/config/config.ts"
import {
  ConfigurationError,
  doctor,
  LeaseError,
  layer,
  query,
  report,
  reportPage,
  type Settings,
  status,
  sync,
  Warehouse,
} from "../src/index.ts"
import { start } from "../src/sandbox/sandbox.ts"
import { runSql, testDatabase } from "./support/postgres.ts"
import { slow } from "./support/slow.ts"
import { MIGRATED, SMALL } from "./support/warehouse.ts"

/** Tests settings in code: only they count, wrong ones are named, and several hosts in one process do not mix. */

const TOKEN = Redacted.make("a-token-that-nobody-shows")
const NOWHERE = Redacted.make("postgres://nobody@127.0.0.1:1/nowhere")
const GIVEN: Settings = { accounts: [{ token: TOKEN }], database: { url: NOWHERE } }

/** Environment variables of a host that are not settings in code. */
const AROUND: Readonly<Record<string, string>> = {
  PAYCOMBAT_ACCOUNTS: "other",
  PAYCOMBAT_TOKEN: "",
  PAYCOMBAT_PATH_PAYOUTS: "no path",
  PAYCOMBAT_RATE_PER_SECOND: "a lot",
  PAYCOMBAT_SCHEDULE: "never",
  DATABASE_URL: "postgres://other@127.0.0.1:1/other",
}

const before = { ...process.env }

beforeAll(() => {
  Object.assign(process.env, AROUND)
})

afterAll(() => {
  for (const name of Object.keys(AROUND)) {
    if (before[name] === undefined) delete process.env[name]
    else process.env[name] = before[name]
  }
})

const silent = Logger.remove(Logger.defaultLogger)

/** Creates an empty warehouse, and a function that syncs a sandbox into it. */
const shop = (given: Partial<Settings> = {}) =>
  Effect.gen(function* () {
    const sandbox = yield* start(SMALL)
    const database = yield* testDatabase({ template: MIGRATED })
    const settings: Settings = {
      accounts: [{ token: Redacted.make(sandbox.token), baseUrl: sandbox.url }],
      database: { url: database.ownerUrl, readerUrl: database.readerUrl },
      pageSize: 10,
      ratePerSecond: 10_000,
      ...given,
    }
    return { sandbox, database, settings }
  })

describe("settings in code", () => {
  it.scopedLive("are the only settings: the environment is not read, and they are not written to it", () =>
    Effect.gen(function* () {
      const { settings, database } = yield* shop({
        paths: { payouts: "/nowhere" },
        timeout: Duration.seconds(50),
        readyRecheck: "2 hours",
        readyMaxCalls: 3,
        schedule: "*/7 * * * *",
      })
      const within = Effect.gen(function* () {
        const { streams } = yield* sync()
        const ended = Object.fromEntries(streams.map(summary => [summary.stream, summary]))
        expect(ended.customers).toMatchObject({ account: "default", status: "complete", extracted: 23 })
        // The configured path is used, although discovery would find another one.
        expect(ended.payouts?.status).toBe("failed")
        expect(ended.payouts?.error).toContain("/nowhere")
        expect(ended.wallet_readiness?.leftOver).toBe(20)
        const { rows } = yield* query("SELECT count(*) FROM analytics.kyc_gap")
        expect(Number(rows[0]?.[0])).toBeGreaterThan(0)
        const [stream] = yield* status({ streams: ["customers"] })
        expect(new Date(stream?.nextRunAt ?? "").getUTCMinutes() % 7).toBe(0)
        return yield* Config.string("DATABASE_URL")
      })
      expect(yield* Effect.provide(within, layer(settings))).toBe(Redacted.value(database.ownerUrl))
      expect(yield* Config.string("DATABASE_URL")).toBe(AROUND.DATABASE_URL)
    }).pipe(Effect.provide(silent)),
  )

  slow(() => {
    it.scopedLive("do not mix between several hosts in one process", () =>
      Effect.gen(function* () {
        const [one, other] = yield* Effect.all([shop(), shop()])
        const named = (name: string, { settings }: typeof one): Settings => ({
          ...settings,
          accounts: settings.accounts.map(account => ({ ...account, name })),
        })
        const open = (settings: Settings) =>
          Effect.acquireRelease(
            Effect.sync(() => ManagedRuntime.make(Layer.merge(layer(settings), silent))),
            runtime => runtime.disposeEffect,
          )
        const eu = yield* open(named("eu", one))
        const apac = yield* open(named("apac", other))
        const run = sync({ streams: ["payouts"] })
        const summaries = yield* Effect.promise(() => Promise.all([eu.runPromise(run), apac.runPromise(run)]))
        expect(summaries.map(({ streams }) => streams.map(({ account }) => account))).toEqual([
          ["eu"],
          ["apac"],
        ])
        for (const [name, { database }] of [["eu", one] as const, ["apac", other] as const])
          expect(
            yield* Effect.promise(() =>
              runSql(database.ownerUrl, "SELECT account, count(*)::int FROM warehouse.payouts GROUP BY 1"),
            ),
          ).toEqual([{ account: name, count: SMALL.payouts }])
      }),
    )
  })

  it.scopedLive("for one account beside `default` do not apply to `default`", () =>
    Effect.gen(function* () {
      const { sandbox, settings } = yield* shop()
      const accounts = [...settings.accounts, { name: "eu", token: TOKEN }]
      const addresses = Effect.all([
        Config.string("PAYCOMBAT_BASE_URL"),
        Config.string("PAYCOMBAT_BASE_URL_EU"),
      ])
      expect(yield* Effect.provide(addresses, layer({ ...settings, accounts }))).toEqual([
        sandbox.url,
        "https://api.paycombat.com",
      ])
    }),
  )

  it.scopedLive("for an account override those for all accounts", () =>
    Effect.gen(function* () {
      const { settings } = yield* shop({ paging: ["page", "limit"], paths: { payouts: "/all" } })
      const accounts = [
        { name: "eu", token: TOKEN, ratePerSecond: 7, timeout: "3 seconds", paths: { wallets: "/own" } },
        { name: "apac", token: TOKEN, concurrency: 2, paging: ["p", "n"], ratePerSecond: undefined },
      ] as const
      const read = Effect.gen(function* () {
        const found = yield* configured(["payouts", "wallets"])
        return found.map(({ token: _, baseUrl: __, timeout, ...rest }) => ({
          ...rest,
          timeout: Duration.toSeconds(timeout),
        }))
      })
      const given = { ...settings, accounts } as Settings
      const of = {
        pageSize: 10,
        ratePerSecond: 10_000,
        concurrency: 8,
        timeout: 30,
        paging: ["page", "limit"],
      }
      expect(yield* Effect.provide(read, layer(given))).toEqual([
        { ...of, name: "eu", ratePerSecond: 7, timeout: 3, paths: { payouts: "/all", wallets: "/own" } },
        { ...of, name: "apac", concurrency: 2, paging: ["p", "n"], paths: { payouts: "/all" } },
      ])
    }),
  )

  it.live.each<readonly [string, Partial<Settings>, string]>([
    [
      "a setting of `default` that would apply to another account",
      {
        accounts: [
          { token: TOKEN, paging: ["p", "n"] },
          { name: "eu", token: TOKEN },
        ],
      },
      "PAYCOMBAT_PAGING of the account default would hold for the others, too",
    ],
    [
      "an account's own path of an unknown stream",
      { accounts: [{ token: TOKEN, paths: { payout: "/x" } }] },
      "no list stream payout",
    ],
    [
      "an account's own bound",
      { accounts: [{ name: "eu", token: TOKEN, concurrency: 0 }] },
      "PAYCOMBAT_CONCURRENCY_EU must be",
    ],
    ["no account", { accounts: [] }, "No account is given"],
    ["two of one name", { accounts: [{ token: TOKEN }, { token: TOKEN }] }, "Two accounts are named default"],
    ["a name in capitals", { accounts: [{ name: "EU", token: TOKEN }] }, "PAYCOMBAT_ACCOUNTS must be"],
    [
      "a token that did not arrive",
      { accounts: [{ token: Redacted.make(" ") }] },
      "PAYCOMBAT_TOKEN is given",
    ],
    ["an address that did not", { database: { url: Redacted.make("") } }, "DATABASE_URL is given, and empty"],
    ["an address of something else", { database: { url: TOKEN } }, "DATABASE_URL must be"],
    ["half a request per second", { ratePerSecond: 0.5 }, "PAYCOMBAT_RATE_PER_SECOND must be"],
    ["half a second", { timeout: "500 millis" }, "PAYCOMBAT_TIMEOUT_SECONDS must be"],
    ["a short key", { privacy: { mode: "hash", key: Redacted.make("short") } }, "PAYCOMBAT_PII_KEY must be"],
    ["a path of no stream", { paths: { payout: "/x" } }, "no list stream payout; there are"],
    [
      "a variable of no look-up",
      { lookups: { PAYCOMBAT_READY: 1 } },
      "no look-up has a variable PAYCOMBAT_READY",
    ],
    [
      "a bound that is none",
      { lookups: { PAYCOMBAT_READY_MAX_CALLS: -1 } },
      "PAYCOMBAT_READY_MAX_CALLS must be",
    ],
    ["a schedule that is none", { fullSchedule: "at night" }, "PAYCOMBAT_FULL_SCHEDULE"],
    ["a path that is none", { paths: { payouts: "x" } }, "PAYCOMBAT_PATH_PAYOUTS must be"],
  ])("%s is refused in one line, before a database is opened", ([, given, message]) =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(Effect.provide(Effect.void, layer({ ...GIVEN, ...given })))
      expect(error).toBeInstanceOf(ConfigurationError)
      expect(error.message).toContain(message)
      expect(error.message).not.toContain("\n")
      expect(JSON.stringify(error)).not.toContain(Redacted.value(TOKEN))
    }),
  )
})

describe("a host", () => {
  it.scopedLive("stops a run through its signal, and continues from there", () =>
    Effect.gen(function* () {
      const { sandbox, settings, database } = yield* shop({ ratePerSecond: 5 })
      const runtime = ManagedRuntime.make(Layer.merge(layer(settings), silent))
      const stopping = new AbortController()
      const running = runtime.runPromise(sync(), { signal: stopping.signal }).then(
        () => "done",
        () => "stopped",
      )
      yield* Effect.promise(() =>
        expect.poll(() => sandbox.requests.total, { timeout: 50_000 }).toBeGreaterThan(3),
      )
      stopping.abort()
      expect(yield* Effect.promise(() => running)).toBe("stopped")
      yield* runtime.disposeEffect
      const [run] = yield* Effect.promise(() => runSql(database.ownerUrl, "SELECT status FROM sync.runs"))
      expect(run?.status).toBe("interrupted")
      const { ratePerSecond: _, ...fast } = settings
      const next = yield* Effect.provide(
        sync(),
        Layer.merge(layer({ ...fast, ratePerSecond: 10_000 }), silent),
      )
      expect(next.status).toBe("complete")
    }),
  )

  it.scopedLive.each([
    [
      "interrupts a run in a race",
      (settings: Settings) =>
        Effect.gen(function* () {
          const raced = [Effect.raceFirst(sync(), Effect.never), Effect.never]
          const all = Effect.all(raced, { concurrency: "unbounded" })
          const fiber = yield* Effect.fork(Effect.provide(all, Layer.merge(layer(settings), silent)))
          return Fiber.interrupt(fiber)
        }),
    ],
    [
      "runs a sync beside an effect that fails, and continues",
      (settings: Settings) =>
        Effect.gen(function* () {
          const runtime = yield* Layer.toRuntime(Layer.merge(layer(settings), silent))
          const failing = yield* Deferred.make<never, string>()
          const both = Effect.all([sync(), Deferred.await(failing)], { concurrency: "unbounded" })
          const stopped = yield* Deferred.make<void>()
          yield* Effect.ignore(both).pipe(
            Effect.zipRight(Deferred.succeed(stopped, undefined)),
            Effect.zipRight(Effect.never),
            Effect.provide(runtime),
            Effect.forkScoped,
          )
          return Effect.zipRight(Deferred.fail(failing, "no more"), Deferred.await(stopped))
        }),
    ],
    [
      "closes the warehouse during a run",
      (settings: Settings) =>
        Effect.sync(() => {
          const runtime = ManagedRuntime.make(Layer.merge(layer(settings), silent))
          runtime.runFork(sync())
          return runtime.disposeEffect
        }),
    ],
  ] as const)("that %s has its end booked, and nothing goes on behind it", ([, begin]) =>
    Effect.gen(function* () {
      const { sandbox, settings, database } = yield* shop({ ratePerSecond: 5 })
      const stop = yield* begin(settings)
      yield* Effect.promise(() =>
        expect.poll(() => sandbox.requests.total, { timeout: 50_000 }).toBeGreaterThan(3),
      )
      yield* stop
      const sent = sandbox.requests.total
      const look = (statement: string) => Effect.promise(() => runSql(database.ownerUrl, statement))
      expect(yield* look("SELECT status FROM sync.runs")).toEqual([{ status: "interrupted" }])
      const streams = yield* look("SELECT DISTINCT status FROM sync.stream_runs")
      expect(streams).toContainEqual({ status: "interrupted" })
      expect(streams).not.toContainEqual({ status: "running" })
      yield* Effect.sleep("1 second")
      expect(sandbox.requests.total).toBe(sent)
      expect(yield* look("SELECT FROM sync.leases WHERE expires_at > clock_timestamp()")).toEqual([])
    }),
  )

  it.scopedLive("gets an error if another host is syncing", () =>
    Effect.gen(function* () {
      // A hanging request is soon sent again.
      const { settings, sandbox } = yield* shop({ timeout: "3 seconds" })
      sandbox.setFault(() => ({ hang: true }))
      const once = Effect.provide(sync({ streams: ["payouts"] }), Layer.merge(layer(settings), silent))
      const first = yield* Effect.fork(once)
      yield* Effect.sleep("20 millis").pipe(Effect.repeat({ until: () => sandbox.requests.total > 0 }))
      expect(yield* Effect.flip(once)).toBeInstanceOf(LeaseError)
      sandbox.setFault(null)
      expect((yield* Fiber.join(first)).status).toBe("complete")
    }),
  )

  it.scopedLive("gets the report's figures as data, their page, and the doctor's checks", () =>
    Effect.gen(function* () {
      const { settings, sandbox } = yield* shop({ schedule: "0 3 * * *" })
      const asked = Effect.gen(function* () {
        yield* sync()
        const figures = yield* report()
        const before = sandbox.requests.total
        const examination = yield* doctor({ streams: ["transactions"] })
        const error = yield* Effect.flip(report({ from: "2026-02-30" }))
        return {
          figures,
          html: yield* reportPage(figures),
          examination,
          sent: sandbox.requests.total - before,
          error,
        }
      })
      const { figures, html, examination, sent, error } = yield* Effect.provide(
        asked,
        Layer.merge(layer(settings), silent),
      )
      expect(figures.rule.limits).toEqual({ maxAgeSeconds: 48 * 3_600, fullMaxAgeSeconds: 48 * 3_600 })
      expect(figures.freshness.map(({ stream }) => stream)).toContain("transactions")
      expect(Number(figures.gaps.customers.total)).toBeGreaterThan(0)
      expect(html).toMatch(/^<!doctype html>/)
      expect(html).toContain(figures.snapshotAt)
      expect(error).toBeInstanceOf(ConfigurationError)
      expect(examination.checks.filter(({ level }) => level === "fail")).toEqual([])
      expect(examination).toMatchObject({ isConfigured: true, requests: sent })
      expect(examination.streams.map(({ stream }) => stream)).toEqual(["transactions"])
      expect(examination.streams[0]?.drift?.records).toBeGreaterThan(0)
      // The process' own environment does not matter.
      expect(JSON.stringify(examination)).not.toMatch(/PAYCOMBAT_PATH_PAYOUTS|a lot"/)
    }),
  )

  it.scopedLive("can run the doctor while its Postgres is away", () =>
    Effect.gen(function* () {
      const { settings } = yield* shop({ database: { url: NOWHERE } })
      const { level, checks, streams } = yield* Effect.provide(
        doctor({ settings, streams: ["payouts"] }),
        silent,
      )
      expect(level).toBe("fail")
      expect(checks.filter(check => check.level === "fail").map(({ check }) => check)).toEqual(["database"])
      // The account's lease is in the database. Without it the rate could not be bounded.
      expect(checks.find(({ check }) => check === "API")?.message).toMatch(/^was not asked/)
      expect(streams).toEqual([])
      const wrong = yield* Effect.flip(doctor({ settings: { ...settings, accounts: [] } }))
      expect(wrong.message).toContain("No account is given")
    }),
  )

  it.scopedLive("must ask for the migration of its own Postgres", () =>
    Effect.gen(function* () {
      const { ownerUrl } = yield* testDatabase()
      const { settings } = yield* shop({ database: { url: ownerUrl } })
      const provided = Effect.provide(Layer.merge(layer(settings), silent))
      const error = yield* Effect.flip(provided(sync()))
      expect(error).toBeInstanceOf(ConfigurationError)
      const summary = yield* provided(sync({ migrate: true, streams: ["payouts"] }))
      expect(summary.status).toBe("complete")
      expect(yield* provided(Effect.map(Warehouse, ({ isEmbedded }) => isEmbedded))).toBe(false)
    }),
  )
})
