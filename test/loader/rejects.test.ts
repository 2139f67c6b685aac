import { randomBytes } from "node:crypto"
import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import type { Json, JsonObject } from "../../src/core/json.ts"
import { fixtureOf } from "../support/conformance.ts"
import type { PostgresVersion } from "../support/postgres.ts"
import { slowUnless } from "../support/slow.ts"
import { json, listStream, loading, printed, testWarehouse } from "../support/warehouse.ts"

const transactions = await Effect.runPromise(listStream("transactions"))
const payouts = await Effect.runPromise(listStream("payouts"))
const payment = fixtureOf(transactions).record

/** A payment of its own, with fields overwritten. */
const record = (id: string, fields: Readonly<Record<string, Json>> = {}): JsonObject => ({
  ...payment,
  transaction_id: id,
  ...fields,
})

const T1 = "2026-01-01T00:00:00.000Z"
const T2 = "2026-01-02T00:00:00.000Z"
const T3 = "2026-01-03T00:00:00.000Z"

/** Something that the decoder lets pass and Postgres does not: only halving the batch finds the record. */
const POISON = "poison"
const REFUSES_POISON = `ALTER TABLE warehouse.transactions ADD CHECK (event_name <> '${POISON}')`

const setupOn = (version: PostgresVersion) =>
  Effect.gen(function* () {
    const sql = yield* testWarehouse(version)
    const pass = yield* loading(sql, transactions)
    const stored = Effect.map(
      printed(sql, "SELECT transaction_id AS id FROM warehouse.transactions ORDER BY 1"),
      rows => rows.map(({ id }) => id),
    )
    const rejects = printed(sql, "SELECT record_id, field, reason, raw FROM sync.rejects ORDER BY reject_id")
    return { sql, pass, stored, rejects }
  })

const setup = setupOn("18")

for (const given of ["18", "14"] as const)
  slowUnless(given === "18", () => {
    describe.each<PostgresVersion>([given])("a record that cannot become a row, on Postgres %s", version => {
      const setup = setupOn(version)

      /** The fault, the field that the reject must name, and the record. */
      const poisons: ReadonlyArray<readonly [what: string, field: string | null, record: Json]> = [
        ["a wrong type", "amount", record("bad", { amount: { value: 1 } })],
        ["an amount that is no number", "amount", record("bad", { amount: "NaN" })],
        ["an amount of infinity", "amount", record("bad", { amount: "Infinity" })],
        ["an amount with thousands of digits", "amount", record("bad", { amount: "9".repeat(2_000) })],
        ["an amount whose exponent is a bomb", "amount", record("bad", { amount: "1e999999" })],
        [
          "text that no column can hold",
          "event_description",
          record("bad", { event_description: "a\u0000b" }),
        ],
        ["half a character", "event_name", record("bad", { event_name: "a\ud800" })],
        [
          "unstorable text in a field without a column",
          "additional_data.(a key)",
          record("bad", { additional_data: { note: "\u0000" } }),
        ],
        ["an unstorable key", "additional_data.(a key)", record("bad", { additional_data: { "\u0000": 1 } })],
        [
          "a day that is not in the calendar",
          "created_at",
          record("bad", { created_at: "2025-02-30T00:00:00.000Z" }),
        ],
        ["a time that is no time", "created_at", record("bad", { created_at: "yesterday" })],
        ["no id", "transaction_id", { ...payment, transaction_id: null }],
        ["an empty id", "transaction_id", record("")],
        ["an id that is true", "transaction_id", { ...payment, transaction_id: true }],
        ["an id that no index can hold", "transaction_id", record(randomBytes(5_000).toString("hex"))],
        ["an id that no column can hold", "transaction_id", record("bad\u0000")],
        [
          "a number that jsonb cannot hold",
          "odd",
          json(
            `{"transaction_id":"bad","odd":1e200000,${JSON.stringify(payment)
              .slice(1)
              .replace(/"transaction_id":"[^"]*",/, "")}`,
          ),
        ],
        [
          "a time zone that Postgres refuses",
          "created_at",
          record("bad", { created_at: "2025-01-01T00:00:00+99:99" }),
        ],
        [
          "a text that no index can hold",
          "currency",
          record("bad", { currency: randomBytes(5_000).toString("hex") }),
        ],
        ["what only Postgres refuses", null, record("bad", { event_name: POISON })],
        ["a list", null, [1, 2]],
        ["a text", null, "text"],
        ["null", null, null],
      ]

      it.scopedLive.each(poisons)(
        "%s: is kept with its reason, and does not affect its neighbours",
        ([, field, bad]) =>
          Effect.gen(function* () {
            const { sql, pass, stored, rejects } = yield* setup
            yield* Effect.promise(() => sql.unsafe(REFUSES_POISON))
            const good = Array.from({ length: 6 }, (_, n) => record(`good${n}`))
            const batch = [...good.slice(0, 4), bad, ...good.slice(4)].map(one => [one, T1] as const)
            const counts = yield* pass.load(...batch)
            expect(counts).toEqual({
              extracted: 7,
              inserted: 6,
              updated: 0,
              unchanged: 0,
              stale: 0,
              rejected: 1,
              fieldRejected: 0,
              itemRejected: 0,
              unanswered: 0,
              erased: 0,
            })
            expect(yield* stored).toEqual(good.map(one => one.transaction_id))
            const [reject, ...others] = yield* rejects
            expect(others).toEqual([])
            expect(reject!.field).toBe(field)
            expect(reject!.reason).toContain(field ?? "record")
            expect(json(reject!.raw!)).toEqual(bad)
          }),
      )

      it.scopedLive("a record that looks as bad and is not becomes a row", () =>
        Effect.gen(function* () {
          const { sql, pass, rejects } = yield* setup
          const long = `${"9".repeat(380)}.${"1".repeat(20)}`
          yield* pass.load(
            [record("exponent", { amount: json("1e400") }), T1],
            [record("long", { amount: json(long) }), T1],
            [record("negative", { amount: "-0.10" }), T1],
            [
              json(`{"__proto__":{"amount":7},"constructor":1,${JSON.stringify(record("proto")).slice(1)}`),
              T1,
            ],
            [record("'; DROP TABLE x; --", { event_name: 'quote " back \\ {brace} , NULL' }), T1],
            [record("nul", { event_name: "the text \\u0000, spelled out", event_description: "😀" }), T1],
          )
          expect(yield* rejects).toEqual([])
          const rows = yield* printed(
            sql,
            "SELECT transaction_id AS id, amount::text, event_name, event_description AS text, raw ? '__proto__' AS proto FROM warehouse.transactions",
          )
          const amounts = Object.fromEntries(rows.map(({ id, amount }) => [id, amount]))
          expect(amounts).toMatchObject({
            exponent: `1${"0".repeat(400)}`,
            long,
            negative: "-0.10",
            proto: "100",
          })
          expect(rows.find(({ id }) => id === "proto")!.proto).toBe("true")
          expect(rows.find(({ id }) => id!.startsWith("'"))!.event_name).toBe(
            'quote " back \\ {brace} , NULL',
          )
          expect(rows.find(({ id }) => id === "nul")).toMatchObject({
            event_name: "the text \\u0000, spelled out",
            text: "😀",
          })
        }),
      )

      it.scopedLive("several among hundreds, of both kinds, all of them found", () =>
        Effect.gen(function* () {
          const { sql, pass, stored, rejects } = yield* setup
          yield* Effect.promise(() => sql.unsafe(REFUSES_POISON))
          const records = Array.from({ length: 300 }, (_, n) => {
            if (n % 100 === 7) return record(`t${n}`, { event_name: POISON })
            return n % 100 === 50 ? record(`t${n}`, { amount: "x" }) : record(`t${n}`)
          })
          const counts = yield* pass.load(...records.map(one => [one, T1] as const))
          expect(counts).toMatchObject({ inserted: 294, rejected: 6 })
          expect(yield* stored).toHaveLength(294)
          expect((yield* rejects).map(reject => reject.record_id).sort()).toEqual([
            "t107",
            "t150",
            "t207",
            "t250",
            "t50",
            "t7",
          ])
        }),
      )

      it.scopedLive("with a child that Postgres refuses, leaves no part of itself", () =>
        Effect.gen(function* () {
          const checkouts = yield* listStream("checkouts")
          const sql = yield* testWarehouse()
          const pass = yield* loading(sql, checkouts)
          const whole = fixtureOf(checkouts).record
          const bad = {
            ...whole,
            id: "bad",
            order_summary: { order_items: [{ quantity: 1 }, { quantity: 77 }] },
          }
          yield* Effect.promise(() => sql`ALTER TABLE warehouse.checkout_items ADD CHECK (quantity <> 77)`)
          expect(yield* pass.load([whole, T1], [bad, T1])).toMatchObject({ inserted: 1, rejected: 1 })
          const [reject] = yield* printed(sql, "SELECT field FROM sync.rejects")
          expect(reject).toEqual({ field: null })
          expect(
            yield* printed(sql, "SELECT 1 AS one FROM warehouse.checkout_items WHERE checkout_id = 'bad'"),
          ).toEqual([])
        }),
      )
    })
  })

describe("a reject", () => {
  it.scopedLive("stays one row however often the record is read, and keeps its first time", () =>
    Effect.gen(function* () {
      const { sql, pass } = yield* setup
      const bad = record("a", { amount: "x" })
      yield* pass.load([bad, T1], [bad, T1])
      yield* pass.load([bad, T3])
      yield* pass.load([bad, T2])
      const rows = yield* printed(sql, "SELECT first_seen_at, read_at FROM sync.rejects")
      expect(rows).toEqual([
        { first_seen_at: "2026-01-01T00:00:00+00:00", read_at: "2026-01-03T00:00:00+00:00" },
      ])
    }),
  )

  it.scopedLive("is closed by a later version that is a row, also by one that is already stored", () =>
    Effect.gen(function* () {
      const { pass, rejects, stored } = yield* setup
      yield* pass.load([record("a"), T1], [record("b", { amount: "x" }), T1])
      yield* pass.load([record("a", { amount: "x" }), T2])
      expect((yield* rejects).map(reject => reject.record_id).sort()).toEqual(["a", "b"])
      // The stored version again: the bad one was a slip.
      yield* pass.load([record("a"), T3], [record("b"), T3])
      expect(yield* rejects).toEqual([])
      expect(yield* stored).toEqual(["a", "b"])
    }),
  )

  it.scopedLive("is not closed by an earlier version, or by another record", () =>
    Effect.gen(function* () {
      const { pass, rejects } = yield* setup
      yield* pass.load([record("a", { amount: "x" }), T2])
      yield* pass.load([record("a"), T1], [record("b"), T3])
      expect((yield* rejects).map(reject => reject.record_id)).toEqual(["a"])
    }),
  )

  it.scopedLive("is not closed by an equal record on the same page", () =>
    Effect.gen(function* () {
      const { pass, rejects } = yield* setup
      expect(yield* pass.load([record("a", { amount: "x" }), T1], [record("a"), T1])).toMatchObject({
        inserted: 1,
        rejected: 1,
      })
      expect(yield* rejects).toHaveLength(1)
    }),
  )

  it.scopedLive("in one stream is not in another", () =>
    Effect.gen(function* () {
      const { sql, pass, rejects } = yield* setup
      yield* pass.load([record("same", { amount: "x" }), T1])
      const other = yield* loading(sql, payouts)
      yield* other.load([{ ...fixtureOf(payouts).record, id: "same" }, T2])
      expect(yield* rejects).toHaveLength(1)
      expect(yield* other.close()).toMatchObject({ openRejects: 0 })
      expect(yield* pass.close()).toMatchObject({ openRejects: 1 })
    }),
  )
})
