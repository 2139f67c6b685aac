import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import type { Sandbox } from "../src/sandbox/sandbox.ts"
import { money } from "./support/moneyViews.ts"
import { balances, expectView, gaps, others, settlements } from "./support/views.ts"
import { type Bench, bench } from "./support/warehouse.ts"

/** Amounts that need more digits than a double has, six currencies, and times that are not long ago. */
const OPTIONS = {
  customers: 130,
  transactions: 2_500,
  payouts: 260,
  checkouts: 160,
  longAmounts: true,
  until: `${new Date().toISOString().slice(0, 10)}T00:00:00.000Z`,
} as const

/** Layers that are computed apart from each other say the same. */
const agreement = ({ rows }: Bench) =>
  Effect.gen(function* () {
    const disagreements: Readonly<Record<string, string>> = {
      "settlement and settlement_transaction": `
        SELECT settlement_id, currency, fee_currency, transaction_count, settlement_amount, fee_amount + tax_amount AS fees
        FROM analytics.settlement
        EXCEPT
        SELECT settlement_id, currency, fee_currency, count(*), coalesce(sum(direction * abs(amount)), 0),
          coalesce(sum(fee_amount + tax_amount), 0)
        FROM analytics.settlement_transaction WHERE settlement_id IS NOT NULL GROUP BY 1, 2, 3`,
      "settlement_daily and settlement_transaction": `
        SELECT currency, sum(settled_count + unsettled_count + unmoving_count), sum(settled_amount + unsettled_amount)
        FROM analytics.settlement_daily GROUP BY 1
        EXCEPT
        SELECT currency, count(*), sum(direction * abs(amount)) FROM analytics.settlement_transaction GROUP BY 1`,
      "balance_daily and balance_history": `
        SELECT owner_id, currency, day, closing_balance FROM analytics.balance_daily
        EXCEPT
        SELECT * FROM (
          SELECT DISTINCT ON (owner_id, currency, (occurred_at AT TIME ZONE 'UTC')::date) owner_id, currency,
            (occurred_at AT TIME ZONE 'UTC')::date AS day, balance
          FROM analytics.balance_history
          ORDER BY 1, 2, 3, occurred_at DESC, transaction_id DESC, kind DESC) AS latest`,
      "balance_daily_total and balance_daily": `
        SELECT currency, closing_balance FROM analytics.balance_daily_total
        WHERE day = (now() AT TIME ZONE 'UTC')::date
        EXCEPT
        SELECT currency, sum(closing_balance) FROM (
          SELECT DISTINCT ON (owner_id, currency) currency, closing_balance
          FROM analytics.balance_daily ORDER BY owner_id, currency, day DESC) AS latest GROUP BY 1`,
      "each day's opening and the closing before it": `
        SELECT owner_id, currency, day FROM (
          SELECT *, lag(closing_balance, 1, 0) OVER (PARTITION BY owner_id, currency ORDER BY day) AS before
          FROM analytics.balance_daily) AS daily
        WHERE opening_balance <> before OR closing_balance <> opening_balance + credit_amount - debit_amount`,
      "settled and seen settled": `
        SELECT settlement_id FROM analytics.settlement WHERE (status = 'Done') <> (settled_seen_at IS NOT NULL)`,
      "kyc_gap and kyc_gap_history": `
        SELECT customer_id, missing_fields FROM analytics.kyc_gap
        EXCEPT
        SELECT customer_id, missing_fields FROM analytics.kyc_gap_history
        WHERE valid_to IS NULL AND NOT is_wallet_ready`,
    }
    for (const [between, statement] of Object.entries(disagreements))
      expect(yield* rows(statement), between).toEqual([])
    const totals = Effect.forEach(["kinds", "days", "settlements", "owners"], of =>
      rows(
        `SELECT to_jsonb(t)::text AS total FROM warehouse.transaction_${of} AS t WHERE transaction_count <> 0 ORDER BY 1`,
      ),
    )
    const kept = yield* totals
    yield* rows("SELECT warehouse.make_totals()::text")
    expect(kept, "totals that were kept, and ones made anew").toEqual(yield* totals)
  })

const everything = (b: Bench) =>
  Effect.gen(function* () {
    yield* settlements(b)
    yield* money(b)
    yield* balances(b)
    yield* gaps(b)
    yield* others(b)
    yield* agreement(b)
  })

/** Changes a merchant's data between two syncs. */
const change = (sandbox: Sandbox) => {
  sandbox.insert("transactions", 40, "back")
  sandbox.insert("transactions", 3, "front")
  for (let index = 2_400; index < 2_500; index += 3) sandbox.touch("transactions", index)
  for (const index of [7, 700, 2_300, 2_401]) sandbox.remove("transactions", index)
  sandbox.insert("payouts", 5, "back")
  for (const index of [2, 255, 256, 257, 257]) sandbox.touch("payouts", index)
  for (const index of [3, 259]) sandbox.remove("payouts", index)
  sandbox.insert("checkouts", 4, "back")
  for (const index of [1, 150, 151]) sandbox.touch("checkouts", index)
  for (const index of [5, 152, 153]) sandbox.remove("checkouts", index)
  for (const index of [4, 5]) sandbox.touch("wallets", index)
  for (const index of [6, 47]) sandbox.remove("wallets", index)
  sandbox.insert("customers", 6, "back")
  sandbox.remove("customers", 9)
  sandbox.setReadiness(11, { ready: false, missing: ["address_city", "dob"] })
  sandbox.setReadiness(12, { ready: false, missing: [] })
  sandbox.makeReady(0)
}

/** Customer by its number in the sandbox → what a view says of it. */
const ofCustomer = ({ rows, sandbox }: Bench, columns: string, view: string, customer: number) =>
  rows(`SELECT ${columns} FROM analytics.${view}
    WHERE customer_id = '${sandbox.idOf("customers", customer)}' ORDER BY ${columns}`)

/** Three syncs of thousands of records, and every view twice: a slow machine takes its time. */
const LIMIT_MS = 240_000

describe("views", { timeout: LIMIT_MS }, () => {
  it.scopedLive("agree with the records: first sync, changes, removals", () =>
    Effect.gen(function* () {
      const b = yield* bench(OPTIONS)
      const sync = b.sync({ account: { pageSize: 500 } })
      expect((yield* sync).status).toBe("complete")
      yield* everything(b)

      change(b.sandbox)
      // A removal is believed when three full passes did not list the record.
      for (let n = 0; n < 2; n++) yield* sync
      const last = yield* sync
      expect(last.status).toBe("complete")
      yield* everything(b)
      yield* expectView(
        b,
        "freshness",
        last.streams.map(({ stream, status, finishedAt }) => ({
          stream,
          last_run_status: status,
          last_complete_at: finishedAt,
        })),
      )
    }),
  )

  it.scopedLive("date a gap from the unbroken time that a customer, and a field, has been missing", () =>
    Effect.gen(function* () {
      const b = yield* bench({ customers: 30, transactions: 40, payouts: 5, checkouts: 5 })
      const sync = b.sync({ only: ["customers", "wallet_readiness"] })
      const set = (customer: number, ...missing: ReadonlyArray<string>) =>
        b.sandbox.setReadiness(customer, { ready: false, missing })
      const since = (customer: number) =>
        ofCustomer(b, "gap_since, gap_since_is_lower_bound", "kyc_gap", customer)
      const fields = (customer: number) =>
        Effect.map(ofCustomer(b, "missing_field, gap_since", "kyc_gap_field", customer), found =>
          Object.fromEntries(found.map(row => [row.missing_field!, row.gap_since!])),
        )
      b.sandbox.makeReady(5)
      set(6, "dob", "email")
      set(7, "dob")
      yield* sync
      expect(yield* since(5)).toEqual([])
      const [six] = yield* since(6)
      expect(six).toMatchObject({ gap_since_is_lower_bound: "true" })

      set(5, "nationality")
      set(6, "dob", "phone_number")
      b.sandbox.makeReady(7)
      yield* sync
      const [five] = yield* since(5)
      expect(five).toMatchObject({ gap_since_is_lower_bound: "false" })
      expect(five!.gap_since! > six!.gap_since!).toBe(true)
      expect(yield* since(6)).toEqual([six])
      const ofSix = yield* fields(6)
      expect(Object.keys(ofSix)).toEqual(["dob", "phone_number"])
      expect(ofSix.dob).toBe(six!.gap_since)
      expect(ofSix.phone_number! > ofSix.dob!).toBe(true)
      expect(yield* since(7)).toEqual([])

      set(7)
      yield* sync
      expect(Object.keys(yield* fields(7))).toEqual(["(unspecified)"])
      const states = yield* ofCustomer(
        b,
        "valid_from, valid_to, is_wallet_ready, missing_fields",
        "kyc_gap_history",
        7,
      )
      expect(states.map(row => [row.is_wallet_ready, row.missing_fields])).toEqual([
        ["false", '["dob"]'],
        ["true", "[]"],
        ["false", "[]"],
      ])
      expect(states.map(row => row.valid_to)).toEqual([states[1]!.valid_from, states[2]!.valid_from, null])
    }),
  )
})
