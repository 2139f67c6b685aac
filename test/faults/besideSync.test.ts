import { randomUUID } from "node:crypto"
import { describe, expect, it } from "@effect/vitest"
import { Clock, Effect, Fiber } from "effect"
import { Warehouse } from "../../src/postgres/connect.ts"
import { allStreams } from "../../src/registry.ts"
import { rebuildWith } from "../../src/sync/maintenance.ts"
import { acquire } from "../../src/warehouse/ledger/lease.ts"
import { erasePerson } from "../../src/warehouse/maintain/erase.ts"
import { bench, holdUp, statusesOf, streamOf, syncedBench, untilWaiting } from "../support/warehouse.ts"

/** Commands that ask no API, started beside a sync. */

describe("beside a sync that is under way", () => {
  it.scopedLive("erase is refused, names the holder and takes nothing; after it, it erases", () =>
    Effect.gen(function* () {
      const { sql, sandbox, sync, value } = yield* syncedBench({}, { only: ["customers"] })
      const id = sandbox.idOf("customers", 4)
      const streams = yield* allStreams
      const letGo = yield* holdUp(sql, "warehouse.payouts", "ACCESS EXCLUSIVE")
      const running = yield* Effect.fork(sync({ only: ["payouts"] }))
      yield* untilWaiting(sql)
      const refused = yield* Effect.either(erasePerson(sql, streams, "default", id, "test:1"))
      expect(refused).toMatchObject({ _tag: "Left", left: { _tag: "LeaseError", reason: "held" } })
      const stored = `SELECT count(*) FROM warehouse.customers WHERE customer_id = '${id}'`
      expect(yield* value(stored)).toBe("1")
      expect(yield* value("SELECT count(*) FROM sync.erasures")).toBe("0")
      yield* letGo
      expect((yield* Fiber.join(running)).status).toBe("complete")
      yield* erasePerson(sql, streams, "default", id, "test:1")
      expect(yield* value(stored)).toBe("0")
    }),
  )

  it.scopedLive("rebuild does the free streams, and leaves the held one to the sync", () =>
    Effect.gen(function* () {
      const { sql, sync, value } = yield* syncedBench({}, { only: ["payouts", "checkouts"] })
      yield* Effect.promise(() => sql`UPDATE warehouse.checkouts SET description = 'edited'`)
      const letGo = yield* holdUp(sql, "warehouse.payouts", "ACCESS EXCLUSIVE")
      const running = yield* Effect.fork(sync({ only: ["payouts"], full: true }))
      yield* untilWaiting(sql)
      const streams = (yield* allStreams).filter(({ name }) => name === "checkouts")
      const settings = { leaseSeconds: 30, accounts: [], streams }
      const rebuilt = yield* rebuildWith(settings).pipe(
        Effect.provideService(Warehouse, { sql } as unknown as typeof Warehouse.Service),
      )
      expect(rebuilt).toMatchObject({ status: "complete" })
      expect(yield* value("SELECT count(*) FROM warehouse.checkouts WHERE description = 'edited'")).toBe("0")
      const payouts = (yield* allStreams).filter(({ name }) => name === "payouts")
      const waiting = yield* acquire(sql, {
        streams: payouts.map(({ name }) => ({ account: "default", stream: name })),
        runId: randomUUID(),
        holder: "test:1",
        leaseSeconds: 30,
      })
      expect(waiting.leases).toEqual([])
      yield* letGo
      expect((yield* Fiber.join(running)).status).toBe("complete")
    }),
  )
})

describe("a sync of a stream that other work holds", () => {
  it.scopedLive("waits a minute for it, then fails that stream, names the holder, and does the others", () =>
    Effect.gen(function* () {
      const { sql, sync } = yield* bench()
      yield* acquire(sql, {
        streams: [{ account: "default", stream: "checkouts" }],
        runId: randomUUID(),
        holder: "rebuilder:7",
        leaseSeconds: 600,
      })
      // A clock by which a minute is over in two seconds.
      const live = yield* Clock.clockWith(Effect.succeed)
      const from = live.unsafeCurrentTimeNanos()
      const quick = () => from + (live.unsafeCurrentTimeNanos() - from) * 30n
      const clock: Clock.Clock = Object.assign(Object.create(live), {
        unsafeCurrentTimeNanos: quick,
        currentTimeNanos: Effect.sync(quick),
      })
      const summary = yield* sync({ only: ["checkouts", "payouts"], leaseSeconds: 3_600 }).pipe(
        Effect.withClock(clock),
        Effect.timeout("30 seconds"),
      )
      expect(summary.status).toBe("failed")
      expect(statusesOf(summary)).toEqual({ payouts: "complete" })
      expect(streamOf(summary, "payouts").extracted).toBeGreaterThan(0)
    }),
  )
})
