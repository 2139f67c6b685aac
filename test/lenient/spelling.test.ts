import { describe, expect, it } from "@effect/vitest"
import { Effect, Either } from "effect"
import * as fc from "fast-check"
import { amountText } from "../../src/core/fields.ts"
import { instantMillis, instantText } from "../../src/core/instant.ts"
import { isJsonObject, type Json } from "../../src/core/json.ts"
import { idText } from "../../src/core/recordId.ts"
import { isList } from "../../src/core/stream.ts"
import { allStreams } from "../../src/registry.ts"
import { READINESS_PATH } from "../../src/sandbox/streams/wallet_readiness.ts"
import { fieldsOf, fixtureOf, withField } from "../support/conformance.ts"
import { fuzz, TEST_MILLIS } from "../support/fuzz.ts"
import { slow } from "../support/slow.ts"
import { bench, json, printed, statusesOf, streamOf, testWarehouse } from "../support/warehouse.ts"

/** Tests that values with several spellings are read exactly in each. */

const streams = (await Effect.runPromise(allStreams)).filter(isList)

const digits = (number: number, length: number) => String(number).padStart(length, "0")

/** A moment in pieces, so that what it means is computed without any parser of times. */
const moment = fc.record({
  day: fc.date({
    min: new Date("0001-01-02T00:00:00Z"),
    max: new Date("9999-12-30T00:00:00Z"),
    noInvalidDate: true,
  }),
  second: fc.option(fc.integer({ min: 0, max: 59 })),
  fraction: fc.stringMatching(/^\d{0,20}$/),
  offset: fc.option(fc.integer({ min: -14 * 60, max: 14 * 60 })),
  colon: fc.constantFrom(":", ""),
  separator: fc.constantFrom("T", "t", " "),
  point: fc.constantFrom(".", ","),
  zulu: fc.constantFrom("Z", "z", ""),
  isHourOnly: fc.boolean(),
})

type Moment = typeof moment extends fc.Arbitrary<infer A> ? A : never

const offsetOf = ({ offset, isHourOnly }: Moment) =>
  offset === null ? 0 : isHourOnly ? offset - (offset % 60) : offset

const spelled = (given: Moment): string => {
  const { day, second, fraction, colon, separator, point, zulu, isHourOnly } = given
  const minutes = Math.abs(offsetOf(given))
  const sign = offsetOf(given) < 0 ? "-" : "+"
  const zone =
    given.offset === null
      ? zulu
      : `${sign}${digits(Math.floor(minutes / 60), 2)}${isHourOnly ? "" : `${colon}${digits(minutes % 60, 2)}`}`
  const time = `${digits(day.getUTCHours(), 2)}:${digits(day.getUTCMinutes(), 2)}`
  const seconds =
    second === null ? "" : `:${digits(second, 2)}${fraction === "" ? "" : `${point}${fraction}`}`
  return `${digits(day.getUTCFullYear(), 4)}-${digits(day.getUTCMonth() + 1, 2)}-${digits(day.getUTCDate(), 2)}${separator}${time}${seconds}${zone}`
}

/** Microseconds since 1970, a fraction rounded as Postgres rounds it: to the nearest. Null where that is a tie. */
const microseconds = (given: Moment): bigint | null => {
  const { day, second, fraction } = given
  const whole = Date.UTC(
    2000,
    day.getUTCMonth(),
    day.getUTCDate(),
    day.getUTCHours(),
    day.getUTCMinutes(),
    second ?? 0,
  )
  const date = new Date(whole)
  date.setUTCFullYear(day.getUTCFullYear(), day.getUTCMonth(), day.getUTCDate())
  const padded = (second === null ? "" : fraction).padEnd(20, "0")
  const rest = padded.slice(6)
  if (/^(49999|5000)/.test(rest)) return null
  const rounded = BigInt(padded.slice(0, 6)) + (rest[0]! >= "5" ? 1n : 0n)
  return BigInt(date.getTime()) * 1_000n - BigInt(offsetOf(given)) * 60_000_000n + rounded
}

describe("a time", () => {
  it.scopedLive("is the same moment in Postgres in every spelling", () =>
    Effect.gen(function* () {
      const sql = yield* testWarehouse()
      const given = fc.sample(moment, { ...fuzz(300) }).filter(one => microseconds(one) !== null)
      const texts = given.map(spelled)
      const read = texts.map(text => instantText(text) ?? "")
      expect(texts.filter((_, n) => read[n] === "")).toEqual([])
      const stored = yield* printed(
        sql,
        `SELECT (extract(epoch FROM t::timestamptz) * 1000000)::numeric(40, 0)::text AS at
         FROM unnest(ARRAY[${read.map(text => `'${text}'`).join()}]) WITH ORDINALITY AS s(t, n) ORDER BY n`,
      )
      expect(stored.map(({ at }, n) => [texts[n], at])).toEqual(
        given.map((one, n) => [texts[n], String(microseconds(one))]),
      )
    }),
  )

  it("is not read from a day, a number, or an impossible moment", () => {
    for (const text of [
      "2025-01-01",
      "1735689600",
      "2025-02-30T00:00Z",
      "2025-01-01T24:01Z",
      "2025-01-01T24:00:00.001Z",
      "2025-01-01T23:59:61Z",
      "20250101",
      "2025-01-01T00:00+16",
      "now",
    ])
      expect([text, instantText(text), instantMillis(text)]).toEqual([text, undefined, null])
    expect(instantMillis("2025-01-01T00:00:00+00")).toBe(Date.UTC(2025, 0, 1))
    expect(instantMillis("2024-12-31T24:00:00Z")).toBe(Date.UTC(2025, 0, 1))
    expect(instantMillis("2016-12-31T23:59:60.5Z")).toBe(Date.UTC(2017, 0, 1) + 500)
    expect(instantMillis("20250101T053000+0530")).toBe(Date.UTC(2025, 0, 1))
    expect(instantMillis("2025-01-01 05:30:00,25 +0530")).toBe(Date.UTC(2025, 0, 1) + 250)
  })

  slow(() => {
    it.scopedLive("is read in all streams if the zone is written as +00", () =>
      Effect.gen(function* () {
        const { sandbox, sync, sql } = yield* bench()
        const COUNTS =
          "SELECT (SELECT count(*) FROM warehouse.transactions) AS t, (SELECT sum(extract(epoch FROM created_at)) FROM warehouse.payouts) AS p"
        yield* sync()
        const before = yield* printed(sql, COUNTS)
        sandbox.setFault(() => ({ transform: body => body.replace(/(\d\d:\d\d:\d\d)\.\d{3}Z"/g, '$1+00"') }))
        const statuses = statusesOf(yield* sync({ full: true }))
        expect(new Set(Object.values(statuses))).toEqual(new Set(["complete"]))
        expect(yield* printed(sql, "SELECT 1 AS one FROM sync.rejects")).toEqual([])
        expect((yield* printed(sql, COUNTS))[0]!.t).toBe(before[0]!.t)
      }),
    )
  })
})

describe("an amount", () => {
  it("is read without its sign, its zero or its fraction, and never with a comma", () => {
    const cases = { ".5": "0.5", "5.": "5", "+1": "1", " 2.50 ": "2.50", "-.5e-3": "-0.5e-3", "-0": "-0" }
    for (const [sent, read] of Object.entries(cases)) expect([sent, amountText(sent)]).toEqual([sent, read])
    for (const sent of ["1,000", "1,5", ".", "", "+", "1 000", "0x1", "1e", "NaN", "١"])
      expect([sent, amountText(sent)]).toEqual([sent, undefined])
  })
})

describe("an id that is a JSON number", () => {
  const number = (n: number) => `90071992547409${digits(n, 5)}`

  it.scopedLive("is read exactly by discovery, rows, seen keys and look-ups", () =>
    Effect.gen(function* () {
      const { sandbox, sync, rows, value } = yield* bench()
      const indexOf = new Map(Array.from({ length: 23 }, (_, n) => [sandbox.idOf("customers", n), n]))
      sandbox.setFault(({ path }) =>
        path.startsWith(READINESS_PATH.split("{")[0]!) && /\d{19}$/.test(path)
          ? {
              body: `{"status":true,"data":{"customer_id":${path.split("/").at(-1)},"is_wallet_ready":true,"missing_field":[]}}`,
            }
          : {
              transform: body =>
                body.replace(/"customer_id":"([^"]*)"/g, (all, id: string) =>
                  indexOf.has(id) ? `"customer_id":${number(indexOf.get(id)!)}` : all,
                ),
            },
      )
      const only = ["customers", "wallet_readiness", "transactions"]
      const first = yield* sync({ only })
      expect(new Set(Object.values(statusesOf(first)))).toEqual(new Set(["complete"]))
      const expected = Array.from({ length: 23 }, (_, n) => ({ id: number(n) }))
      expect(yield* rows("SELECT customer_id AS id FROM warehouse.customers ORDER BY 1")).toEqual(expected)
      expect(
        yield* rows(
          "SELECT customer_id AS id FROM warehouse.wallet_readiness WHERE is_wallet_ready ORDER BY 1",
        ),
      ).toEqual(expected)
      expect(
        yield* value(
          "SELECT count(*) FROM warehouse.transactions t LEFT JOIN warehouse.customers c USING (customer_id) WHERE t.customer_id IS NOT NULL AND c.customer_id IS NULL",
        ),
      ).toBe("0")
      const again = streamOf(yield* sync({ only, full: true }), "customers")
      expect(again).toMatchObject({ status: "complete", unchanged: 23, inserted: 0, removed: 0 })
    }),
  )
})

describe("an id that is a JSON number with an exponent", () => {
  it.each([
    ["1e3", "1000"],
    ["1E+3", "1000"],
    ["12.5e1", "125"],
    ["9007199254740993e2", "900719925474099300"],
    ["90071992547409931234e2", "9007199254740993123400"],
    ["1e21", "1000000000000000000000"],
    ["-2e0", "-2"],
  ])("is the number that it stands for: %s", (sent, id) => {
    expect(idText(json(sent))).toBe(id)
  })
})

describe("any value in place of an optional field", () => {
  const anything = fc.oneof(
    fc.jsonValue().map(value => json(JSON.stringify(value))),
    fc.constantFrom<Json>(
      "",
      "2025-01-01",
      ".5",
      "yes",
      true,
      {},
      [],
      [null],
      json("1e400"),
      json("12345678901234567890"),
    ),
  )

  it.each(streams.map(stream => [stream.name, stream] as const))(
    "costs a record of %s that field only",
    (_, stream) => {
      const { record, required } = fixtureOf(stream)
      const optional = fieldsOf(record).filter(
        path => path.length === 1 && !required.some(name => name.split(".")[0] === path[0]),
      )
      const whole = Either.getOrThrow(stream.decode(record))
      fc.assert(
        fc.property(fc.subarray([...optional], { minLength: 1 }), fc.func(anything), (paths, valueOf) => {
          const values = new Map(paths.map(path => [path[0]!, valueOf(path)]))
          const sent = [...values].reduce<Json>(
            (made, [field, value]) => withField(made, [field], value),
            record,
          )
          const decoded = stream.decode(sent)
          if (Either.isLeft(decoded)) {
            // One of two fields that replace each other must be readable.
            expect(stream.name).toBe("payouts")
            expect([...values.keys()]).toEqual(expect.arrayContaining(["wire_amount", "original_amount"]))
            return
          }
          const { row, unread = [] } = decoded.right
          const named = new Set(unread.map(({ path }) => path[0]!))
          for (const field of named) expect([...values.keys()]).toContain(field)
          // Each alone says what it says among the others.
          for (const [field, value] of values) {
            const alone = stream.decode(withField(record, [field], value))
            if (Either.isLeft(alone)) continue
            const own = (alone.right.unread ?? []).map(({ path }) => path.join("."))
            expect(unread.filter(({ path }) => path[0] === field).map(({ path }) => path.join("."))).toEqual(
              own,
            )
          }
          const nulled = [...named].reduce<Json>((made, field) => withField(made, [field], null), sent)
          const isWhole = unread.every(({ path }) => path.length === 1)
          if (isWhole) expect(Either.getOrThrow(stream.decode(nulled)).row).toEqual(row)
          expect(Object.keys(row).sort()).toEqual(Object.keys(whole.row).sort())
          expect(isJsonObject(sent)).toBe(true)
        }),
        fuzz(150, TEST_MILLIS),
      )
    },
  )

  it.each(streams.map(stream => [stream.name, stream] as const))(
    "never makes a row of %s without what it needs",
    (_, stream) => {
      const { record, required } = fixtureOf(stream)
      const fields = required.filter(name => !name.includes("."))
      fc.assert(
        fc.property(
          fc.constantFrom(...fields),
          fc.constantFrom<Json>({}, [], null, true, [1]),
          (field, value) => {
            // A list that is empty is a list.
            fc.pre(!(Array.isArray(value) && typeof (record as Record<string, unknown>)[field] === "object"))
            fc.pre(!(value === true && typeof (record as Record<string, unknown>)[field] === "boolean"))
            const sent = withField(withField(record, [field], value), ["due_date"], "soon")
            expect([field, value, Either.isLeft(stream.decode(sent))]).toEqual([field, value, true])
          },
        ),
        fuzz(50, TEST_MILLIS),
      )
    },
  )
})
