import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import * as fc from "fast-check"
import type postgres from "postgres"
import { fuzz, fuzzMillis } from "../support/fuzz.ts"
import { printed, testWarehouse } from "../support/warehouse.ts"
import { given } from "./rows.ts"

/** Totals follow the rows after every kind of write. */

const TOTALS = ["kinds", "days", "settlements", "owners"]
/** A sum keeps the decimals of its parts, so one of 0 may be `0` or `0.000`. */
const withoutZeros = (row: string) => row.replace(/(\.\d*?)0+(?=[,}])/g, "$1").replace(/\.(?=[,}])/g, "")
const totals = (sql: postgres.Sql) =>
  Effect.forEach(TOTALS, of =>
    Effect.map(
      printed(
        sql,
        `SELECT to_jsonb(t)::text AS total FROM warehouse.transaction_${of} AS t WHERE transaction_count <> 0`,
      ),
      rows => rows.map(({ total }) => withoutZeros(total!)).sort(),
    ),
  )

/** Fields of a row that a total depends on. */
const fields = fc.record({
  settlement_id: fc.constantFrom(null, "s1", "s2"),
  amount: fc.constantFrom("10", "-10", "0", "0.001"),
  currency: fc.constantFrom("USD", "KWD"),
  event_type: fc.constantFrom("PAYIN", "PAYOUT", "ODD"),
  event_name: fc.constantFrom(null, "PAYIN_COMPLETED", "PAYIN_FAILED"),
  is_settled: fc.boolean(),
  customer_id: fc.constantFrom(null, "c1", "org"),
  org_id: fc.constantFrom("org", "other"),
  fees_currency: fc.constantFrom(null, "USD"),
  fees_without_tax: fc.constantFrom(null, "1", "-0.5"),
  tax_on_fees: fc.constantFrom(null, "0.1"),
  fees_including_tax: fc.constantFrom(null, "1.2"),
  net_amount: fc.constantFrom(null, "8.9"),
  created_at: fc.constantFrom("2026-01-01T00:00:00Z", "2026-01-02T23:59:59Z", "2026-01-03T12:00:00Z"),
})
const ids = fc.constantFrom("a", "b", "c", "d")
const step = fc.oneof(
  { weight: 5, arbitrary: fc.record({ kind: fc.constant("put" as const), id: ids, fields }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("delete" as const), id: ids }) },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant("seen" as const),
      id: ids,
      day: fc.integer({ min: 1, max: 3 }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("truncate" as const) }) },
)

const RUNS = 10

describe("totals of transactions", () => {
  it(
    "are what they would be if they were made anew",
    () =>
      fc.assert(
        fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 25 }), steps =>
          Effect.gen(function* () {
            const sql = yield* testWarehouse()
            for (const each of steps) {
              if (each.kind === "put") {
                const row = { ...each.fields, owner_id: each.fields.customer_id ?? each.fields.org_id }
                const [stored] = yield* printed(
                  sql,
                  `SELECT 1 AS one FROM warehouse.transactions WHERE transaction_id = '${each.id}'`,
                )
                if (stored === undefined)
                  yield* given(sql, "transactions", { ...row, transaction_id: each.id })
                else
                  yield* Effect.promise(
                    () =>
                      sql`UPDATE warehouse.transactions SET ${sql(row)} WHERE transaction_id = ${each.id}`,
                  )
              }
              if (each.kind === "delete")
                for (const table of ["transactions", "settlement_history"])
                  yield* Effect.promise(
                    () => sql`DELETE FROM warehouse.${sql(table)} WHERE transaction_id = ${each.id}`,
                  )
              // As the loader does: a time is stored after its row.
              if (each.kind === "seen")
                yield* Effect.promise(
                  () => sql`
                    INSERT INTO warehouse.settlement_history (account, transaction_id, settled_seen_at)
                    SELECT account, transaction_id, ${`2026-03-0${each.day}T00:00:00Z`}
                    FROM warehouse.transactions WHERE transaction_id = ${each.id}
                    ON CONFLICT (account, transaction_id) DO UPDATE SET settled_seen_at = excluded.settled_seen_at`,
                )
              if (each.kind === "truncate")
                yield* Effect.promise(
                  () => sql`TRUNCATE warehouse.transactions, warehouse.settlement_history`,
                )
            }
            const kept = yield* totals(sql)
            yield* Effect.promise(() => sql`SELECT warehouse.make_totals()`)
            expect(kept).toEqual(yield* totals(sql))
          }).pipe(Effect.scoped, Effect.runPromise),
        ),
        fuzz(RUNS),
      ),
    fuzzMillis(RUNS),
  )
})
