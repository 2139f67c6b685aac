import { ParseResult, Schema, type SchemaAST } from "effect"
import { LosslessNumber } from "lossless-json"
import { ID_LENGTH_MAX } from "./id.ts"
import { instantText } from "./instant.ts"
import { type Json, stringifyJson } from "./json.ts"
import { numberText } from "./recordId.ts"

/**
 * The field types of records. Each decodes the API's values to the text that Postgres parses, so that no step can round
 * a number or cut a time. No reason quotes a value, because reasons are shown to people who may not see the values.
 */

/** Longest amount in characters, exponent written out. `numeric` takes far more than any currency needs. */
const AMOUNT_LENGTH_MAX = 1_000

/** Annotation of a schema that accepts more kinds of values than are documented: the documented kind. */
export const DOCUMENTED_TYPE = Symbol.for("paycombat-sync/DocumentedType")

/** The documented kind of a schema's values, if the schema accepts more. */
export const documentedType = ({ annotations }: SchemaAST.AST): "string" | undefined =>
  annotations[DOCUMENTED_TYPE] === "string" ? "string" : undefined

const Scalar = Schema.Union(Schema.String, Schema.Number, Schema.instanceOf(LosslessNumber))

/** Sets the message for a value of the wrong kind. The library's own message quotes the value. */
const saying = (message: string) => ({ message: () => ({ message, override: true }) })

/** Annotation of a schema whose empty text means null. */
const EMPTY_IS_NULL = Symbol.for("paycombat-sync/EmptyIsNull")

const isBlank = (value: unknown): boolean => typeof value === "string" && value.trim() === ""

/** Text. A JSON number is read as its digits: ids may be sent as numbers (?). */
export const Text = Schema.transform(
  Scalar.annotations({ ...saying("is not text"), [DOCUMENTED_TYPE]: "string" }),
  Schema.String,
  {
    strict: true,
    decode: value => (typeof value === "string" ? value : numberText(value)),
    encode: text => text,
  },
)

const TOO_LONG = `is longer than ${ID_LENGTH_MAX} characters`

/** Text of a column in an index or a key. It is bounded like an id, because Postgres would refuse the row otherwise. */
export const Indexed = Text.pipe(Schema.maxLength(ID_LENGTH_MAX, { message: () => TOO_LONG }))

/** A code, such as a currency's. It must not be empty; blank text counts as empty. */
export const Code = Indexed.pipe(Schema.filter(text => !isBlank(text), { message: () => "is empty" }))

/** Code of a currency, trimmed and in capitals: so codes are compared, grouped and shown (assumed: the API means the same by `eur`). */
export const Currency = Schema.transform(Code, Schema.String, {
  strict: true,
  decode: code => code.trim().toUpperCase(),
  encode: code => code,
})

/** An opaque id that is not empty (D: treat every id as opaque text). */
export const Id = Code

const DECIMAL = /^([+-]?)(\d*)(?:\.(\d*))?(?:[eE]([+-]?\d{1,6}))?$/

/**
 * Returns an amount in the spelling that every reader of decimals accepts: `.5`, `5.` and `+1` become `0.5`, `5` and
 * `1`. Undefined for text that is no decimal number, or that has more than a thousand characters with its exponent
 * written out. `1,000` is not accepted, because the comma may stand for either.
 */
export const amountText = (sent: string): string | undefined => {
  const match = DECIMAL.exec(sent.trim())
  if (match === null) return undefined
  const [, sign = "", whole = "", fraction = "", exponent] = match
  if (whole + fraction === "") return undefined
  if (whole.length + fraction.length + Math.abs(Number(exponent ?? 0)) > AMOUNT_LENGTH_MAX) return undefined
  const decimals = fraction === "" ? "" : `.${fraction}`
  return `${sign === "-" ? "-" : ""}${whole || "0"}${decimals}${exponent === undefined ? "" : `e${exponent}`}`
}

/** An amount: JSON number or string (D: both occur), with every digit, as the text of a `numeric`. */
export const Amount = Schema.transformOrFail(
  Scalar.annotations(saying("is not a decimal amount")),
  Schema.String,
  {
    strict: true,
    decode: (value, _, ast) => {
      const text = amountText(String(value))
      return text === undefined
        ? ParseResult.fail(new ParseResult.Type(ast, value, "is not a decimal amount"))
        : ParseResult.succeed(text)
    },
    encode: ParseResult.succeed,
  },
).annotations({ [EMPTY_IS_NULL]: true })

const NO_TIME = "is not an ISO 8601 time"

/** A moment: ISO 8601, UTC with milliseconds and `Z` (D). A time without a zone is taken as UTC (assumed). */
export const Instant = Schema.transformOrFail(Schema.String.annotations(saying(NO_TIME)), Schema.String, {
  strict: true,
  decode: (value, _, ast) => {
    const text = instantText(value)
    return text === undefined
      ? ParseResult.fail(new ParseResult.Type(ast, value, NO_TIME))
      : ParseResult.succeed(text)
  },
  encode: ParseResult.succeed,
}).annotations({ [EMPTY_IS_NULL]: true })

export const Flag = Schema.Boolean.annotations(saying("is not true or false"))

/** A field documented only as "null" (`?null`). Any value is kept, as text or as JSON text. */
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

const orNull = <A, I>(
  field: Schema.Schema<A, I>,
  isNothing: (value: I) => boolean,
): Schema.Schema<A | null, I | null> =>
  Schema.transformOrFail(
    Schema.NullOr(Schema.encodedSchema(field)),
    Schema.NullOr(Schema.typeSchema(field)),
    {
      strict: true,
      decode: value =>
        value === null || isNothing(value) ? ParseResult.succeed(null) : ParseResult.decode(field)(value),
      encode: value => (value === null ? ParseResult.succeed(null) : ParseResult.encode(field)(value)),
    },
  )

/**
 * A field that may be missing or null; null in the row. Empty text of an amount or a time is null, too. In a list's
 * records a value that does not decode is null, and is listed as a field reject: see `core/optional.ts`.
 */
export const maybe = <A, I>(field: Schema.Schema<A, I>) =>
  Schema.optionalWith(
    field.ast.annotations[EMPTY_IS_NULL] === true ? orNull(field, isBlank) : Schema.NullOr(field),
    { default: () => null },
  )

/** A name that may be missing, null or empty; null in the row (assumed: no id and no currency is blank text). */
export const name = Schema.optionalWith(orNull(Indexed, isBlank), { default: () => null })

/** A currency that may be missing, null or empty; null in the row. */
export const maybeCurrency = Schema.optionalWith(orNull(Currency, isBlank), { default: () => null })

/** A `?null` field that may be missing. */
export const loose = Schema.optionalWith(Loose, { default: () => null })
