import { describe, expect, it } from "@effect/vitest"
import { Effect, Either, FastCheck as fc, Redacted } from "effect"
import { LosslessNumber } from "lossless-json"
import type { Json } from "../../src/core/json.ts"
import {
  ALL_PERSONAL,
  DROP,
  keyFingerprint,
  type Privacy,
  type PrivacySpec,
  redactor,
} from "../../src/core/privacy.ts"
import { redacting } from "../../src/core/stream.ts"
import { allStreams } from "../../src/registry.ts"
import { cellsOf, fixtureOf, fixtureOrMistake } from "../support/conformance.ts"
import { fuzz, TEST_MILLIS } from "../support/fuzz.ts"
import { KEY } from "../support/people.ts"

/** Tests redaction value by value. */

const HASH: Privacy = { mode: "hash", key: Redacted.make(KEY) }
const MODES = [HASH, DROP] as const

const PERSONAL: PrivacySpec = {
  plain: {
    kind: "code",
    ref: "id",
    is_on: "flag",
    amount: "amount",
    at: "time",
    inner: { code: "code" },
    list: [{ n: "amount" }],
  },
}
const hash = redactor(PERSONAL, "id", HASH)
const drop = redactor(PERSONAL, "id", DROP)

const HASHED = expect.stringMatching(/^hmac:[0-9a-f]{64}$/)

describe("a field that is declared as plain", () => {
  const plain = {
    id: "jane@example.com",
    kind: "In Progress",
    ref: "customer_1",
    is_on: false,
    amount: new LosslessNumber("12345678901234567890.10"),
    at: "2025-03-18T09:00:00.500Z",
    inner: { code: "AUD" },
    list: [{ n: "1.50" }, { n: 2 }, null],
  }

  it("stays unchanged, and so does the id in any form", () => {
    expect(hash(plain)).toEqual(plain)
    expect(drop(plain)).toEqual(plain)
  })

  it("is removed if it has another form, and its replacement has a wrong form, too", () => {
    const odd = {
      id: { of: "Jane" },
      kind: "jane@example.com",
      ref: "Jane Doe",
      is_on: "Jane",
      amount: "Jane",
      at: "Jane",
      inner: "Jane",
      list: "Jane",
    }
    expect(drop(odd)).toEqual({
      id: null,
      kind: null,
      ref: null,
      is_on: "dropped",
      amount: "dropped",
      at: "dropped",
      inner: "dropped",
      list: "dropped",
    })
    expect(hash(odd)).toEqual({ ...Object.fromEntries(Object.keys(odd).map(key => [key, HASHED])), id: null })
    expect(drop({ kind: { a: "Jane" }, ref: ["Jane"] })).toEqual({ kind: {}, ref: {} })
    expect(hash({ kind: { a: "Jane" } })).toEqual({ kind: { redacted: HASHED } })
  })
})

describe("a field that is not declared", () => {
  it("is hashed: each field by itself if the object is declared, otherwise as a whole", () => {
    const record = {
      id: "1",
      name: "Jane",
      age: 7,
      is_vip: true,
      inner: { code: "AUD", name: "Jane", more: { name: "Jane" } },
      list: [{ n: 1, for: "Jane" }],
      other: { name: "Jane", list: ["Jane"] },
      nothing: null,
    }
    const hashed = hash(record) as unknown as typeof record
    expect(hashed).toEqual({
      id: "1",
      name: HASHED,
      age: HASHED,
      is_vip: HASHED,
      inner: { code: "AUD", name: HASHED, more: HASHED },
      list: [{ n: 1, for: HASHED }],
      other: HASHED,
      nothing: null,
    })
    expect(hashed.inner.name).toBe(hashed.name)
    expect(drop(record)).toEqual({
      id: "1",
      name: null,
      age: null,
      is_vip: null,
      inner: { code: "AUD", name: null, more: null },
      list: [{ n: 1, for: null }],
      other: null,
      nothing: null,
    })
  })

  it("is an HMAC-SHA256 that can be computed from the key", () => {
    // printf %s Jane | openssl dgst -sha256 -hmac 'a key of more than sixteen characters'
    expect(hash({ name: "Jane" })).toEqual({
      name: "hmac:1e6f0779d2f1e55cc40fdb74d166bfe6be4bf75c1db58d85a32687af64b5ac67",
    })
  })

  it("includes keys that no programmer would have given", () => {
    const record = { "jane@example.com": 1, "Jane Doe": { code: "x" }, __proto__x: 1 }
    expect(Object.keys(drop(record) as object)).toEqual(["__proto__x"])
    for (const key of Object.keys(hash(record) as object))
      expect(key).toMatch(/^(hmac_[0-9a-f]{32}|__proto__x)$/)
    const hostile = JSON.parse('{"__proto__": {"name": "Jane"}, "constructor": "Jane"}') as Json
    expect(JSON.stringify(hash(hostile))).not.toContain("Jane")
    expect(Object.keys(hash(hostile) as object)).toEqual(["__proto__", "constructor"])
  })

  it("includes a record that is not an object: only its length and its hash are left", () => {
    expect(hash("Jane")).toEqual(expect.stringMatching(/^redacted: 4 characters, hmac:[0-9a-f]{64}$/))
    expect(hash(["Jane"])).toEqual(expect.stringMatching(/^redacted: 8 characters, hmac:/))
    expect(drop(["Jane"])).toBe("redacted: 8 characters")
    const keyed = redactor(PERSONAL, "id", { mode: "drop", key: Redacted.make(KEY) })
    expect(keyed(["Jane"])).toBe(hash(["Jane"]))
  })
})

describe("the key", () => {
  it("gives other hashes of the same value, and its fingerprint is none of them", () => {
    const other: Privacy = { mode: "hash", key: Redacted.make("another key of sixteen") }
    expect(redactor(ALL_PERSONAL, "id", other)({ a: "Jane" })).not.toEqual(hash({ a: "Jane" }))
    expect(keyFingerprint(HASH)).toMatch(/^[0-9a-f]{16}$/)
    expect(keyFingerprint(HASH)).not.toBe(keyFingerprint(other))
    expect(keyFingerprint(DROP)).toBeNull()
  })
})

const MARK = "Zyxwvut"

/** JSON with a mark in every text and every key, ids and documented fields among them. */
const marked = fc.letrec<{ value: Json }>(tie => ({
  value: fc.oneof(
    { maxDepth: 4 },
    fc.string().map(text => `${MARK} ${text}`),
    fc.constant(null),
    fc.array(tie("value"), { maxLength: 3 }),
    fc.dictionary(
      fc.oneof(
        fc.constantFrom("inner", "list", "name", "at", "amount", "is_on"),
        fc.string().map(text => `${MARK} ${text}`),
      ),
      tie("value"),
      { maxKeys: 4 },
    ),
  ),
})).value

describe("any value", () => {
  it("keeps only declared fields; equal values stay equal, and a second redaction changes nothing", () => {
    fc.assert(
      fc.property(marked, value => {
        for (const redact of [hash, drop]) {
          const once = redact(value)
          expect(JSON.stringify(once)).not.toContain(MARK)
          expect(redact(once)).toEqual(once)
          expect(redact(structuredClone(value))).toEqual(once)
        }
      }),
      fuzz(300, TEST_MILLIS),
    )
  })
})

const streams = (await Effect.runPromise(allStreams)).filter(stream =>
  Either.isRight(fixtureOrMistake(stream)),
)

describe.each(streams.map(stream => [stream.name, stream] as const))("stream %s", (_, stream) => {
  const { record } = fixtureOf(stream)
  const cellsIn = (privacy: Privacy) => {
    const { decode, redact } = redacting(stream, privacy)
    return cellsOf(stream, Either.getOrThrow(decode(redact(record))))
  }

  it("keeps each column filled with hash, and those that are not personal with drop", () => {
    const kept = cellsIn({ mode: "keep" })
    const hashed = cellsIn(HASH)
    const dropped = cellsIn(DROP)
    for (const [cell, value] of kept) {
      const isPersonal = dropped.get(cell) === null && value !== null
      expect([cell, hashed.get(cell)]).toEqual([cell, isPersonal ? HASHED : value])
      if (!isPersonal) expect([cell, dropped.get(cell)]).toEqual([cell, value])
    }
  })

  it("leaves no name, mail address, document number or credential of its sample", () => {
    const secret = [
      "Jane",
      "Doe",
      "jane@example",
      "M1234567",
      "1997-01-16",
      "5550100",
      "Harbour",
      "12345678",
      "5c57543e",
      "invoice_15",
    ]
    for (const privacy of MODES) {
      const { redact } = redacting(stream, privacy)
      const left = JSON.stringify(redact(record))
      for (const text of secret) expect([text, left.includes(text)]).toEqual([text, false])
    }
  })
})
