import { describe, expect, it } from "@effect/vitest"
import { primaryKey, text } from "drizzle-orm/pg-core"
import { Effect, Schema } from "effect"
import { Amount, Id, Instant, maybe, Text } from "../../src/core/fields.ts"
import { defineStream } from "../../src/core/stream.ts"
import { allStreams } from "../../src/registry.ts"
import { amount, instant, recordColumns, warehouse } from "../../src/warehouse/schema/columns.ts"
import { bench, streamOf } from "../support/warehouse.ts"

/** The declaration of a new endpoint: a table, a record, and the step from the record to a row. */
const refunds = warehouse.table(
  "refunds",
  {
    ...recordColumns(),
    refundId: text("refund_id").notNull(),
    amount: amount("amount").notNull(),
    currency: text("currency").notNull(),
    createdAt: instant("created_at"),
  },
  table => [primaryKey({ columns: [table.account, table.refundId] })],
)

const stream = defineStream({
  name: "refunds",
  after: ["transactions"],
  version: 1,
  source: {
    kind: "list",
    paths: ["/api/v1/refund/get-all"],
    idField: "refund_id",
    merchantField: null,
    recognizes: () => true,
    detail: null,
  },
  table: refunds,
  idColumn: "refund_id",
  record: Schema.Struct({ refund_id: Id, amount: Amount, currency: Text, created_at: maybe(Instant) }),
  normalize: refund => ({ row: refund, sourceUpdatedAt: refund.created_at }),
})

const CREATE = `
  CREATE TABLE warehouse.refunds (
    account text, raw jsonb NOT NULL, content_hash text NOT NULL, source_updated_at timestamptz, read_at timestamptz NOT NULL,
    first_seen_at timestamptz NOT NULL, run_id uuid NOT NULL, removed_at timestamptz,
    refund_id text, amount numeric NOT NULL, currency text NOT NULL, created_at timestamptz,
    PRIMARY KEY (account, refund_id))`

describe("a seventh stream", () => {
  it.scopedLive("is synced end to end with only its declaration and its table", () =>
    Effect.gen(function* () {
      const { sql, sandbox, sync, rows } = yield* bench({})
      yield* Effect.promise(() => sql.unsafe(CREATE))
      let listed = Array.from({ length: 25 }, (_, n) => ({
        refund_id: `r${n}`,
        amount: `${n}.50`,
        currency: "AUD",
      }))
      sandbox.setFault(({ path, query }) => {
        if (path !== "/api/v1/refund/get-all") return undefined
        const [page, limit] = [Number(query.get("page") ?? 1), Number(query.get("limit") ?? 10)]
        return { body: { status: true, data: listed.slice((page - 1) * limit, page * limit) } }
      })
      const streams = [...(yield* allStreams), stream]
      const first = yield* sync({ streams })
      expect(first.status).toBe("complete")
      expect(streamOf(first, "refunds")).toMatchObject({ inserted: 25, rejected: 0 })
      expect(yield* rows("SELECT amount FROM warehouse.refunds WHERE refund_id = 'r7'")).toEqual([
        { amount: "7.50" },
      ])
      expect(streamOf(yield* sync({ streams }), "refunds")).toMatchObject({ unchanged: 25, updated: 0 })
      listed = [...listed.slice(1), { refund_id: "bad", amount: "much", currency: "AUD" }]
      const third = streamOf(yield* sync({ streams }), "refunds")
      expect(third).toMatchObject({ status: "complete_with_rejects", rejected: 1, removed: 0 })
      expect(streamOf(yield* sync({ streams }), "refunds").removed).toBe(0)
      expect(streamOf(yield* sync({ streams }), "refunds").removed).toBe(1)
      expect(yield* rows("SELECT field FROM sync.rejects")).toEqual([{ field: "amount" }])
    }),
  )
})
