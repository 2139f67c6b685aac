import { describe, expect, it } from "@effect/vitest"
import { Effect, Either } from "effect"
import { isLookup, type Stream } from "../src/core/stream.ts"
import { allStreams, parentsFirst } from "../src/registry.ts"

const streams = await Effect.runPromise(allStreams)
const named = (name: string) => streams.find(stream => stream.name === name)!

/** The registered streams, some of them changed. */
const changed = (changes: Readonly<Record<string, Partial<Stream>>>) =>
  parentsFirst(streams.map(stream => ({ ...stream, ...changes[stream.name] })))

const mistakeIn = (found: ReturnType<typeof parentsFirst>) => Either.getOrThrow(Either.flip(found))

describe("the registry", () => {
  it("places parents before the streams that come after them", () => {
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
    const lookup = streams.find(isLookup)!
    expect(mistakeIn(parentsFirst(streams.filter(({ name }) => name !== lookup.source.of)))).toContain(
      `"${lookup.source.of}", and there is no such stream`,
    )
    const person = { kind: "named", of: "people", field: "customer_id" } as const
    expect(mistakeIn(changed({ payouts: { personal: { plain: {}, person } } }))).toMatch(
      /^Stream payouts: personal\.person\.of names "people"/,
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

  it("refuses a look-up that is not read after the stream that it asks about", () => {
    const lookup = streams.find(isLookup)!
    expect(mistakeIn(changed({ [lookup.name]: { after: [] } }))).toBe(
      `Stream ${lookup.name}: it asks about records of ${lookup.source.of}: name that stream in after, too.`,
    )
  })

  it("refuses a name or a table that two streams share, and a name that is no word of SQL", () => {
    expect(mistakeIn(parentsFirst([...streams, named("payouts")]))).toBe(
      "Two files of src/streams declare a stream payouts: rename one of the streams.",
    )
    expect(mistakeIn(changed({ wallets: { table: named("payouts").table } }))).toBe(
      'Stream wallets: the table "warehouse"."payouts" belongs to payouts: give it a table of its own.',
    )
    expect(mistakeIn(parentsFirst([...streams, { ...named("payouts"), name: "My refunds" }]))).toMatch(
      /^Stream "My refunds": name it with lower-case letters/,
    )
  })
})
