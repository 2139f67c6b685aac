import { describe, expect, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber } from "effect"
import { connect } from "../../src/postgres/connect.ts"
import { start } from "../../src/sandbox/sandbox.ts"
import { listPath } from "../support/lists.ts"
import { testDatabase } from "../support/postgres.ts"
import { postgresProxy } from "../support/postgresProxy.ts"
import { MIGRATED, printed, SMALL, statusesOf, syncOnce } from "../support/warehouse.ts"

/** A run that is told to stop while Postgres is away: who told it does not wait for Postgres. */

/**
 * Three times three seconds for the finalizers, and the delays of a busy machine. Without a signal, each of the three
 * is tried for half a minute.
 */
const STOPPED_WITHIN_MILLIS = 30_000

describe("a run that is told to stop while Postgres is away", () => {
  it.scopedLive("ends within seconds, is recorded as dead by the next run, and is resumed", () =>
    Effect.gen(function* () {
      const { ownerUrl } = yield* testDatabase({ template: MIGRATED })
      const proxy = yield* postgresProxy(ownerUrl)
      const sandbox = yield* start({ ...SMALL, transactions: 300 })
      const direct = yield* connect(ownerUrl)
      const sql = yield* connect(proxy.through(ownerUrl))
      const isReading = yield* Deferred.make<void>()
      sandbox.setFault(({ path, query }) => {
        const isMiddle = path === listPath("transactions") && Number(query.get("page")) === 15
        if (isMiddle) Effect.runSync(Deferred.succeed(isReading, undefined))
        // It does not come to its end before it is told to stop.
        return isMiddle ? { hang: true } : { delayMillis: 100 }
      })
      const run = yield* Effect.fork(syncOnce(sql, sandbox, { leaseSeconds: 2 }))
      yield* Deferred.await(isReading)
      proxy.refuse(true)
      expect(proxy.cut()).toBeGreaterThan(0)
      yield* Effect.sleep("500 millis")
      const toldAt = Date.now()
      const exit = yield* Fiber.interrupt(run)
      expect(Date.now() - toldAt).toBeLessThan(STOPPED_WITHIN_MILLIS)
      expect(Exit.isInterrupted(exit)).toBe(true)

      sandbox.setFault(null)
      // A statement that it sent may still renew a lease.
      yield* proxy.ended
      yield* printed(direct, "SELECT stream FROM sync.leases WHERE expires_at > clock_timestamp()").pipe(
        Effect.delay("100 millis"),
        Effect.repeat({ until: held => held.length === 0 }),
      )
      const next = yield* syncOnce(direct, sandbox)
      for (const status of Object.values(statusesOf(next))) expect(status).toBe("complete")
      const runs = yield* printed(direct, "SELECT status FROM sync.runs ORDER BY started_at")
      expect(runs).toEqual([{ status: "dead" }, { status: "complete" }])
    }),
  )

  it.scopedLive("also if its streams have ended, and it is recording that", () =>
    Effect.gen(function* () {
      const { ownerUrl } = yield* testDatabase({ template: MIGRATED })
      const proxy = yield* postgresProxy(ownerUrl)
      const sandbox = yield* start({ ...SMALL, transactions: 300 })
      const sql = yield* connect(proxy.through(ownerUrl))
      const refused = yield* Deferred.make<void>()
      sandbox.setFault(() => {
        proxy.refuse(true)
        proxy.cut()
        Effect.runSync(Deferred.succeed(refused, undefined))
        return { status: 401 }
      })
      const run = yield* Effect.fork(syncOnce(sql, sandbox, { only: ["payouts"] }))
      yield* Deferred.await(refused)
      yield* Effect.sleep("1 second")
      const toldAt = Date.now()
      yield* Fiber.interrupt(run)
      expect(Date.now() - toldAt).toBeLessThan(STOPPED_WITHIN_MILLIS)
    }),
  )
})
