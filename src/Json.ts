import { createHash } from "node:crypto"
import { LosslessNumber, parse, stringify } from "lossless-json"

/**
 * JSON without losing digits: a number is a `number` where a double prints the same value again, and a
 * `LosslessNumber` (its text) where it does not.
 */
export type Json = null | boolean | number | string | LosslessNumber | ReadonlyArray<Json> | JsonObject
export interface JsonObject {
  readonly [key: string]: Json
}

/** Levels of nesting that are read. Records nest 4 deep; the bound keeps a hostile body from ending the process. */
export const MAX_DEPTH = 200

export const isJsonObject = (value: Json | undefined): value is JsonObject =>
  typeof value === "object" && value !== null && !Array.isArray(value) && !(value instanceof LosslessNumber)

/** The text stopped in the middle of a value: what a cut connection leaves, so reading again may help. */
export class TruncatedJsonError extends SyntaxError {}

/**
 * Reads a JSON text and keeps the value of every number. Of equal keys the last one counts, as in `jsonb`.
 * Throws a `SyntaxError` that never quotes the text: it may hold personal data, and messages are stored.
 */
export const parseJson = (text: string): Json => {
  const value = parseNatively(text)
  if (exceedsDepth(value, MAX_DEPTH)) throw new SyntaxError(`JSON nested deeper than ${MAX_DEPTH} levels`)
  return MAY_LOSE_DIGITS.test(text) ? (parse(text, null, LOSSLESS) as Json) : value
}

/** The JSON text of a value, with every digit that was read. */
export const stringifyJson = (value: Json): string =>
  holdsLossless(value) ? stringify(value)! : JSON.stringify(value)

/**
 * 32 hex characters that are equal exactly when the value and `version` are: order of keys, white space and
 * the spelling of a number (`1.10`, `1.1`, `11e-1`) do not count, so a document hashes the same when it comes
 * back from `jsonb`. `version` is that of the code that makes rows of the record: raising it changes each hash.
 */
export const contentHash = (value: Json, version: number): string =>
  createHash("sha256")
    .update(`${version} ${canonical(value)}`)
    .digest("hex")
    .slice(0, 32)

/**
 * More than 15 significant digits, or an exponent: only such a literal can change on its way through a
 * double. The lossless parser is 20 times slower, hence this scan; taking text for a number only costs time.
 */
const MAY_LOSE_DIGITS = /(?:^|[:,[])\s*-?(?:\d[\d.]{15,}|[\d.]+[eE])/

const LOSSLESS = {
  parseNumber: (literal: string) => (isExact(literal) ? Number(literal) : new LosslessNumber(literal)),
  onDuplicateKey: ({ newValue }: { newValue: unknown }) => newValue,
}

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

/** The engine tells a cut text only in words, or by a position at the end of the text. */
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

const holdsLossless = (value: Json): boolean => {
  if (typeof value !== "object" || value === null) return false
  if (value instanceof LosslessNumber) return true
  if (Array.isArray(value)) return value.some(holdsLossless)
  const object = value as JsonObject
  for (const key in object) if (holdsLossless(object[key]!)) return true
  return false
}

const canonical = (value: Json): string => {
  switch (typeof value) {
    case "string":
      return JSON.stringify(value)
    case "number":
      // Not `JSON.stringify`: both print the shortest digits, this one without the check for infinity.
      return value === 0 ? "0" : String(value)
    case "boolean":
      return value ? "true" : "false"
  }
  if (value === null) return "null"
  if (value instanceof LosslessNumber) {
    const text = value.toString()
    return isExact(text) ? canonical(Number(text)) : normalForm(text)
  }
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

/** `-120.50` → `-1205e-1`: equal values, equal texts. The exponent is not spelled out, `1e999999999` is short. */
const normalForm = (literal: string): string => {
  const [, sign, whole, fraction = "", exponent = "0"] = NUMBER.exec(literal)!
  const digits = whole + fraction
  let start = 0
  while (digits.charCodeAt(start) === ZERO) start++
  if (start === digits.length) return "0"
  let end = digits.length
  while (digits.charCodeAt(end - 1) === ZERO) end--
  return `${sign}${digits.slice(start, end)}e${Number(exponent) - fraction.length + digits.length - end}`
}
const NUMBER = /^(-?)(\d+)(?:\.(\d+))?(?:[eE]([+-]?\d+))?$/
const ZERO = 48
