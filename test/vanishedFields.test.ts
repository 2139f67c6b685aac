import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import type { SandboxOptions } from "../src/sandbox/sandbox.ts"
import { verdictsOf } from "../src/warehouse/read/verdict.ts"
import { listPath } from "./support/lists.ts"
import { slow } from "./support/slow.ts"
import { type Bench, bench, streamOf, syncedBench } from "./support/warehouse.ts"

/** A documented field that records carried and carry no more. */

const parts = (options: Partial<SandboxOptions>) => Effect.flatMap(bench(options), partsOf)

/** The same, where every list was read once. */
const partsAfterSync = (options: Partial<SandboxOptions>) => Effect.flatMap(syncedBench(options), partsOf)

const partsOf = ({ sql, sandbox, sync, rows }: Bench) =>
  Effect.sync(() => {
    /** Changes the records of a list by their text. */
    const changing = (stream: string, change: (body: string) => string) =>
      sandbox.setFault(({ path }) => (path === listPath(stream) ? { transform: change } : undefined))
    const renaming = (stream: string, field: string) =>
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
      const { sandbox, sync, renaming, missing, verdict } = yield* partsAfterSync({ transactions: 40 })
      expect([yield* missing, (yield* verdict).level]).toEqual([[], "good"])
      renaming("transactions", "customer_id")
      // Each of these runs reads the new shape; the first has overwritten the rows that carried it.
      for (const options of [{ full: true }, {}, { full: true }]) {
        const { status } = streamOf(yield* sync({ ...TRANSACTIONS, ...options }), "transactions")
        expect([status, yield* missing]).toEqual(["complete", ["transactions.customer_id"]])
        const { level, sentence, findings } = yield* verdict
        expect([level, sentence]).toEqual([
          "bad",
          "The figures cannot be trusted: transactions (no customer_id).",
        ])
        expect(findings[0]!.text).toContain("no new or changed record carries `customer_id` any more")
      }
      sandbox.setFault(null)
      yield* sync({ ...TRANSACTIONS, full: true })
      expect([yield* missing, (yield* verdict).level]).toEqual([[], "good"])
    }),
  )

  slow(() => {
    it.scopedLive("is found by an incremental run", () =>
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
  })

  slow(() => {
    it.scopedLive("is found in new records alone, over several runs, although old ones are read again", () =>
      Effect.gen(function* () {
        const { sandbox, sync, missing, verdict } = yield* parts({ transactions: 60, order: "newest-first" })
        for (let index = 0; index < 60; index++)
          sandbox.patch("transactions", index, { settlement_id: "s", is_settled: true })
        const options = { ...TRANSACTIONS, account: { pageSize: 5 } }
        yield* sync(options)
        const renamed = { settlement_id: undefined, settlementId: "s", is_settled: true }
        const news = (count: number, fields: object) =>
          Effect.gen(function* () {
            const first = sandbox.truth.count("transactions")
            sandbox.insert("transactions", count, "front")
            for (let n = 0; n < count; n++) sandbox.patch("transactions", first + n, fields as never)
            expect(streamOf(yield* sync(options), "transactions").mode).toBe("incremental")
            return yield* missing
          })
        expect(yield* news(2, renamed)).toEqual([])
        expect(yield* news(1, renamed)).toEqual(["transactions.settlement_id"])
        // A pass over the whole list reads the old ones, and they say nothing about the new ones.
        yield* sync({ ...options, full: true })
        expect(yield* missing).toEqual(["transactions.settlement_id"])
        expect((yield* verdict).findings).toContainEqual(
          expect.objectContaining({ level: "bad", kind: "missing_field" }),
        )
        expect(yield* news(1, { settlement_id: "s", is_settled: true })).toEqual([])
      }),
    )
  })

  slow(() => {
    it.scopedLive("is not gone if records may still get it, or if some always lacked it", () =>
      Effect.gen(function* () {
        const { sandbox, sync, missing } = yield* parts({ transactions: 60, order: "newest-first" })
        const none = { settlement_id: undefined }
        for (let index = 0; index < 60; index++)
          sandbox.patch("transactions", index, {
            settlement_id: "s",
            is_settled: true,
            ...(index === 7 ? { invoice_id: undefined } : { invoice_id: "i" }),
          } as never)
        const options = { ...TRANSACTIONS, account: { pageSize: 5 } }
        yield* sync(options)
        sandbox.insert("transactions", 6, "front")
        for (let n = 60; n < 63; n++)
          sandbox.patch("transactions", n, { ...none, is_settled: false, invoice_id: "i" } as never)
        for (let n = 63; n < 66; n++)
          sandbox.patch("transactions", n, {
            settlement_id: "s",
            is_settled: true,
            invoice_id: undefined,
          } as never)
        yield* sync(options)
        expect(yield* missing).toEqual([])
        for (let n = 60; n < 66; n++)
          sandbox.patch("transactions", n, { settlement_id: "s", is_settled: true })
        yield* sync(options)
        expect(yield* missing).toEqual([])
      }),
    )
  })

  slow(() => {
    it.scopedLive("is gone if most of the stored records lost it, but not if a few did", () =>
      Effect.gen(function* () {
        const { sandbox, sync, missing } = yield* parts({ transactions: 20 })
        for (let index = 0; index < 20; index++) sandbox.patch("transactions", index, { settlement_id: "s" })
        yield* sync(TRANSACTIONS)
        const losing = (from: number, to: number) =>
          Effect.gen(function* () {
            for (let index = from; index < to; index++)
              sandbox.patch("transactions", index, { settlement_id: undefined } as never)
            yield* sync({ ...TRANSACTIONS, full: true })
            return yield* missing
          })
        expect(yield* losing(0, 4)).toEqual([])
        expect(yield* losing(4, 17)).toEqual(["transactions.settlement_id"])
        yield* sync({ ...TRANSACTIONS, full: true })
        expect(yield* missing).toEqual(["transactions.settlement_id"])
      }),
    )
  })

  slow(() => {
    it.scopedLive.each<readonly [stream: string, path: string]>([
      ["wallets", "wallet_account.available_balance"],
      ["checkouts", "order_summary.order_items.unit_price"],
    ])("within objects and lists of objects counts as one: %s.%s", ([stream, path]) =>
      Effect.gen(function* () {
        const { sync, renaming, missing } = yield* parts({})
        yield* sync({ only: [stream] })
        renaming(stream, path.split(".").at(-1)!)
        yield* sync({ only: [stream], full: true })
        expect(yield* missing).toEqual([`${stream}.${path}`])
      }),
    )
  })

  slow(() => {
    it.scopedLive.each(["null", `""`, `" "`])(
      "is gone while it is %s in all of them, even if nothing is read again",
      value =>
        Effect.gen(function* () {
          const { sandbox, sync, changing, missing, verdict } = yield* partsAfterSync({ transactions: 40 })
          changing("transactions", body =>
            body.replaceAll(/"settlement_id":"[^"]*"/g, `"settlement_id":${value}`),
          )
          for (let pass = 0; pass < 2; pass++) {
            yield* sync({ ...TRANSACTIONS, full: true })
            expect([yield* missing, (yield* verdict).level]).toEqual([["transactions.settlement_id"], "bad"])
          }
          sandbox.setFault(null)
          yield* sync({ ...TRANSACTIONS, full: true })
          expect([yield* missing, (yield* verdict).level]).toEqual([[], "good"])
        }),
    )
  })

  slow(() => {
    it.scopedLive("is not gone if it was empty before, if a state is over, or if only some lack it", () =>
      Effect.gen(function* () {
        const { sandbox, sync, changing, missing } = yield* parts({ transactions: 40, payouts: 40 })
        const only = ["transactions", "payouts"]
        for (let index = 0; index < 40; index++)
          sandbox.patch("payouts", index, {
            denied_at: null,
            pending_at: index < 3 ? "2026-01-01T00:00:00.000Z" : null,
          })
        yield* sync({ only })
        for (let index = 0; index < 3; index++) sandbox.patch("payouts", index, { pending_at: null })
        for (let index = 0; index < 40; index++) sandbox.patch("payouts", index, { denied_at: "" })
        let left = 20
        changing("transactions", body =>
          body.replaceAll(/"customer_id":("[^"]*"|null),/g, text => (left-- > 0 ? "" : text)),
        )
        yield* sync({ only, full: true })
        expect(yield* missing).toEqual([])
      }),
    )
  })

  slow(() => {
    it.scopedLive("is not missing if the field of another shape replaces it", () =>
      Effect.gen(function* () {
        const { sync, changing, missing, verdict } = yield* partsAfterSync({ payouts: 20 })
        changing("payouts", body => body.replaceAll('"wire_amount":', '"original_amount":'))
        yield* sync({ only: ["payouts"], full: true })
        expect([yield* missing, (yield* verdict).level]).toEqual([[], "good"])
      }),
    )
  })

  it.scopedLive("makes the verdict bad if a figure rests on it, and is an exception otherwise", () =>
    Effect.gen(function* () {
      const { sync, renaming, rows, verdict } = yield* partsAfterSync({})
      const gone = { customers: "individual", wallets: "available_balance", payouts: "updated_at" } as const
      for (const [stream, field] of Object.entries(gone)) {
        renaming(stream as string, field)
        yield* sync({ only: [stream], full: true })
      }
      expect(
        yield* rows("SELECT field, level FROM sync.fields WHERE missing_since IS NOT NULL ORDER BY 1"),
      ).toEqual([
        { field: "individual", level: "attention" },
        { field: "updated_at", level: "attention" },
        { field: "wallet_account.available_balance", level: "bad" },
      ])
      expect((yield* verdict).level).toBe("bad")
    }),
  )
})

describe.concurrent("an optional field that cannot be read", () => {
  const unreadable = "SELECT field, unreadable FROM sync.fields WHERE unreadable_since IS NOT NULL ORDER BY 1"
  const BROKEN = { fees_including_tax: "about 1" }

  it.scopedLive("in one record is an exception, and beyond the share makes the verdict bad", () =>
    Effect.gen(function* () {
      const { sandbox, sync, rows, verdict } = yield* parts({ transactions: 60 })
      const feeOf = (index: number) =>
        (JSON.parse(sandbox.truth.text("transactions", index)) as Record<string, unknown>).fees_including_tax
      const fees = Array.from({ length: 4 }, (_, index) => ({ fees_including_tax: feeOf(index) }))
      const judged = (broken: number, fields: object | ReadonlyArray<object> = BROKEN) =>
        Effect.gen(function* () {
          for (let index = 0; index < broken; index++)
            sandbox.patch("transactions", index, { ...(Array.isArray(fields) ? fields[index] : fields) })
          const { status } = streamOf(yield* sync({ ...TRANSACTIONS, full: true }), "transactions")
          const { level, findings } = yield* verdict
          const texts = findings.flatMap(({ kind, text }) => (kind === "unreadable_field" ? [text] : []))
          return { status, level, texts, booked: yield* rows(unreadable) }
        })
      yield* sync()
      const few = {
        status: "complete",
        level: "attention",
        texts: [expect.stringContaining("`fees_including_tax` of 1 record could not be read")],
        booked: [],
      }
      expect(yield* judged(1)).toEqual(few)
      expect(yield* judged(3)).toEqual({
        ...few,
        texts: [expect.stringContaining("`fees_including_tax` of 3 records could not be read")],
      })
      expect(yield* judged(4)).toEqual({
        status: "complete",
        level: "bad",
        texts: [expect.stringContaining("more than PAYCOMBAT_REJECTS_MAX allows")],
        booked: [{ field: "fees_including_tax", unreadable: "4" }],
      })
      const fine = { status: "complete", level: "good", texts: [], booked: [] }
      expect(yield* judged(4, fees)).toEqual(fine)
      // No figure rests on a time of change.
      expect(yield* judged(2, { updated_at: "soon" })).toEqual(fine)
    }),
  )

  slow(() => {
    it.scopedLive("in a short list is judged by its share alone", () =>
      Effect.gen(function* () {
        const { sandbox, sync, verdict } = yield* parts({ payouts: 3 })
        yield* sync()
        const levels: Array<string> = []
        for (let index = 0; index < 3; index++) {
          sandbox.patch("payouts", index, { fee_taken: "2,50" })
          yield* sync({ only: ["payouts"], full: true })
          levels.push((yield* verdict).level)
        }
        // One of three is an exception, two are more than a twentieth.
        expect(levels).toEqual(["attention", "bad", "bad"])
      }),
    )
  })

  slow(() => {
    it.scopedLive("has its level by the same rule as a missing field", () =>
      Effect.gen(function* () {
        const { sync, changing, verdict } = yield* parts({ transactions: 20 })
        yield* sync()
        for (const [field, level] of [
          ["settlement_id", "bad"],
          ["customer_id", "bad"],
          ["event_description", "attention"],
        ] as const) {
          changing("transactions", body =>
            body.replaceAll(new RegExp(`"${field}":"[^"]*"`, "g"), `"${field}":{}`),
          )
          yield* sync({ ...TRANSACTIONS, full: true })
          expect((yield* verdict).level, field).toBe(level)
        }
      }),
    )
  })

  slow(() => {
    it.scopedLive(
      "in all new records is a finding from the run that reads them until one can be read again",
      () =>
        Effect.gen(function* () {
          const { sandbox, sync, rows } = yield* parts({ transactions: 600, order: "newest-first" })
          const options = { ...TRANSACTIONS, account: { pageSize: 50 } }
          yield* sync(options)
          const news = (count: number, fields: object) =>
            Effect.gen(function* () {
              const first = sandbox.truth.count("transactions")
              if (count > 0) sandbox.insert("transactions", count, "front")
              for (let n = 0; n < count; n++) sandbox.patch("transactions", first + n, { ...fields })
              expect(streamOf(yield* sync(options), "transactions").mode).toBe("incremental")
              return yield* rows(unreadable)
            })
          const found = [{ field: "fees_including_tax", unreadable: "3" }]
          expect(yield* news(3, BROKEN)).toEqual(found)
          // Nothing is decoded: what could be read is not known.
          expect(yield* news(0, {})).toEqual(found)
          expect(yield* news(2, { fees_including_tax: "1" })).toEqual([])
        }),
    )
  })

  slow(() => {
    it.scopedLive("counts once for all places in a list", () =>
      Effect.gen(function* () {
        const { sandbox, sync, rows } = yield* parts({ checkouts: 12 })
        for (let index = 0; index < 12; index++) {
          const items = Array.from({ length: index + 1 }, () => ({ product_name: "a", quantity: "1" }))
          sandbox.patch("checkouts", index, {
            order_summary: { order_items: [...items, { product_name: "b", quantity: "many" }] },
          })
        }
        yield* sync({ only: ["checkouts"] })
        expect(yield* rows(unreadable)).toEqual([
          { field: "order_summary.order_items.quantity", unreadable: "12" },
        ])
      }),
    )
  })
})
