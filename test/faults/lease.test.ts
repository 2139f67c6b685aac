import { randomUUID } from "node:crypto"
import { describe, expect, it } from "@effect/vitest"
import { Effect, Either, Fiber } from "effect"
import type postgres from "postgres"
import { acquire, inLeaseTx, release, renew } from "../../src/warehouse/ledger/lease.ts"
import { startRun } from "../../src/warehouse/ledger/runs.ts"
import { fixtureOf } from "../support/conformance.ts"
import {
  accountOf,
  bench,
  holdUp,
  listStream,
  loading,
  printed,
  statusesOf,
  streamOf,
  syncOnce,
  testWarehouse,
  untilWaiting,
} from "../support/warehouse.ts"

const T1 = "2026-01-01T00:00:00.000Z"
const checkouts = await Effect.runPromise(listStream("checkouts"))
const { record } = fixtureOf(checkouts)

/** A lease that is waited out. Long enough that a machine which stands still for seconds loses none. */
const LEASE_SECONDS = 8

/** Waits for something that another fiber brings about. */
const until = (condition: () => boolean | Promise<boolean>): Effect.Effect<void> =>
  Effect.promise(async () => condition()).pipe(
    Effect.delay("20 millis"),
    Effect.repeat({ until: isTrue => isTrue }),
    Effect.asVoid,
  )

/** Makes every lease run out, as when its holder was asleep for long. */
const expire = (sql: postgres.Sql) =>
  Effect.promise(() => sql`UPDATE sync.leases SET expires_at = clock_timestamp() - interval '1 second'`)

describe("two runs at once", () => {
  it.scopedLive("share no stream: the second names the holder, and does nothing", () =>
    Effect.gen(function* () {
      const { sql, sync, value } = yield* bench({})
      const letGo = yield* holdUp(sql, "sync.stream_runs", "SHARE")
      const first = yield* Effect.fork(sync())
      yield* untilWaiting(sql)
      const second = yield* Effect.either(sync())
      expect(second).toMatchObject({ _tag: "Left", left: { _tag: "LeaseError", reason: "held" } })
      if (Either.isLeft(second)) expect(second.left.message).toContain(`:${process.pid}`)
      yield* letGo
      expect((yield* Fiber.join(first)).status).toBe("complete")
      expect(yield* value("SELECT count(*) FROM sync.runs")).toBe("1")
      expect((yield* sync()).status).toBe("complete")
    }),
  )

  it.scopedLive("share no account, even with different streams: the second does nothing", () =>
    Effect.gen(function* () {
      const { sql, sync, rows } = yield* bench({})
      const letGo = yield* holdUp(sql, "warehouse.payouts", "ACCESS EXCLUSIVE")
      const first = yield* Effect.fork(sync({ only: ["payouts"] }))
      yield* untilWaiting(sql)
      const second = yield* Effect.either(sync({ only: ["customers"] }))
      expect(second).toMatchObject({ _tag: "Left", left: { _tag: "LeaseError", reason: "held" } })
      yield* letGo
      expect((yield* Fiber.join(first)).status).toBe("complete")
      expect(yield* rows("SELECT DISTINCT stream FROM sync.stream_runs")).toEqual([{ stream: "payouts" }])
    }),
  )

  it.scopedLive(
    "on several accounts: the second does the free one, is not green, and leaves the other alone",
    () =>
      Effect.gen(function* () {
        const { sql, sandbox, sync, rows } = yield* bench({})
        const letGo = yield* holdUp(sql, "sync.stream_runs", "SHARE")
        const eu = accountOf(sandbox, { name: "eu" })
        const apac = accountOf(sandbox, { name: "apac" })
        const first = yield* Effect.fork(sync({ only: ["payouts"], accounts: [eu] }))
        yield* untilWaiting(sql)
        const second = yield* Effect.fork(sync({ only: ["payouts"], accounts: [eu, apac] }))
        yield* rows("SELECT FROM sync.leases WHERE account = 'apac' AND stream = 'payouts'").pipe(
          Effect.delay("20 millis"),
          Effect.repeat({ until: taken => taken.length > 0 }),
        )
        yield* letGo
        const { status, streams } = yield* Fiber.join(second)
        expect(status).toBe("failed")
        expect(streams).toMatchObject([{ account: "apac", status: "complete" }])
        expect((yield* Fiber.join(first)).status).toBe("complete")
      }),
  )

  it.scopedLive("with `wait`: the second begins when the first has ended", () =>
    Effect.gen(function* () {
      const { sql, sync, rows } = yield* bench({})
      const letGo = yield* holdUp(sql, "warehouse.payouts", "ACCESS EXCLUSIVE")
      const first = yield* Effect.fork(sync({ only: ["payouts"] }))
      yield* untilWaiting(sql)
      const second = yield* Effect.fork(sync({ only: ["customers"], wait: true }))
      yield* Effect.sleep("1500 millis")
      expect(yield* rows("SELECT 1 AS one FROM sync.runs")).toHaveLength(1)
      yield* letGo
      expect((yield* Fiber.join(first)).status).toBe("complete")
      expect((yield* Fiber.join(second)).status).toBe("complete")
    }),
  )

  it.scopedLive("with `wait`: the second does not count as dead while it waits, even without a lease", () =>
    Effect.gen(function* () {
      const { sql, sync, sandbox, rows } = yield* bench({})
      const runId = randomUUID()
      const claim = { streams: [{ account: "b", stream: "*" }], runId, holder: "another", leaseSeconds: 30 }
      const { leases } = yield* acquire(sql, claim)
      const accounts = ["a", "b"].map(name => accountOf(sandbox, { name }))
      const waiting = yield* Effect.fork(sync({ only: ["payouts"], accounts, wait: true }))
      const row = rows("SELECT status FROM sync.runs WHERE waits_until > clock_timestamp()")
      const ownLeases = rows(
        "SELECT 1 AS one FROM sync.leases WHERE account = 'a' AND expires_at > clock_timestamp()",
      )
      yield* Effect.all([row, ownLeases]).pipe(
        Effect.delay("100 millis"),
        Effect.repeat({ until: ([begun, own]) => begun.length === 1 && own.length === 0 }),
      )
      yield* startRun(sql, { runId, host: "other", processId: 1, version: "0" })
      expect(yield* row).toEqual([{ status: "running" }])
      yield* release(sql, leases)
      expect((yield* Fiber.join(waiting)).status).toBe("complete")
    }),
  )

  it.scopedLive("cannot take a stream that the first has finished, as long as the first runs", () =>
    Effect.gen(function* () {
      const { sql, sync, rows } = yield* bench({})
      const letGo = yield* holdUp(sql, "warehouse.checkouts", "ACCESS EXCLUSIVE")
      const first = yield* Effect.fork(sync({ only: ["checkouts", "payouts"], leaseSeconds: 2 }))
      yield* rows(
        "SELECT FROM sync.stream_runs WHERE status = 'complete' AND finished_at < clock_timestamp() - interval '3 seconds'",
      ).pipe(Effect.delay("100 millis"), Effect.repeat({ until: ended => ended.length > 0 }))
      expect(
        yield* rows("SELECT stream FROM sync.leases WHERE expires_at > clock_timestamp() ORDER BY 1"),
      ).toEqual(expect.arrayContaining([{ stream: "*" }, { stream: "payouts" }]))
      const second = yield* Effect.either(sync({ only: ["payouts"] }))
      expect(second).toMatchObject({ _tag: "Left", left: { reason: "held" } })
      yield* letGo
      expect((yield* Fiber.join(first)).status).toBe("complete")
    }),
  )

  it.scopedLive("cannot take a stream that still waits for its parent, however long that takes", () =>
    Effect.gen(function* () {
      const { sql, sync, rows } = yield* bench({})
      const letGo = yield* holdUp(sql, "warehouse.customers", "ACCESS EXCLUSIVE")
      const only = ["customers", "wallet_readiness"]
      const first = yield* Effect.fork(sync({ only, leaseSeconds: LEASE_SECONDS }))
      yield* rows(
        `SELECT stream FROM sync.leases WHERE stream = 'wallet_readiness'
           AND acquired_at < clock_timestamp() - interval '${LEASE_SECONDS} seconds'`,
      ).pipe(Effect.delay("100 millis"), Effect.repeat({ until: outlived => outlived.length > 0 }))
      const second = yield* Effect.either(sync({ only: ["wallet_readiness"] }))
      expect(second).toMatchObject({ _tag: "Left", left: { reason: "held" } })
      yield* letGo
      expect((yield* Fiber.join(first)).status).toBe("complete")
    }),
  )
})

describe("work that sends no requests", () => {
  it.scopedLive("delays only its stream: a sync reads the others meanwhile, and that one afterwards", () =>
    Effect.gen(function* () {
      const { sql, sync, rows } = yield* bench({})
      const { lease } = yield* loading(sql, checkouts)
      const running = yield* Effect.fork(sync())
      yield* rows(
        `SELECT FROM sync.stream_runs WHERE status = 'complete' AND run_id <> '${lease.runId}'`,
      ).pipe(Effect.delay("50 millis"), Effect.repeat({ until: ended => ended.length === 5 }))
      yield* release(sql, [lease])
      const summary = yield* Fiber.join(running)
      expect(summary.status).toBe("complete")
      expect(statusesOf(summary)).toMatchObject({ checkouts: "complete", payouts: "complete" })
    }),
  )

  it.scopedLive("runs beside a sync of other streams", () =>
    Effect.gen(function* () {
      const { sql, sync } = yield* bench({})
      const letGo = yield* holdUp(sql, "warehouse.payouts", "ACCESS EXCLUSIVE")
      const running = yield* Effect.fork(sync({ only: ["payouts"] }))
      yield* untilWaiting(sql)
      expect(yield* (yield* loading(sql, checkouts)).load([record, T1])).toMatchObject({ inserted: 1 })
      yield* letGo
      expect((yield* Fiber.join(running)).status).toBe("complete")
    }),
  )
})

describe("a lease that was released", () => {
  it.scopedLive("lets no late commit in, and is free for the next run", () =>
    Effect.gen(function* () {
      const sql = yield* testWarehouse()
      const stopped = yield* loading(sql, checkouts)
      yield* release(sql, [stopped.lease])
      const refused = yield* Effect.either(stopped.load([record, T1]))
      expect(refused).toMatchObject({ _tag: "Left", left: { _tag: "LeaseError", reason: "lost" } })
      expect((yield* renew(sql, [stopped.lease])).lost).toMatchObject([{ stream: "checkouts" }])
      expect(yield* printed(sql, "SELECT 1 AS one FROM warehouse.checkouts")).toEqual([])
      expect(yield* (yield* loading(sql, checkouts)).load([record, T1])).toMatchObject({ inserted: 1 })
    }),
  )

  it.scopedLive("is released at the end of a run although the connection is lost at that moment", () =>
    Effect.gen(function* () {
      const { sql, sandbox, rows } = yield* bench({})
      let tries = 0
      const losing = new Proxy(sql, {
        get: (target, name) =>
          name !== "begin"
            ? Reflect.get(target, name)
            : (...given: ReadonlyArray<unknown>) => {
                const body = given.at(-1) as (tx: postgres.TransactionSql) => Promise<unknown>
                const losingBody = (tx: postgres.TransactionSql) =>
                  body(
                    new Proxy(tx, {
                      get: (within, called) =>
                        called !== "unsafe"
                          ? Reflect.get(within, called)
                          : (text: string, ...parameters: ReadonlyArray<never>) =>
                              text.includes("fence = l.fence + 1 FROM") && ++tries === 1
                                ? Promise.reject(
                                    Object.assign(new Error("gone"), { code: "CONNECTION_CLOSED" }),
                                  )
                                : within.unsafe(text, ...parameters),
                    }),
                  )
                return Reflect.apply(target.begin, target, [...given.slice(0, -1), losingBody])
              },
      })
      expect((yield* syncOnce(losing, sandbox, { only: ["payouts"] })).status).toBe("complete")
      expect(tries).toBe(2)
      expect(yield* rows("SELECT 1 AS one FROM sync.leases WHERE expires_at > clock_timestamp()")).toEqual([])
    }),
  )
})

describe("a lease that ran out", () => {
  it.scopedLive("is taken over, and its former holder writes nothing more", () =>
    Effect.gen(function* () {
      const sql = yield* testWarehouse()
      const late = yield* loading(sql, checkouts)
      yield* expire(sql)
      const heir = yield* loading(sql, checkouts)
      const refused = yield* Effect.either(late.load([record, T1]))
      expect(refused).toMatchObject({ _tag: "Left", left: { _tag: "LeaseError", reason: "lost" } })
      expect((yield* renew(sql, [late.lease])).lost).toMatchObject([{ stream: "checkouts" }])
      expect(yield* Effect.either(late.close())).toMatchObject({ left: { reason: "lost" } })
      expect(yield* printed(sql, "SELECT 1 AS one FROM warehouse.checkouts")).toEqual([])
      expect(yield* printed(sql, "SELECT 1 AS one FROM sync.seen_keys")).toEqual([])
      expect(yield* heir.load([record, T1])).toMatchObject({ inserted: 1 })
    }),
  )

  it.scopedLive("and was not acquired again still belongs to its holder", () =>
    Effect.gen(function* () {
      const sql = yield* testWarehouse()
      const slow = yield* loading(sql, checkouts)
      yield* expire(sql)
      expect(yield* slow.load([record, T1])).toMatchObject({ inserted: 1 })
    }),
  )

  it.scopedLive("belonged to a dead run: that run is recorded as dead, and the next one continues", () =>
    Effect.gen(function* () {
      const { sql, sync, rows } = yield* bench({})
      const dead = yield* loading(sql, checkouts)
      yield* dead.load([record, T1])
      yield* expire(sql)
      expect((yield* sync({ only: ["checkouts"] })).status).toBe("complete")
      const statuses = "SELECT status, finished_at IS NOT NULL AS is_over FROM"
      const booked = [
        { status: "dead", is_over: "true" },
        { status: "complete", is_over: "true" },
      ]
      expect(yield* rows(`${statuses} sync.stream_runs ORDER BY started_at`)).toEqual(booked)
      expect(yield* rows(`${statuses} sync.runs ORDER BY started_at`)).toEqual(booked)
    }),
  )

  it.scopedLive("in a silent holder's transaction is taken over, too", () =>
    Effect.gen(function* () {
      const sql = yield* testWarehouse()
      const claim = {
        streams: [{ account: "default", stream: "checkouts" }],
        holder: "test",
        leaseSeconds: 1,
      }
      const { leases } = yield* acquire(sql, { ...claim, runId: randomUUID() })
      let tries = 0
      const frozen = yield* Effect.fork(
        Effect.either(
          inLeaseTx(sql, leases[0]!, async tx => {
            tries += 1
            await tx`DELETE FROM sync.rejects`
            await new Promise(() => {})
          }),
        ),
      )
      yield* until(() => tries > 0)
      const heir = yield* acquire(sql, { ...claim, runId: randomUUID() }).pipe(
        Effect.repeat({ until: taken => taken.leases.length > 0 }),
      )
      expect(heir.leases[0]?.fence).not.toBe(leases[0]?.fence)
      expect(yield* Fiber.join(frozen)).toMatchObject({ left: { _tag: "LeaseError", reason: "lost" } })
    }),
  )

  it.scopedLive("while its holder slept makes the run that lost it fail", () =>
    Effect.gen(function* () {
      const { sql, sync } = yield* bench({})
      const letGo = yield* holdUp(sql, "warehouse.checkouts", "ACCESS EXCLUSIVE")
      const first = yield* Effect.fork(sync({ only: ["checkouts", "payouts"] }))
      yield* until(async () => (await sql`SELECT FROM sync.stream_runs WHERE status = 'complete'`).length > 0)
      // Again where it is renewed in between.
      yield* Effect.zipRight(expire(sql), loading(sql, checkouts)).pipe(Effect.retry({ times: 5 }))
      yield* letGo
      const summary = yield* Fiber.join(first)
      expect(streamOf(summary, "payouts").status).toBe("complete")
      expect(streamOf(summary, "checkouts").status).not.toBe("complete")
      expect(summary.status).toBe("failed")
    }),
  )
})
