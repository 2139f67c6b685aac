import { ParseResult, Schema } from "effect"
import { LosslessNumber } from "lossless-json"
import { type Json, stringifyJson } from "./Json.ts"

/**
 * The field types that records are made of. Each decodes what the API may send to the text that Postgres
 * parses, so that nothing on the way can round a number or cut a time.
 */

/** Longest id that is taken for one, in characters. Documented ids have 20 to 64 (D); a b-tree key takes 2,700 bytes. */
export const ID_LENGTH_MAX = 300

/** Whether a text can be a key: of a row, of a reject, of what a pass has seen. */
export const isId = (text: string): boolean =>
  text !== "" && text.length <= ID_LENGTH_MAX && !text.includes("\u0000") && text.isWellFormed()

/** Longest amount in characters, exponent written out. `numeric` takes far more; no currency does. */
const AMOUNT_LENGTH_MAX = 1_000

/** An opaque, non-empty id (D: treat every id as opaque text). */
export const Id = Schema.String.pipe(
  Schema.minLength(1, { message: () => "is empty" }),
  Schema.maxLength(ID_LENGTH_MAX, { message: () => `is longer than ${ID_LENGTH_MAX} characters` }),
)

/** Text in a column that an index or a key holds: bounded as an id is, or Postgres would refuse the row. */
export const Indexed = Schema.String.pipe(
  Schema.maxLength(ID_LENGTH_MAX, { message: () => `is longer than ${ID_LENGTH_MAX} characters` }),
)

/** A code, such as a currency's, that must not be empty. */
export const Code = Indexed.pipe(Schema.minLength(1, { message: () => "is empty" }))

const DECIMAL = /^[+-]?(\d+)(?:\.(\d+))?(?:[eE]([+-]?\d{1,6}))?$/

/** Whether a text is a decimal number that fits the bound once its exponent is written out. */
const isAmount = (text: string): boolean => {
  const match = DECIMAL.exec(text)
  if (match === null) return false
  const exponent = Math.abs(Number(match[3] ?? 0))
  return match[1]!.length + (match[2]?.length ?? 0) + exponent <= AMOUNT_LENGTH_MAX
}

/** An amount: JSON number or string (D: both occur), every digit kept, as the text of a `numeric`. */
export const Amount = Schema.transformOrFail(
  Schema.Union(Schema.Number, Schema.String, Schema.instanceOf(LosslessNumber)),
  Schema.String,
  {
    strict: true,
    decode: (value, _, ast) => {
      const text = typeof value === "string" ? value.trim() : String(value)
      return isAmount(text)
        ? ParseResult.succeed(text)
        : ParseResult.fail(new ParseResult.Type(ast, value, "is not a decimal amount"))
    },
    encode: ParseResult.succeed,
  },
)

const INSTANT = /^(\d{4})-(\d\d)-(\d\d)[T ](\d\d):(\d\d):(\d\d)(?:\.\d{1,9})?(Z|[+-](\d\d):?(\d\d))?$/

/** Postgres takes zones of less than 16 hours; those of the world go to 14. */
const ZONE_HOURS_MAX = 15

const isCalendarDay = (year: number, month: number, day: number): boolean => {
  const date = new Date(Date.UTC(2000, month - 1, day))
  date.setUTCFullYear(year, month - 1, day)
  return year > 0 && date.getUTCMonth() === month - 1 && date.getUTCDate() === day
}

/** A moment: ISO 8601, UTC with milliseconds and `Z` (D). A time without a zone is taken as UTC (assumed). */
export const Instant = Schema.transformOrFail(Schema.String, Schema.String, {
  strict: true,
  decode: (value, _, ast) => {
    const match = INSTANT.exec(value)
    const isValid =
      match !== null &&
      isCalendarDay(Number(match[1]), Number(match[2]), Number(match[3])) &&
      Number(match[4]) < 24 &&
      Number(match[5]) < 60 &&
      Number(match[6]) < 60 &&
      Number(match[8] ?? 0) <= ZONE_HOURS_MAX &&
      Number(match[9] ?? 0) < 60
    return isValid
      ? ParseResult.succeed(match[7] === undefined ? `${value}Z` : value)
      : ParseResult.fail(new ParseResult.Type(ast, value, "is not an ISO 8601 time"))
  },
  encode: ParseResult.succeed,
})

/** A field documented only as "null" (`?null`): whatever comes is kept, as text or as JSON text. */
export const Loose = Schema.transform(Schema.Unknown, Schema.NullOr(Schema.String), {
  strict: true,
  decode: value =>
    value === null || value === undefined
      ? null
      : typeof value === "string"
        ? value
        : stringifyJson(value as Json),
  encode: value => value,
})

/** A field that may be missing or null; null in the row. */
export const maybe = <A, I>(field: Schema.Schema<A, I>) =>
  Schema.optionalWith(Schema.NullOr(field), { default: () => null })

/** A name that may be missing, null or empty (assumed: no id and no currency is the empty text); null in the row. */
export const name = Schema.optionalWith(
  Schema.transform(Schema.NullOr(Indexed), Schema.NullOr(Schema.String), {
    strict: true,
    decode: text => (text === "" ? null : text),
    encode: text => text,
  }),
  { default: () => null },
)

/** A `?null` field that may be missing. */
export const loose = Schema.optionalWith(Loose, { default: () => null })

export const Text = Schema.String
export const Flag = Schema.Boolean
