import { describe, expect, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import type { Sandbox, SandboxOptions } from "../../src/sandbox/sandbox.ts"
import { makeHolding } from "../../src/sync/holding.ts"
import { ACCOUNT } from "../../src/warehouse/ledger/lease.ts"
import { handOver } from "../../src/warehouse/ledger/urgent.ts"
import { slow } from "../support/slow.ts"
import { bench, holdUp, statusesOf, streamOf, syncedBench, untilWaiting } from "../support/warehouse.ts"

/** Records that one process hands to the holder of an account, to be read by their id at once. */

const BY_ID: Partial<SandboxOptions> = {
  detailPaths: { payouts: "/api/v1/payout/retrieve-payout/{id}", checkouts: null },
}
const NEWEST_FIRST: Partial<SandboxOptions> = {
  ...BY_ID,
  order: "newest-first",
  transactions: 60,
  payouts: 40,
}

const detailOf = (sandbox: Sandbox, stream: "payouts" | "customers", index: number) =>
  sandbox.requests.recent.filter(({ path }) => path.endsWith(`/${sandbox.idOf(stream, index)}`))

describe("urgent work", () => {
  it.scopedLive("that comes during a pass is stored long before the pass ends, in the account's rate", () =>
    Effect.gen(function* () {
      const { sql, sandbox, sync, value } = yield* syncedBench(BY_ID, { only: ["payouts"] })
      const arrivals: Array<number> = []
      sandbox.setFault(() => {
        arrivals.push(performance.now())
        return undefined
      })
      // Some two dozen pages at four requests a second.
      const account = { ratePerSecond: 4, pageSize: 5 }
      const running = yield* Effect.fork(sync({ only: ["transactions"], full: true, account }))
      yield* Effect.sync(() => arrivals.length).pipe(
        Effect.delay("20 millis"),
        Effect.repeat({ until: count => count > 2 }),
      )
      sandbox.touch("payouts", 3)
      const id = sandbox.idOf("payouts", 3)
      const updated = JSON.parse(sandbox.truth.text("payouts", 3)).updated_at as string
      expect(yield* handOver(sql, "default", "payouts", [id, id])).toEqual({ accepted: 1, isHeld: true })
      const from = performance.now()
      yield* value(
        `SELECT 1 FROM warehouse.payouts WHERE payout_id = '${id}' AND source_updated_at = '${updated}'`,
      ).pipe(Effect.delay("50 millis"), Effect.repeat({ until: found => found !== null }))
      const tookMillis = performance.now() - from
      expect(yield* value("SELECT status FROM sync.runs ORDER BY started_at DESC LIMIT 1")).toBe("running")
      const summary = yield* Fiber.join(running)
      expect(summary.status).toBe("complete")
      expect(tookMillis).toBeLessThan(5_000)
      expect(yield* value("SELECT outcome FROM sync.urgent_work")).toBe("stored")
      const most = Math.max(
        ...arrivals.map(at => arrivals.filter(other => other >= at && other < at + 750).length),
      )
      expect(most).toBeLessThanOrEqual(4)
      // It counts in no run over a list.
      expect(streamOf(summary, "transactions").extracted).toBe(120)
    }),
  )

  it.scopedLive("that comes while no run holds the account is the first work of the next run", () =>
    Effect.gen(function* () {
      const { sql, sandbox, sync, value } = yield* syncedBench(BY_ID, { only: ["payouts"] })
      sandbox.touch("payouts", 2)
      expect(yield* handOver(sql, "default", "payouts", [sandbox.idOf("payouts", 2)])).toMatchObject({
        isHeld: false,
      })
      sandbox.resetRequests()
      const summary = yield* sync({ only: ["customers"] })
      expect(statusesOf(summary)).toEqual({ customers: "complete" })
      const paths = sandbox.requests.recent.map(({ path }) => path)
      expect(paths.slice(0, 2).every(path => path.startsWith("/api/v1/payout/"))).toBe(true)
      expect(detailOf(sandbox, "payouts", 2)).toHaveLength(1)
      expect(yield* value("SELECT outcome FROM sync.urgent_work")).toBe("stored")
    }),
  )

  slow(() => {
    it.scopedLive("that comes in the last moment of a run is done before the run ends", () =>
      Effect.gen(function* () {
        const { sql, sandbox, sync, value } = yield* syncedBench(BY_ID, { only: ["payouts"] })
        const letGo = yield* holdUp(sql, "warehouse.customers", "ACCESS EXCLUSIVE")
        const running = yield* Effect.fork(sync({ only: ["customers"] }))
        yield* untilWaiting(sql)
        sandbox.touch("payouts", 1)
        yield* handOver(sql, "default", "payouts", [sandbox.idOf("payouts", 1)])
        yield* letGo
        yield* Fiber.join(running)
        expect(yield* value("SELECT outcome FROM sync.urgent_work")).toBe("stored")
      }),
    )
  })

  slow(() => {
    it.scopedLive("is closed with a reason, and removes nothing, if the record cannot be read", () =>
      Effect.gen(function* () {
        const { sql, sandbox, sync, rows, value } = yield* syncedBench(BY_ID, {
          only: ["payouts", "checkouts", "customers"],
        })
        sandbox.remove("payouts", 4)
        const gone = sandbox.idOf("payouts", 4)
        yield* handOver(sql, "default", "payouts", [gone, "..", "a/b"])
        yield* handOver(sql, "default", "checkouts", [sandbox.idOf("checkouts", 0)])
        yield* handOver(sql, "default", "wallet_readiness", [sandbox.idOf("customers", 0)])
        yield* handOver(sql, "default", "refunds", ["refund_1"])
        sandbox.resetRequests()
        // Long enough for the third attempt at what is not found.
        const account = { ratePerSecond: 2, pageSize: 5 }
        const summary = yield* sync({ only: ["customers"], account, full: true })
        expect(summary.status).toBe("complete")
        const work = yield* rows("SELECT stream || '/' || record_id AS of, reason FROM sync.urgent_work")
        expect(Object.fromEntries(work.map(({ of, reason }) => [of, reason]))).toMatchObject({
          "payouts/..": expect.stringContaining("cannot stand in a path"),
          "payouts/a/b": expect.stringContaining("cannot stand in a path"),
          [`payouts/${gone}`]: expect.stringContaining("knows no such record"),
          [`checkouts/${sandbox.idOf("checkouts", 0)}`]: expect.stringContaining("No endpoint is known"),
          [`wallet_readiness/${sandbox.idOf("customers", 0)}`]:
            expect.stringContaining("No endpoint is known"),
          "refunds/refund_1": expect.stringContaining("no such stream"),
        })
        expect(yield* value("SELECT count(*) FROM warehouse.payouts WHERE removed_at IS NOT NULL")).toBe("0")
        expect(sandbox.requests.recent.filter(({ path }) => /\.\.|a\/b|a%2Fb/.test(path))).toEqual([])
      }),
    )
  })

  it.scopedLive("does not make a later run over the list stop before other new records", () =>
    Effect.gen(function* () {
      const { sql, sandbox, sync, value } = yield* bench(NEWEST_FIRST)
      const only = ["payouts"]
      yield* sync({ only, full: true })
      yield* sync({ only })
      // Five that no hand-over tells of, behind thirty that are.
      sandbox.insert("payouts", 35, "front")
      const ids = Array.from({ length: 30 }, (_, n) => sandbox.idOf("payouts", 45 + n))
      yield* handOver(sql, "default", "payouts", ids)
      yield* sync({ only: ["customers"] })
      expect(yield* value("SELECT count(*) FROM warehouse.payouts")).toBe("70")
      const summary = yield* sync({ only })
      expect(yield* value("SELECT mode FROM sync.stream_runs ORDER BY started_at DESC LIMIT 1")).toBe(
        "incremental",
      )
      expect(summary.status).toBe("complete")
      expect(yield* value("SELECT count(*) FROM warehouse.payouts")).toBe("75")
      expect(yield* value("SELECT count(*) FROM sync.urgent_work WHERE is_news")).toBe("0")
    }),
  )

  slow(() => {
    it.scopedLive("waits if other work holds its stream, and is done by the next look after that", () =>
      Effect.gen(function* () {
        const { sql, sandbox, sync, value } = yield* syncedBench(BY_ID, { only: ["payouts"] })
        yield* handOver(sql, "default", "payouts", [sandbox.idOf("payouts", 0)])
        yield* Effect.scoped(
          Effect.gen(function* () {
            const runId = "00000000-0000-4000-8000-000000000001"
            const holding = yield* makeHolding(sql, { runId, leaseSeconds: 30 })
            yield* holding.take([{ account: "default", stream: "payouts" }])
            yield* sync({ only: ["customers"] })
            expect(
              yield* value("SELECT reason FROM sync.urgent_work WHERE closed_at IS NULL AND attempts = 0"),
            ).toBe("Other work holds the stream.")
            expect(yield* value(`SELECT count(*) FROM sync.leases WHERE stream = '${ACCOUNT}'`)).toBe("1")
          }),
        )
        yield* sync({ only: ["customers"] })
        expect(yield* value("SELECT outcome FROM sync.urgent_work")).toBe("stored")
      }),
    )
  })

  slow(() => {
    it.scopedLive("stores nothing of an erased person, and keeps no id of theirs", () =>
      Effect.gen(function* () {
        const { sql, sandbox, sync, value } = yield* syncedBench(BY_ID, { only: ["customers"] })
        const id = sandbox.idOf("customers", 5)
        yield* Effect.promise(
          () => sql`
            WITH gone AS (DELETE FROM warehouse.customers WHERE customer_id = ${id} RETURNING account)
            INSERT INTO sync.erasures (account, stream, id_hash, erased_at)
            SELECT account, 'customers', encode(sha256(convert_to(${id}, 'UTF8')), 'hex'), now() FROM gone`,
        )
        yield* handOver(sql, "default", "customers", [id])
        yield* sync({ only: ["payouts"] })
        expect(yield* value(`SELECT count(*) FROM warehouse.customers WHERE customer_id = '${id}'`)).toBe("0")
        expect(yield* value("SELECT count(*) FROM sync.urgent_work")).toBe("0")
      }),
    )
  })
})
