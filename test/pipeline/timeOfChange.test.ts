import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { bench, streamOf, syncedBench } from "../support/warehouse.ts"

/** Ways in which the time of a record's latest change goes away between two passes, as fields that are served. */
const WAYS = {
  missing: { updated_at: undefined },
  null: { updated_at: null },
  empty: { updated_at: "" },
  unreadable: { updated_at: "yesterday" },
  "a clock's zero": { updated_at: "1970-01-01T00:00:00.000Z" },
  "the first day of all": { updated_at: "0001-01-01T00:00:00Z" },
  renamed: { updated_at: undefined, updatedAt: "2026-02-01T00:00:00.000Z" },
} as const

/** Fields that change at the same time, in each list, and their columns. */
const CHANGES: ReadonlyArray<{
  readonly stream: string
  readonly fields: (index: number) => Readonly<Record<string, unknown>>
  readonly stored: string
  readonly expected: string
}> = [
  {
    stream: "payouts",
    fields: () => ({ status: "RETURNED" }),
    stored: "SELECT status FROM warehouse.payouts WHERE payout_id =",
    expected: "RETURNED",
  },
  {
    stream: "transactions",
    fields: () => ({ amount: 4711.25 }),
    stored: "SELECT amount FROM warehouse.transactions WHERE transaction_id =",
    expected: "4711.25",
  },
  {
    stream: "wallets",
    fields: index => ({
      wallet_account: [{ wallet_account_id: `a${index}`, currency: "AUD", actual_balance: 12.5 }],
    }),
    stored: "SELECT actual_balance FROM warehouse.wallet_accounts WHERE removed_at IS NULL AND wallet_id =",
    expected: "12.5",
  },
  {
    stream: "checkouts",
    fields: () => ({ order_summary: { order_items: [{ product_name: "one" }] } }),
    stored: "SELECT string_agg(product_name, ',') FROM warehouse.checkout_items WHERE checkout_id =",
    expected: "one",
  },
]

describe.each(Object.entries(WAYS))("a time of change that is %s from one pass to the next", (_, way) => {
  // Each way in one list, and each list in one way: how a time is read knows no list, and the loader no way.
  const changes = CHANGES.filter(({ stream }) => stream === "payouts" || way === WAYS.missing)
  it.scopedLive.each(changes)("freezes no row of $stream", ({ stream, fields, stored, expected }) =>
    Effect.gen(function* () {
      const only = [stream]
      const { sandbox, sync, value } = yield* syncedBench({}, { only })
      const before = yield* value(`${stored} '${sandbox.idOf(stream, 4)}'`)
      for (let index = 0; index < 10; index++) sandbox.patch(stream, index, { ...way, ...fields(index) })
      const pass = streamOf(yield* sync({ only, full: true }), stream)
      expect(pass).toMatchObject({ updated: 10, stale: 0 })
      expect(before).not.toBe(expected)
      expect(yield* value(`${stored} '${sandbox.idOf(stream, 4)}'`)).toBe(expected)
      // It comes back, earlier than it was: the version without a time is the older one, since it was read before.
      for (let index = 0; index < 10; index++)
        sandbox.patch(stream, index, { updated_at: "2020-01-01T00:00:00.000Z", updatedAt: undefined })
      expect(streamOf(yield* sync({ only, full: true }), stream)).toMatchObject({ updated: 10, stale: 0 })
    }),
  )
})

describe("a time of change far ahead of its reading", () => {
  it.scopedLive.each(CHANGES)(
    "freezes no row of $stream, and stays in raw",
    ({ stream, fields, stored, expected }) =>
      Effect.gen(function* () {
        const { sandbox, sync, value } = yield* bench()
        const only = [stream]
        const of = `'${sandbox.idOf(stream, 4)}'`
        sandbox.patch(stream, 4, { updated_at: "2999-01-01T00:00:00.000Z" })
        yield* sync({ only })
        const id = stored.slice(stored.lastIndexOf(" ", stored.length - 3) + 1, -2)
        expect(yield* value(`SELECT raw ->> 'updated_at' FROM warehouse.${stream} WHERE ${id} = ${of}`)).toBe(
          "2999-01-01T00:00:00.000Z",
        )
        sandbox.patch(stream, 4, { updated_at: "2026-01-01T00:00:00.000Z", ...fields(4) })
        expect(streamOf(yield* sync({ only, full: true }), stream)).toMatchObject({ updated: 1, stale: 0 })
        expect(yield* value(`${stored} ${of}`)).toBe(expected)
      }),
  )
})

describe("a record whose time of change goes back", () => {
  it.scopedLive("is stale if both versions have a time of change, and its row stays unchanged", () =>
    Effect.gen(function* () {
      const only = ["payouts"]
      const { sandbox, sync, value } = yield* syncedBench({}, { only })
      const id = sandbox.idOf("payouts", 4)
      const status = `SELECT status FROM warehouse.payouts WHERE payout_id = '${id}'`
      const before = yield* value(status)
      sandbox.patch("payouts", 4, { updated_at: "2020-01-01T00:00:00.000Z", status: "OLD" })
      expect(streamOf(yield* sync({ only, full: true }), "payouts")).toMatchObject({ updated: 0, stale: 1 })
      expect(yield* value(status)).toBe(before)
    }),
  )
})
