import { LosslessNumber } from "lossless-json"
import { DeepJson, isPlain, type Json, MAX_DEPTH } from "../core/json.ts"

/** Finds valid JSON that Postgres cannot store, before Postgres refuses it. The reject can then name the field. */

/** Escapes of `JSON.stringify` for U+0000 and for a lone surrogate. Postgres stores neither. */
const SUSPECT = /\\u(0000|d[89a-f][0-9a-f]{2})/i

/** Most digits of a `numeric`, and so of a number in `jsonb`, before and after its point. */
const WHOLE_DIGITS_MAX = 131_072
const FRACTION_DIGITS_MAX = 16_383

/** Longest literal that is examined. A pattern would run out of stack in a longer one, which is refused. */
const LITERAL_LENGTH_MAX = WHOLE_DIGITS_MAX + FRACTION_DIGITS_MAX + 100

const reasonFor = (text: string): string | undefined =>
  text.includes("\u0000")
    ? "holds the character U+0000, which Postgres cannot store"
    : text.isWellFormed()
      ? undefined
      : "holds half a surrogate pair, which is no character"

/** True if `text` and `jsonb` can hold a text. */
export const isStorable = (text: string): boolean => reasonFor(text) === undefined

const NUMBER = /^-?0*(\d*)(?:\.(\d+))?(?:[eE]([+-]?\d+))?$/

/** True if `numeric` can hold a JSON number. Its digits are counted with the exponent written out. */
const isNumeric = (literal: string): boolean => {
  if (literal.length > LITERAL_LENGTH_MAX) return false
  const [, whole = "", fraction = "", exponent = "0"] = NUMBER.exec(literal) ?? []
  const power = Number(exponent)
  const isZero = whole === "" && /^0*$/.test(fraction)
  const leading = whole.length > 0 ? whole.length : -(/[1-9]/.exec(fraction)?.index ?? 0)
  return (isZero || leading + power <= WHOLE_DIGITS_MAX) && fraction.length - power <= FRACTION_DIGITS_MAX
}

const problemOf = (value: unknown): string | undefined => {
  if (typeof value === "string") return reasonFor(value)
  if (value instanceof DeepJson) return `is nested more than ${MAX_DEPTH} levels deep, which is not read`
  if (value instanceof LosslessNumber && !isNumeric(value.toString()))
    return "is a number of more digits than Postgres stores"
  return undefined
}

export interface Unstorable {
  readonly path: ReadonlyArray<string>
  readonly problem: string
}

const search = (value: unknown, path: ReadonlyArray<string>): Unstorable | undefined => {
  const problem = problemOf(value)
  if (problem !== undefined) return { path, problem }
  if (typeof value !== "object" || value === null || value instanceof LosslessNumber) return undefined
  for (const [key, child] of Object.entries(value)) {
    const unstorable =
      reasonFor(key) === undefined ? search(child, [...path, key]) : search(key, [...path, "(a key)"])
    if (unstorable !== undefined) return unstorable
  }
  return undefined
}

/**
 * Finds the first part of a record that Postgres can hold neither as `text` nor in `jsonb`. Its path is empty if it is
 * the record itself. `raw` is the record's JSON text: a scan of it spares nearly every record the search.
 */
export const unstorableText = (record: Json, raw: string): Unstorable | undefined =>
  SUSPECT.test(raw) || !isPlain(record) ? search(record, []) : undefined
