import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { start } from "../../src/sandbox/sandbox.ts"
import { truthOf } from "../support/truth/truth.ts"
import { askJson, type Fields, fixture, LISTS, millionths, readAll, small } from "./reading.ts"

describe("records", () => {
  it.scoped("serves every documented sample unchanged", () =>
    Effect.gen(function* () {
      const sandbox = yield* start()
      const sent = (stream: string, index: number) => sandbox.truth.text(stream, index)
      const documented = (name: string) => JSON.stringify(fixture(name).data)
      expect(sent("customers", 2)).toBe(documented("customer-detail"))
      expect(sent("payouts", 0)).toBe(documented("payout-retrieve"))
      expect(sent("checkouts", 0)).toBe(documented("checkout-detail"))
      expect(sent("transactions", 0)).toBe(documented("transaction-find"))
      expect(sent("wallets", 2)).toBe(JSON.stringify(fixture("wallet.upstream")))
      for (const stream of LISTS) {
        const listed = (yield* readAll(sandbox, stream)).map(record => JSON.stringify(record))
        const samples = { customers: 2, wallets: 2, payouts: 0, checkouts: 0, transactions: 0 }
        expect(listed).toContain(sent(stream, samples[stream]))
      }
      const customer = fixture("customer-detail").data as Fields
      const readiness = `/api/v1/customer/customer-wallet-is-ready/${customer.customer_id}`
      expect(yield* askJson(sandbox, readiness)).toEqual(fixture("wallet-ready"))
      expect(yield* askJson(sandbox, `/api/v1/customer/customer/${customer.customer_id}`)).toEqual(
        fixture("customer-detail"),
      )
    }),
  )

  it.scoped("puts a by-id answer into the double envelope when asked to", () =>
    Effect.gen(function* () {
      const sandbox = yield* start({ ...small, detailEnvelope: "double" })
      const documented = fixture("customer-double-envelope").data as Fields
      const customer = documented.data as Fields
      const answer = yield* askJson(sandbox, `/api/v1/customer/customer/${customer.customer_id}`)
      const inner = answer.data as Fields
      expect(Object.keys(inner)).toEqual(Object.keys(documented))
      expect(inner.data).toEqual(customer)
    }),
  )

  it.scoped("adds up: each transaction in itself, and with customers, payouts and settlements", () =>
    Effect.gen(function* () {
      const sandbox = yield* start()
      const records = yield* readAll(sandbox, "transactions", 1_000)
      const customers = new Set(sandbox.truth.ids("customers"))
      const payouts = yield* readAll(sandbox, "payouts", 1_000)
      const payoutIds = new Set(payouts.flatMap(payout => [payout.payout_id_finmo, payout.id]))
      const settlementKeys = new Map<unknown, string>()
      const types = new Set<unknown>()
      let crossCurrency = 0
      for (const record of records) {
        const fees = millionths(record.fees_including_tax)
        expect(fees).toBe(millionths(record.fees_without_tax) + millionths(record.tax_on_fees))
        // Money out costs its fee on top.
        const isOnTop = /^(PAYOUT|REFUND)_COMPLETED$/.test(`${record.event_name}`)
        if (record.fees_currency === record.currency)
          expect(millionths(record.net_amount)).toBe(millionths(record.amount) + (isOnTop ? fees : -fees))
        else crossCurrency += 1
        if (record.customer_id !== null) expect(customers).toContain(record.customer_id)
        expect(record.scope).toBe(record.customer_id === null ? "ORG" : "CUSTOMER")
        if (record.is_settled === true) expect(record.settlement_id).not.toBeNull()
        if (record.settlement_id !== null) {
          const key = `${record.created_at}`.slice(0, 10) + record.currency
          expect(settlementKeys.get(record.settlement_id) ?? key).toBe(key)
          settlementKeys.set(record.settlement_id, key)
        }
        if (record.event_type === "PAYOUT") expect(payoutIds).toContain(record.event_id)
        types.add(record.event_type)
      }
      expect(crossCurrency).toBeGreaterThan(0)
      const known = ["PAYIN", "PAYOUT", "REFUND", "CHARGEBACK", "RESERVE", "RELEASE", "CREDIT", "DEBIT"]
      expect(types).toEqual(new Set([...known, "ADJUSTMENT"]))
      expect(new Set(records.map(({ currency }) => currency))).toContain("JPY")
      expect(new Set(payouts.map(({ status }) => status))).toEqual(
        new Set(["PENDING", "SUCCESS", "FAILED", "RETURNED"]),
      )
      expect(new Set(payouts.map(payout => typeof (payout.wire_amount ?? payout.original_amount)))).toEqual(
        new Set(["number", "string"]),
      )
      const progress = (isSettled: boolean, hasSettlement: boolean) =>
        records.filter(
          record => record.is_settled === isSettled && (record.settlement_id !== null) === hasSettlement,
        ).length
      expect(progress(true, true)).toBeGreaterThan(progress(false, true))
      expect(progress(false, true)).toBeGreaterThan(0)
      expect(progress(false, false)).toBeGreaterThan(0)
    }),
  )

  it.scoped("has checkouts whose amount is the sum of their items and fees", () =>
    Effect.gen(function* () {
      const sandbox = yield* start()
      for (const checkout of yield* readAll(sandbox, "checkouts")) {
        const summary = checkout.order_summary as Record<"order_items" | "order_fees", ReadonlyArray<Fields>>
        const items = summary.order_items.map(
          item => millionths(item.unit_price) * BigInt(`${item.quantity}`),
        )
        const fees = summary.order_fees.map(fee => millionths(fee.fee_amount))
        expect([...items, ...fees].reduce((a, b) => a + b)).toBe(millionths(checkout.amount))
      }
    }),
  )

  it.scoped("answers readiness in step with the details that a customer lacks", () =>
    Effect.gen(function* () {
      const sandbox = yield* start({ ...small, customers: 80 })
      const notReady = new Map(
        [...truthOf(sandbox).notReady()].map(({ customerId, missingFields }) => [customerId, missingFields]),
      )
      let withoutReason = 0
      for (const customer of yield* readAll(sandbox, "customers")) {
        const id = customer.customer_id as string
        const answer = (yield* askJson(sandbox, `/api/v1/customer/customer-wallet-is-ready/${id}`)).data as {
          is_wallet_ready: boolean
          missing_field: ReadonlyArray<string>
        }
        const details = (customer.individual ?? customer.company) as Fields
        expect(answer.is_wallet_ready).toBe(customer.is_wallet_ready)
        expect(answer.missing_field.filter(field => field in details)).toEqual([])
        expect(notReady.get(id)).toEqual(
          answer.is_wallet_ready ? undefined : [...answer.missing_field].sort(),
        )
        if (!answer.is_wallet_ready && answer.missing_field.length === 0) withoutReason += 1
      }
      expect(withoutReason).toBeGreaterThan(0)
      expect(notReady.size).toBeGreaterThan(withoutReason)
      expect(notReady.size).toBeLessThan(40)
    }),
  )
})
