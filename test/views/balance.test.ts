import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import type { PostgresVersion } from "../support/postgres.ts"
import { printed, testWarehouse } from "../support/warehouse.ts"
import { daysAgo, given, lines } from "./rows.ts"

/** A customer's transaction, as a row names its owner twice. */
const of = (id: string) => ({ customer_id: id, owner_id: id })

describe.each<PostgresVersion>(["18", "14"])("balance views on Postgres %s", version => {
  const warehouse = testWarehouse(version)

  it.scopedLive("runs a balance per owner and currency, less the fees, ties by id", () =>
    Effect.gen(function* () {
      const sql = yield* warehouse
      yield* given(
        sql,
        "transactions",
        { transaction_id: "t2", ...of("c1"), amount: "-10.00", event_type: "REFUND", scope: "wallet" },
        { transaction_id: "t1", ...of("c1"), amount: "0.10", fees_including_tax: "0.01" },
        {
          transaction_id: "t0",
          ...of("c1"),
          amount: 3,
          event_type: "PAYOUT",
          created_at: "2026-01-02T00:00:00Z",
          removed_at: "2026-02-01T00:00:00Z",
        },
        { transaction_id: "t3", amount: 7 },
        { transaction_id: "t4", ...of("c1"), amount: 5, currency: "EUR" },
        { transaction_id: "t5", ...of("c1"), amount: 5, account: "other" },
      )
      const rows = yield* printed(
        sql,
        `SELECT concat_ws(' ', account, owner_id, currency, transaction_id, kind, movement, balance) AS row
         FROM analytics.balance_history ORDER BY account, owner_id, currency, occurred_at, transaction_id`,
      )
      expect(rows.map(({ row }) => row)).toEqual([
        "default c1 EUR t4 amount 5 5",
        "default c1 USD t1 amount 0.09 0.09",
        "default c1 USD t2 amount -10.00 -9.91",
        "default c1 USD t0 amount -3 -12.91",
        "default org USD t3 amount 7 7",
        "other c1 USD t5 amount 5 5",
      ])
    }),
  )

  it.scopedLive("moves a fee in another currency there, on its own", () =>
    Effect.gen(function* () {
      const sql = yield* warehouse
      yield* given(
        sql,
        "transactions",
        { transaction_id: "t1", amount: 10, fees_currency: "EUR", fees_including_tax: 2 },
        { transaction_id: "t2", amount: 10, fees_currency: "EUR", fees_without_tax: 1, tax_on_fees: "0.5" },
        { transaction_id: "t3", amount: 10, fees_currency: "EUR", fees_including_tax: 0 },
      )
      const rows = yield* printed(
        sql,
        `SELECT concat_ws(' ', currency, transaction_id, kind, movement, balance) AS row
         FROM analytics.balance_history ORDER BY currency, transaction_id`,
      )
      expect(rows.map(({ row }) => row)).toEqual([
        "EUR t1 fee -2 -2",
        "EUR t2 fee -1.5 -3.5",
        "USD t1 amount 10 10",
        "USD t2 amount 10 20",
        "USD t3 amount 10 30",
      ])
    }),
  )

  it.scopedLive(
    "leaves out unknown types and transactions that move nothing; a failed payment moves its fee",
    () =>
      Effect.gen(function* () {
        const sql = yield* warehouse
        const fees = { fees_including_tax: 2 }
        yield* given(
          sql,
          "transactions",
          { transaction_id: "unknown", amount: 10, event_type: "MYSTERY", ...fees },
          { transaction_id: "unknown fee", amount: 1, event_type: "MYSTERY", ...fees, fees_currency: "EUR" },
          { transaction_id: "reserve", amount: 10, event_type: "RESERVE" },
          { transaction_id: "failed", amount: 10, event_name: "PAYIN_FAILED", ...fees },
        )
        expect(
          yield* printed(sql, "SELECT transaction_id, movement, balance FROM analytics.balance_history"),
        ).toEqual([{ transaction_id: "failed", movement: "-2", balance: "-2" }])
      }),
  )

  it.scopedLive("opens and closes each UTC day with a movement", () =>
    Effect.gen(function* () {
      const sql = yield* warehouse
      yield* given(
        sql,
        "transactions",
        { transaction_id: "t1", amount: 10, created_at: "2026-01-01T23:59:59Z" },
        { transaction_id: "t2", amount: 4, event_type: "PAYOUT", created_at: "2026-01-04T00:00:00Z" },
        { transaction_id: "t3", amount: 1, created_at: "2026-01-04T12:00:00Z" },
        { transaction_id: "t4", ...of("c1"), amount: 2, created_at: "2026-01-02T12:00:00Z" },
      )
      const rows = yield* printed(
        sql,
        `SELECT concat_ws(' ', owner_id, day, opening_balance, credit_amount, debit_amount, closing_balance) AS row
         FROM analytics.balance_daily ORDER BY owner_id, day`,
      )
      expect(rows.map(({ row }) => row)).toEqual([
        "c1 2026-01-02 0 2 0 2",
        "org 2026-01-01 0 10 0 10",
        "org 2026-01-04 10 1 4 7",
      ])
    }),
  )

  it.scopedLive("totals every day from the first movement to today, over all owners", () =>
    Effect.gen(function* () {
      const sql = yield* warehouse
      yield* given(
        sql,
        "transactions",
        { transaction_id: "t1", amount: 10, created_at: daysAgo(4) },
        { transaction_id: "t2", ...of("c1"), amount: 5, created_at: daysAgo(2) },
        { transaction_id: "t3", amount: 3, event_type: "PAYOUT", created_at: daysAgo(2) },
        { transaction_id: "t4", amount: 1, currency: "EUR", created_at: daysAgo(2) },
      )
      const today = "(now() AT TIME ZONE 'UTC')::date"
      const firsts = `SELECT (min(created_at) AT TIME ZONE 'UTC')::date AS day FROM warehouse.transactions GROUP BY currency`
      // In one statement: in the next it may be tomorrow.
      const rows = yield* printed(
        sql,
        `SELECT concat_ws(' ', currency, opening_balance, credit_amount, debit_amount, closing_balance) AS row,
           (SELECT sum(${today} - first.day + 1) FROM (${firsts}) first) AS days
         FROM analytics.balance_daily_total ORDER BY currency, day`,
      )
      expect(rows).toHaveLength(Number(rows[0]?.days))
      const usd = rows.map(({ row }) => row).filter(row => row?.startsWith("USD"))
      expect(usd.slice(0, 4)).toEqual(["USD 0 10 0 10", "USD 10 0 0 10", "USD 10 5 3 12", "USD 12 0 0 12"])
      expect(new Set(usd.slice(3))).toEqual(new Set(["USD 12 0 0 12"]))
      const [{ last } = { last: null }] = yield* printed(
        sql,
        `SELECT max(day) = ${today} AND count(DISTINCT day) = max(day) - min(day) + 1 AS last
         FROM analytics.balance_daily_total WHERE currency = 'USD'`,
      )
      expect(last).toBe("true")
    }),
  )

  it.scopedLive("holds wallets against the ledger up to when they were read", () =>
    Effect.gen(function* () {
      const sql = yield* warehouse
      const removed_at = "2026-02-01T00:00:00Z"
      yield* given(
        sql,
        "wallets",
        { wallet_id: "w1", customer_id: "c1" },
        { wallet_id: "w2", customer_id: "c1" },
        { wallet_id: "w3", customer_id: "c1", removed_at },
        { wallet_id: "w4" },
      )
      yield* given(
        sql,
        "wallet_accounts",
        { wallet_account_id: "a1", wallet_id: "w1", actual_balance: "7.5", read_at: "2026-01-10T00:00:00Z" },
        { wallet_account_id: "a2", wallet_id: "w2", actual_balance: 2, read_at: "2026-01-12T00:00:00Z" },
        { wallet_account_id: "a3", wallet_id: "w3", actual_balance: 100 },
        { wallet_account_id: "a4", wallet_id: "w1", actual_balance: 100, removed_at },
        { wallet_account_id: "a5", wallet_id: "w1", actual_balance: 3, currency: "EUR" },
        { wallet_account_id: "a6", wallet_id: "w4", actual_balance: -1, read_at: "2026-01-12T00:00:00Z" },
      )
      yield* given(
        sql,
        "transactions",
        { transaction_id: "t1", ...of("c1"), amount: 10, created_at: "2026-01-12T00:00:00Z" },
        { transaction_id: "t2", ...of("c1"), amount: 99, created_at: "2026-01-12T00:00:01Z" },
        { transaction_id: "t3", amount: 1, event_type: "PAYOUT" },
        { transaction_id: "t4", ...of("no wallet"), amount: 1 },
      )
      const rows = yield* printed(
        sql,
        `SELECT concat_ws(' ', owner_id, currency, state, wallet_count, wallet_balance, ledger_balance, difference, observed_at AT TIME ZONE 'UTC') AS row
         FROM analytics.balance_reconciliation ORDER BY owner_id, currency`,
      )
      expect(rows.map(({ row }) => row)).toEqual([
        "c1 EUR wallet_only 1 3 3 2026-03-01 00:00:00",
        "c1 USD differs 2 9.5 10 -0.5 2026-01-12 00:00:00",
        "no wallet USD ledger_only 0 1 -1",
        "org USD agrees 1 -1 -1 0 2026-01-12 00:00:00",
      ])
    }),
  )

  it.scopedLive("do not take transactions that move nothing for movements of an owner", () =>
    Effect.gen(function* () {
      const sql = yield* warehouse
      const failed = { amount: 5, event_name: "PAYIN_FAILED" }
      yield* given(
        sql,
        "transactions",
        { transaction_id: "t1", ...of("nothing moved"), ...failed },
        { transaction_id: "t2", ...of("wallet"), ...failed },
        { transaction_id: "t3", ...of("reserve"), amount: 5, event_type: "RESERVE" },
        { transaction_id: "t4", ...of("zero"), amount: 0, fees_without_tax: 0 },
        { transaction_id: "t5", ...of("foreign fee"), ...failed, fees_currency: "EUR", fees_without_tax: 1 },
        { transaction_id: "t6", ...of("fee"), ...failed, fees_without_tax: 1 },
        { transaction_id: "t7", ...of("tax"), ...failed, tax_on_fees: 1 },
        { transaction_id: "t8", ...of("there and back"), amount: 5 },
        { transaction_id: "t9", ...of("there and back"), amount: 5, event_type: "PAYOUT" },
      )
      yield* given(sql, "wallets", { wallet_id: "w1", customer_id: "wallet" })
      yield* given(sql, "wallet_accounts", { wallet_account_id: "a1", wallet_id: "w1", actual_balance: 7 })
      expect(
        yield* lines(
          sql,
          "owner_id, currency, state, ledger_balance, difference",
          "balance_reconciliation ORDER BY 1, 2",
        ),
      ).toEqual([
        "fee | USD | ledger_only | -1 | 1",
        "foreign fee | EUR | ledger_only | -1 | 1",
        "tax | USD | ledger_only | -1 | 1",
        "there and back | USD | ledger_only | 0 | 0",
        "wallet | USD | wallet_only | - | 7",
      ])
    }),
  )

  it.scopedLive(
    "holds an unchanged wallet against the ledger up to the latest complete pass that saw it",
    () =>
      Effect.gen(function* () {
        const sql = yield* warehouse
        yield* given(sql, "wallets", { wallet_id: "w1", customer_id: "c1" })
        const read_at = "2026-01-10T00:00:00Z"
        yield* given(sql, "wallet_accounts", {
          wallet_account_id: "a1",
          wallet_id: "w1",
          actual_balance: 10,
          read_at,
        })
        yield* given(
          sql,
          "transactions",
          { transaction_id: "t1", ...of("c1"), amount: 10, created_at: "2026-01-09T00:00:00Z" },
          { transaction_id: "t2", ...of("c1"), amount: 5, created_at: "2026-01-11T00:00:00Z" },
          { transaction_id: "t3", ...of("c1"), amount: 7, created_at: "2026-01-13T12:00:00Z" },
        )
        // A pass that was broken off on the 12th and ended on the 14th; a failed one later says nothing.
        const pass = "'00000000-0000-0000-0000-00000000000a'"
        yield* Effect.promise(() =>
          sql.unsafe(`INSERT INTO sync.stream_runs (run_id, account, stream, mode, status, pass_id, started_at, finished_at) VALUES
          (gen_random_uuid(), 'default', 'wallets', 'full', 'dead', ${pass}, '2026-01-12Z', '2026-01-13Z'),
          (gen_random_uuid(), 'default', 'wallets', 'full', 'complete', ${pass}, '2026-01-14Z', '2026-01-14 00:01Z'),
          (gen_random_uuid(), 'default', 'wallets', 'full', 'failed', gen_random_uuid(), '2026-01-15Z', '2026-01-15Z')`),
        )
        const rows = yield* printed(
          sql,
          `SELECT concat_ws(' ', wallet_balance, ledger_balance, difference, observed_at AT TIME ZONE 'UTC') AS row
         FROM analytics.balance_reconciliation`,
        )
        expect(rows.map(({ row }) => row)).toEqual(["10 15 -5 2026-01-12 00:00:00"])
      }),
  )
})
