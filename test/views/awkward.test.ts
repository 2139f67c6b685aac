import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import {
  afterChanges,
  awkwardSandbox,
  awkwardTruth,
  PAYMENTS,
  recordOf,
  ruleOf,
  WALLETS,
  walletRecord,
} from "../support/awkward.ts"
import { money } from "../support/moneyViews.ts"
import { walletViews } from "../support/recordViews.ts"
import { balances, settlements } from "../support/views.ts"
import { benchOf, testWarehouse } from "../support/warehouse.ts"
import { lines, readList } from "./rows.ts"

describe("views of money over awkward records", () => {
  it.scopedLive("equal sums made by hand, before and after settlements that were done change", () =>
    Effect.gen(function* () {
      const sql = yield* testWarehouse()
      const everything = (payments: typeof PAYMENTS) =>
        Effect.gen(function* () {
          const b = benchOf({ sql, sandbox: awkwardSandbox(payments) })
          const truth = awkwardTruth(payments)
          yield* settlements(b, truth)
          yield* balances(b, truth)
          yield* money(b, truth, ({ eventType, eventName }) => ruleOf(eventType, eventName))
          yield* walletViews(b)
        })
      const changedSinceDone = lines(
        sql,
        "DISTINCT settlement_id, status, changed_since_done",
        "settlement ORDER BY 1",
      )
      yield* readList(sql, "transactions", PAYMENTS.map(recordOf), "2026-02-01T00:00:00Z")
      yield* readList(sql, "wallets", WALLETS.map(walletRecord), "2026-02-01T00:00:01Z")
      yield* everything(PAYMENTS)
      expect(yield* changedSinceDone).toEqual([
        "s1 | Done | false",
        "s2 | Done | false",
        "s3 | Done | false",
        "s4 | In Progress | false",
        "s5 | Done | false",
      ])
      yield* readList(sql, "transactions", afterChanges.map(recordOf), "2026-02-02T00:00:00Z")
      yield* everything(afterChanges)
      // s4 was not done before; s5 has a payment more.
      expect(yield* changedSinceDone).toEqual([
        "s1 | Done | true",
        "s2 | Done | true",
        "s3 | In Progress | true",
        "s4 | Done | false",
        "s5 | Done | true",
      ])
      const columns =
        "settlement_id, transaction_id, from_settlement_id, to_settlement_id, was_settled, is_settled"
      expect(yield* lines(sql, columns, "settlement_change ORDER BY 2, 1")).toEqual([
        "s1 | p02 | s1 | s2 | true | true",
        "s2 | p02 | s1 | s2 | true | true",
        "s3 | p07 | s3 | s3 | true | false",
        "s4 | p10 | s4 | s4 | false | true",
      ])
    }),
  )
})
