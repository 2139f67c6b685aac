import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import * as fc from "fast-check"
import { contentHash, type Json, stringifyJson } from "../../src/core/json.ts"
import { isList } from "../../src/core/stream.ts"
import { shapeOf } from "../../src/postgres/shape.ts"
import { allStreams } from "../../src/registry.ts"
import { recordOf, schemaFields } from "../support/badRecords.ts"
import { tablesOf, withField } from "../support/conformance.ts"
import { fuzz, fuzzMillis } from "../support/fuzz.ts"
import { json, loading, printed, warehouseForFile } from "../support/warehouse.ts"

/** Any JSON in any field of any record: what comes of it is a row or a reject, and the records beside it are rows. */

const NASTY_TEXTS = [
  "",
  " ",
  "\u0000",
  "a\ud800",
  "\udc00\ud800",
  "😀",
  "\\u0000",
  "'; --",
  "{}",
  "NaN",
  "NULL",
  "1e5",
  "-0",
]
const NASTY_NUMBERS = [
  "-0",
  "1e400",
  "-1e-400",
  "9007199254740993",
  "1e999999999",
  "0.1e1",
  "1E+2",
  `${"9".repeat(400)}.5`,
]
const NASTY_KEYS = [
  "__proto__",
  "constructor",
  "toString",
  "hasOwnProperty",
  "",
  "\u0000",
  "\ud8ff",
  "id",
  "a.b",
  "0",
]

/** Any UTF-16, most of it no text at all. */
const units = fc
  .array(fc.integer({ min: 0, max: 0xffff }), { maxLength: 6 })
  .map(codes => String.fromCharCode(...codes))

const texts = fc.oneof(fc.constantFrom(...NASTY_TEXTS), fc.string(), units).map(text => JSON.stringify(text))
const numbers = fc.oneof(
  fc.constantFrom(...NASTY_NUMBERS),
  fc.double({ noNaN: true, noDefaultInfinity: true }).map(String),
  fc.bigInt().map(String),
)
const times = fc
  .date({ noInvalidDate: true, min: new Date(-1e15), max: new Date(8.64e15) })
  .map(date => JSON.stringify(date.toISOString()))

/** JSON text of anything. */
const anything: fc.Arbitrary<string> = fc.letrec<{ value: string }>(tie => ({
  value: fc.oneof(
    { maxDepth: 3, depthSize: "small" },
    texts,
    numbers,
    times,
    fc.constantFrom("null", "true", "false"),
    fc.array(tie("value"), { maxLength: 3 }).map(items => `[${items.join()}]`),
    fc
      .array(fc.tuple(fc.oneof(fc.constantFrom(...NASTY_KEYS), units), tie("value")), { maxLength: 3 })
      .map(members => `{${members.map(([key, value]) => `${JSON.stringify(key)}:${value}`).join()}}`),
  ),
})).value

const streams = (await Effect.runPromise(allStreams)).filter(isList)

describe.each(streams.map(stream => [stream.name, stream] as const))(
  "whatever is in records of %s",
  (_, stream) => {
    const RUNS = 25
    const paths = schemaFields(stream).map(({ path }) => path)
    /** Some fields of a record overwritten, or a record that is none. */
    const bad = fc.oneof(
      { arbitrary: fc.array(fc.tuple(fc.nat(), anything), { minLength: 1, maxLength: 4 }), weight: 9 },
      { arbitrary: anything, weight: 1 },
    )
    const textOf = (id: string, given: string | ReadonlyArray<readonly [number, string]>): string => {
      if (typeof given === "string") return given
      return given.reduce(
        (text, [n, value]) => {
          const record = json(text)
          const path = paths[n % paths.length]!
          // The value there may no longer be an object.
          const isThere = path
            .slice(0, -1)
            .reduce<Json | undefined>((at, key) => (at as Record<string, Json> | null)?.[key], record)
          return typeof isThere === "object" && isThere !== null
            ? stringifyJson(withField(record, path, "@fuzz@")).replace('"@fuzz@"', () => value)
            : text
        },
        stringifyJson(recordOf(stream, id)),
      )
    }

    const shared = warehouseForFile()

    it.live(
      "each is a row that holds all of it, or a reject that does",
      () =>
        Effect.promise(() =>
          fc.assert(
            fc.asyncProperty(fc.array(bad, { minLength: 1, maxLength: 6 }), given =>
              Effect.runPromise(
                Effect.gen(function* () {
                  const tables = tablesOf(stream).map(table => shapeOf(table).table)
                  yield* Effect.promise(() => shared.sql.unsafe(`TRUNCATE ${tables.join()}, sync.rejects`))
                  const sent = given.flatMap((one, n) => [
                    textOf(`bad${n}`, one),
                    stringifyJson(recordOf(stream, `good${n}`)),
                  ])
                  const page = json(`[${sent.join()}]`) as ReadonlyArray<Json>
                  const pass = yield* loading(shared.sql, stream)
                  const counts = yield* pass.load(
                    ...page.map(record => [record, "2026-01-01T00:00:00Z"] as const),
                  )
                  yield* pass.close(false)
                  // Fields and items that cannot be read cost no record.
                  const { extracted, fieldRejected: _field, itemRejected: _item, ...became } = counts
                  expect(extracted).toBe(sent.length)
                  expect(Object.values(became).reduce((sum, n) => sum + n, 0)).toBe(extracted)
                  const hashes = (texts: ReadonlyArray<string>) =>
                    new Set(texts.map(text => contentHash(json(text), 0)))
                  const rows = yield* printed(
                    shared.sql,
                    `SELECT "${stream.idColumn}" AS id, raw::text AS text FROM ${shapeOf(stream.table).table}`,
                  )
                  const rejects = yield* printed(
                    shared.sql,
                    "SELECT raw AS text, reason FROM sync.rejects WHERE kind NOT IN ('field', 'item')",
                  )
                  for (const { reason } of rejects) expect(reason).toMatch(/./)
                  const ids = rows.map(({ id }) => id)
                  expect(ids).toEqual(expect.arrayContaining(given.map((_, n) => `good${n}`)))
                  // Two of one id in a page are two versions of one record: one of them stays.
                  const kept = hashes([...rows, ...rejects].map(({ text }) => text!))
                  const lost = [...hashes(sent)].filter(hash => !kept.has(hash))
                  expect(lost).toHaveLength(hashes(sent).size - kept.size)
                  expect(lost.length).toBeLessThanOrEqual(counts.stale + counts.updated)
                }),
              ),
            ),
            fuzz(RUNS),
          ),
        ),
      fuzzMillis(RUNS),
    )
  },
)
