import { LosslessNumber } from "lossless-json"
import { isId } from "./id.ts"
import { isJsonObject, type Json } from "./json.ts"

/** Defines the id of a record once, for paging, keys, look-ups, rejects, erasures and rows. */

/** Longest number in characters that is written out; a longer one keeps its exponent. */
const WRITTEN_OUT_MAX = 1_000

const NUMBER = /^(-?)(\d+)(?:\.(\d+))?[eE]([+-]?\d{1,6})$/

/** Returns a JSON number as text with every digit, without an exponent up to a thousand characters: `1e3` is `1000`. */
export const numberText = (value: number | LosslessNumber): string => {
  const text = Object.is(value, -0) ? "0" : value.toString()
  const [, sign, whole = "", fraction = "", power] = NUMBER.exec(text) ?? []
  if (power === undefined) return text
  const digits = whole + fraction
  const point = whole.length + Number(power)
  if (Math.abs(point) + digits.length > WRITTEN_OUT_MAX) return text
  const padded = digits.padEnd(point, "0").padStart(digits.length + Math.max(0, 1 - point), "0")
  const at = Math.max(point, 1)
  const rest = padded.slice(at).replace(/0+$/, "")
  return `${sign}${padded.slice(0, at)}${rest === "" ? "" : `.${rest}`}`
}

/** Returns the id in a field as text: ids may be sent as JSON numbers (?). Null if the value can be no key. */
export const idText = (value: Json | undefined): string | null => {
  const text = typeof value === "number" || value instanceof LosslessNumber ? numberText(value) : value
  return typeof text === "string" && isId(text) ? text : null
}

/** Returns the id of a record of a source; null if it has none that can be a key. */
export const recordIdOf = ({ idField }: { readonly idField: string }, record: unknown): string | null =>
  isJsonObject(record as Json) ? idText((record as Readonly<Record<string, Json>>)[idField]) : null
