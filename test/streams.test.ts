import { describe, expect, it } from "@effect/vitest"
import { Effect, Either, Option } from "effect"
import { contentHash, isJsonObject, type Json } from "../src/core/json.ts"
import { isState, type Stream } from "../src/core/stream.ts"
import { shapeOf } from "../src/postgres/shape.ts"
import { allStreams } from "../src/registry.ts"
import { recordColumns, stateColumns } from "../src/warehouse/schema/columns.ts"
import { schemaFields, wrongTypes } from "./support/badRecords.ts"
import {
  at,
  bookkeepingOf,
  cellsOf,
  decode,
  fieldsOf,
  fixtureOrMistake,
  namedIn,
  tablesOf,
  toSnake,
  withField,
} from "./support/conformance.ts"
import { type Declared, mistakesIn } from "./support/declaration.ts"
import { json, loading, printed, testWarehouse } from "./support/warehouse.ts"

/**
 * Tests every file of `src/streams/`. A new stream needs `fixtures/streams/<name>.json`: one record with every
 * documented field set, its row, and the required fields. Nothing here names a stream.
 */

const streams = await Effect.runPromise(allStreams)

/** The streams whose fixture can be read: one that is missing costs the others no test. */
const known: ReadonlyArray<Declared> = streams.flatMap(stream =>
  Either.match(fixtureOrMistake(stream), { onLeft: () => [], onRight: fixture => [{ stream, fixture }] }),
)

/** True if a field is named, or the item of a list that is no row without it. */
const isWithin = (field: string, named: string): boolean => field === named || field.startsWith(`${named}.`)

/** More digits than a double holds. */
const LONG = "12345678901234567890.123456789"

describe("each stream", () => {
  it.each(streams.map(stream => [stream.name, stream] as const))("%s has a fixture", (_, stream) => {
    expect(Either.getLeft(fixtureOrMistake(stream))).toEqual(Option.none())
  })
})

describe.each(known.map(one => [one.stream.name, one] as const))("stream %s", (_, declared) => {
  const { stream, fixture } = declared
  const fields = fieldsOf(fixture.record)
  const optional = fields.filter(path => !fixture.required.includes(path.join(".")))
  const whole = decode(stream, fixture.record)

  it("makes the expected row of a full record", () => {
    const { row, children, sourceUpdatedAt } = Either.getOrThrow(whole)
    expect(row).toEqual(fixture.row)
    expect(children ?? {}).toEqual(fixture.children ?? {})
    expect(sourceUpdatedAt).toBe(fixture.sourceUpdatedAt)
  })

  it("is declared as its fixture shows it", () => {
    expect(mistakesIn(declared, known)).toEqual([])
  })

  it("fills every column of its tables, and none that they lack", () => {
    const cells = cellsOf(stream, Either.getOrThrow(whole))
    for (const table of tablesOf(stream)) {
      const { name, types } = shapeOf(table)
      const bookkeeping = bookkeepingOf(stream, table)
      const filled = [...cells.keys()]
        .filter(cell => cell.startsWith(`${name}.`))
        .map(cell => cell.slice(name.length + 1))
      const own = [...types.keys()].filter(column => !bookkeeping.has(column))
      for (const column of own)
        expect([name, column, cells.get(`${name}.${column}`) ?? null]).not.toEqual([name, column, null])
      for (const column of filled) expect([name, column, types.has(column)]).toEqual([name, column, true])
    }
  })

  it("keeps its tables by account, with the bookkeeping of a record", () => {
    const tables = [...tablesOf(stream), ...stream.histories.map(({ table }) => table)]
    for (const table of tables) expect(shapeOf(table).key[0]).toBe("account")
    expect(shapeOf(stream.table).key).toEqual(["account", stream.idColumn])
    const { types } = shapeOf(stream.table)
    const bookkeeping = Object.keys(isState(stream) ? stateColumns() : recordColumns())
    for (const column of bookkeeping) expect([...types.keys()]).toContain(toSnake(column))
  })

  it("makes a row of a record whose optional fields are null or missing", () => {
    expect(optional.length + fixture.required.length).toBe(fields.length)
    for (const path of optional)
      for (const value of [null, undefined])
        expect([path, value, Either.isRight(decode(stream, withField(fixture.record, path, value)))]).toEqual(
          [path, value, true],
        )
    const bare = optional.reduce<Json>(
      (record, path) => (path.length === 1 ? withField(record, path, undefined) : record),
      fixture.record,
    )
    // One of several fields may have to be there: the one that is named helps.
    const result = decode(stream, bare)
    if (Either.isLeft(result))
      expect(decode(stream, withField(bare, [result.left], at(fixture.record, [result.left])))).toMatchObject(
        { _tag: "Right" },
      )
  })

  it("names a required field that is null or missing", () => {
    for (const name of fixture.required)
      for (const value of [null, undefined])
        expect(
          namedIn(stream, withField(fixture.record, name.split("."), value)).map(named =>
            isWithin(name, named),
          ),
        ).toEqual([true])
  })

  it("names a field of the wrong type, or loses nothing of it", () => {
    const before = cellsOf(stream, Either.getOrThrow(whole))
    for (const path of fields) {
      const wrong = isJsonObject(at(fixture.record, path)) ? "text" : { wrong: true }
      const sent = withField(fixture.record, path, wrong)
      const [named, ...others] = namedIn(stream, sent)
      if (named !== undefined) {
        expect([others, isWithin(path.join("."), named)]).toEqual([[], true])
        continue
      }
      const result = decode(stream, sent)
      if (Either.isLeft(result)) throw new Error(`${path} is not named`)
      // A field without a documented type keeps any value. A field without a column changes nothing.
      const kept = typeof wrong === "string" ? wrong : JSON.stringify(wrong)
      for (const [cell, value] of cellsOf(stream, result.right))
        expect([path, cell, [JSON.stringify(before.get(cell)), JSON.stringify(kept)]]).toEqual([
          path,
          cell,
          expect.arrayContaining([JSON.stringify(value)]),
        ])
    }
    for (const value of ["text", 1, null, []]) expect(Either.isLeft(decode(stream, value))).toBe(true)
  })

  it("names each field of its schema that holds what it cannot hold, and has each in its fixture", () => {
    const known = schemaFields(stream).map(({ path }) => path.join("."))
    expect(fields.map(path => path.join("."))).toEqual(expect.arrayContaining(known))
    const bad = wrongTypes(stream)
    expect(bad.length).toBeGreaterThan(known.length)
    for (const { field, record } of bad) {
      const [named, ...others] = namedIn(stream, record)
      expect([record, others, named !== undefined && isWithin(field, named)]).toEqual([record, [], true])
    }
  })

  it("loses nothing but an optional field that cannot be read", () => {
    if (isState(stream)) return
    const before = Either.getOrThrow(whole)
    for (const path of optional) {
      for (const wrong of [{ wrong: true }, ["wrong"], "wrong", true, json(LONG)]) {
        const sent = withField(fixture.record, path, wrong)
        const [named] = namedIn(stream, sent)
        if (named === undefined) continue
        // An item of a list that is none costs itself.
        expect(isWithin(named, path.join("."))).toBe(true)
        if (named !== path.join(".")) continue
        const after = cellsOf(stream, Either.getOrThrow(decode(stream, sent)))
        // A part of the record that is an object or a list has several columns, or the rows of a child.
        const isPart = typeof at(fixture.record, path) === "object"
        const without = Either.getOrThrow(
          decode(stream, withField(fixture.record, path, isPart ? null : undefined)),
        )
        expect([path, wrong, [...after]]).toEqual([path, wrong, [...cellsOf(stream, without)]])
        expect(Object.keys(before.row)).toEqual(Object.keys(without.row))
      }
    }
  })

  it("takes a value that no documentation knows for a value", () => {
    const before = cellsOf(stream, Either.getOrThrow(whole))
    for (const path of Object.keys(stream.documented.values ?? {})) {
      const isMany = Array.isArray(at(fixture.record, path.split(".")))
      const unheard = isMany ? ["NEVER_HEARD_OF"] : "NEVER_HEARD_OF"
      const record = withField(fixture.record, path.split("."), unheard)
      const after = cellsOf(stream, Either.getOrThrow(decode(stream, record)))
      const changed = [...after].filter(([cell, value]) => value !== before.get(cell))
      for (const [cell, value] of changed) expect([cell, value]).toEqual([cell, unheard])
    }
  })

  it("keeps every digit of an amount, sent as a number or as a string", () => {
    const numeric = tablesOf(stream).flatMap(table => {
      const { name, types } = shapeOf(table)
      return [...types].filter(([, type]) => type === "numeric").map(([column]) => `${name}.${column}`)
    })
    for (const sent of [json(LONG), LONG]) {
      const fed = new Set(
        fields.flatMap(path => {
          const result = decode(stream, withField(fixture.record, path, sent))
          if (Either.isLeft(result)) return []
          return [...cellsOf(stream, result.right)]
            .filter(([, value]) => value === LONG)
            .map(([cell]) => cell)
        }),
      )
      expect([...fed]).toEqual(expect.arrayContaining(numeric))
    }
  })

  it("hashes a record anew when its normalizer's version is raised", () => {
    const { record } = fixture
    expect(stream.version).toBeGreaterThanOrEqual(1)
    expect(contentHash(record, stream.version + 1)).not.toBe(contentHash(record, stream.version))
  })

  it("asks paths of the API that only read", () => {
    const { source } = stream
    const paths =
      source.kind === "list"
        ? [...source.paths, ...(source.detail?.paths("an%20id") ?? [])]
        : source.paths("an%20id")
    expect(new Set(paths).size).toBe(paths.length)
    for (const path of paths) {
      // The older reference has its records below /finmo.
      expect(path).toMatch(/^\/(api\/v1|finmo)\/[a-z0-9%/-]+$/)
      expect(path).not.toMatch(/create|update|disable|delete|payment-request/)
    }
  })
})

const ofRecords = known.flatMap(({ stream, fixture }) =>
  isState(stream) ? [] : [[stream.name, stream, fixture] as const],
)

describe.each(ofRecords)("stream %s in the warehouse", (_, stream, { record }) => {
  const READ = ["2026-01-01T00:00:00.000Z", "2026-01-02T00:00:00.000Z", "2026-01-03T00:00:00.000Z"] as const
  const { table } = shapeOf(stream.table)

  it.scopedLive("stores a record once, with its unknown fields, and again when its normalizer changed", () =>
    Effect.gen(function* () {
      const sql = yield* testWarehouse()
      const pass = yield* loading(sql, stream)
      const sent = { ...record, brand_new: { amount: json("1.10"), list: ["é", null] } }
      expect(yield* pass.load([sent, READ[0]])).toMatchObject({ inserted: 1, rejected: 0 })
      const [stored] = yield* printed(sql, `SELECT raw->'brand_new' AS extra, ctid, xmin FROM ${table}`)
      expect(stored!.extra).toBe('{"list": ["é", null], "amount": 1.1}')
      expect(yield* pass.load([sent, READ[1]], [sent, READ[1]])).toMatchObject({
        unchanged: 2,
        updated: 0,
      })
      expect(yield* printed(sql, `SELECT raw->'brand_new' AS extra, ctid, xmin FROM ${table}`)).toEqual([
        stored,
      ])
      const newer: Stream = { ...stream, version: stream.version + 1 }
      yield* pass.close()
      const again = yield* loading(sql, newer)
      expect(yield* again.load([sent, READ[2]])).toMatchObject({ updated: 1 })
    }),
  )

  it.scopedLive("stores every digit of every amount", () =>
    Effect.gen(function* () {
      const sql = yield* testWarehouse()
      const pass = yield* loading(sql, stream)
      const amounts = fieldsOf(record).filter(path => {
        const result = decode(stream, withField(record, path, json(LONG)))
        return Either.isRight(result) && [...cellsOf(stream, result.right).values()].includes(LONG)
      })
      const sent = amounts.reduce((changed, path) => withField(changed, path, json(LONG)), record as Json)
      expect(yield* pass.load([sent, READ[0]])).toMatchObject({ inserted: 1 })
      for (const own of tablesOf(stream)) {
        const shape = shapeOf(own)
        const columns = [...shape.types].filter(([, type]) => type === "numeric").map(([column]) => column)
        if (columns.length === 0) continue
        const texts = columns.map(column => `${column}::text AS ${column}`).join(", ")
        const [row] = yield* printed(sql, `SELECT ${texts} FROM ${shape.table}`)
        expect(row).toEqual(Object.fromEntries(columns.map(column => [column, LONG])))
      }
      const [{ raw }] = (yield* printed(sql, `SELECT raw::text AS raw FROM ${table}`)) as [{ raw: string }]
      for (const _ of amounts) expect(raw).toContain(LONG)
    }),
  )
})
