import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import type { PostgresVersion } from "../support/postgres.ts"
import { testWarehouse } from "../support/warehouse.ts"
import { daysAgo, given, lines } from "./rows.ts"

describe.each<PostgresVersion>(["18", "14"])("views of checkouts on Postgres %s", version => {
  const warehouse = testWarehouse(version)

  it.scopedLive("say what is expired, and where items and fees do not add up to the amount", () =>
    Effect.gen(function* () {
      const sql = yield* warehouse
      yield* given(
        sql,
        "checkouts",
        { checkout_id: "a", customer_id: "c1", amount: "10.5", currency: "KWD", expire_at: daysAgo(-1) },
        { checkout_id: "b", amount: 11, expire_at: daysAgo(1) },
        { checkout_id: "c", amount: 11, deleted_at: daysAgo(1) },
        { checkout_id: "d", amount: 11, raw: JSON.stringify({ expire_at: "soon" }) },
        { checkout_id: "e", amount: 0 },
        { checkout_id: "f", amount: 11, removed_at: daysAgo(1) },
      )
      yield* given(
        sql,
        "checkout_items",
        { checkout_id: "a", position: 1, product_name: "A", quantity: 3, unit_price: "3.25" },
        { checkout_id: "b", position: 1, quantity: 2, unit_price: 5 },
        { checkout_id: "c", position: 1, quantity: 2, unit_price: null },
        { checkout_id: "c", position: 2, quantity: 1, unit_price: 11 },
        { checkout_id: "f", position: 1, quantity: 1, unit_price: 1 },
      )
      yield* given(
        sql,
        "checkout_fees",
        { checkout_id: "a", position: 1, fee_amount: "0.75" },
        { checkout_id: "d", position: 1, fee_amount: 11 },
        { checkout_id: "d", position: 2, fee_amount: null },
      )
      expect(
        yield* lines(
          sql,
          "checkout_id, customer_id, currency, amount, is_expired, sum_differs, is_deleted, line_amount, item_count, fee_count",
          "checkout ORDER BY checkout_id",
        ),
      ).toEqual([
        "a | c1 | KWD | 10.5 | false | false | false | 10.50 | 1 | 1",
        "b | - | USD | 11 | true | true | false | 10 | 1 | 0",
        "c | - | USD | 11 | false | - | true | - | 2 | 0",
        "d | - | USD | 11 | - | - | false | - | 0 | 2",
        "e | - | USD | 0 | false | - | false | - | 0 | 0",
      ])
      expect(
        yield* lines(
          sql,
          "checkout_id, position, customer_id, currency, quantity, unit_price, amount",
          "checkout_item ORDER BY checkout_id, position",
        ),
      ).toEqual([
        "a | 1 | c1 | KWD | 3 | 3.25 | 9.75",
        "b | 1 | - | USD | 2 | 5 | 10",
        "c | 1 | - | USD | 2 | - | -",
        "c | 2 | - | USD | 1 | 11 | 11",
      ])
    }),
  )

  it.scopedLive("count by the day on which they were created, in the account's time zone", () =>
    Effect.gen(function* () {
      const sql = yield* warehouse
      for (const time_zone of ["UTC", "America/New_York"]) {
        const one = { account: time_zone, time_zone, amount: 5 }
        yield* given(
          sql,
          "checkouts",
          // New York is five hours behind until March 8, and four from then on.
          { ...one, checkout_id: "a", created_at: "2026-03-08T04:59:59Z" },
          { ...one, checkout_id: "b", created_at: "2026-03-08T05:00:00Z" },
          { ...one, checkout_id: "c", created_at: "2026-03-09T03:59:59Z", deleted_at: daysAgo(1) },
          { ...one, checkout_id: "d", created_at: null, updated_at: "2026-03-09T04:00:00Z" },
          { ...one, checkout_id: "e" },
          { ...one, checkout_id: "f", created_at: "2026-03-08T04:59:59Z", removed_at: daysAgo(1) },
        )
      }
      expect(
        yield* lines(
          sql,
          "time_zone, day, currency, checkout_count, checkout_amount, deleted_count, deleted_amount",
          "checkout_daily ORDER BY account, day",
        ),
      ).toEqual([
        "America/New_York | 2026-03-07 | USD | 1 | 5 | 0 | 0",
        "America/New_York | 2026-03-08 | USD | 2 | 10 | 1 | 5",
        "America/New_York | 2026-03-09 | USD | 1 | 5 | 0 | 0",
        "America/New_York | - | USD | 1 | 5 | 0 | 0",
        "UTC | 2026-03-08 | USD | 2 | 10 | 0 | 0",
        "UTC | 2026-03-09 | USD | 2 | 10 | 1 | 5",
        "UTC | - | USD | 1 | 5 | 0 | 0",
      ])
    }),
  )
})
