import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { connect } from "../../src/postgres/connect.ts"
import { migrate } from "../../src/warehouse/schema/migrator.ts"
import { testDatabase } from "../support/postgres.ts"
import { given, lines } from "../views/rows.ts"
import { earlierVersion, run } from "./support.ts"

describe("rules of direction in a warehouse of an earlier version", () => {
  it.scopedLive("stay as people edited them, count as confirmed, and are not inserted again", () =>
    Effect.gen(function* () {
      const sql = yield* connect((yield* testDatabase()).ownerUrl)
      yield* migrate(sql, yield* earlierVersion("0017_rows_proven"))
      yield* run(
        sql,
        `UPDATE warehouse.event_directions SET direction = 0 WHERE event_type = 'CREDIT';
         UPDATE warehouse.event_directions SET note = 'PayCombat confirmed it' WHERE event_type = 'DEBIT';
         DELETE FROM warehouse.event_directions WHERE event_type = 'RELEASE';
         INSERT INTO warehouse.event_directions (event_type, event_name, direction) VALUES
           ('PAYIN', 'PAYIN_PENDING', 1), ('ADJUSTMENT', '*', -1), ('TOPUP', '*', 1)`,
      )
      yield* given(
        sql,
        "transactions",
        { transaction_id: "t1", event_type: "PAYIN", event_name: "PAYIN_PENDING", amount: 10 },
        { transaction_id: "t2", event_type: "ADJUSTMENT", event_name: "ADJUSTMENT_MADE", amount: 20 },
        { transaction_id: "t3", event_type: "CREDIT", event_name: "CREDIT_COMPLETED", amount: 40 },
      )
      yield* migrate(sql)
      const rules = yield* Effect.promise(
        () => sql`
          SELECT event_type || ' ' || event_name || ' ' || direction || CASE WHEN confirmed_at IS NULL THEN '' ELSE ' confirmed' END AS rule
          FROM warehouse.event_directions ORDER BY 1`,
      )
      expect(rules.map(({ rule }) => rule)).toEqual([
        "ADJUSTMENT * -1 confirmed",
        "CHARGEBACK * -1",
        "CREDIT * 0 confirmed",
        "DEBIT * -1 confirmed",
        "PAYIN * 1",
        "PAYIN PAYIN_PENDING 1 confirmed",
        "PAYOUT * -1",
        "REFUND * -1",
        "RESERVE * 0",
        "TOPUP * 1 confirmed",
      ])
      expect(
        yield* lines(sql, "transaction_id, direction", "settlement_transaction ORDER BY transaction_id"),
      ).toEqual(["t1 | 1", "t2 | -1", "t3 | 0"])
    }),
  )
})
