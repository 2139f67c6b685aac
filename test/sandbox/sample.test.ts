import { describe, expect, it } from "@effect/vitest"
import { Effect, Either } from "effect"
import { instantMillis } from "../../src/core/instant.ts"
import { type JsonObject, parseJson } from "../../src/core/json.ts"
import { idText } from "../../src/core/recordId.ts"
import { isList, isLookup } from "../../src/core/stream.ts"
import { shapeOf } from "../../src/postgres/shape.ts"
import { allStreams } from "../../src/registry.ts"
import { sampleGenerator } from "../../src/sandbox/sample.ts"
import { defaultOptions } from "../../src/sandbox/world/options.ts"
import { makeWorld } from "../../src/sandbox/world/world.ts"
import { cellsOf, fixtureOf } from "../support/conformance.ts"

/** Copies of a fixture's record, as the sandbox would serve them if it had no generator for the stream. */

const streams = await Effect.runPromise(allStreams)

describe.each(streams.filter(isList).map(stream => [stream.name, stream] as const))(
  "a list of copies of %s",
  (name, stream) => {
    const { source } = stream
    const fixture = fixtureOf(stream)
    const generator = sampleGenerator(stream, fixture)
    if (generator.kind !== "list") throw new Error("The copies of a list are a list.")
    const count = 12
    const world = () => makeWorld(defaultOptions, () => new Map([[name, count]]))
    const copyIn = (at: ReturnType<typeof world>, index: number) =>
      parseJson(generator.text(at, index)) as JsonObject
    const copies = Array.from({ length: count }, (_, index) => copyIn(world(), index))

    it("begins with the record itself, and each copy is a record of the stream with its own id", () => {
      expect(copies[0]).toEqual(fixture.record)
      const ids = copies.map(copy => idText(copy[source.idField]))
      expect(new Set(ids).size).toBe(count)
      expect(ids).toEqual(ids.map((_, index) => generator.ids(world()).of(index)))
      for (const copy of copies) {
        expect(source.recognizes(copy)).toBe(true)
        const rows = Either.getOrThrow(stream.decode(copy))
        expect(rows.unread ?? []).toEqual([])
        expect([...cellsOf(stream, rows).keys()]).toEqual([
          ...cellsOf(stream, Either.getOrThrow(stream.decode(fixture.record))).keys(),
        ])
      }
    })

    it("has no child twice, and its later records are newer", () => {
      for (const { table, surplus } of stream.children) {
        if (surplus !== "keep") continue
        const shape = shapeOf(table)
        const rows = copies.flatMap(
          copy => Either.getOrThrow(stream.decode(copy)).children?.[shape.name] ?? [],
        )
        const keys = rows.map(row => shape.key.map(column => row[column] ?? null).join(" "))
        expect(new Set(keys).size).toBe(keys.length)
      }
      if (source.times === undefined) return
      const times = copies.map(copy => instantMillis(copy[source.times!.created])!)
      expect(times).toEqual([...new Set(times)].sort((a, b) => a - b))
    })

    it("changes the time of a touched record, and dates an inserted one now", () => {
      const changed = world()
      changed.changes.touch(name, 3, undefined, "2027-01-01T00:00:00.000Z")
      changed.changes.insert(name, 1, "back")
      const [before, after] = [copyIn(world(), 3), copyIn(changed, 3)]
      const updated = source.times?.updated ?? "updated_at"
      expect(after).toEqual({ ...before, [updated]: "2027-01-01T00:00:00.000Z" })
      const created = instantMillis(copyIn(changed, count)[source.times?.created ?? "created_at"])
      expect(created).toBe(changed.changes.of(name).createdAt.get(count))
    })
  },
)

describe.each(streams.filter(isLookup).map(stream => [stream.name, stream] as const))(
  "an answer like that of %s",
  (_, stream) => {
    it("is the fixture's record, with the asked id", () => {
      const fixture = fixtureOf(stream)
      const generator = sampleGenerator(stream, fixture)
      if (generator.kind !== "lookup") throw new Error("The copies of a look-up are a look-up.")
      const world = makeWorld(defaultOptions, () => new Map())
      const payload = parseJson(generator.answer(world, "asked%20for", 0))
      const { answer, keyField } = stream.source
      const of = answer.kind === "records" ? answer.of : undefined
      const records = of === undefined ? [payload] : of(payload, "asked for")
      expect(records).toHaveLength(1)
      for (const record of records) {
        expect(Object.keys(record as JsonObject)).toEqual(Object.keys(fixture.record))
        expect((record as JsonObject)[keyField]).toBe("asked for")
        expect(Either.isRight(stream.decode(record))).toBe(true)
      }
    })
  },
)
