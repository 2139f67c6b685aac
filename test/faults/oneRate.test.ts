import { describe, expect, it } from "@effect/vitest"
import { Clock, Deferred, Effect, Fiber } from "effect"
import { connect } from "../../src/postgres/connect.ts"
import { type Sandbox, start } from "../../src/sandbox/sandbox.ts"
import { READINESS_PATH } from "../../src/sandbox/streams/wallet_readiness.ts"
import { makeHolding } from "../../src/sync/holding.ts"
import { ACCOUNT } from "../../src/warehouse/ledger/lease.ts"
import { cli, databaseEnvironment, type Environment, sandboxEnvironment } from "../support/cli.ts"
import { testDatabase } from "../support/postgres.ts"
import { postgresProxy } from "../support/postgresProxy.ts"
import { bench, MIGRATED, printed, SMALL, syncOnce, testWarehouse } from "../support/warehouse.ts"

/** One account has one rate: two programs never exceed it together, nor after one of them froze or lost its database. */

const RATE = 10

/** When each request arrived, by the sandbox's clock. Answers may be made late or be errors meanwhile. */
const logOf = (sandbox: Sandbox, fault: Parameters<Sandbox["setFault"]>[0] = null) => {
  const arrivals: Array<number> = []
  sandbox.setFault(request => {
    arrivals.push(Date.now())
    return fault?.(request)
  })
  return arrivals
}

/** Delays of single arrivals weigh little in so long a time: more than the rate over it was sent too fast. */
const LONG_MILLIS = 5_000
/**
 * A busy machine can delay some arrivals and not others, so that what was sent over a second arrives in less. Two holders
 * that each keep the rate would send more in this time than the rate allows for a second.
 */
const SHORT_MILLIS = 750

/** The most requests that arrived within so long a time. */
const mostWithin = (arrivals: ReadonlyArray<number>, millis: number): number =>
  Math.max(0, ...arrivals.map(from => arrivals.filter(at => at >= from && at < from + millis).length))

const expectRateKept = (arrivals: ReadonlyArray<number>): void => {
  expect(mostWithin(arrivals, SHORT_MILLIS)).toBeLessThanOrEqual(RATE)
  expect(mostWithin(arrivals, LONG_MILLIS)).toBeLessThanOrEqual((RATE * LONG_MILLIS) / 1_000)
}

const parts = (environment: Environment = {}, customers = 25) =>
  Effect.gen(function* () {
    const { ownerUrl } = yield* testDatabase({ template: MIGRATED })
    const sandbox = yield* start({ ...SMALL, customers })
    const program = yield* cli({
      ...sandboxEnvironment(sandbox),
      ...databaseEnvironment(ownerUrl),
      PAYCOMBAT_RATE_PER_SECOND: String(RATE),
      PAYCOMBAT_LOG_LEVEL: "debug",
      PAYCOMBAT_LEASE_SECONDS: "5",
      ...environment,
    })
    return { sandbox, ownerUrl, ...program }
  })

describe("two programs on one account", () => {
  it.scopedLive(
    "with different streams: one holds the account, the other waits for it, and the rate is kept",
    () =>
      Effect.gen(function* () {
        const { sandbox, run, start } = yield* parts()
        let delayMillis = 0
        const arrivals = logOf(sandbox, () => ({ delayMillis }))
        const first = yield* start(["sync", "--stream", "payouts", "--wait"])
        const second = yield* start(["sync", "--wait"])
        // Only the whole run reads readiness. Its answers come late until the third program has ended.
        yield* Effect.sync(() => sandbox.requests.byPath.get(READINESS_PATH) ?? 0).pipe(
          Effect.delay("50 millis"),
          Effect.repeat({ until: requests => requests > 0 }),
        )
        delayMillis = 2_000
        const refused = yield* run(["sync", "--stream", "customers"])
        delayMillis = 0
        const [payouts, whole] = yield* Effect.all([first.ended, second.ended])
        expect([payouts.code, whole.code, refused.code], payouts.stderr + whole.stderr).toEqual([0, 0, 3])
        expect(payouts.stderr + whole.stderr).toContain("waiting: account default is being synced by")
        expect(arrivals.length).toBeGreaterThan(3 * RATE)
        expectRateKept(arrivals)
      }),
    120_000,
  )

  it.scopedLive(
    "one of them frozen for two leases while the other takes over: it sends no request afterwards",
    () =>
      Effect.gen(function* () {
        const { sandbox, run, start, ownerUrl } = yield* parts({}, 400)
        const arrivals = logOf(sandbox)
        const frozen = yield* start(["sync", "--stream", "customers", "--stream", "wallet_readiness"])
        yield* Effect.sync(() => sandbox.requests.byPath.get(READINESS_PATH) ?? 0).pipe(
          Effect.delay("50 millis"),
          Effect.repeat({ until: asked => asked > 3 }),
        )
        frozen.process.kill("SIGSTOP")
        yield* Effect.sleep("10 seconds")
        const heir = yield* run(["sync", "--stream", "payouts"])
        expect(heir.code, heir.stderr).toBe(0)
        const before = arrivals.length
        frozen.process.kill("SIGCONT")
        const woken = yield* frozen.ended
        expect(woken.code, woken.stderr).toBe(1)
        expect(woken.stderr).toContain("another run took the lease over")
        expect(arrivals.length - before).toBe(0)
        expectRateKept(arrivals)
        const sql = yield* connect(ownerUrl)
        expect(yield* printed(sql, "SELECT 1 AS one FROM sync.leases WHERE expires_at > now()")).toEqual([])
      }),
    120_000,
  )

  it.scopedLive(
    "one of them killed: the next begins when its lease has run out, and keeps to the rate",
    () =>
      Effect.gen(function* () {
        const { sandbox, run, start } = yield* parts({}, 400)
        const arrivals = logOf(sandbox)
        const killed = yield* start(["sync", "--stream", "customers", "--stream", "wallet_readiness"])
        yield* Effect.sync(() => arrivals.length).pipe(
          Effect.delay("50 millis"),
          Effect.repeat({ until: asked => asked > 3 }),
        )
        yield* killed.stop("SIGKILL")
        const heir = yield* run(["sync", "--stream", "payouts", "--wait"])
        expect(heir.code, heir.stderr).toBe(0)
        expectRateKept(arrivals)
      }),
    120_000,
  )
})

describe("a host that is cut off from Postgres, and not from the API", () => {
  it.scopedLive("stops asking when its lease has run out, and continues after a renewal", () =>
    Effect.gen(function* () {
      const { ownerUrl } = yield* testDatabase({ template: MIGRATED })
      const proxy = yield* postgresProxy(ownerUrl)
      const sandbox = yield* start({ ...SMALL, customers: 400 })
      const sql = yield* connect(proxy.through(ownerUrl))
      const isAsking = yield* Deferred.make<void>()
      const arrivals = logOf(sandbox, ({ path }) => {
        if (path.includes("customer-wallet-is-ready")) Effect.runSync(Deferred.succeed(isAsking, undefined))
        return { delayMillis: 20 }
      })
      const account = { ratePerSecond: 50, pageSize: 200 }
      const options = { only: ["customers", "wallet_readiness"], leaseSeconds: 2, account }
      const run = yield* Effect.fork(syncOnce(sql, sandbox, options))
      yield* Deferred.await(isAsking)
      yield* Effect.addFinalizer(() => Effect.sync(() => proxy.hang(false)))
      proxy.hang(true)
      const cutAt = Date.now()
      yield* Effect.sleep("4 seconds")
      const duringLease = arrivals.filter(at => at >= cutAt).length
      expect(arrivals.filter(at => at > cutAt + 2_100)).toEqual([])
      expect(duringLease).toBeGreaterThan(0)
      proxy.hang(false)
      yield* Effect.sync(() => arrivals.length).pipe(
        Effect.delay("50 millis"),
        Effect.repeat({ until: asked => asked > duringLease + 20 }),
      )
      yield* Fiber.interrupt(run)
    }),
  )
})

describe("the grant of an account's lease", () => {
  /** The live clocks, moved on by so much. */
  const clockAt = (ahead: { monotonic: number; wall: number }) =>
    Effect.map(Clock.clockWith(Effect.succeed), live => {
      const clock: Clock.Clock = Object.assign(Object.create(live), {
        unsafeCurrentTimeMillis: () => live.unsafeCurrentTimeMillis() + ahead.wall,
        currentTimeMillis: Effect.map(live.currentTimeMillis, millis => millis + ahead.wall),
        unsafeCurrentTimeNanos: () => live.unsafeCurrentTimeNanos() + BigInt(ahead.monotonic) * 1_000_000n,
        currentTimeNanos: Effect.map(
          live.currentTimeNanos,
          nanos => nanos + BigInt(ahead.monotonic) * 1_000_000n,
        ),
      })
      return clock
    })

  for (const [name, jump] of [
    ["this process stood still", { monotonic: 31_000, wall: 31_000 }],
    [
      "this machine was suspended, which Linux' monotonic clock does not count",
      { monotonic: 0, wall: 31_000 },
    ],
    ["the wall clock was set back meanwhile", { monotonic: 31_000, wall: -3_600_000 }],
  ] as const)
    it.scopedLive(`has run out after the lease's time where ${name}; a renewal makes it valid again`, () =>
      Effect.gen(function* () {
        const sql = yield* testWarehouse()
        const ahead = { monotonic: 0, wall: 0 }
        yield* Effect.gen(function* () {
          const runId = "00000000-0000-4000-8000-000000000001"
          const holding = yield* makeHolding(sql, { runId, leaseSeconds: 30 })
          const { leases } = yield* holding.take([{ account: "default", stream: ACCOUNT }])
          const { isValid, renewed } = holding.grantOf(leases[0]!)
          expect(yield* isValid).toBe(true)
          Object.assign(ahead, jump)
          expect(yield* isValid).toBe(false)
          yield* Effect.zipRight(renewed, isValid).pipe(Effect.repeat({ until: valid => valid }))
          yield* holding.releaseLeases("default")
          expect(yield* isValid).toBe(false)
        }).pipe(Effect.withClock(yield* clockAt(ahead)))
      }),
    )
})

describe("a pause that the API requested", () => {
  it.scopedLive("is passed on to the next run, which sends nothing before its end", () =>
    Effect.gen(function* () {
      const { sandbox, sync, value } = yield* bench({})
      const arrivals = logOf(sandbox, () => ({ status: 429, headers: { "retry-after": "3600" } }))
      expect((yield* sync({ only: ["payouts"] })).status).toBe("failed")
      const asked = arrivals.length
      const next = yield* sync({ only: ["customers"] })
      expect(next.status).toBe("failed")
      expect(next.streams[0]!.error).toContain("PayCombat asked for a pause: try again after")
      expect(arrivals).toHaveLength(asked)
      const left =
        "SELECT extract(epoch FROM paused_until - now()) BETWEEN 3500 AND 3600 FROM sync.leases WHERE stream = '*'"
      expect(yield* value(left)).toBe("true")
    }),
  )

  it.scopedLive(
    "is passed on although the run that received it is killed",
    () =>
      Effect.gen(function* () {
        const { sandbox, run, start, ownerUrl } = yield* parts()
        const sql = yield* connect(ownerUrl)
        const arrivals = logOf(sandbox, () => ({ status: 429, headers: { "retry-after": "12" } }))
        const killed = yield* start(["sync", "--stream", "payouts"])
        yield* printed(sql, "SELECT 1 AS one FROM sync.leases WHERE paused_until > now()").pipe(
          Effect.delay("50 millis"),
          Effect.repeat({ until: paused => paused.length > 0 }),
        )
        yield* killed.stop("SIGKILL")
        sandbox.setFault(() => {
          arrivals.push(Date.now())
          return undefined
        })
        const from = arrivals.at(-1)!
        const heir = yield* run(["sync", "--stream", "payouts", "--wait"])
        expect(heir.code, heir.stderr).toBe(0)
        expect(arrivals.find(at => at > from)! - from).toBeGreaterThanOrEqual(11_900)
      }),
    60_000,
  )
})
