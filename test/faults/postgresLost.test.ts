import { readFile } from "node:fs/promises"
import { join } from "node:path"
import { describe, expect, it } from "@effect/vitest"
import { type Clock, Effect, Fiber, Redacted, TestClock } from "effect"
import { connect } from "../../src/postgres/connect.ts"
import { embeddedPostgres } from "../../src/postgres/embedded/embeddedPostgres.ts"
import { query, read, write, writeInterruptible } from "../../src/postgres/statements.ts"
import { type Sandbox, start } from "../../src/sandbox/sandbox.ts"
import { migrate } from "../../src/warehouse/schema/migrator.ts"
import { expectWhole, isSoaking, pageReference, randomOf } from "../support/crash.ts"
import { listPath } from "../support/lists.ts"
import { temporaryDirectory, testDatabase } from "../support/postgres.ts"
import { postgresProxy } from "../support/postgresProxy.ts"
import { MIGRATED, SMALL, syncOnce } from "../support/warehouse.ts"

/** Connections that end, answers that are lost, a server that is restarted: a run gets over it, and counts nothing twice. */

const SEEDS = isSoaking ? Array.from({ length: 50 }, (_, i) => i + 1) : [1]
const WORLD = { ...SMALL, transactions: 300 }
/** Stretches a run, so that there is something to cut. */
const SLOW_MILLIS = 25
/** How often connections are cut, where there are any; some three seconds of it. */
const CUT_ROUNDS = 20
/** So many must have been there to cut. */
const CUTS_MIN = 3

const behindProxy = Effect.gen(function* () {
  const { ownerUrl } = yield* testDatabase({ template: MIGRATED })
  const proxy = yield* postgresProxy(ownerUrl)
  const sandbox = yield* start(WORLD)
  return {
    proxy,
    sandbox,
    direct: yield* connect(ownerUrl),
    sql: yield* connect(proxy.through(ownerUrl)),
    reference: yield* pageReference(sandbox, {}),
  }
})

const postmasterOf = (directory: string) =>
  Effect.promise(async () =>
    Number((await readFile(join(directory, "postmaster.pid"), "utf8")).split("\n")[0]),
  )

const slow = (sandbox: Sandbox) => sandbox.setFault(() => ({ delayMillis: SLOW_MILLIS }))

describe.concurrent("connections to Postgres that end", () => {
  for (const seed of SEEDS)
    it.scopedLive(`all at once, again and again, at any moment (seed ${seed}): the run is complete`, () =>
      Effect.gen(function* () {
        const { proxy, sandbox, sql, direct, reference } = yield* behindProxy
        const random = randomOf(seed)
        slow(sandbox)
        let rounds = 0
        let cuts = 0
        const enemy = Effect.suspend(() => {
          rounds += 1
          if (proxy.cut() > 0) cuts += 1
          return Effect.sleep(20 + random() * 250)
        })
        const cutting = yield* Effect.fork(
          Effect.repeat(enemy, { until: () => rounds >= CUT_ROUNDS && cuts >= CUTS_MIN }),
        )
        const summary = yield* syncOnce(sql, sandbox)
        yield* Fiber.interrupt(cutting)
        expect(summary.streams.filter(({ status }) => status !== "complete")).toEqual([])
        expect(cuts).toBeGreaterThanOrEqual(CUTS_MIN)
        yield* expectWhole(direct, reference, `seed ${seed}`)
      }),
    )

  for (const seed of SEEDS)
    it.scopedLive(`at commits (seed ${seed}): one whose answer is lost is not done twice`, () =>
      Effect.gen(function* () {
        const { proxy, sandbox, sql, direct, reference } = yield* behindProxy
        const random = randomOf(seed)
        const struck = { before: 0, after: 0 }
        proxy.setFault(() => {
          const chance = random()
          if (chance > 0.3) return undefined
          const when = chance < 0.2 ? "after" : "before"
          struck[when] += 1
          return { when }
        })
        const summary = yield* syncOnce(sql, sandbox)
        expect(summary.streams.filter(({ status }) => status !== "complete")).toEqual([])
        expect(struck.after).toBeGreaterThan(5)
        proxy.setFault(null)
        yield* expectWhole(direct, reference, `seed ${seed}`)
      }),
    )

  it.scopedLive(
    "because the server restarts in the middle of a load: the run continues when it is back",
    () =>
      Effect.gen(function* () {
        const directory = yield* temporaryDirectory
        const server = yield* embeddedPostgres(directory, { settings: { fsync: "off" } })
        const sql = yield* connect(server.ownerUrl)
        yield* migrate(sql)
        const sandbox = yield* start(WORLD)
        const reference = yield* pageReference(sandbox, {})
        const postmaster = yield* postmasterOf(server.directory)
        let isStruck = false
        sandbox.setFault(({ path, query }) => {
          // Immediate shutdown: a crash, as far as the data are concerned. The embedded server is started again.
          if (!isStruck && path === listPath("transactions") && Number(query.get("page")) === 10)
            isStruck = process.kill(postmaster, "SIGQUIT")
          return { delayMillis: SLOW_MILLIS }
        })
        const summary = yield* syncOnce(sql, sandbox)
        expect(isStruck).toBe(true)
        expect(summary.streams.filter(({ status }) => status !== "complete")).toEqual([])
        yield* expectWhole(sql, reference, "after the restart")
      }),
  )
})

describe("SQL that fails for a while", () => {
  const SLEPT_MILLIS = 600_000

  const lost = (message: string) => Promise.reject(Object.assign(new Error(message), { code: "ECONNRESET" }))

  /** SQL that finds its connection gone so often, each time after the machine slept. */
  const triedAsleep = (failures: number) =>
    Effect.gen(function* () {
      let attempts = 0
      const live = yield* Effect.clock
      const clock: Clock.Clock = Object.assign(Object.create(live), {
        currentTimeMillis: Effect.sync(() => live.unsafeCurrentTimeMillis() + attempts * SLEPT_MILLIS),
      })
      const statement = read(() => {
        attempts += 1
        return attempts <= failures ? lost("gone") : Promise.resolve("answered")
      })
      const { _tag } = yield* Effect.either(Effect.withClock(statement, clock))
      return { _tag, attempts }
    })

  it.live("is attempted three times, and no more, by a process that slept longer than the limit", () =>
    Effect.gen(function* () {
      expect(yield* triedAsleep(2)).toEqual({ _tag: "Right", attempts: 3 })
      expect(yield* triedAsleep(100)).toEqual({ _tag: "Left", attempts: 3 })
    }),
  )

  it.effect("is repeated for half a minute, by each verb but `query`", () =>
    Effect.gen(function* () {
      const attemptsOf = (verb: typeof read) =>
        Effect.gen(function* () {
          let attempts = 0
          const failing = yield* Effect.fork(
            Effect.exit(
              verb(() => {
                attempts += 1
                return lost("gone")
              }),
            ),
          )
          yield* TestClock.adjust("25 seconds")
          const isAtWork = failing.unsafePoll() === null
          yield* TestClock.adjust("15 seconds")
          expect((yield* Fiber.join(failing))._tag).toBe("Failure")
          return { attempts, isAtWork }
        })
      for (const verb of [read, write, writeInterruptible]) {
        const { attempts, isAtWork } = yield* attemptsOf(verb)
        expect(isAtWork).toBe(true)
        expect(attempts).toBeGreaterThan(5)
        expect(attempts).toBeLessThan(20)
      }
      expect(yield* attemptsOf(query)).toEqual({ attempts: 1, isAtWork: false })
    }),
  )

  it("is a promise, so that no retry can be put around a retry", () => {
    // @ts-expect-error An Effect is no promise.
    const nested = () => read(() => read(() => Promise.resolve(1)))
    // @ts-expect-error Nor can an Effect be given in the place of the function.
    const wrapped = () => write(query(() => Promise.resolve(1)))
    expect([nested, wrapped]).toHaveLength(2)
  })
})

describe("a Postgres that is not there", () => {
  it.scopedLive("is reported in one line, with advice, and without the password", () =>
    Effect.gen(function* () {
      const { ownerUrl } = yield* testDatabase()
      const url = new URL(Redacted.value(ownerUrl))
      const failing = (change: (url: URL) => void) => {
        const other = new URL(url)
        change(other)
        return Effect.flip(connect(Redacted.make(other.href)))
      }
      const away = yield* failing(other => {
        other.port = "1"
      })
      expect(away._tag).toBe("WarehouseError")
      expect(away.message).toMatch(/ECONNREFUSED.*check that it is up, and host and port of DATABASE_URL/)
      const refused = yield* failing(other => {
        other.password = "swordfish"
      })
      expect(refused._tag).toBe("ConfigurationError")
      expect(refused.message).toMatch(/28P01.*check user and password of DATABASE_URL/)
      expect(refused.message).not.toContain("swordfish")
      const unknown = yield* failing(other => {
        other.pathname = "/nowhere"
      })
      expect(unknown.message).toMatch(/3D000.*create the database/)
      // Not a setting that is wrong: at boot, a name server that is not up yet says so of a name that is right.
      const nameless = yield* failing(other => {
        // Too long to be a name: no name server is asked, which might take its time.
        other.hostname = `${"db".repeat(40)}.paycombat.invalid`
      })
      expect(nameless._tag).toBe("WarehouseError")
      expect(nameless.message).toMatch(/(ENOTFOUND|EAI_AGAIN).*check the host in DATABASE_URL/)
    }),
  )

  it.scopedLive("an unknown refusal also ends with advice, and without a value", () =>
    Effect.gen(function* () {
      const sql = yield* connect((yield* testDatabase()).ownerUrl)
      const said = (statement: string) =>
        Effect.map(Effect.flip(query(() => sql.unsafe(statement))), ({ message }) => message)
      expect(yield* said("SELEC 1")).toMatch(
        /^Postgres: syntax error .*\(42601\): run again; .*log of Postgres\.$/,
      )
      expect(yield* said("SELECT 'swordfish'::int")).toMatch(
        /^Postgres refused a value \(SQLSTATE 22P02\): run again; .*report it\.$/,
      )
    }),
  )
})
