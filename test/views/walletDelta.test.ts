import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { computeDueChecks } from "../../src/warehouse/checks/ledgerChecks.ts"
import { recordOf, walletRecord } from "../support/awkward.ts"
import { printed, testWarehouse } from "../support/warehouse.ts"
import { readList } from "./rows.ts"

/** `wallet_delta`: the change of wallets between two readings, and the change of all movements as known at both. */

interface Line {
  readonly amount: string
  readonly customer?: string
  readonly currency?: string
  readonly name?: string
  readonly fee?: string
}

const CREATED = "2026-01-05T12:00:00Z"
const payin = (
  id: string,
  { amount, customer = id, currency = "USD", name = "PAYIN_COMPLETED", fee = "0" }: Line,
) =>
  recordOf({
    ...{
      id,
      type: name.startsWith("PAYOUT") ? "PAYOUT" : "PAYIN",
      name,
      direction: 1,
      amount,
      currency,
      customer,
    },
    ...{ fees: ["USD", fee, "0", null], at: CREATED },
  })

const wallet = (
  customer: string,
  actual: string,
  { currency = "USD", ...fields }: Record<string, unknown> = {},
) => ({
  ...walletRecord({ id: `w-${customer}`, customer, accounts: { [String(currency)]: [actual, actual] } }),
  ...fields,
})

/** By hand. `c3` becomes `c4`, `c5` changes its currency, `c7` is emptied and deleted, and `c9` was deleted before. */
const FIRST = {
  transactions: [
    payin("c1", { amount: "100" }),
    payin("c2", { amount: "30", name: "PAYIN_PENDING" }),
    payin("c3", { amount: "20" }),
    payin("c5", { amount: "7" }),
    payin("c6", { amount: "10", fee: "1" }),
    payin("c12", { amount: "10" }),
  ],
  wallets: [
    wallet("c1", "100"),
    wallet("c2", "0"),
    wallet("c3", "20"),
    wallet("c4", "0"),
    wallet("c5", "7"),
    wallet("c6", "9"),
    wallet("c7", "50"),
    wallet("c8", "5"),
    wallet("c9", "3", { is_deleted: true }),
    wallet("c11", "1"),
    wallet("c12", "10"),
    wallet("c13", "4", { currency: "EUR" }),
  ],
}

const second = () => ({
  transactions: [
    payin("c1", { amount: "90" }),
    payin("c2", { amount: "30" }),
    payin("c3", { amount: "20", customer: "c4" }),
    payin("c5", { amount: "7", currency: "EUR" }),
    payin("c6", { amount: "10", fee: "2" }),
    payin("p7", { amount: "50", customer: "c7", name: "PAYOUT_COMPLETED" }),
    payin("c10", { amount: "8" }),
    payin("c12", { amount: "12" }),
  ],
  wallets: [
    wallet("c1", "90"),
    wallet("c2", "30"),
    wallet("c3", "0"),
    wallet("c4", "20"),
    wallet("c5", "0"),
    wallet("c6", "8"),
    wallet("c7", "0", { is_deleted: true, deleted_at: new Date().toISOString() }),
    wallet("c9", "3", { is_deleted: true }),
    wallet("c10", "8"),
    wallet("c11", "2"),
    wallet("c12", "12"),
    wallet("c13", "4", { currency: "EUR", is_deleted: true }),
  ],
})

describe("wallet_delta", () => {
  it.scopedLive("sees changes of old transactions, and wallets that are gone", () =>
    Effect.gen(function* () {
      const sql = yield* testWarehouse()
      const read = (list: string, records: ReadonlyArray<unknown>) =>
        Effect.suspend(() => readList(sql, list, records, new Date().toISOString()))
      const delta = Effect.zipRight(
        computeDueChecks(sql),
        printed(
          sql,
          `SELECT currency, left_amount, right_amount, row_count, differs_count, state, explanation
           FROM analytics.ledger_check WHERE "check" = 'wallet_delta' ORDER BY 1`,
        ),
      )
      yield* read("wallets", FIRST.wallets)
      yield* read("transactions", FIRST.transactions)
      expect((yield* delta).map(({ state }) => state)).toEqual(["not_comparable", "not_comparable"])
      // An amount that is corrected twice.
      yield* read("transactions", [payin("c12", { amount: "11" })])
      const { wallets, transactions } = second()
      yield* read("wallets", wallets)
      yield* Effect.promise(
        () => sql`UPDATE warehouse.wallets SET removed_at = now() WHERE wallet_id = 'w-c8'`,
      )
      yield* read("transactions", transactions)
      const [eur, usd] = yield* delta
      // c1 -10, c2 +30, c3 -20, c4 +20, c5 -7, c6 -1, c7 -50, c10 +8, c12 +2; without transactions c8 -5, c11 +1.
      expect(usd).toMatchObject({
        left_amount: "-32",
        right_amount: "-28",
        row_count: "11",
        differs_count: "2",
      })
      expect(usd?.explanation).toContain("a wallet with money was deleted")
      // No wallet of c5 holds EUR. The one of c13 was deleted at a time that is not known.
      expect(eur).toMatchObject({ row_count: "1", differs_count: "0", state: "not_comparable" })
      expect(eur?.explanation).toContain("A wallet was deleted, and the API sends no time of it.")
    }),
  )
})
