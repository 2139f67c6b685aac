import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import type { PostgresVersion } from "../support/postgres.ts"
import { printed, testWarehouse } from "../support/warehouse.ts"
import { daysAgo, given } from "./rows.ts"

describe.each<PostgresVersion>(["18", "14"])("settlement views on Postgres %s", version => {
  const warehouse = testWarehouse(version)

  it.scopedLive("adds up a settlement and the payment to the merchant", () =>
    Effect.gen(function* () {
      const sql = yield* warehouse
      const fee = { fees_currency: "USD", fees_without_tax: "1.50", tax_on_fees: "0.15" }
      yield* given(
        sql,
        "transactions",
        {
          transaction_id: "t1",
          settlement_id: "s1",
          amount: "100.10",
          is_settled: true,
          created_at: "2026-01-01T10:00:00Z",
          ...fee,
        },
        {
          transaction_id: "t2",
          settlement_id: "s1",
          amount: "20",
          event_type: "REFUND",
          is_settled: true,
          created_at: "2026-01-03T10:00:00Z",
          removed_at: "2026-02-01T00:00:00Z",
          ...fee,
        },
        { transaction_id: "t3", amount: "999" },
      )
      yield* given(
        sql,
        "settlement_history",
        { transaction_id: "t1", settled_seen_at: "2026-01-05T00:00:00Z" },
        { transaction_id: "t2", settled_seen_at: "2026-01-06T00:00:00Z" },
      )
      expect(yield* printed(sql, "SELECT * FROM analytics.settlement")).toEqual([
        {
          account: "default",
          settlement_id: "s1",
          currency: "USD",
          fee_currency: "USD",
          status: "Done",
          transaction_count: "2",
          unmapped_count: "0",
          unmoving_count: "0",
          settlement_amount: "80.10",
          fee_amount: "3.00",
          tax_amount: "0.30",
          payment_to_merchant_amount: "76.80",
          first_transaction_at: "2026-01-01T10:00:00+00:00",
          last_transaction_at: "2026-01-03T10:00:00+00:00",
          settled_seen_at: "2026-01-06T00:00:00+00:00",
          settled_seen_at_is_upper_bound: "true",
          changed_since_done: "false",
          is_assumed: "true",
        },
      ])
    }),
  )

  it.scopedLive(
    "is in progress until every transaction of the settlement is settled, in whatever currency",
    () =>
      Effect.gen(function* () {
        const sql = yield* warehouse
        yield* given(
          sql,
          "transactions",
          { transaction_id: "t1", settlement_id: "s1", is_settled: true },
          { transaction_id: "t2", settlement_id: "s1", currency: "EUR" },
          { transaction_id: "t3", settlement_id: "s2", is_settled: true },
        )
        yield* given(
          sql,
          "settlement_history",
          { transaction_id: "t1", settled_seen_at: "2026-01-05T00:00:00Z" },
          { transaction_id: "t3", settled_seen_at: "2026-01-05T00:00:00Z" },
        )
        const state = `SELECT settlement_id, currency, status, settled_seen_at IS NULL AS unseen
        FROM analytics.settlement ORDER BY 1, 2`
        expect((yield* printed(sql, state)).map(row => Object.values(row).sort())).toEqual([
          ["EUR", "In Progress", "s1", "true"],
          ["In Progress", "USD", "s1", "true"],
          ["Done", "USD", "false", "s2"],
        ])
      }),
  )

  it.scopedLive("never adds up currencies: a fee in another one leaves the payment unknown", () =>
    Effect.gen(function* () {
      const sql = yield* warehouse
      yield* given(
        sql,
        "transactions",
        { transaction_id: "t1", settlement_id: "s1", amount: 10, fees_currency: "EUR", fees_without_tax: 1 },
        { transaction_id: "t2", settlement_id: "s1", amount: 5 },
        { transaction_id: "t3", settlement_id: "s1", amount: 7, currency: "EUR" },
      )
      const sums = yield* printed(
        sql,
        `SELECT currency, fee_currency, settlement_amount, fee_amount, payment_to_merchant_amount AS paid
         FROM analytics.settlement ORDER BY 1, 2`,
      )
      expect(sums).toEqual([
        { currency: "EUR", fee_currency: "EUR", settlement_amount: "7", fee_amount: "0", paid: "7" },
        { currency: "USD", fee_currency: "EUR", settlement_amount: "10", fee_amount: "1", paid: null },
        { currency: "USD", fee_currency: "USD", settlement_amount: "5", fee_amount: "0", paid: "5" },
      ])
    }),
  )

  it.scopedLive(
    "counts transactions of unknown direction, and adds up neither their amount nor their fee",
    () =>
      Effect.gen(function* () {
        const sql = yield* warehouse
        const fee = { fees_currency: "USD", fees_without_tax: 1, tax_on_fees: 1, fees_including_tax: 2 }
        yield* given(
          sql,
          "transactions",
          { transaction_id: "t1", settlement_id: "s1", amount: 10, ...fee },
          {
            transaction_id: "t2",
            settlement_id: "s1",
            amount: -4,
            event_type: "MYSTERY",
            event_name: "X",
            ...fee,
          },
          {
            transaction_id: "t3",
            amount: 6,
            event_type: "MYSTERY",
            event_name: "X",
            ...fee,
            fees_currency: "EUR",
          },
        )
        const [settlement] = yield* printed(sql, "SELECT * FROM analytics.settlement")
        expect(settlement).toMatchObject({
          transaction_count: "2",
          unmapped_count: "1",
          settlement_amount: "10",
          fee_amount: "1",
          tax_amount: "1",
          payment_to_merchant_amount: "8",
        })
        expect(yield* printed(sql, "SELECT * FROM analytics.unmapped_event_type")).toMatchObject([
          {
            event_type: "MYSTERY",
            event_name: "X",
            currency: "USD",
            transaction_count: "2",
            amount: "10",
            fee_amount: "2",
            foreign_fee_count: "1",
          },
        ])
      }),
  )

  it.scopedLive("takes a direction from the first rule that answers", () =>
    Effect.gen(function* () {
      const sql = yield* warehouse
      yield* given(
        sql,
        "event_directions",
        { event_type: "PAYIN", event_name: "PAYIN_FAILED_FEE", direction: -1 },
        { event_type: "PAYIN", event_name: "BONUS", direction: 0 },
        { event_type: "TOPUP", direction: 1, confirmed_at: "2026-01-01T00:00:00Z" },
        { event_type: "SWAP", direction: 1, amount_sign: "as_sent", confirmed_at: "2026-01-01T00:00:00Z" },
      )
      const cases = [
        ["PAYIN", null, 1, "1", "seed"],
        ["PAYIN", "PAYIN", 1, "1", "seed"],
        ["PAYIN", "Payin", 1, "1", "seed"],
        ["PAYIN", "PAYIN_COMPLETED", 1, "1", "completion"],
        ["PAYIN", "payin_success", 1, "1", "completion"],
        ["PAYOUT", "PAYOUT_PAID", 1, "-1", "completion"],
        ["PAYOUT", "PAYOUT_PAID", -1, "-1", "completion"],
        ["RESERVE", null, 1, "0", "seed"],
        ["PAYIN", "PAYIN_FAILED", 1, "0", "no_movement"],
        ["PAYIN", "PAYIN_DECLINED", 1, "0", "no_movement"],
        ["PAYIN", "PAYIN_FAILED_FEE", 1, "-1", "exact"],
        ["PAYIN", "BONUS", 1, "0", "exact"],
        // A name that says more than any rule knows is left out until a rule is set for it.
        ["PAYIN", "PAYIN_PENDING", 1, null, "none"],
        ["PAYIN", "PAYIN_UNPAID", 1, null, "none"],
        ["PAYIN", "PAYIN_REFUND", 1, null, "none"],
        ["PAYIN", "REFUND_COMPLETED", 1, null, "none"],
        ["REFUND", "REFUND_COMPLETED", 1, "-1", "completion"],
        ["PAYOUT", "PAYOUT_RETURNED", 1, null, "none"],
        ["CREDIT", "PAYOUT_FAILED_REVERSAL", 1, null, "none"],
        ["PAYIN", "COMPLETED_PAYIN", 1, null, "none"],
        ["PAYIN", "FAILED_PAYIN", 1, null, "none"],
        ["MYSTERY", null, 1, null, "none"],
        ["MYSTERY", "MYSTERY_FAILED", 1, null, "none"],
        ["FEE", "CANCELLATION_FEE", 1, null, "none"],
        // A confirmed rule takes any name but those.
        ["TOPUP", "ODD", 1, "1", "confirmed"],
        ["TOPUP", "TOPUP_REVERSED", 1, null, "none"],
        ["TOPUP", "TOPUP_REJECTED", 1, "0", "no_movement"],
        ["TOPUP", "ODD", -1, "1", "confirmed"],
        // A minus contradicts an unconfirmed rule of money in.
        ["PAYIN", "PAYIN_COMPLETED", -1, null, "none"],
        ["SWAP", "ODD", 1, "1", "confirmed"],
        ["SWAP", "ODD", -1, "-1", "confirmed"],
      ] as const
      for (const [i, [event_type, event_name, amount]] of cases.entries())
        yield* given(sql, "transactions", {
          transaction_id: `t${String(i).padStart(2, "0")}`,
          event_type,
          event_name,
          amount,
        })
      const rows = yield* printed(
        sql,
        `SELECT event_type, event_name, sign(amount)::int::text AS sign, direction, direction_rule
         FROM analytics.settlement_transaction ORDER BY transaction_id`,
      )
      expect(
        rows.map(row => [
          row.event_type,
          row.event_name,
          Number(row.sign),
          row.direction,
          row.direction_rule,
        ]),
      ).toEqual(cases)
    }),
  )

  it.scopedLive("follows an edited direction at once", () =>
    Effect.gen(function* () {
      const sql = yield* warehouse
      yield* given(sql, "transactions", { transaction_id: "t1", settlement_id: "s1", amount: 10 })
      yield* Effect.promise(
        () => sql`UPDATE warehouse.event_directions SET direction = -1 WHERE event_type = 'PAYIN'`,
      )
      expect(yield* printed(sql, "SELECT settlement_amount FROM analytics.settlement")).toEqual([
        { settlement_amount: "-10" },
      ])
    }),
  )

  it.scopedLive("shows each transaction, with the days for which it is unsettled", () =>
    Effect.gen(function* () {
      const sql = yield* warehouse
      yield* given(
        sql,
        "transactions",
        { transaction_id: "t1", created_at: daysAgo(3) },
        { transaction_id: "t2", created_at: daysAgo(3), is_settled: true },
        { transaction_id: "t3", created_at: daysAgo(-3) },
      )
      const days =
        "SELECT unsettled_days AS days FROM analytics.settlement_transaction ORDER BY transaction_id"
      expect((yield* printed(sql, days)).map(row => row.days)).toEqual(["3", null, "0"])
    }),
  )

  it.scopedLive("splits each UTC day of creation into settled and not", () =>
    Effect.gen(function* () {
      const sql = yield* warehouse
      yield* given(
        sql,
        "transactions",
        { transaction_id: "t1", amount: 10, created_at: "2026-01-01T23:59:59.999Z", is_settled: true },
        { transaction_id: "t2", amount: 4, event_type: "PAYOUT", created_at: "2026-01-01T00:00:00Z" },
        { transaction_id: "t3", amount: 3, event_type: "MYSTERY", created_at: "2026-01-01T00:00:00Z" },
        { transaction_id: "t4", amount: 2, created_at: "2026-01-02T00:00:00Z" },
        { transaction_id: "t5", amount: 1, created_at: "2026-01-02T00:00:00Z", currency: "EUR" },
      )
      const far = yield* Effect.acquireRelease(
        Effect.promise(() => sql.reserve()),
        session => Effect.sync(() => session.release()),
      )
      yield* Effect.promise(() => far`SET timezone = 'Pacific/Kiritimati'`)
      const rows = yield* printed(
        far,
        `SELECT day || ' ' || currency AS key, concat_ws(' ', settled_count, settled_amount, unsettled_count, unsettled_amount) AS sums
         FROM analytics.settlement_daily ORDER BY 1`,
      )
      expect(rows).toEqual([
        { key: "2026-01-01 USD", sums: "1 10 2 -4" },
        { key: "2026-01-02 EUR", sums: "0 0 1 1" },
        { key: "2026-01-02 USD", sums: "0 0 1 2" },
      ])
    }),
  )

  it.scopedLive("counts payouts and checkouts by day, payouts also when they are no longer listed", () =>
    Effect.gen(function* () {
      const sql = yield* warehouse
      const removed_at = "2026-02-01T00:00:00Z"
      yield* given(
        sql,
        "payouts",
        { payout_id: "p1", amount: 10, fee_taken: 1, fee_expected: 2, created_at: "2026-01-01T10:00:00Z" },
        { payout_id: "p2", amount: 5, updated_at: "2026-01-01T10:00:00Z", removed_at },
        { payout_id: "p3", amount: 5, status: "RETURNED", updated_at: "2026-01-02T10:00:00Z" },
      )
      yield* given(
        sql,
        "checkouts",
        { checkout_id: "c1", amount: 10, created_at: "2026-01-01T10:00:00Z" },
        { checkout_id: "c2", amount: 5, created_at: "2026-01-01T10:00:00Z", deleted_at: removed_at },
        { checkout_id: "c3", amount: 1, created_at: "2026-01-01T10:00:00Z", removed_at },
      )
      expect(yield* printed(sql, "SELECT * FROM analytics.payout_daily ORDER BY day")).toEqual([
        {
          account: "default",
          day: "2026-01-01",
          time_zone: "UTC",
          currency: "USD",
          status: "SUCCESS",
          payout_count: "2",
          payout_amount: "15",
          fee_taken_amount: "1",
          fee_expected_amount: "2",
          removed_count: "1",
        },
        {
          account: "default",
          day: "2026-01-02",
          time_zone: "UTC",
          currency: "USD",
          status: "RETURNED",
          payout_count: "1",
          payout_amount: "5",
          fee_taken_amount: "0",
          fee_expected_amount: "0",
          removed_count: "0",
        },
      ])
      expect(yield* printed(sql, "SELECT * FROM analytics.checkout_daily")).toEqual([
        {
          account: "default",
          day: "2026-01-01",
          time_zone: "UTC",
          currency: "USD",
          checkout_count: "2",
          checkout_amount: "15",
          deleted_count: "1",
          deleted_amount: "5",
        },
      ])
    }),
  )
})
