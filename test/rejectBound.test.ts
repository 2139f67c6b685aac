import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { listPath } from "./support/lists.ts"
import { slow } from "./support/slow.ts"
import { bench, statusesOf, streamOf } from "./support/warehouse.ts"

/** Too many rejects fail their stream, whatever else went well. */

const ONLY = { only: ["transactions"] }

/** Renames a field of the records of a list, in all of them or in the first few of each page. */
const renaming = (path: string, field: string, first = Number.POSITIVE_INFINITY) => {
  return (request: { readonly path: string }) => {
    let left = first
    return request.path === path
      ? {
          transform: (body: string) =>
            body.replaceAll(`"${field}":`, text => (left-- > 0 ? `"${field}Renamed":` : text)),
        }
      : undefined
  }
}

describe("a list whose records can mostly not become rows", () => {
  it.scopedLive("fails, names share, count, field and what to do, and keeps rows and rejects", () =>
    Effect.gen(function* () {
      const { sandbox, sync, value } = yield* bench({ transactions: 250 })
      sandbox.setFault(renaming(listPath("transactions"), "amount"))
      const first = streamOf(yield* sync(ONLY), "transactions")
      expect(first).toMatchObject({ status: "failed", extracted: 250, rejected: 250, inserted: 0 })
      expect(first.error).toContain("250 of 250 records read (100%) could not become a row")
      expect(first.error).toContain("PAYCOMBAT_REJECTS_MAX allows 5%. Most often (250 times): amount")
      expect(first.error).toContain("`paycombat-sync rejects list --stream transactions`")
      expect(yield* value("SELECT count(*) FROM sync.rejects WHERE kind = 'record'")).toBe("250")

      sandbox.setFault(null)
      expect(statusesOf(yield* sync(ONLY))).toEqual({ transactions: "complete" })
      expect(yield* value("SELECT count(*) FROM sync.rejects")).toBe("0")

      // The stored rows stay as they are: they are not what the API has now.
      sandbox.setFault(renaming(listPath("transactions"), "amount"))
      const second = streamOf(yield* sync({ ...ONLY, full: true }), "transactions")
      expect(second).toMatchObject({ status: "failed", rejected: 250 })
      expect(yield* value("SELECT count(*) FROM warehouse.transactions WHERE removed_at IS NULL")).toBe("250")
      // Each run judges open rejects, including a run that reads only a part of the list.
      const third = streamOf(yield* sync(ONLY), "transactions")
      expect(third).toMatchObject({ status: "failed", mode: "full" })
    }),
  )

  it.scopedLive("fails by share only beyond ten, and always if there was nothing else", () =>
    Effect.gen(function* () {
      const { sandbox, sync } = yield* bench({ transactions: 100, payouts: 1 })
      const path = listPath("transactions")
      const account = { pageSize: 1_000 }
      sandbox.setFault(renaming(path, "amount", 10))
      const few = streamOf(yield* sync({ ...ONLY, account }), "transactions")
      expect(few).toMatchObject({ status: "complete_with_rejects", rejected: 10 })
      sandbox.setFault(renaming(path, "amount", 11))
      const many = streamOf(yield* sync({ ...ONLY, account, full: true }), "transactions")
      expect(many).toMatchObject({ status: "failed", rejected: 11 })
      const allowed = streamOf(
        yield* sync({ ...ONLY, account, full: true, rejectsMax: 0.11 }),
        "transactions",
      )
      expect(allowed).toMatchObject({ status: "complete_with_rejects", rejected: 11 })

      sandbox.setFault(renaming(listPath("payouts"), "status"))
      const alone = streamOf(yield* sync({ only: ["payouts"] }), "payouts")
      expect(alone).toMatchObject({ status: "failed", extracted: 1, rejected: 1 })
    }),
  )

  slow(() => {
    it.scopedLive("fails by records that lack an item, too", () =>
      Effect.gen(function* () {
        const { sandbox, sync, value } = yield* bench({ customers: 40 })
        const wallets = { only: ["wallets"], account: { pageSize: 1_000 } }
        sandbox.setFault(renaming(listPath("wallets"), "actual_balance", 1))
        const one = streamOf(yield* sync(wallets), "wallets")
        expect(one).toMatchObject({ status: "complete_with_rejects", rejected: 0, itemRejected: 1 })
        expect(yield* value("SELECT open_rejects FROM analytics.freshness WHERE stream = 'wallets'")).toBe(
          "1",
        )
        sandbox.setFault(renaming(listPath("wallets"), "actual_balance"))
        const all = streamOf(yield* sync({ ...wallets, full: true }), "wallets")
        expect(all).toMatchObject({ status: "failed", rejected: 0 })
        expect(all.error).toMatch(/\d+ records lack an item that could not be read while \d+ rows are stored/)
        expect(yield* value("SELECT count(*) > 0 FROM warehouse.wallets WHERE removed_at IS NULL")).toBe(
          "true",
        )
        sandbox.setFault(null)
        expect(streamOf(yield* sync({ ...wallets, full: true }), "wallets").status).toBe("complete")
      }),
    )
  })

  it.scopedLive("makes the look-ups over its rows fail, too", () =>
    Effect.gen(function* () {
      const { sandbox, sync } = yield* bench()
      expect(statusesOf(yield* sync({ only: ["customers", "wallet_readiness"] }))).toEqual({
        customers: "complete",
        wallet_readiness: "complete",
      })
      sandbox.setFault(({ path }) => (path === listPath("customers") ? { status: 403 } : undefined))
      const failed = yield* sync({ only: ["customers", "wallet_readiness"] })
      expect(statusesOf(failed)).toEqual({ customers: "failed", wallet_readiness: "failed" })
      expect(streamOf(failed, "wallet_readiness").error).toContain("customers failed when it was last read")
      // Also alone, as long as the latest run of its parent is the one that failed.
      expect(statusesOf(yield* sync({ only: ["wallet_readiness"] }))).toEqual({ wallet_readiness: "failed" })
      sandbox.setFault(null)
      expect(statusesOf(yield* sync({ only: ["customers", "wallet_readiness"] }))).toEqual({
        customers: "complete",
        wallet_readiness: "complete",
      })
    }),
  )
})
