import { describe, expect, it } from "@effect/vitest"
import { Deferred, Duration, Effect, Fiber, Layer, Logger, Option } from "effect"
import { http, Warehouse } from "../../src/app.ts"
import { WarehouseError } from "../../src/core/errors.ts"
import { KEEP } from "../../src/core/privacy.ts"
import { connect } from "../../src/postgres/connect.ts"
import { allStreams } from "../../src/registry.ts"
import { type SandboxOptions, start } from "../../src/sandbox/sandbox.ts"
import { lookupBudget, type ServeOptions, serveWith } from "../../src/serve/serve.ts"
import { testDatabase } from "../support/postgres.ts"
import { slow } from "../support/slow.ts"
import { accountOf, MIGRATED, printed, SMALL } from "../support/warehouse.ts"

/** Tests `serve` within this process: which run each tick starts. */

const NEVER = "0 0 1 1 *"

/** Returns a cron expression that is due at this time once a day. */
const at = (time: Date) => `${time.getUTCSeconds()} ${time.getUTCMinutes()} ${time.getUTCHours()} * * *`

/** Returns the next full second that is at least this far ahead. */
const soon = (millis: number) => new Date(Math.ceil((Date.now() + millis) / 1_000) * 1_000)

/** Time limit for several runs on a busy machine. */
const LIMIT = "2 minutes"

/** Streams of the tests. Runs over few streams are quick. */
const only = (...names: ReadonlyArray<string>) =>
  Effect.map(allStreams, streams => streams.filter(({ name }) => names.includes(name)))

const until = (isSo: Effect.Effect<boolean>) =>
  isSo.pipe(
    Effect.delay("200 millis"),
    Effect.repeat({ until: isIt => isIt }),
    Effect.timeout(LIMIT),
    Effect.orDie,
  )

const parts = (sandboxOptions: Partial<SandboxOptions> = {}) =>
  Effect.gen(function* () {
    const { ownerUrl } = yield* testDatabase({ template: MIGRATED })
    const sql = yield* connect(ownerUrl)
    const sandbox = yield* start({ ...SMALL, ...sandboxOptions })
    const log: Array<string> = []
    const moved = yield* Deferred.make<never, WarehouseError>()
    const serve = (options: Partial<ServeOptions> & Pick<ServeOptions, "schedule">) =>
      Effect.gen(function* () {
        const serving = serveWith({
          lookups: {},
          leaseSeconds: 30,
          privacy: KEEP,
          full: false,
          accounts: [accountOf(sandbox)],
          streams: yield* allStreams,
          http: { host: "127.0.0.1", port: 0 },
          ...options,
        })
        const warehouse = {
          sql,
          isEmbedded: false,
          readerUrl: Option.none(),
          ownerUrl,
          moved: Deferred.await(moved),
        }
        const logger = Logger.make(({ message }) => {
          log.push(String(message))
        })
        return yield* Effect.forkScoped(
          Effect.provide(
            serving,
            Layer.mergeAll(
              http,
              Layer.succeed(Warehouse, warehouse),
              Logger.replace(Logger.defaultLogger, logger),
            ),
          ),
        )
      })
    const logged = (words: string, times = 1) =>
      Effect.sync(() => log.filter(line => line.includes(words)).length).pipe(
        Effect.delay("50 millis"),
        Effect.repeat({ until: count => count >= times }),
        Effect.timeout(LIMIT),
        Effect.orDie,
      )
    const modes = Effect.map(
      printed(
        sql,
        "SELECT mode, status FROM sync.stream_runs WHERE stream = 'transactions' ORDER BY started_at",
      ),
      rows => rows.map(({ mode, status }) => `${mode} ${status}`),
    )
    return { sandbox, serve, moved, log, logged, modes, sql }
  })

describe.concurrent("a full tick", () => {
  it.scopedLive("during a full pass starts no further pass", () =>
    Effect.gen(function* () {
      const { sandbox, serve, log, logged, modes } = yield* parts()
      // Far enough ahead that the run has started by then.
      const due = soon(8_000)
      // The API holds back its answers until the tick has come.
      sandbox.setFault(() => ({ delayMillis: Math.max(0, due.getTime() + 500 - Date.now()) }))
      const serving = yield* serve({
        accounts: [accountOf(sandbox, { timeout: Duration.minutes(10) })],
        schedule: { incremental: NEVER, full: at(due), timezone: "UTC" },
      })
      yield* logged("the full pass comes right after it")
      yield* logged("every list was read completely since the full pass was due")
      expect(yield* modes).toEqual(["full complete"])
      expect(log.filter(line => line.startsWith("run complete"))).toHaveLength(1)
      yield* Fiber.interrupt(serving)
    }),
  )

  slow(() => {
    it.scopedLive("reads every list completely, even if incremental reading is proven safe", () =>
      Effect.gen(function* () {
        const { serve, logged, modes } = yield* parts({ order: "newest-first" })
        const serving = yield* serve({
          streams: yield* only("transactions"),
          schedule: { incremental: "* * * * * *", full: "*/5 * * * * *", timezone: "UTC" },
        })
        yield* until(
          Effect.map(modes, all => {
            const shorter = all.indexOf("incremental complete")
            return shorter >= 0 && all.lastIndexOf("full complete") > shorter
          }),
        )
        yield* logged("run complete", 3)
        yield* Fiber.interrupt(serving)
      }),
    )
  })
})

slow(() => {
  describe.concurrent("an account", () => {
    it.scopedLive("with a silent API does not delay another account", () =>
      Effect.gen(function* () {
        const { sandbox, serve, log, sql } = yield* parts()
        const slow = yield* start(SMALL)
        slow.setFault(() => ({ hang: true }))
        const serving = yield* serve({
          accounts: [
            accountOf(slow, { name: "slow", timeout: Duration.minutes(10) }),
            accountOf(sandbox, { name: "quick" }),
          ],
          streams: yield* only("payouts"),
          schedule: { incremental: "*/2 * * * * *", full: NEVER, timezone: "UTC" },
        })
        const ended = printed(
          sql,
          "SELECT account, status FROM sync.stream_runs WHERE stream = 'payouts' AND status <> 'running'",
        )
        yield* until(Effect.map(ended, rows => rows.length >= 3))
        expect(new Set((yield* ended).map(({ account, status }) => `${account} ${status}`))).toEqual(
          new Set(["quick complete"]),
        )
        expect(log.filter(line => line.includes("incremental tick dropped")).length).toBeGreaterThan(0)
        const begun = yield* printed(
          sql,
          "SELECT DISTINCT run_id FROM sync.stream_runs WHERE account = 'slow'",
        )
        expect(begun).toHaveLength(1)
        yield* Fiber.interrupt(serving)
        const statuses = yield* printed(
          sql,
          "SELECT DISTINCT status FROM sync.stream_runs WHERE account = 'slow'",
        )
        expect(statuses).toEqual([{ status: "interrupted" }])
      }),
    )
  })
})

describe.concurrent("look-ups", () => {
  it("get the calls before the next tick, minus a share for the lists", () => {
    expect(lookupBudget(10, 900)).toBe(7_200)
    expect(lookupBudget(10, 0.01)).toBe(1)
    expect(lookupBudget(1, -5)).toBe(1)
  })

  slow(() => {
    it.scopedLive("that do not fit before the next tick are left over for the next run", () =>
      Effect.gen(function* () {
        const { sandbox, serve, sql } = yield* parts({
          customers: 60,
          transactions: 0,
          payouts: 0,
          checkouts: 0,
        })
        const serving = yield* serve({
          accounts: [
            accountOf(sandbox, { ratePerSecond: 8, pageSize: 100 }),
            accountOf(sandbox, { name: "wide", ratePerSecond: 100_000, pageSize: 100 }),
          ],
          streams: yield* only("customers", "wallet_readiness"),
          // Long enough that a run that starts a little late still has time left.
          schedule: { incremental: "*/5 * * * * *", full: NEVER, timezone: "UTC" },
        })
        const asked = (account: string) =>
          Effect.map(
            printed(
              sql,
              `SELECT count(*) AS asked FROM warehouse.wallet_readiness WHERE account = '${account}'`,
            ),
            ([row]) => row!.asked === "60",
          )
        yield* until(asked("default"))
        yield* until(asked("wide"))
        yield* Fiber.interrupt(serving)
        const runsOf = (account: string) =>
          Effect.map(
            printed(
              sql,
              `SELECT extracted, left_over FROM sync.stream_runs WHERE stream = 'wallet_readiness' AND account = '${account}' ORDER BY started_at`,
            ),
            rows => rows.map(row => ({ extracted: Number(row.extracted), leftOver: Number(row.left_over) })),
          )
        const [first] = yield* runsOf("default")
        expect(first!.extracted).toBeGreaterThan(0)
        expect(first!.extracted).toBeLessThanOrEqual(lookupBudget(8, 5))
        expect(first!.extracted + first!.leftOver).toBe(60)
        // Each account has a budget by its own rate. Only a run that starts exactly at a tick lacks the time
        // for all look-ups, and the next run has it.
        const most = Math.max(...(yield* runsOf("wide")).map(({ extracted }) => extracted))
        expect(most).toBeGreaterThan(lookupBudget(8, 5))
      }),
    )
  })
})

slow(() => {
  describe("a database that moves to another address", () => {
    it.scopedLive("ends the process, which could not sync any more", () =>
      Effect.gen(function* () {
        const { serve, moved, logged } = yield* parts()
        const serving = yield* serve({ schedule: { incremental: NEVER, full: NEVER, timezone: "UTC" } })
        yield* logged("listening on")
        yield* Deferred.fail(moved, new WarehouseError({ message: "It is elsewhere." }))
        expect(yield* Effect.flip(Fiber.join(serving))).toMatchObject({ message: "It is elsewhere." })
      }),
    )
  })
})
