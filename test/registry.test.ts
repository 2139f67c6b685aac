import { describe, expect, it } from "@effect/vitest"
import { Effect, Either } from "effect"
import { keyStreams } from "../src/core/lookup.ts"
import type { LookupStream, Stream } from "../src/core/stream.ts"
import { allStreams, parentsFirst } from "../src/registry.ts"

const streams = await Effect.runPromise(allStreams)
const named = (name: string) => streams.find(stream => stream.name === name)!

/** The registered streams, some of them changed. */
const changed = (changes: Readonly<Record<string, Partial<Stream>>>) =>
  parentsFirst(streams.map(stream => ({ ...stream, ...changes[stream.name] })))

const mistakeIn = (found: ReturnType<typeof parentsFirst>) => Either.getOrThrow(Either.flip(found))

describe("the registry", () => {
  it("places parents before their children", () => {
    for (const order of [streams, [...streams].reverse()]) {
      const placed = Either.getOrThrow(parentsFirst(order)).map(({ name }) => name)
      expect([...placed].sort()).toEqual(streams.map(({ name }) => name).sort())
      for (const { name, after } of order)
        for (const parent of after) expect(placed.indexOf(parent)).toBeLessThan(placed.indexOf(name))
    }
  })

  it("refuses a parent that does not exist, by its name, with the streams that do", () => {
    expect(mistakeIn(changed({ payouts: { after: ["nope"] } }))).toBe(
      'Stream payouts: after names "nope", and there is no such stream: name one of ' +
        `${streams.map(({ name }) => name).join(", ")}.`,
    )
    const lookup = named("wallet_readiness") as LookupStream
    const [parent] = keyStreams(lookup.source)
    expect(mistakeIn(parentsFirst(streams.filter(({ name }) => name !== parent)))).toContain(
      `"${parent}", and there is no such stream`,
    )
    const subject = { kind: "named", of: "people", field: "customer_id" } as const
    expect(mistakeIn(changed({ payouts: { personal: { plain: {}, subject } } }))).toMatch(
      /^Stream payouts: personal\.subject\.of names "people"/,
    )
  })

  it("refuses a circle of parents, and shows it", () => {
    expect(mistakeIn(changed({ customers: { after: ["customers"] } }))).toMatch(
      /^Stream customers: .*\(customers after customers\).*\.$/,
    )
    const mistake = mistakeIn(
      changed({
        customers: { after: ["payouts"] },
        payouts: { after: ["wallets"] },
        wallets: { after: ["customers"] },
      }),
    )
    expect(mistake).toMatch(/read after itself \((\w+) after \w+ after \w+ after \1\)/)
  })

  it("refuses a look-up that names a table or a column that does not exist, with the place in its declaration", () => {
    const lookup = named("wallet_readiness") as LookupStream
    const { keys, recheck } = lookup.source
    const [parent] = keyStreams(lookup.source)
    const refusal = (source: Partial<LookupStream["source"]>) =>
      mistakeIn(changed({ [lookup.name]: { source: { ...lookup.source, ...source } } }))
    expect(refusal({ keys: [{ ...keys[0], stream: parent!, column: "nope" }] })).toBe(
      `Stream ${lookup.name}: source.keys names "nope", and there is no such column in ${parent}: name one that there is.`,
    )
    expect(refusal({ keys: [{ stream: parent!, child: "no_child", column: "id" }] })).toContain(
      'source.keys names "id", and there is no such column in any table of that stream',
    )
    expect(refusal({ recheck: { ...recheck, open: { column: "is_open", is: true } } })).toContain(
      'source.recheck.open names "is_open"',
    )
    expect(refusal({ idField: "id" })).toContain('source.idField is "id": the id of a state is the asked key')
    const records = { kind: "records", keyColumn: lookup.idColumn } as const
    expect(refusal({ answer: records, idField: "id", keyField: "asked" })).toContain(
      'source.keyField names "asked", which counts as personal',
    )
    expect(refusal({ answer: { kind: "records", keyColumn: "asked" } })).toContain(
      'source.answer.keyColumn names "asked"',
    )
  })

  it("refuses a name or a table that two streams share, and a name that is no word of SQL", () => {
    expect(mistakeIn(parentsFirst([...streams, named("payouts")]))).toBe(
      "Two files of src/streams declare a stream payouts: rename one of the streams.",
    )
    // The one that is read later is named.
    expect(mistakeIn(changed({ transactions: { table: named("payouts").table } }))).toBe(
      'Stream transactions: the table "warehouse"."payouts" belongs to payouts: give it a table of its own.',
    )
    expect(mistakeIn(parentsFirst([...streams, { ...named("payouts"), name: "My refunds" }]))).toMatch(
      /^Stream "My refunds": name it with lower-case letters/,
    )
  })
})
