import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { printed, testWarehouse } from "../support/warehouse.ts"
import { daysAgo, given } from "./rows.ts"

/** Views that rest on directions and show no money that a direction counts. */
const WITHOUT_MONEY = ["unmapped_event_type", "verdict"]

/** All views that read `event_direction`, directly or through another view, and whether they say what is assumed. */
const RESTING = `
  WITH RECURSIVE part AS (
    SELECT DISTINCT rule.ev_class AS view, used.refobjid AS used FROM pg_depend AS used
    JOIN pg_rewrite AS rule ON used.classid = 'pg_rewrite'::regclass AND rule.oid = used.objid AND rule.ev_class <> used.refobjid
    WHERE used.refclassid = 'pg_class'::regclass
  ), resting AS (
    SELECT 'analytics.event_direction'::regclass::oid AS view
    UNION SELECT part.view FROM part JOIN resting ON part.used = resting.view
  )
  SELECT relname AS view,
    EXISTS (SELECT FROM pg_attribute WHERE attrelid = c.oid AND attname = 'is_assumed') AS says_so
  FROM resting JOIN pg_class AS c ON c.oid = resting.view AND c.relnamespace = 'analytics'::regnamespace ORDER BY 1`

describe("money that rests on a rule that no person has confirmed", () => {
  it.scopedLive("is marked as assumed in every view, until the rule is confirmed", () =>
    Effect.gen(function* () {
      const sql = yield* testWarehouse()
      const views = yield* printed(sql, RESTING)
      expect(views.filter(({ says_so }) => says_so === "false").map(({ view }) => view)).toEqual(
        WITHOUT_MONEY,
      )
      const marked = views.filter(({ says_so }) => says_so === "true").map(({ view }) => view!)

      yield* given(sql, "customers", { customer_id: "c" })
      yield* given(sql, "wallet_readiness", { customer_id: "c", is_wallet_ready: false })
      yield* given(sql, "wallet_readiness_history", {
        customer_id: "c",
        is_wallet_ready: false,
        valid_from: daysAgo(9),
      })
      yield* given(sql, "wallets", { wallet_id: "w", customer_id: "c" })
      yield* given(sql, "wallet_accounts", { wallet_account_id: "a", wallet_id: "w", actual_balance: 70 })
      yield* given(sql, "payouts", { payout_id: "p", amount: 30 })
      const own = { owner_id: "c", customer_id: "c", settlement_id: "s", created_at: daysAgo(1) }
      yield* given(
        sql,
        "transactions",
        { ...own, transaction_id: "t1", amount: 100 },
        { ...own, transaction_id: "t2", amount: 30, event_type: "PAYOUT", event_id: "p" },
        { ...own, transaction_id: "t3", amount: 5, event_type: "RESERVE" },
      )
      const marksOf = Effect.forEach(marked, view =>
        Effect.map(printed(sql, `SELECT DISTINCT is_assumed FROM analytics.${view}`), rows => [
          view,
          ...rows.map(({ is_assumed }) => is_assumed),
        ]),
      )
      expect(yield* marksOf).toEqual(marked.map(view => [view, "true"]))
      yield* Effect.promise(() => sql`UPDATE warehouse.event_directions SET confirmed_at = now()`)
      expect(yield* marksOf).toEqual(marked.map(view => [view, "false"]))

      // One assumed kind marks what it is part of, and nothing else.
      yield* given(sql, "event_directions", { event_type: "GIFT", direction: 1 })
      const other = {
        owner_id: "d",
        customer_id: "d",
        settlement_id: "s",
        event_type: "GIFT",
        currency: "EUR",
      }
      yield* given(sql, "transactions", { ...other, transaction_id: "t4", amount: 1 })
      expect(
        yield* printed(sql, "SELECT currency, is_assumed FROM analytics.settlement ORDER BY currency"),
      ).toEqual([
        { currency: "EUR", is_assumed: "true" },
        { currency: "USD", is_assumed: "false" },
      ])
      expect(yield* printed(sql, "SELECT event_type FROM analytics.event_rule WHERE is_assumed")).toEqual([
        { event_type: "GIFT" },
      ])
    }),
  )
})
