import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import type { Sandbox } from "../../src/sandbox/sandbox.ts"
import { recordOf } from "../support/awkward.ts"
import { fixtureOf } from "../support/conformance.ts"
import { checkoutViews, payoutViews } from "../support/recordViews.ts"
import { benchOf, listStream, printed, testWarehouse } from "../support/warehouse.ts"
import { readList } from "./rows.ts"

/** Awkward payouts and checkouts: the views of them against sums made in TypeScript, and against states written down by hand. */

type Fields = Readonly<Record<string, unknown>>

/** A payout, the transactions that name it (name, amount, currency), and by hand how the two compare. */
interface Given {
  readonly fields: Fields
  readonly lines?: ReadonlyArray<readonly [name: string, amount: string, currency: string]>
  readonly state: string
}

const payout = (currency: string, amount: string, fields: Fields = {}): Fields => ({
  ...{
    currency,
    wire_amount: amount,
    original_amount: amount,
    status: "SUCCESS",
    fee_taken: "0",
    fee_expected: null,
  },
  ...fields,
})

const PAYOUTS: Readonly<Record<string, Given>> = {
  won: {
    fields: payout("KRW", "70000", { created_at: "2026-01-05T23:59:59.999Z", fee_taken: "700" }),
    lines: [["PAYOUT_COMPLETED", "70000", "KRW"]],
    state: "agrees",
  },
  dinar: {
    fields: payout("KWD", "0.001", {
      payout_id_finmo: "provider-dinar",
      fee_taken: "0.0005",
      fee_expected: "0.001",
    }),
    lines: [["PAYOUT_COMPLETED", "-0.001", "KWD"]],
    state: "agrees",
  },
  // A failed payout that moved, and one whose only line moved nothing.
  moved: {
    fields: payout("USD", "5", { status: "FAILED" }),
    lines: [["PAYOUT_COMPLETED", "5", "USD"]],
    state: "failed_but_moved",
  },
  failed: {
    fields: payout("USD", "5", { status: "FAILED" }),
    lines: [["PAYOUT_FAILED", "5", "USD"]],
    state: "agrees",
  },
  missing: { fields: payout("USD", "6"), state: "missing_in_ledger" },
  removed: { fields: payout("USD", "6.60"), state: "missing_in_ledger" },
  twice: {
    fields: payout("USD", "7"),
    lines: [
      ["PAYOUT_COMPLETED", "3", "USD"],
      ["PAYOUT_COMPLETED", "4", "USD"],
    ],
    state: "several_lines",
  },
  less: { fields: payout("USD", "8"), lines: [["PAYOUT_COMPLETED", "7.99", "USD"]], state: "amount_differs" },
  foreign: { fields: payout("USD", "9"), lines: [["PAYOUT_COMPLETED", "9", "EUR"]], state: "amount_differs" },
  returned: {
    fields: payout("USD", "10", { status: "RETURNED" }),
    lines: [
      ["PAYOUT_COMPLETED", "10", "USD"],
      ["PAYOUT_RETURNED", "10", "USD"],
    ],
    state: "returned",
  },
  // Dated by its change only, and of a status that is not documented.
  undated: { fields: payout("USD", "11", { status: "PENDING", created_at: null }), state: "agrees" },
  held: {
    fields: payout("USD", "12", { status: "ON_HOLD" }),
    lines: [["PAYOUT_FAILED", "12", "USD"]],
    state: "agrees",
  },
}

const item = (quantity: string, unitPrice: string) => ({ product_name: "p", quantity, unit_price: unitPrice })
const CHECKOUTS: Readonly<Record<string, Fields>> = {
  won: {
    amount: "90000",
    currency: "KRW",
    order_summary: { order_items: [item("2", "45000")], order_fees: [] },
  },
  dinar: {
    ...{ amount: "0.001", currency: "KWD" },
    order_summary: {
      order_items: [item("1", "0.002")],
      order_fees: [{ fee_name: "f", fee_amount: "-0.001" }],
    },
  },
  differs: { amount: "10", order_summary: { order_items: [item("3", "3.33")], order_fees: [] } },
  removed: { amount: "1", order_summary: null },
  bare: { amount: "12345678901234567.123", order_summary: null, customer_id: null },
  deleted: {
    amount: "3",
    deleted_at: "2026-01-07T00:00:00Z",
    order_summary: { order_items: [], order_fees: [] },
  },
  // Never expires, and holds nothing but a fee.
  open: {
    ...{ amount: "4", expire_at: null, deleted_at: null },
    order_summary: { order_items: [item("0", "9")], order_fees: [{ fee_name: "f", fee_amount: "4" }] },
  },
}

describe("views of payouts and checkouts over awkward records", () => {
  it.scopedLive("equal sums made by hand", () =>
    Effect.gen(function* () {
      const sql = yield* testWarehouse()
      const base = (list: string) => Effect.map(listStream(list), stream => fixtureOf(stream).record)
      const blank = { payout_id_finmo: null, reply_code_id_pg: null, deleted_at: null }
      const payoutBase = yield* base("payouts")
      const checkoutBase = yield* base("checkouts")
      const records: Readonly<Record<string, Readonly<Record<string, Fields>>>> = {
        payouts: Object.fromEntries(
          Object.entries(PAYOUTS).map(([id, { fields }]) => [id, { ...payoutBase, ...blank, id, ...fields }]),
        ),
        checkouts: Object.fromEntries(
          Object.entries(CHECKOUTS).map(([id, fields]) => [id, { ...checkoutBase, ...blank, id, ...fields }]),
        ),
        transactions: Object.fromEntries(
          Object.entries(PAYOUTS).flatMap(([of, { fields, lines = [] }]) =>
            lines.map(([name, amount, currency], n) => {
              const record = recordOf({
                ...{ id: `${of}-${n}`, type: "PAYOUT", name, direction: -1, amount, currency },
                at: "2026-01-06T00:00:00Z",
              })
              return [`${of}-${n}`, { ...record, event_id: fields.payout_id_finmo ?? of }]
            }),
          ),
        ),
      }
      const at = "2026-02-01T00:00:00Z"
      for (const [list, of] of Object.entries(records)) yield* readList(sql, list, Object.values(of), at)
      for (const list of ["payouts", "checkouts"])
        yield* Effect.promise(() =>
          sql.unsafe(
            `UPDATE warehouse.${list} SET removed_at = now() WHERE ${list.slice(0, -1)}_id = 'removed'`,
          ),
        )
      const idsOf = (list: string) => Object.keys(records[list]!)
      const sandbox = {
        idOf: (list: string, index: number) => idsOf(list)[index]!,
        indexOf: (list: string, id: string) => idsOf(list).indexOf(id),
        truth: {
          ids: (list: string) => idsOf(list).filter(id => id !== "removed"),
          text: (list: string, index: number) => JSON.stringify(Object.values(records[list]!)[index]),
        },
      } as unknown as Sandbox
      const b = benchOf({ sql, sandbox })
      yield* payoutViews(b, new Map(Object.entries(PAYOUTS).map(([id, { state }]) => [id, state])))
      yield* checkoutViews(b)
      expect(
        yield* printed(sql, "SELECT day::text FROM analytics.payout WHERE payout_id = 'undated'"),
      ).toEqual([{ day: "2025-03-18" }])
    }),
  )
})
