import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { isAddressable } from "../../src/paycombat/idPath.ts"
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
  it("is told from one that leads to its record", () => {
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
})
