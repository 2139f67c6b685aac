import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import type { Sandbox } from "../src/sandbox/sandbox.ts"
import {
  checkoutViews,
  payoutViews,
  readinessViews,
  transactingView,
  walletViews,
} from "./support/recordViews.ts"
import { type Bench, bench } from "./support/warehouse.ts"

/** Amounts that need more digits than a double has, and payouts that most transactions do not know. */
const OPTIONS = {
  customers: 60,
  transactions: 900,
  payouts: 140,
  checkouts: 60,
  longAmounts: true,
  until: `${new Date().toISOString().slice(0, 10)}T00:00:00.000Z`,
} as const

/** Changes at the merchant between two syncs. */
const change = (sandbox: Sandbox) => {
  // A pending payout that succeeds without a transaction, a successful one that is returned, and both.
  for (let index = 105; index < 140; index++) if (index !== 120) sandbox.touch("payouts", index)
  for (const index of [2, 3, 4, 110, 111]) sandbox.touch("payouts", index)
  for (const index of [5, 120]) sandbox.remove("payouts", index)
  for (const index of [4, 5]) sandbox.touch("wallets", index)
  sandbox.remove("wallets", 6)
  for (const index of [3, 9]) sandbox.remove("checkouts", index)
  for (const index of [1, 30]) sandbox.touch("checkouts", index)
  sandbox.remove("transactions", 300)
  for (const index of [9, 10]) sandbox.remove("customers", index)
  sandbox.setReadiness(11, { ready: false, missing: ["address_city", "dob"] })
  sandbox.setReadiness(12, { ready: false, missing: [] })
  sandbox.makeReady(0)
}

const everything = (b: Bench) =>
  Effect.gen(function* () {
    yield* walletViews(b)
    yield* payoutViews(b)
    yield* checkoutViews(b)
    yield* readinessViews(b)
  })

/** Four syncs, and every view twice: a slow machine takes its time. */
const LIMIT_MS = 240_000

describe("views of records", { timeout: LIMIT_MS }, () => {
  it.scopedLive("agree with the records: first sync, changes, removals", () =>
    Effect.gen(function* () {
      const b = yield* bench(OPTIONS)
      const { sql } = b
      // The sandbox's truth takes every known type at its word.
      yield* Effect.promise(
        () => sql`UPDATE warehouse.event_directions SET confirmed_at = now(), confirmed_by = 'a test'`,
      )
      const sync = b.sync({ account: { pageSize: 500 } })
      const first = yield* sync
      expect(first.streams.filter(one => one.status !== "complete")).toEqual([])
      yield* everything(b)

      change(b.sandbox)
      // A removal is believed when three full passes did not list the record.
      for (let n = 0; n < 2; n++) yield* sync
      expect((yield* sync).status).toBe("complete")
      yield* everything(b)
      expect(yield* b.rows("SELECT DISTINCT state FROM analytics.payout_reconciliation ORDER BY 1")).toEqual([
        { state: "agrees" },
        { state: "failed_but_moved" },
        { state: "missing_in_ledger" },
      ])

      // As if the first answers had been given long before.
      const from = "2025-06-01T00:00:00.000Z"
      yield* Effect.promise(async () => {
        await sql`DELETE FROM warehouse.wallet_readiness_history WHERE valid_to IS NOT NULL`
        await sql`DELETE FROM warehouse.wallet_readiness_history
          WHERE customer_id IN (SELECT customer_id FROM warehouse.customers WHERE removed_at IS NOT NULL)`
        await sql`UPDATE warehouse.wallet_readiness_history SET valid_from = ${from}`
      })
      yield* transactingView(b, from)
    }),
  )
})
