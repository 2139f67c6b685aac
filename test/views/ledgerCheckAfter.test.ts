import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { shapeOf } from "../../src/postgres/shape.ts"
import { allStreams } from "../../src/registry.ts"
import { rebuildWith, replayWith } from "../../src/sync/maintenance.ts"
import { computeDueChecks, EQUATIONS } from "../../src/warehouse/checks/ledgerChecks.ts"
import { handOver } from "../../src/warehouse/ledger/urgent.ts"
import { erasePerson } from "../../src/warehouse/maintain/erase.ts"
import { onWarehouse } from "../support/upkeep.ts"
import { listStream, syncedBench } from "../support/warehouse.ts"

/** Results of `ledger_check` and the figures that they test: the one is never silently older than the other. */

const SIZE = {
  customers: 12,
  transactions: 60,
  payouts: 12,
  checkouts: 2,
  detailPaths: { payouts: "/api/v1/payout/retrieve-payout/{id}", checkouts: null },
}
const RESULTS = `SELECT "check", currency, left_amount, right_amount, difference, row_count, state, explanation, differs_count
  FROM analytics.ledger_check ORDER BY 1, 2`

const setup = Effect.gen(function* () {
  const b = yield* syncedBench(SIZE)
  const { sql, rows, value } = b
  const streams = yield* allStreams
  const statement = (text: string) => Effect.promise(() => sql.unsafe(text))
  const outdated = value(
    `SELECT string_agg(DISTINCT "check", ',') FROM analytics.ledger_check WHERE is_outdated`,
  )
  const computedAt = value("SELECT max(checked_at) FROM analytics.ledger_check")
  /** Does work that changes figures, and expects results that are computed after it. */
  const expectFresh = <A, E>(title: string, work: Effect.Effect<A, E>) =>
    Effect.gen(function* () {
      const before = yield* computedAt
      yield* work
      expect([title, yield* outdated]).toEqual([title, null])
      expect([title, (yield* computedAt)! > before!]).toEqual([title, true])
      const results = yield* rows(RESULTS)
      yield* statement("INSERT INTO sync.figure_changes VALUES ('default', 'test', now())")
      yield* computeDueChecks(sql)
      expect([title, results]).toEqual([title, yield* rows(RESULTS)])
    })
  return { ...b, streams, statement, outdated, computedAt, expectFresh }
})

describe("each change of figures", () => {
  it.scopedLive("leaves equations that were computed after it", () =>
    Effect.gen(function* () {
      const { sql, sandbox, sync, value, streams, statement, expectFresh } = yield* setup
      const asked = { accounts: [], streams, leaseSeconds: 30 }
      // A row that its raw record does not say, and totals that are not those of the rows.
      yield* statement(`UPDATE warehouse.transactions SET amount = amount + 7 WHERE transaction_id = (
        SELECT min(transaction_id) FROM warehouse.transactions)`)
      yield* statement("UPDATE warehouse.transaction_settlements SET amount = amount + 1")
      yield* computeDueChecks(sql)
      const totals = value(`SELECT max(state) FROM analytics.ledger_check WHERE "check" = 'totals'`)
      expect(yield* totals).not.toBe("ok")
      yield* expectFresh("rebuild", onWarehouse(sql)(rebuildWith(asked)))
      expect(yield* totals).toBe("ok")

      yield* statement(`WITH gone AS (DELETE FROM warehouse.transactions WHERE transaction_id = (
          SELECT max(transaction_id) FROM warehouse.transactions) RETURNING *)
        INSERT INTO sync.rejects (account, stream, record_id, reason, raw, content_hash, read_at, first_seen_at, run_id)
        SELECT account, 'transactions', transaction_id, 'test', raw::text, content_hash, read_at, now(), run_id FROM gone`)
      const transactions = yield* listStream("transactions")
      yield* expectFresh(
        "replay",
        onWarehouse(sql)(replayWith({ ...asked, streams: [transactions], all: false, ids: [] })),
      )
      expect(yield* value("SELECT count(*) FROM sync.rejects")).toBe("0")

      const customer = yield* value("SELECT min(customer_id) FROM warehouse.transactions")
      yield* expectFresh("erase", erasePerson(sql, streams, "default", customer!, "test"))

      sandbox.touch("payouts", 2)
      yield* handOver(sql, "default", "payouts", [sandbox.idOf("payouts", 2)])
      yield* expectFresh("urgent work alone", sync({ only: [] }))
      expect(yield* value("SELECT outcome FROM sync.urgent_work")).toBe("stored")

      yield* expectFresh("a setting", sync({ only: [], account: { feeOwner: "organization" } }))
      yield* statement("UPDATE warehouse.event_directions SET direction = 0 WHERE event_type = 'REFUND'")
      yield* expectFresh("a rule changed by hand", sync({ only: [] }))
    }),
  )

  it.scopedLive("that is broken off before them leaves equations that say that they are older", () =>
    Effect.gen(function* () {
      const { sync, value, statement, outdated, computedAt } = yield* setup
      const finding =
        value(`SELECT finding ->> 'level' FROM analytics.verdict, jsonb_array_elements(findings) AS finding
        WHERE finding ->> 'kind' = 'outdated_check'`)
      // Wallets are compared again until they were read twice.
      yield* sync({ only: ["wallets"] })
      expect(yield* outdated).toBeNull()
      yield* statement("UPDATE warehouse.payouts SET amount = amount + 1")
      expect((yield* outdated)?.split(",").length).toBe(10)
      expect(yield* finding).toBeNull()
      yield* statement("UPDATE sync.figure_changes SET changed_at = now() - interval '2 minutes'")
      expect(yield* finding).toBe("attention")
      const before = yield* computedAt
      yield* sync({ only: ["customers"] })
      expect((yield* computedAt)! > before!).toBe(true)
      expect([yield* outdated, yield* finding]).toEqual([null, null])
    }),
  )

  it.scopedLive("is marked by triggers of every table of the streams that an equation needs", () =>
    Effect.gen(function* () {
      const { rows, streams } = yield* setup
      const needed = streams.filter(({ name }) =>
        EQUATIONS.some(({ needs }) => needs.some(one => one === name)),
      )
      const tables = needed.flatMap(({ table, children }) => [table, ...children.map(child => child.table)])
      const marked = yield* rows(`SELECT tgrelid::regclass::text AS table, count(*) FROM pg_trigger
        WHERE tgname IN ('mark_inserted', 'mark_updated', 'mark_deleted') AND tgrelid::regclass::text LIKE 'warehouse.%' GROUP BY 1 ORDER BY 1`)
      expect(marked).toEqual(
        tables
          .map(table => ({ table: `warehouse.${shapeOf(table).name}`, count: "3" }))
          .sort((a, b) => (a.table < b.table ? -1 : 1)),
      )
    }),
  )
})
