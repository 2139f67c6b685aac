import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import type postgres from "postgres"
import { storeReckoning } from "../../src/warehouse/ledger/reckoning.ts"
import { fixtureOf } from "../support/conformance.ts"
import { listStream, loading, printed, testWarehouse } from "../support/warehouse.ts"
import { given } from "./rows.ts"

/** Days, months and ages are reckoned in the account's reporting zone, whatever the zone of a connection. */

const TABLES = ["warehouse.transactions"]

/** One text for each row. */
const texts = (sql: postgres.Sql, columns: string, from: string) =>
  Effect.map(printed(sql, `SELECT concat_ws(' ', ${columns}) AS text FROM ${from}`), rows =>
    rows.map(({ text }) => text),
  )

const TOTALS = ["kinds", "days", "settlements", "owners"]
const totals = (sql: postgres.Sql) =>
  Effect.forEach(TOTALS, of =>
    texts(sql, "to_jsonb(t)", `warehouse.transaction_${of} AS t WHERE transaction_count <> 0 ORDER BY 1`),
  )

describe("the reporting time zone", () => {
  const CASES = [
    // Zone, time of creation, day, month.
    ["UTC", "2026-03-31T23:59:59.999Z", "2026-03-31", "2026-03-01"],
    ["Asia/Seoul", "2026-03-31T14:59:59Z", "2026-03-31", "2026-03-01"],
    ["Asia/Seoul", "2026-03-31T15:00:00Z", "2026-04-01", "2026-04-01"],
    ["Asia/Kathmandu", "2026-03-31T18:14:59Z", "2026-03-31", "2026-03-01"],
    ["Asia/Kathmandu", "2026-03-31T18:15:00Z", "2026-04-01", "2026-04-01"],
    // Clocks change at 2026-03-08T07:00Z and 2026-11-01T06:00Z.
    ["America/New_York", "2026-03-08T04:59:59Z", "2026-03-07", "2026-03-01"],
    ["America/New_York", "2026-03-08T05:00:00Z", "2026-03-08", "2026-03-01"],
    ["America/New_York", "2026-03-09T03:59:59Z", "2026-03-08", "2026-03-01"],
    ["America/New_York", "2026-03-09T04:00:00Z", "2026-03-09", "2026-03-01"],
    ["America/New_York", "2026-11-02T04:59:59Z", "2026-11-01", "2026-11-01"],
    ["America/New_York", "2026-11-02T05:00:00Z", "2026-11-02", "2026-11-01"],
  ] as const

  it.scopedLive("decides the day and the month, whatever the zone of the connection", () =>
    Effect.gen(function* () {
      const sql = yield* testWarehouse()
      for (const [n, [zone, created_at]] of CASES.entries()) {
        yield* given(sql, "transactions", { account: `a${n}`, transaction_id: "t", amount: 1, created_at })
        yield* storeReckoning(sql, TABLES, `a${n}`, { reportTimezone: zone })
      }
      const far = yield* Effect.acquireRelease(
        Effect.promise(() => sql.reserve()),
        session => Effect.sync(() => session.release()),
      )
      yield* Effect.promise(() => far`SET timezone = 'Pacific/Kiritimati'`)
      const days = CASES.map(([zone, , day], n) => `a${n} ${day} ${zone}`).sort()
      for (const view of ["settlement_transaction", "settlement_daily", "balance_history", "balance_daily"])
        expect(yield* texts(far, "account, day, time_zone", `analytics.${view} ORDER BY 1`), view).toEqual(
          days,
        )
      for (const view of ["balance_daily_total", "daily_overview"])
        expect(
          yield* texts(
            far,
            "account, min(day), min(time_zone)",
            `analytics.${view} GROUP BY account ORDER BY 1`,
          ),
          view,
        ).toEqual(days)
      expect(yield* texts(far, "account, month, time_zone", "analytics.balance_activity ORDER BY 1")).toEqual(
        CASES.map(([zone, , , month], n) => `a${n} ${month} ${zone}`).sort(),
      )
    }),
  )

  it.scopedLive("changes days and totals of its account alone, and new rows follow", () =>
    Effect.gen(function* () {
      const sql = yield* testWarehouse()
      const created_at = "2026-03-31T23:00:00Z"
      yield* given(
        sql,
        "transactions",
        { transaction_id: "a", amount: 1, created_at },
        { transaction_id: "b", amount: 2, created_at, account: "other" },
      )
      const { before, after } = yield* storeReckoning(sql, TABLES, "default", {
        reportTimezone: "Asia/Seoul",
      })
      expect([before.reportTimezone, after.reportTimezone]).toEqual(["UTC", "Asia/Seoul"])
      const transactions = yield* listStream("transactions")
      const { load } = yield* loading(sql, transactions)
      const record = { ...fixtureOf(transactions).record, transaction_id: "c", created_at }
      yield* load([record, "2026-04-02T00:00:00Z"])
      expect(
        yield* texts(
          sql,
          "account, transaction_id, day",
          "analytics.settlement_transaction ORDER BY transaction_id",
        ),
      ).toEqual(["default a 2026-04-01", "other b 2026-03-31", "default c 2026-04-01"])
      const kept = yield* totals(sql)
      yield* Effect.promise(() => sql`SELECT warehouse.make_totals()`)
      expect(kept).toEqual(yield* totals(sql))
      // Asked again, it changes nothing: not a row is written.
      const places = texts(sql, "ctid, xmin", "warehouse.transactions ORDER BY transaction_id")
      const rows = yield* places
      yield* storeReckoning(sql, TABLES, "default", { reportTimezone: "Asia/Seoul" })
      expect(yield* places).toEqual(rows)
    }),
  )
})

describe("the owner of fees", () => {
  const fees = { fees_without_tax: 2, tax_on_fees: 1 }
  const customer = { customer_id: "c", owner_id: "c" }

  it.scopedLive("is the organization where that is configured, and everything adds up as before", () =>
    Effect.gen(function* () {
      const sql = yield* testWarehouse()
      yield* given(
        sql,
        "transactions",
        { transaction_id: "t1", amount: 100, ...customer, ...fees },
        { transaction_id: "t2", amount: 50, ...fees },
        { transaction_id: "t3", amount: 10, ...customer, ...fees, fees_currency: "EUR" },
      )
      yield* given(sql, "wallets", { wallet_id: "w1", customer_id: "c" }, { wallet_id: "w2" })
      yield* given(
        sql,
        "wallet_accounts",
        { wallet_account_id: "a1", wallet_id: "w1", actual_balance: 110 },
        { wallet_account_id: "a2", wallet_id: "w2", actual_balance: 44 },
        { wallet_account_id: "a3", wallet_id: "w2", actual_balance: -3, currency: "EUR" },
      )
      const reconciled = texts(
        sql,
        "owner_id, currency, state, difference",
        "analytics.balance_reconciliation ORDER BY 1",
      )
      const balances = texts(
        sql,
        "owner_id, currency, closing_balance",
        `(SELECT DISTINCT ON (owner_id, currency) * FROM analytics.balance_daily
          ORDER BY owner_id, currency, day DESC) AS latest ORDER BY 1`,
      )
      const total = texts(
        sql,
        "currency, closing_balance",
        `(SELECT DISTINCT ON (currency) * FROM analytics.balance_daily_total
          ORDER BY currency, day DESC) AS latest ORDER BY 1`,
      )
      const check = texts(sql, "currency, difference", "analytics.balance_check ORDER BY 1")
      const before = yield* total
      expect(yield* balances).toEqual(["c EUR -3", "c USD 107", "org USD 47"])
      expect(yield* reconciled).toEqual([
        "c EUR ledger_only 3",
        "c USD differs 3",
        "org EUR wallet_only -3",
        "org USD differs -3",
      ])
      // The sums agree: it is the owner that is wrong, not the money.
      expect(yield* check).toEqual(["EUR 0", "USD 0"])

      yield* storeReckoning(sql, TABLES, "default", { feeOwner: "organization" })
      expect(yield* balances).toEqual(["c USD 110", "org EUR -3", "org USD 44"])
      expect(yield* reconciled).toEqual(["c USD agrees 0", "org EUR agrees 0", "org USD agrees 0"])
      expect(yield* check).toEqual(["EUR 0", "USD 0"])
      expect(yield* total).toEqual(before)
      expect(yield* texts(sql, "currency, balance", "analytics.customer_overview ORDER BY 1")).toEqual([
        "EUR 0",
        "USD 110",
      ])
      // A movement after the wallets were read counts on neither side.
      yield* given(sql, "transactions", {
        transaction_id: "t4",
        amount: 7,
        created_at: "2026-03-02T00:00:00Z",
        ...customer,
        ...fees,
      })
      expect(yield* reconciled).toEqual(["c USD agrees 0", "org EUR agrees 0", "org USD agrees 0"])
    }),
  )
})
