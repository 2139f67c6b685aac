import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import type { JsonObject } from "../../src/core/json.ts"
import { bench, json, streamOf } from "../support/warehouse.ts"

describe("a wallet whose list item lacks its accounts", () => {
  it.scopedLive.each<readonly [what: string, id: string]>([
    ["whose id cannot be asked for", "\ud800"],
    ["whose id cannot be stored", "a\u0000"],
    ["whose id leads elsewhere", ".."],
    ["that its by-id endpoint does not know", "wallet_of_nobody"],
  ])("%s, is a reject, and the others are rows", ([, id]) =>
    Effect.gen(function* () {
      const { sandbox, sync, rows } = yield* bench({ customers: 8 })
      const count = sandbox.truth.count("wallets")
      const { wallet_account: _, ...bare } = json(sandbox.truth.text("wallets", 1)) as JsonObject
      sandbox.replace("wallets", 1, JSON.stringify({ ...bare, wallet_id: id }))
      const booked = streamOf(yield* sync({ only: ["wallets"] }), "wallets")
      expect([booked.status, booked.error]).toEqual(["complete_with_rejects", null])
      expect(booked).toMatchObject({ extracted: count, inserted: count - 1, rejected: 1 })
      expect(yield* rows("SELECT field FROM sync.rejects")).toEqual([
        { field: id.includes("w") ? "wallet_account" : "wallet_id" },
      ])
    }),
  )
})
