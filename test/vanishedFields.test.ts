import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { DEFAULT_LIST_PATHS, type StreamName } from "../src/sandbox/Sandbox.ts"
import { verdictsOf } from "../src/warehouse/verdict.ts"
import { bench, streamOf } from "./support/warehouse.ts"

/** A documented field that records carried and carry no more. */

const parts = (options: Parameters<typeof bench>[0]) =>
  Effect.gen(function* () {
    const { sql, sandbox, sync, rows } = yield* bench(options)
    /** Changes the records of a list by their text. */
    const changing = (stream: StreamName, change: (body: string) => string) =>
      sandbox.setFault(({ path }) =>
        path === DEFAULT_LIST_PATHS[stream] ? { transform: change } : undefined,
      )
    const renaming = (stream: StreamName, field: string) =>
      changing(stream, body => body.replaceAll(`"${field}":`, `"${field}V2":`))
    const missing = Effect.map(
      rows("SELECT stream, field FROM sync.fields WHERE missing_since IS NOT NULL ORDER BY 1, 2"),
      found => found.map(({ stream, field }) => `${stream}.${field}`),
    )
    const verdict = Effect.map(verdictsOf(sql), ([first]) => first!)
    return { sandbox, sync, rows, changing, renaming, missing, verdict }
  })

const TRANSACTIONS = { only: ["transactions"] }

describe.concurrent("a documented field that records carried", () => {
  it.scopedLive("makes the verdict not good and is named until a record carries it again", () =>
    Effect.gen(function* () {
      const { sandbox, sync, renaming, missing, verdict } = yield* parts({ transactions: 40 })
      yield* sync()
      expect([yield* missing, (yield* verdict).level]).toEqual([[], "good"])
      renaming("transactions", "customer_id")
      // Each of these runs reads the new shape; the first has overwritten the rows that carried it.
      for (const options of [{ full: true }, {}, { full: true }]) {
        const { status } = streamOf(yield* sync({ ...TRANSACTIONS, ...options }), "transactions")
        expect([status, yield* missing]).toEqual(["complete", ["transactions.customer_id"]])
        const { level, sentence, findings } = yield* verdict
        expect([level, sentence]).toEqual([
          "attention",
          "The figures can be trusted, with exceptions: transactions (no customer_id).",
        ])
        expect(findings[0]!.text).toContain("no record carries `customer_id` any more")
      }
      sandbox.setFault(null)
      yield* sync({ ...TRANSACTIONS, full: true })
      expect([yield* missing, (yield* verdict).level]).toEqual([[], "good"])
    }),
  )

  it.scopedLive("is found by a run that reads only what is new", () =>
    Effect.gen(function* () {
      const { sandbox, sync, renaming, missing, verdict } = yield* parts({
        transactions: 600,
        order: "newest-first",
      })
      const account = { pageSize: 50 }
      yield* sync({ ...TRANSACTIONS, account })
      renaming("transactions", "settlement_id")
      sandbox.insert("transactions", 3, "front")
      const { mode } = streamOf(yield* sync({ ...TRANSACTIONS, account }), "transactions")
      expect([mode, yield* missing]).toEqual(["incremental", ["transactions.settlement_id"]])
      expect((yield* verdict).findings.map(({ kind }) => kind)).toContain("missing_field")
    }),
  )

  it.scopedLive("within an object or a list of objects counts as one", () =>
    Effect.gen(function* () {
      const { sync, renaming, missing } = yield* parts({})
      yield* sync({ only: ["wallets"] })
      renaming("wallets", "available_balance")
      yield* sync({ only: ["wallets"], full: true })
      expect(yield* missing).toEqual(["wallets.wallet_account.available_balance"])
    }),
  )

  it.scopedLive("is not gone where it is null, or where the records that lack it are only some", () =>
    Effect.gen(function* () {
      const { sync, changing, missing } = yield* parts({ transactions: 40 })
      yield* sync({ only: ["transactions", "payouts"] })
      changing("transactions", body => body.replaceAll(/"settlement_id":"[^"]*"/g, '"settlement_id":null'))
      yield* sync({ ...TRANSACTIONS, full: true })
      let left = 20
      changing("transactions", body =>
        body.replaceAll(/"customer_id":("[^"]*"|null),/g, text => (left-- > 0 ? "" : text)),
      )
      yield* sync({ ...TRANSACTIONS, full: true })
      expect(yield* missing).toEqual([])
    }),
  )
})
