import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import type { JsonObject } from "../../src/core/json.ts"
import { verdictsOf } from "../../src/warehouse/read/verdict.ts"
import { listPath } from "../support/lists.ts"
import { bench, json, streamOf } from "../support/warehouse.ts"

/** Items that records list: accounts of wallets, items and fees of checkouts. */

const setup = (stream: string) =>
  Effect.gen(function* () {
    const given = yield* bench({ customers: 8, checkouts: 12 })
    const { sql, sandbox } = given
    const item = (index: number) => json(sandbox.truth.text(stream, index)) as JsonObject
    return {
      ...given,
      item,
      accounts: (index: number) => item(index).wallet_account as ReadonlyArray<JsonObject>,
      pass: (options: object = {}) =>
        Effect.map(given.sync({ only: [stream], full: true, ...options }), summary =>
          streamOf(summary, stream),
        ),
      verdict: Effect.map(verdictsOf(sql, { streams: [stream] }), ([first]) => first!),
      changing: (change: (body: string) => string) =>
        sandbox.setFault(({ path }) => (path === listPath(stream) ? { transform: change } : undefined)),
    }
  })

const LISTED = "SELECT count(*) FROM warehouse.wallet_accounts WHERE removed_at IS NULL"

describe("a list in records that becomes empty", () => {
  it.scopedLive("in all of them removes no row, and makes the verdict bad until it is filled again", () =>
    Effect.gen(function* () {
      const { sandbox, pass, value, verdict, changing } = yield* setup("wallets")
      yield* pass()
      const before = yield* value(LISTED)
      expect(Number(before)).toBeGreaterThan(3)
      changing(body => body.replaceAll(/"wallet_account":\[.*?\](?=[,}])/g, '"wallet_account":[]'))
      for (let n = 0; n < 4; n++) {
        expect((yield* pass()).status).toBe("complete")
        expect(yield* value(LISTED)).toBe(before)
        const { level, sentence } = yield* verdict
        expect([level, sentence]).toEqual([
          "bad",
          "The figures cannot be trusted: wallets (no wallet_account).",
        ])
      }
      sandbox.setFault(null)
      yield* pass()
      expect([yield* value(LISTED), (yield* verdict).level]).toEqual([before, "good"])
    }),
  )

  it.scopedLive("in many of them at once is not believed until a person confirms it", () =>
    Effect.gen(function* () {
      const { sandbox, pass, accounts, value, verdict } = yield* setup("wallets")
      yield* pass()
      const before = Number(yield* value(LISTED))
      const indices = [0, 1, 2, 3]
      const fewer = indices.reduce((left, index) => left - accounts(index).length, before)
      for (const index of indices) sandbox.patch("wallets", index, { wallet_account: [] })
      for (let n = 0; n < 2; n++) {
        yield* pass()
        expect(yield* value(LISTED)).toBe(String(before))
        expect((yield* verdict).sentence).toBe(
          "The figures can be trusted, with exceptions: wallets (lists that became empty).",
        )
      }
      yield* pass({ confirmsRemovals: true })
      expect([yield* value(LISTED), (yield* verdict).level]).toEqual([String(fewer), "good"])
    }),
  )

  it.scopedLive("in one of many is believed at the end of the pass", () =>
    Effect.gen(function* () {
      const { sandbox, pass, value, verdict } = yield* setup("checkouts")
      const items = "SELECT count(*) FROM warehouse.checkout_items"
      yield* pass()
      const before = Number(yield* value(items))
      const own = (yield* value(`${items} WHERE checkout_id = '${sandbox.idOf("checkouts", 4)}'`))!
      sandbox.patch("checkouts", 4, { order_summary: { order_items: [], order_fees: [] } })
      yield* pass()
      expect(Number(own)).toBeGreaterThan(0)
      expect([yield* value(items), (yield* verdict).level]).toEqual([String(before - Number(own)), "good"])
      expect(yield* value("SELECT count(*) FROM sync.item_doubts")).toBe("0")
    }),
  )
})

describe("two items of one wallet with one id", () => {
  it.scopedLive("are one row and an item reject, which the verdict names", () =>
    Effect.gen(function* () {
      const { sandbox, pass, accounts, rows, verdict } = yield* setup("wallets")
      const [first] = accounts(2)
      const twin = { ...first, currency: "XTS", actual_balance: 7 }
      sandbox.patch("wallets", 2, { wallet_account: [first, twin, first] })
      expect(yield* pass()).toMatchObject({ status: "complete_with_rejects", itemRejected: 1 })
      const id = sandbox.idOf("wallets", 2)
      expect(yield* rows(`SELECT currency FROM warehouse.wallet_accounts WHERE wallet_id = '${id}'`)).toEqual(
        [{ currency: first!.currency }],
      )
      const [reject] = yield* rows("SELECT kind, field, reason, raw FROM sync.rejects")
      expect(reject).toMatchObject({ kind: "item", field: "wallet_account.1" })
      expect(reject!.reason).toContain("the same wallet_account_id")
      expect(reject!.raw).toContain("XTS")
      expect((yield* verdict).level).toBe("attention")
    }),
  )
})

describe("an account that two wallets list", () => {
  it.scopedLive("is a finding, and belongs again to the wallet that lists it alone", () =>
    Effect.gen(function* () {
      const { sandbox, pass, accounts, rows, verdict } = yield* setup("wallets")
      yield* pass()
      const own = accounts(0)[0]!
      const other = accounts(1)
      const owner = Effect.map(
        rows(
          `SELECT wallet_id AS id, removed_at IS NULL AS listed FROM warehouse.wallet_accounts WHERE wallet_account_id = '${own.wallet_account_id}'`,
        ),
        ([row]) => row,
      )
      sandbox.patch("wallets", 1, { wallet_account: [...other, own] })
      for (let n = 0; n < 2; n++) {
        yield* pass()
        expect((yield* verdict).sentence).toBe(
          "The figures can be trusted, with exceptions: wallets (items listed twice).",
        )
      }
      sandbox.patch("wallets", 1, { wallet_account: other })
      yield* pass()
      expect(yield* owner).toEqual({ id: sandbox.idOf("wallets", 0), listed: "true" })
      expect((yield* verdict).level).toBe("good")
    }),
  )

  it.scopedLive("moves without a finding if the former wallet no longer lists it", () =>
    Effect.gen(function* () {
      const { sandbox, pass, accounts, value, verdict } = yield* setup("wallets")
      yield* pass()
      const first = accounts(0)
      const second = accounts(1)
      const own = first[0]!
      for (const to of [1, 0]) {
        sandbox.patch("wallets", 0, { wallet_account: to === 0 ? first : first.slice(1) })
        sandbox.patch("wallets", 1, { wallet_account: to === 0 ? second : [...second, own] })
        yield* pass()
        expect(
          yield* value(
            `SELECT wallet_id FROM warehouse.wallet_accounts WHERE removed_at IS NULL AND wallet_account_id = '${own.wallet_account_id}'`,
          ),
        ).toBe(sandbox.idOf("wallets", to))
        expect((yield* verdict).findings).toEqual([])
      }
    }),
  )
})
