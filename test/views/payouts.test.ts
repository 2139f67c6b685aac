import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { allStreams } from "../../src/registry.ts"
import { storeReckoning, zonedTables } from "../../src/warehouse/ledger/reckoning.ts"
import type { PostgresVersion } from "../support/postgres.ts"
import { testWarehouse } from "../support/warehouse.ts"
import { daysAgo, given, lines } from "./rows.ts"

describe.each<PostgresVersion>(["18", "14"])("views of payouts on Postgres %s", version => {
  const warehouse = testWarehouse(version)

  it.scopedLive("list every payout with what it cost and when syncs saw each status", () =>
    Effect.gen(function* () {
      const sql = yield* warehouse
      yield* given(
        sql,
        "payouts",
        {
          payout_id: "a",
          provider_payout_id: "pa",
          payout_method_name: "eu_bank",
          approval: "APPROVED",
          currency: "KRW",
          amount: 5_000,
          fee_taken: "1.5",
          fee_expected: 2,
          order_id: "o1",
          created_at: daysAgo(9),
          removed_at: daysAgo(1),
        },
        { payout_id: "b", status: "PENDING", created_at: daysAgo(3), raw: '{"fee_taken": "1,50"}' },
        { payout_id: "c", status: "ON_HOLD", updated_at: daysAgo(2), raw: '{"fee_taken": " "}' },
        { payout_id: "d", status: "RETURNED" },
        { payout_id: "e", status: "PENDING" },
      )
      const seen = (payout_id: string, status: string, days: number) =>
        given(sql, "payout_status_history", { payout_id, status, first_seen_at: daysAgo(days) })
      yield* seen("a", "PENDING", 9)
      yield* seen("a", "SUCCESS", 7)
      yield* seen("b", "PENDING", 3)
      yield* seen("c", "ON_HOLD", 2)
      yield* seen("d", "SUCCESS", 8)
      yield* seen("d", "FAILED", 6)
      yield* seen("d", "RETURNED", 5)
      expect(
        yield* lines(
          sql,
          "payout_id, status, approval, method, currency, amount, fee_taken, fee_expected, order_id, removed_at IS NOT NULL, open_days, fee_taken_is_unreadable",
          "payout ORDER BY payout_id",
        ),
      ).toEqual([
        "a | SUCCESS | APPROVED | eu_bank | KRW | 5000 | 1.5 | 2 | o1 | true | - | false",
        "b | PENDING | - | - | USD | 0 | - | - | - | false | 3 | true",
        "c | ON_HOLD | - | - | USD | 0 | - | - | - | false | 2 | false",
        "d | RETURNED | - | - | USD | 0 | - | - | - | false | - | false",
        "e | PENDING | - | - | USD | 0 | - | - | - | false | - | false",
      ])
      const ago = ["pending", "success", "failed", "returned", "status"].map(
        status => `round(extract(epoch FROM now() - ${status}_seen_at) / 86400)`,
      )
      expect(yield* lines(sql, ago.join(", "), "payout ORDER BY payout_id")).toEqual([
        "9 | 7 | - | - | 7",
        "3 | - | - | - | 3",
        "- | - | - | - | 2",
        "- | 8 | 6 | 5 | 5",
        "- | - | - | - | -",
      ])
      expect(
        yield* lines(
          sql,
          "payout_id, round(extract(epoch FROM time_to_success) / 86400)",
          "payout_reconciliation ORDER BY 1, payout_id",
        ),
      ).toEqual(["a | 2", "b | -", "c | -", "d | -", "e | -"])
    }),
  )

  it.scopedLive("compare each payout with the transactions that name it", () =>
    Effect.gen(function* () {
      const sql = yield* warehouse
      const payout = (payout_id: string, status = "SUCCESS", others = {}) =>
        given(sql, "payouts", { payout_id, status, amount: 100, ...others })
      let count = 0
      const line = (event_id: string, event_name: string | null, others = {}) =>
        given(sql, "transactions", {
          transaction_id: `t${count++}`,
          event_id,
          event_type: "PAYOUT",
          event_name,
          amount: 100,
          ...others,
        })
      yield* payout("agrees by its id")
      yield* line("agrees by its id", "PAYOUT_COMPLETED")
      yield* payout("agrees by the provider's", "SUCCESS", { provider_payout_id: "provider" })
      yield* line("provider", null, { amount: -100 })
      yield* payout("another account's line")
      yield* line("another account's line", "PAYOUT_COMPLETED", { account: "other" })
      yield* payout("another amount")
      yield* line("another amount", "PAYOUT_COMPLETED", { amount: "100.01" })
      yield* payout("another currency")
      yield* line("another currency", "PAYOUT_COMPLETED", { currency: "EUR" })
      yield* payout("came back")
      yield* line("came back", "PAYOUT_COMPLETED")
      yield* line("came back", "PAYOUT_RETURNED")
      yield* payout("did not come back", "RETURNED")
      yield* line("did not come back", "PAYOUT_COMPLETED")
      yield* payout("failed", "FAILED")
      yield* line("failed", "PAYOUT_FAILED")
      yield* payout("failed and moved", "FAILED")
      yield* line("failed and moved", "PAYOUT_COMPLETED")
      yield* payout("failed in the ledger")
      yield* line("failed in the ledger", "PAYOUT_FAILED")
      yield* payout("in two lines")
      yield* line("in two lines", "PAYOUT_COMPLETED", { amount: 60 })
      yield* line("in two lines", "PAYOUT_COMPLETED", { amount: 40 })
      yield* payout("no direction")
      yield* line("no direction", "PAYOUT_CREATED")
      yield* payout("not returned after all")
      yield* line("not returned after all", "PAYOUT_COMPLETED")
      yield* line("not returned after all", "PAYOUT_RETURNED_FAILED")
      yield* payout("pending", "PENDING", { removed_at: daysAgo(1) })
      yield* payout("taken and given back", "FAILED")
      yield* line("taken and given back", null, { event_type: "DEBIT" })
      yield* line("taken and given back", null, { event_type: "CREDIT" })
      yield* payout("twice")
      yield* line("twice", "PAYOUT_COMPLETED")
      yield* line("twice", "PAYOUT_COMPLETED")
      yield* payout("unknown")
      yield* payout("unknown and failed", "FAILED")
      expect(
        yield* lines(
          sql,
          "payout_id, ledger_lines, ledger_movement, unmapped_count, state",
          'payout_reconciliation ORDER BY payout_id COLLATE "C"',
        ),
      ).toEqual([
        "agrees by its id | 1 | -100 | 0 | agrees",
        "agrees by the provider's | 1 | -100 | 0 | agrees",
        "another account's line | 0 | - | 0 | missing_in_ledger",
        "another amount | 1 | -100.01 | 0 | amount_differs",
        "another currency | 1 | - | 0 | amount_differs",
        "came back | 2 | -100 | 1 | returned",
        "did not come back | 1 | -100 | 0 | failed_but_moved",
        "failed | 1 | 0 | 0 | agrees",
        "failed and moved | 1 | -100 | 0 | failed_but_moved",
        "failed in the ledger | 1 | 0 | 0 | amount_differs",
        "in two lines | 2 | -100 | 0 | several_lines",
        "no direction | 1 | - | 1 | agrees",
        "not returned after all | 2 | -100 | 0 | agrees",
        "pending | 0 | - | 0 | agrees",
        "taken and given back | 2 | 0 | 0 | agrees",
        "twice | 2 | -200 | 0 | several_lines",
        "unknown | 0 | - | 0 | missing_in_ledger",
        "unknown and failed | 0 | - | 0 | agrees",
      ])
      yield* given(sql, "event_directions", {
        event_type: "PAYOUT",
        event_name: "PAYOUT_RETURNED",
        direction: 1,
      })
      expect(
        yield* lines(
          sql,
          "ledger_lines, ledger_movement, unmapped_count, state",
          "payout_reconciliation WHERE payout_id = 'came back'",
        ),
      ).toEqual(["2 | 0 | 0 | returned"])
    }),
  )

  it.scopedLive("count by the day on which they were created, in the account's time zone", () =>
    Effect.gen(function* () {
      const sql = yield* warehouse
      for (const time_zone of ["Asia/Kathmandu", "UTC"]) {
        const one = { account: time_zone, time_zone, amount: 5, fee_taken: 1 }
        yield* given(
          sql,
          "payouts",
          { ...one, payout_id: "a", created_at: "2026-01-01T18:14:59Z" },
          { ...one, payout_id: "b", created_at: "2026-01-01T18:15:00Z", removed_at: daysAgo(1) },
          { ...one, payout_id: "c", updated_at: "2026-01-01T18:15:00Z" },
          { ...one, payout_id: "d", created_at: "2026-01-01T18:15:00Z", currency: "KWD", amount: "0.001" },
          { ...one, payout_id: "e" },
        )
      }
      expect(
        yield* lines(
          sql,
          "time_zone, day, currency, status, payout_count, payout_amount, fee_taken_amount, removed_count",
          "payout_daily ORDER BY account, day, currency",
        ),
      ).toEqual([
        "Asia/Kathmandu | 2026-01-01 | USD | SUCCESS | 1 | 5 | 1 | 0",
        "Asia/Kathmandu | 2026-01-02 | KWD | SUCCESS | 1 | 0.001 | 1 | 0",
        "Asia/Kathmandu | 2026-01-02 | USD | SUCCESS | 2 | 10 | 2 | 1",
        "Asia/Kathmandu | - | USD | SUCCESS | 1 | 5 | 1 | 0",
        "UTC | 2026-01-01 | KWD | SUCCESS | 1 | 0.001 | 1 | 0",
        "UTC | 2026-01-01 | USD | SUCCESS | 3 | 15 | 3 | 1",
        "UTC | - | USD | SUCCESS | 1 | 5 | 1 | 0",
      ])
    }),
  )

  it.scopedLive("and of checkouts move to other days when the account's time zone changes", () =>
    Effect.gen(function* () {
      const sql = yield* warehouse
      const late = { created_at: "2026-01-01T15:00:00Z" }
      for (const account of ["default", "other"]) {
        yield* given(sql, "payouts", { account, payout_id: "a", ...late })
        yield* given(sql, "checkouts", { account, checkout_id: "a", ...late })
      }
      yield* storeReckoning(sql, zonedTables(yield* allStreams), "default", { reportTimezone: "Asia/Seoul" })
      for (const view of ["payout", "payout_daily", "checkout", "checkout_daily"])
        expect(yield* lines(sql, "account, day, time_zone", `${view} ORDER BY account`)).toEqual([
          "default | 2026-01-02 | Asia/Seoul",
          "other | 2026-01-01 | UTC",
        ])
    }),
  )
})
