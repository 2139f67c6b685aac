import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { bench, streamOf } from "../support/warehouse.ts"

/** Tests text that says nothing, and text that no index can hold: the reject names the field. */

describe.concurrent("text", () => {
  it.scopedLive("that is blank counts as empty: a required field is a reject, an optional one is null", () =>
    Effect.gen(function* () {
      const { sandbox, sync, rows, value } = yield* bench({ transactions: 20 })
      sandbox.patch("transactions", 1, { currency: " " })
      sandbox.patch("transactions", 2, { transaction_id: " \t" })
      sandbox.patch("transactions", 3, { customer_id: "  ", settlement_id: "\u00a0", fees_currency: " " })
      const ended = streamOf(yield* sync({ only: ["transactions"] }), "transactions")
      expect(ended).toMatchObject({ extracted: 20, inserted: 18, rejected: 2 })
      expect(yield* rows("SELECT field, record_id FROM sync.rejects ORDER BY field")).toEqual([
        { field: "currency", record_id: sandbox.idOf("transactions", 1) },
        { field: "transaction_id", record_id: null },
      ])
      expect(
        yield* rows(
          `SELECT customer_id, settlement_id, fees_currency, owner_id = org_id AS is_own FROM warehouse.transactions
           WHERE transaction_id = '${sandbox.idOf("transactions", 3)}'`,
        ),
      ).toEqual([{ customer_id: null, settlement_id: null, fees_currency: null, is_own: "true" }])
      expect(yield* value("SELECT count(*) FROM warehouse.transactions WHERE btrim(currency) = ''")).toBe("0")
    }),
  )

  it.scopedLive("that is too long for an index is a reject of its field", () =>
    Effect.gen(function* () {
      const { sandbox, sync, rows } = yield* bench({ transactions: 20 })
      sandbox.patch("transactions", 1, { event_type: "x".repeat(20_000) })
      sandbox.patch("transactions", 2, { event_name: "x".repeat(20_000) })
      yield* sync({ only: ["transactions"] })
      expect(yield* rows("SELECT kind, field, reason FROM sync.rejects ORDER BY field")).toEqual([
        { kind: "field", field: "event_name", reason: "event_name: is longer than 300 characters" },
        { kind: "record", field: "event_type", reason: "event_type: is longer than 300 characters" },
      ])
    }),
  )
})
