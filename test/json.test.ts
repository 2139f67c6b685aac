import { readdirSync, readFileSync } from "node:fs"
import { describe, expect, it } from "@effect/vitest"
import * as fc from "fast-check"
import { LosslessNumber } from "lossless-json"
import {
  contentHash,
  DeepJson,
  isJsonObject,
  type Json,
  type JsonObject,
  MAX_DEPTH,
  parseJson,
  stringifyJson,
  TooManyValuesError,
  TruncatedJsonError,
} from "../src/core/json.ts"
import { holdsMoreValues, valuesIn } from "../src/core/jsonText.ts"

const fixture = (name: string) => readFileSync(new URL(`fixtures/${name}`, import.meta.url), "utf8")

/** A decimal literal: sign, digits, fraction, exponent, as JSON allows them. */
const literals = fc
  .tuple(
    fc.constantFrom("", "-"),
    fc.bigInt({ min: 0n, max: 10n ** 30n }),
    fc.option(fc.stringMatching(/^[0-9]{1,25}$/), { nil: undefined }),
    fc.option(fc.integer({ min: -40, max: 40 }), { nil: undefined }),
  )
  .map(([sign, whole, fraction, exponent]) =>
    [
      sign,
      whole,
      fraction === undefined ? "" : `.${fraction}`,
      exponent === undefined ? "" : `e${exponent}`,
    ].join(""),
  )

/** The value of a literal as a fraction of integers, by another way than the code's. */
const sameValue = (one: string, other: string): boolean => {
  const parts = (text: string) => {
    const [mantissa = "", exponent = "0"] = text.toLowerCase().split("e")
    const [whole = "", fraction = ""] = mantissa.split(".")
    return { digits: BigInt(whole + fraction), power: Number(exponent) - fraction.length }
  }
  const [a, b] = [parts(one), parts(other)]
  const base = Math.min(a.power, b.power)
  return a.digits * 10n ** BigInt(a.power - base) === b.digits * 10n ** BigInt(b.power - base)
}

/** The same document as `jsonb` may print it: keys in another order, white space, an older duplicate of a key. */
const rewritten = (value: Json): string => {
  if (Array.isArray(value)) return `[ ${value.map(rewritten).join(" , ")} ]`
  if (value === null || typeof value !== "object" || value instanceof LosslessNumber)
    return stringifyJson(value)
  const entries = Object.entries(value as JsonObject).reverse()
  const texts = entries.map(([key, item]) => `${JSON.stringify(key)}: ${rewritten(item)}`)
  const older = entries.slice(0, 1).map(([key]) => `${JSON.stringify(key)}: "older"`)
  return `{ ${[...older, ...texts].join(", ")} }`
}

describe("parseJson and stringifyJson", () => {
  it("keep the value of every number, whatever its spelling", () => {
    fc.assert(
      fc.property(literals, literal => {
        const text = stringifyJson(parseJson(`{"amount":${literal}}`))
        expect(sameValue(text.slice('{"amount":'.length, -1), literal)).toBe(true)
      }),
    )
  })

  it("keep the very text of a number that a double cannot hold", () => {
    const text = "[9007199254740993.10,123456789012345678901234567890,1e400,0.1234567890123456789]"
    expect(stringifyJson(parseJson(text))).toBe(text)
  })

  it("keep plain numbers as numbers", () => {
    expect(parseJson('{"amount":100,"fee":1.65,"text":"12345678901234567890"}')).toEqual({
      amount: 100,
      fee: 1.65,
      text: "12345678901234567890",
    })
  })

  it("agree with JSON.parse and JSON.stringify on any document", () => {
    fc.assert(
      fc.property(fc.json(), text => {
        expect(JSON.parse(stringifyJson(parseJson(text)))).toEqual(JSON.parse(text))
      }),
    )
  })

  it.each(readdirSync(new URL("fixtures", import.meta.url)))("read the documented sample %s", name => {
    if (!name.endsWith(".json")) return
    expect(parseJson(fixture(name))).toEqual(JSON.parse(fixture(name)))
  })

  it.each(['{"__proto__":{"isAdmin":true},"a":1}', '{"__proto__":{"isAdmin":true},"a":9007199254740993}'])(
    "take __proto__ for data: %s",
    text => {
      const value = parseJson(text) as JsonObject
      expect(Object.keys(value)).toEqual(["__proto__", "a"])
      expect("isAdmin" in value).toBe(false)
      expect(stringifyJson(value)).toBe(text)
    },
  )

  it("keep the last of equal keys, as jsonb does", () => {
    expect(stringifyJson(parseJson('{"a":1,"a":2}'))).toBe('{"a":2}')
    expect(stringifyJson(parseJson('{"a":9007199254740993,"a":9007199254740995}'))).toBe(
      '{"a":9007199254740995}',
    )
  })

  const nested = (levels: number) => "[".repeat(levels) + "]".repeat(levels)

  it("keep nesting beyond the bound as text, without running out of stack", () => {
    const depthOf = (value: Json): number => (Array.isArray(value) ? 1 + depthOf(value[0] ?? null) : 0)
    expect(depthOf(parseJson(nested(MAX_DEPTH)))).toBe(MAX_DEPTH)
    for (const levels of [MAX_DEPTH + 1, 200_000]) {
      const value = parseJson(nested(levels))
      expect(depthOf(value)).toBe(MAX_DEPTH)
      expect(stringifyJson(value)).toBe(nested(levels))
    }
    expect(() => parseJson("[".repeat(200_000))).toThrow(TruncatedJsonError)
  })

  it("keep the values around a value that is too deep, and each of several", () => {
    const deep = (inner: string) => `${"[".repeat(MAX_DEPTH)}${inner}${"]".repeat(MAX_DEPTH)}`
    const inner = String.raw`{"a ]}\\\" [": [ 1.10, "\u0000" ]}`
    const text = `{"n":9007199254740993,"__proto__":[${deep(inner)}],"s":"][","two":${deep("[[],{}]")},"last":"z"}`
    const value = parseJson(text) as JsonObject
    expect(Object.keys(value)).toEqual(["n", "__proto__", "s", "two", "last"])
    expect(value.s).toBe("][")
    expect(stringifyJson(value)).toBe(text)
    expect(isJsonObject(new DeepJson("{}"))).toBe(false)
    expect(contentHash(value, 1)).toBe(contentHash(parseJson(text), 1))
    expect(contentHash(value, 1)).not.toBe(contentHash(parseJson(text.replace("1.10", "1.11")), 1))
  })

  it("tell a truncated text from a wrong one, and quote neither", () => {
    const text = '{"email":"jane@example.com","n":[1,-2.5,true,null,"a\\u00e9b"]}'
    for (let end = 0; end < text.length; end++) {
      expect(() => parseJson(text.slice(0, end))).toThrow(TruncatedJsonError)
    }
    expect(() => parseJson('{"email":jane@example.com}')).toThrow(/^not JSON$/)
    expect(() => parseJson('{"email":jane@example.com}')).not.toThrow(TruncatedJsonError)
  })
})

describe("contentHash", () => {
  const documents = fc.json().map(text => parseJson(text))

  it("is 32 hex characters, and another one for another version", () => {
    expect(contentHash({ a: 1 }, 1)).toMatch(/^[0-9a-f]{32}$/)
    expect(contentHash({ a: 1 }, 1)).not.toBe(contentHash({ a: 1 }, 2))
  })

  it("does not depend on key order, white space or replaced duplicates", () => {
    fc.assert(
      fc.property(documents, document => {
        expect(contentHash(parseJson(rewritten(document)), 3)).toBe(contentHash(document, 3))
      }),
    )
  })

  it.each([
    ["1.10", "1.1"],
    ["11e-1", "1.1"],
    ["1E2", "100"],
    ["-0", "0"],
    ["-0.000000000000000000000", "0"],
    ["9007199254740993.10", "9007199254740993.1"],
    ["12345678901234567890e1", "123456789012345678900"],
    ["1e-7", "0.0000001"],
    ["1e22", "10000000000000000000000"],
  ])("takes %s and %s for the same number", (one, other) => {
    expect(contentHash(parseJson(`{"a":${one}}`), 1)).toBe(contentHash(parseJson(`{"a":${other}}`), 1))
  })

  it("tells any two different numbers apart", () => {
    fc.assert(
      fc.property(literals, literals, (one, other) => {
        const isSame = contentHash(parseJson(one), 1) === contentHash(parseJson(other), 1)
        expect(isSame).toBe(sameValue(one, other))
      }),
    )
  })

  it.each([
    ['{"a":1}', '{"a":"1"}'],
    ['{"a":null}', "{}"],
    ['{"a":[]}', '{"a":{}}'],
    ["[[1],2]", "[[1,2]]"],
    ['{"a":{"b":1}}', '{"a":{},"b":1}'],
    ['["a,b"]', '["a","b"]'],
  ])("tells %s from %s", (one, other) => {
    expect(contentHash(parseJson(one), 1)).not.toBe(contentHash(parseJson(other), 1))
  })

  it("does not spell out a huge exponent", () => {
    expect(contentHash(parseJson("1e999999999"), 1)).toMatch(/^[0-9a-f]{32}$/)
  })
})

describe("the bound on values", () => {
  it("counts lists, objects and their content, but nothing in texts", () => {
    for (const [text, values] of [
      ["[]", 2],
      ["[[],[]]", 5],
      ['{"a":{},"b":[1,2]}', 6],
      [String.raw`["[[[,,,","\\\",[",1]`, 4],
    ] as const) {
      const body = new TextEncoder().encode(text)
      expect([text, valuesIn(body)]).toEqual([text, values])
      expect(() => parseJson(text.padEnd(50), values)).not.toThrow()
      expect(() => parseJson(text.padEnd(50), values - 1)).toThrow(TooManyValuesError)
    }
  })

  it("gives the same count for bytes and for characters, in any JSON", () => {
    fc.assert(
      fc.property(fc.json(), text => {
        const values = valuesIn(new TextEncoder().encode(text))
        expect(holdsMoreValues(text.padEnd(values + 1), values)).toBe(false)
        if (values > 1) expect(holdsMoreValues(text.padEnd(values + 1), values - 1)).toBe(true)
      }),
    )
  })
})
