import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import type { JsonObject } from "../../src/core/json.ts"
import { verdictsOf } from "../../src/warehouse/read/verdict.ts"
import { fixtureOf } from "../support/conformance.ts"
import { bench, json, listStream, loading, printed, streamOf, testWarehouse } from "../support/warehouse.ts"

/** Two records of a list with one id that differ. */

const only = ["transactions"]
const transactions = await Effect.runPromise(listStream("transactions"))

describe("two records with one id and one time of change that differ", () => {
  it.scopedLive.each<readonly [where: string, at: number, fields: JsonObject]>([
    ["on one page", 4, {}],
    ["on one page, without a time of change", 4, { updated_at: null }],
    ["on two pages", 40, {}],
  ])("%s are a row and a reject in each pass, until the list shows one of them", ([, at, fields]) =>
    Effect.gen(function* () {
      const { sql, sandbox, sync, rows } = yield* bench({ transactions: 60 })
      const pass = Effect.map(sync({ only, full: true }), summary => streamOf(summary, "transactions"))
      const record = json(sandbox.truth.text("transactions", 3)) as JsonObject
      sandbox.patch("transactions", 3, fields)
      sandbox.replace("transactions", at, JSON.stringify({ ...record, ...fields, amount: 4711 }))
      for (let n = 0; n < 3; n++) {
        const booked = yield* pass
        expect(booked).toMatchObject({
          status: "complete_with_rejects",
          extracted: 60,
          rejected: 1,
          stale: 0,
        })
        expect(
          yield* rows("SELECT record_id AS id, kind, field FROM sync.rejects WHERE unlisted_at IS NULL"),
        ).toEqual([{ id: record.transaction_id, kind: "record", field: "transaction_id" }])
        const [verdict] = yield* verdictsOf(sql, { streams: only })
        expect(verdict!.findings.map(({ kind }) => kind)).not.toContain("older_versions")
        expect(verdict!.sentence).toContain("transactions (1 reject)")
      }
      const amounts = `SELECT amount FROM warehouse.transactions WHERE transaction_id = '${String(record.transaction_id)}'
        UNION ALL SELECT (raw::jsonb ->> 'amount')::numeric FROM sync.rejects`
      expect(new Set((yield* rows(amounts)).map(({ amount }) => amount))).toEqual(
        new Set([String(record.amount), "4711"]),
      )
      sandbox.remove("transactions", at)
      expect((yield* pass).rejected).toBe(0)
      expect(yield* rows("SELECT 1 AS one FROM sync.rejects WHERE unlisted_at IS NULL")).toEqual([])
    }),
  )

  it.scopedLive("are reported, too, if an earlier batch of the pass stored one", () =>
    Effect.gen(function* () {
      const sql = yield* testWarehouse()
      const record = fixtureOf(transactions).record
      const pass = yield* loading(sql, transactions)
      const listed = (fields: object, readAt: string) =>
        pass.load([{ ...record, transaction_id: "a", ...fields }, readAt, { isListed: true }])
      yield* listed({ amount: 1 }, "2026-01-01T00:00:00.000Z")
      yield* listed({ amount: 2 }, "2026-01-01T00:10:00.000Z")
      expect(yield* pass.close()).toMatchObject({ openRejects: 1 })
      expect(yield* printed(sql, "SELECT raw::jsonb ->> 'amount' AS amount FROM sync.rejects")).toEqual([
        { amount: "1" },
      ])
      expect(yield* printed(sql, "SELECT amount FROM warehouse.transactions")).toEqual([{ amount: "2" }])
    }),
  )
})
