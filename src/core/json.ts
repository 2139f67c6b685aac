import { createHash, randomUUID } from "node:crypto"
import { LosslessNumber } from "lossless-json"
import { holdsMoreValues, takeOut } from "./jsonText.ts"

/**
 * JSON that keeps all digits. A number is a `number` if a double prints the same value again, and a `LosslessNumber`
 * (its text) otherwise. A value that is nested too deep is a `DeepJson` (its text).
 */
export type Json =
  | null
  | boolean
  | number
  | string
  | LosslessNumber
  | DeepJson
  | ReadonlyArray<Json>
  | JsonObject
export interface JsonObject {
  readonly [key: string]: Json
}

/** Levels of nesting that are read. Records nest 4 deep; the bound keeps a hostile body from ending the process. */
export const MAX_DEPTH = 200

/** An array or object deeper than `MAX_DEPTH`, as its text. It does not affect its neighbours. */
export class DeepJson {
  constructor(readonly text: string) {}
}

export const isJsonObject = (value: Json | undefined): value is JsonObject =>
  typeof value === "object" &&
  value !== null &&
  !Array.isArray(value) &&
  !(value instanceof LosslessNumber) &&
  !(value instanceof DeepJson)

/** True if `JSON.stringify` prints the whole value: no part of it is kept as text. */
export const isPlain = (value: Json): boolean => {
  if (typeof value !== "object" || value === null) return true
  if (value instanceof LosslessNumber || value instanceof DeepJson) return false
  if (Array.isArray(value)) return value.every(isPlain)
  const object = value as JsonObject
  for (const key in object) if (!isPlain(object[key]!)) return false
  return true
}

/** The text ends in the middle of a value, as after a lost connection. A repetition may help. */
export class TruncatedJsonError extends SyntaxError {}

/** The text holds more values than its reader has memory for. */
export class TooManyValuesError extends SyntaxError {}

/**
 * Reads a JSON text, with the value of every number. The last of equal keys counts, as in `jsonb`. Throws a
 * `SyntaxError` that never quotes the text, also for more than `valuesMax` values.
 */
export const parseJson = (text: string, valuesMax = Number.POSITIVE_INFINITY): Json => {
  if (holdsMoreValues(text, valuesMax)) throw new TooManyValuesError("JSON of too many values")
  const value = parseNatively(text)
  return exceedsDepth(value, MAX_DEPTH) || MAY_LOSE_DIGITS.test(text) ? parseExactly(text) : value
}

/** Returns the JSON text of a value, with every digit that was read. */
export const stringifyJson = (value: Json): string => (isPlain(value) ? JSON.stringify(value) : print(value))

const print = (value: Json): string => {
  if (typeof value !== "object" || value === null) return JSON.stringify(value)
  if (value instanceof LosslessNumber) return value.toString()
  if (value instanceof DeepJson) return value.text
  if (Array.isArray(value)) return `[${value.map(print).join(",")}]`
  const object = value as JsonObject
  return `{${Object.keys(object)
    .map(key => `${JSON.stringify(key)}:${print(object[key]!)}`)
    .join(",")}}`
}

/**
 * Returns 32 hex characters, equal exactly if the value and `version` are. The order of keys, white space and the
 * spelling of a number do not count: a document has the same hash when it comes back from `jsonb`.
 */
export const contentHash = (value: Json, version: number): string =>
  createHash("sha256")
    .update(`${version} ${canonical(value)}`)
    .digest("hex")
    .slice(0, 32)

/**
 * Matches a literal with more than 15 significant digits, or with an exponent. Only such a literal can change in a
 * double. Exact reading is slower, so this scan comes first; a match inside a string only costs time.
 */
const MAY_LOSE_DIGITS = /(?:^|[:,[])\s*-?(?:\d[\d.]{15}|[\d.]{1,15}[eE])/

const parseNatively = (text: string): Json => {
  try {
    return JSON.parse(text) as Json
  } catch (cause) {
    // The engine's message quotes the text.
    throw isCut(text, cause)
      ? new TruncatedJsonError("JSON that ends too early")
      : new SyntaxError("not JSON")
  }
}

/** The engine signals a truncated text only by its words, or by a position at the end of the text. */
const isCut = (text: string, cause: unknown): boolean => {
  const message = cause instanceof SyntaxError ? cause.message : ""
  return (
    /Unexpected end|Unterminated/.test(message) || Number(/position (\d+)/.exec(message)?.[1]) >= text.length
  )
}

const exceedsDepth = (value: Json, levels: number): boolean => {
  if (typeof value !== "object" || value === null) return false
  if (levels === 0) return true
  if (Array.isArray(value)) {
    for (const item of value) if (exceedsDepth(item, levels - 1)) return true
    return false
  }
  const object = value as JsonObject
  for (const key in object) if (exceedsDepth(object[key]!, levels - 1)) return true
  return false
}

/** Reads a valid text with values that `JSON.parse` does not keep, replaced meanwhile by strings with a random mark. */
const parseExactly = (sent: string): Json => {
  const mark = randomUUID()
  const { text, taken } = takeOut(sent, mark, MAX_DEPTH, isExact)
  const put = (value: Json): Json => {
    if (typeof value === "string") {
      if (!value.startsWith(mark)) return value
      const text = taken[Number(value.slice(mark.length))]!
      return /^[[{]/.test(text) ? new DeepJson(text) : new LosslessNumber(text)
    }
    if (typeof value !== "object" || value === null) return value
    // The value was created here, and no other code has it.
    const holder = value as Record<string, Json>
    for (const key of Object.keys(holder)) {
      const item = holder[key]!
      const kept = put(item)
      if (kept !== item) Object.defineProperty(holder, key, { ...DATA, value: kept })
    }
    return value
  }
  return put(parseNatively(text))
}
/** Properties as `JSON.parse` creates them. An assignment to `__proto__` would set the prototype. */
const DATA = { configurable: true, enumerable: true, writable: true }

/** Returns one text per value, independent of the order of keys, white space and the spelling of numbers. */
export const canonical = (value: Json): string => {
  switch (typeof value) {
    case "string":
      return JSON.stringify(value)
    case "number":
      // `JSON.stringify` prints the same digits, but checks for infinity first.
      return value === 0 ? "0" : String(value)
    case "boolean":
      return value ? "true" : "false"
  }
  if (value === null) return "null"
  if (value instanceof LosslessNumber) {
    const text = value.toString()
    return isExact(text) ? canonical(Number(text)) : normalForm(text)
  }
  if (value instanceof DeepJson) return `deep:${value.text}`
  if (Array.isArray(value)) {
    let text = "["
    for (const item of value) text += `${canonical(item)},`
    return `${text}]`
  }
  const object = value as JsonObject
  let text = "{"
  for (const key of Object.keys(object).sort()) text += `${JSON.stringify(key)}:${canonical(object[key]!)},`
  return `${text}}`
}

const isExact = (literal: string): boolean => {
  const double = Number(literal)
  return Number.isFinite(double) && normalForm(String(double)) === normalForm(literal)
}

/** Returns equal texts for equal values: `-120.50` → `-1205e-1`. `1e999999999` stays short. */
const normalForm = (literal: string): string => {
  // Works by position. A literal may be as long as an answer, and a pattern would run out of stack.
  const sign = literal.startsWith("-") ? "-" : ""
  const mark = literal.search(/[eE]/)
  const exponent = mark < 0 ? "0" : literal.slice(mark + 1)
  const [whole = "", fraction = ""] = literal.slice(sign.length, mark < 0 ? undefined : mark).split(".")
  const digits = whole + fraction
  let start = 0
  while (digits.charCodeAt(start) === ZERO) start++
  if (start === digits.length) return "0"
  let end = digits.length
  while (digits.charCodeAt(end - 1) === ZERO) end--
  return `${sign}${digits.slice(start, end)}e${Number(exponent) - fraction.length + digits.length - end}`
}
const ZERO = 48
