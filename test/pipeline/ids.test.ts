import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { isAddressable } from "../../src/core/id.ts"
import { bench, statusesOf, streamOf } from "../support/warehouse.ts"

const ESCAPES = [
  ".",
  "..",
  "..;x",
  "%2e%2e",
  ".%2E",
  "../checkouts",
  "a/b",
  "a\\b",
  "a?b=c",
  "a#b",
  "%00",
  "a\nb",
]

describe("an id that a path could take for something else", () => {
  it("is told apart from one that leads to its record", () => {
    for (const id of [...ESCAPES, "", "\ud800"]) expect([id, isAddressable(id)]).toEqual([id, false])
    for (const id of ["customer_0f", "a.b", "...", "a b", "漢", "a;b", "a:b@c+d&e=f,$"])
      expect([id, isAddressable(id)]).toEqual([id, true])
  })

  it.scopedLive("is never asked for, and its customer's check says why", () =>
    Effect.gen(function* () {
      // So many that the failed checks stay within the bound.
      const { sandbox, sync, rows, value } = yield* bench({ customers: 20 * ESCAPES.length })
      const first = sandbox.truth.count("customers")
      sandbox.insert("customers", ESCAPES.length, "back")
      ESCAPES.forEach((id, n) => {
        const record = JSON.parse(sandbox.truth.text("customers", first + n))
        sandbox.replace("customers", first + n, JSON.stringify({ ...record, customer_id: id }))
      })
      const run = yield* sync({ only: ["customers", "wallet_readiness"] })
      expect(statusesOf(run)).toEqual({ customers: "complete", wallet_readiness: "complete" })
      expect(streamOf(run, "wallet_readiness").note).toContain(`${ESCAPES.length} checks failed`)
      const failed = yield* rows(
        "SELECT customer_id, check_error FROM warehouse.wallet_readiness WHERE check_error IS NOT NULL",
      )
      expect(failed.map(({ customer_id }) => customer_id).sort()).toEqual([...ESCAPES].sort())
      for (const { check_error } of failed) expect(check_error).toContain("cannot stand in a path")
      expect(yield* value("SELECT count(*) FROM warehouse.wallet_readiness")).toBe(
        String(first + ESCAPES.length),
      )
      const asked = sandbox.requests.recent.filter(({ path }) => /ready/.test(path))
      expect(asked).toHaveLength(first)
      const paths = new Set(sandbox.requests.recent.map(({ path }) => path.replace(/[^/]+$/, "")))
      expect([...paths].filter(path => !path.startsWith("/api/v1/customer"))).toEqual([])
    }),
  )

  it.scopedLive(
    "and a list item that lacks parts is a reject that says so, not that the part is missing",
    () =>
      Effect.gen(function* () {
        const { sandbox, sync, rows, value } = yield* bench({ walletListHasBalances: false })
        const ids = ["..", "a/b", "%2e"]
        // Those that the list shows first: the by-id endpoint is found with others.
        ids.forEach((id, n) => {
          const { wallet_account: _, ...record } = JSON.parse(sandbox.truth.text("wallets", n))
          sandbox.replace("wallets", n, JSON.stringify({ ...record, wallet_id: id }))
        })
        const booked = streamOf(yield* sync({ only: ["wallets"] }), "wallets")
        expect(booked).toMatchObject({ status: "complete_with_rejects", rejected: ids.length, error: null })
        const rejects = rows("SELECT record_id, field, reason FROM sync.rejects ORDER BY 1")
        for (const reject of yield* rejects)
          expect(reject).toMatchObject({
            field: "wallet_id",
            reason: expect.stringContaining("wallet_id: cannot stand in a path"),
          })
        expect(yield* value("SELECT count(*) FROM warehouse.wallets")).toBe(
          String(sandbox.truth.count("wallets") - ids.length),
        )
        const paths = sandbox.requests.recent.map(({ path }) => path)
        expect(paths.filter(path => !/^\/api\/v1\/wallet\/(wallet\/)?[\w-]+$/.test(path))).toEqual([])
      }),
  )
})
