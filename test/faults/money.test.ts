import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import * as fc from "fast-check"
import type postgres from "postgres"
import { isJsonObject, type Json, type JsonObject, stringifyJson } from "../../src/core/json.ts"
import { isList, type ListStream } from "../../src/core/stream.ts"
import { shapeOf } from "../../src/postgres/shape.ts"
import { allStreams } from "../../src/registry.ts"
import { amountFields, recordOf } from "../support/badRecords.ts"
import { at, tablesOf, withField } from "../support/conformance.ts"
import { absolute, decimalOf, normal, sums, textOf } from "../support/decimal.ts"
import { fuzz, fuzzMillis } from "../support/fuzz.ts"
import { truthOf } from "../support/truth/truth.ts"
import { bench, json, loading, printed, streamOf, warehouseForFile } from "../support/warehouse.ts"

/** Not one digit of an amount changes between the wire and `numeric`: what is compared is text and integers. */

const streams = (await Effect.runPromise(allStreams)).filter(isList)
const withAmounts = streams.filter(stream => amountFields(stream).length > 0)

/** An amount as it may be written: any sign, size, scale and spelling. `isText`: as a JSON string. */
interface Written {
  readonly literal: string
  readonly isText: boolean
}

const digits = (min: number, max: number) =>
  fc
    .array(fc.integer({ min: 0, max: 9 }), { minLength: min, maxLength: max, size: "max" })
    .map(all => all.join(""))

/** Short ones as payments have them, those around the limits of a double, and ones that no currency has. */
const length = fc.oneof(fc.constant(6), fc.constant(18), fc.constant(400))

const amounts: fc.Arbitrary<Written> = fc
  .tuple(
    length.chain(max => digits(1, max)),
    fc.option(
      length.chain(max => digits(1, max)),
      { nil: undefined },
    ),
    fc.option(fc.tuple(fc.constantFrom("e", "E", "e+", "E-", "e-"), fc.integer({ min: 0, max: 60 })), {
      nil: undefined,
    }),
    fc.constantFrom("", "", "-"),
    fc.boolean(),
    fc.constantFrom("", "0", "000"),
  )
  .map(([whole, fraction, exponent, sign, isText, zeros]) => ({
    literal: [
      sign,
      whole.replace(/^0+(?=\d)/, ""),
      fraction === undefined ? "" : `.${fraction}${zeros}`,
      exponent === undefined ? "" : exponent.join(""),
    ].join(""),
    isText,
  }))

/** The record's JSON text with amounts in the places given, spelled as they are. */
const textWith = (
  record: Json,
  places: ReadonlyArray<ReadonlyArray<string>>,
  given: ReadonlyArray<Written>,
): string =>
  given.reduce(
    (text, { literal, isText }, n) => text.replace(`"@${n}@"`, isText ? `"${literal}"` : literal),
    stringifyJson(places.reduce((made, path, n) => withField(made, path, `@${n}@`), record)),
  )

/** Every value of the numeric columns of a record's row and its children's, as Postgres prints it. */
const stored = (sql: postgres.Sql, stream: ListStream) =>
  Effect.map(
    Effect.forEach(tablesOf(stream), table => {
      const { table: name, types } = shapeOf(table)
      const columns = [...types].filter(([, type]) => type === "numeric").map(([column]) => column)
      const parent = stream.children.find(child => child.table === table)?.parentColumn ?? stream.idColumn
      const values = columns.length === 0 ? "NULL" : columns.map(column => `t."${column}"`).join(", ")
      return printed(
        sql,
        `SELECT t."${parent}" AS id, v::text AS amount FROM ${name} AS t, unnest(ARRAY[${values}]::numeric[]) AS v
         WHERE v IS NOT NULL`,
      )
    }),
    rows => rows.flat(),
  )

const sorted = (texts: Iterable<string>) => [...texts].sort()

describe.each(withAmounts.map(stream => [stream.name, stream] as const))("amounts of %s", (_, stream) => {
  const RUNS = 15
  const places = amountFields(stream)
  const shared = warehouseForFile()

  /** If a record holds two amounts of which the row has one, the first counts. */
  const counted = (() => {
    const marked = places.reduce<Json>(
      (made, path, n) => withField(made, path, String(n + 1)),
      recordOf(stream, "x"),
    )
    const decoded = stream.decode(marked)
    if (decoded._tag === "Left") throw new Error("The fixture does not decode.")
    const { row, children } = decoded.right
    const values = [row, ...Object.values(children ?? {}).flat()].flatMap(one => Object.values(one))
    return places.map((_, n) => values.includes(String(n + 1)))
  })()

  it.live(
    "are stored as sent, in columns and in raw",
    () =>
      Effect.promise(() =>
        fc.assert(
          fc.asyncProperty(
            fc.array(fc.array(amounts, { minLength: places.length, maxLength: places.length }), {
              minLength: 1,
              maxLength: 12,
            }),
            records =>
              Effect.runPromise(
                Effect.gen(function* () {
                  const tables = tablesOf(stream).map(table => shapeOf(table).table)
                  yield* Effect.promise(() => shared.sql.unsafe(`TRUNCATE ${tables.join()}, sync.rejects`))
                  const pass = yield* loading(shared.sql, stream)
                  // As in a page: one long amount must not change how its neighbours are read.
                  const texts = records.map((given, n) => textWith(recordOf(stream, `r${n}`), places, given))
                  const page = json(`[${texts.join()}]`) as ReadonlyArray<Json>
                  const counts = yield* pass.load(
                    ...page.map(record => [record, "2026-01-01T00:00:00Z"] as const),
                  )
                  expect(counts).toMatchObject({ inserted: records.length, rejected: 0 })
                  yield* pass.close(false)
                  const expected = records.flatMap((given, n) =>
                    given.flatMap(({ literal }, k) => (counted[k] ? [`r${n} ${normal(literal)}`] : [])),
                  )
                  const rows = yield* stored(shared.sql, stream)
                  expect(sorted(rows.map(({ id, amount }) => `${id} ${normal(amount!)}`))).toEqual(
                    sorted(expected),
                  )
                  const raws = yield* printed(
                    shared.sql,
                    `SELECT "${stream.idColumn}" AS id, raw::text AS text FROM ${shapeOf(stream.table).table}`,
                  )
                  for (const { id, text } of raws) {
                    const raw = json(text!)
                    const sent = records[Number(id!.slice(1))]!
                    expect(places.map(path => normal(String(at(raw, path))))).toEqual(
                      sent.map(({ literal }) => normal(literal)),
                    )
                    // A text stays the text that it was.
                    for (const [k, { literal, isText }] of sent.entries())
                      if (isText) expect(at(raw, places[k]!)).toBe(literal)
                  }
                }),
              ),
          ),
          fuzz(RUNS),
        ),
      ),
    fuzzMillis(RUNS),
  )
})

/** Seed of the amounts in one run; any will do, as long as a failure can be repeated. */
const SEED = 20_260_101

/** Amounts in the columns of a table, by currency. */
const byCurrency = (sql: postgres.Sql, statement: string) =>
  Effect.map(
    printed(sql, statement),
    rows => new Map(rows.map(({ currency, amount }) => [currency!, normal(amount!)])),
  )

describe("sums by currency", () => {
  it.scopedLive("over a whole run are the truth's, in rows and in views", () =>
    Effect.gen(function* () {
      const { sql, sandbox, sync } = yield* bench({
        customers: 40,
        transactions: 900,
        payouts: 90,
        checkouts: 60,
        longAmounts: true,
      })
      expect((yield* sync({ account: { pageSize: 70 } })).status).toBe("complete")
      const paid = [...truthOf(sandbox).transactions()]
      expect(paid.some(({ amount }) => amount.replace(/\D/g, "").length > 15)).toBe(true)
      const transactions = sums(paid.map(({ currency, amount }) => [currency, amount]))
      expect(transactions.size).toBeGreaterThan(3)
      expect(
        yield* byCurrency(
          sql,
          "SELECT currency, sum(amount)::text AS amount FROM warehouse.transactions GROUP BY 1",
        ),
      ).toEqual(transactions)
      const moved = sums(
        paid.flatMap(({ currency, amount, direction }) => {
          const size = textOf(absolute(decimalOf(amount)))
          return direction === null
            ? []
            : [[currency, direction === 0 ? "0" : direction < 0 ? `-${size}` : size] as const]
        }),
      )
      for (const view of [
        "SELECT currency, sum(direction * abs(amount))::text AS amount FROM analytics.settlement_transaction WHERE direction IS NOT NULL GROUP BY 1",
        "SELECT currency, sum(settled_amount + unsettled_amount)::text AS amount FROM analytics.settlement_daily GROUP BY 1",
      ])
        expect(yield* byCurrency(sql, view)).toEqual(moved)
      for (const [table, view, days] of [
        ["payouts", "payout_daily", truthOf(sandbox).payoutDays()],
        ["checkouts", "checkout_daily", truthOf(sandbox).checkoutDays()],
      ] as const) {
        const truth = sums(days.map(({ currency, amount }) => [currency, amount] as const))
        for (const [column, from] of [
          ["amount", `warehouse.${table}`],
          [`${table.slice(0, -1)}_amount`, `analytics.${view}`],
        ])
          expect([
            from,
            yield* byCurrency(sql, `SELECT currency, sum(${column})::text AS amount FROM ${from} GROUP BY 1`),
          ]).toEqual([from, truth])
      }
    }),
  )

  it.scopedLive("for amounts of any size, sent over several pages, are the sums of the sent amounts", () =>
    Effect.gen(function* () {
      const { sql, sandbox, sync } = yield* bench({
        customers: 5,
        transactions: 60,
        payouts: 60,
        checkouts: 60,
      })
      const sent = new Map<string, Array<readonly [currency: string, literal: string]>>()
      for (const name of ["transactions", "payouts", "checkouts"] as const) {
        const stream = streams.find(found => found.name === name)!
        const place = name === "payouts" ? "wire_amount" : "amount"
        const literals = fc.sample(amounts, { numRuns: 60, seed: fuzz(1).seed ?? SEED })
        sent.set(
          name,
          literals.map(({ literal, isText }, n) => {
            const record = json(sandbox.truth.text(name, n)) as JsonObject
            expect(isJsonObject(record) && record[stream.source.idField]).toBe(sandbox.idOf(name, n))
            const kept = name === "payouts" ? withField(record, ["original_amount"], undefined) : record
            sandbox.replace(name, n, textWith(kept, [[place]], [{ literal, isText }]))
            return [String(record.currency), literal]
          }),
        )
      }
      const run = yield* sync({ account: { pageSize: 7 } })
      for (const [name, entries] of sent) {
        expect(streamOf(run, name)).toMatchObject({ status: "complete", inserted: 60, rejected: 0 })
        const table = `SELECT currency, sum(amount)::text AS amount FROM warehouse.${name} GROUP BY 1`
        expect(yield* byCurrency(sql, table)).toEqual(sums(entries))
      }
      for (const name of ["payouts", "checkouts"] as const) {
        const one = name.slice(0, -1)
        const view = `SELECT currency, sum(${one}_amount)::text AS amount FROM analytics.${one}_daily GROUP BY 1`
        expect(yield* byCurrency(sql, view)).toEqual(sums(sent.get(name)!))
      }
      const again = yield* sync({ account: { pageSize: 7 } })
      for (const name of sent.keys())
        expect(streamOf(again, name)).toMatchObject({ updated: 0, unchanged: 60 })
    }),
  )
})
