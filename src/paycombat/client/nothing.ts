import { isJsonObject, type Json, type JsonObject } from "../../core/json.ts"

/** The spellings of "there is nothing to list" in an answer (?: how PayCombat says so is not documented). */

/** `null`, `{}` or `[]`. */
export const isExplicitlyEmpty = (value: Json | undefined): boolean =>
  value === null ||
  (Array.isArray(value) && value.length === 0) ||
  (isJsonObject(value) && Object.keys(value).length === 0)

/** Levels below which nothing is looked for in what an envelope holds. */
const NOTHING_LEVELS_MAX = 3

/** Nouns of a code or a text that says that there is nothing to list. */
const THINGS = "(data|records?|results?|items?|entries|entry|rows?|documents?|pages?|content)"
/** `NO_RECORDS`, `not found`, `empty`: a whole text of this kind, never a part of a longer one. */
const SAYS_NOTHING = new RegExp(`^(no( more)? ${THINGS}( exists?)?|nothing( was)? found|not found|empty)$`)
/** `No payouts found`, `payouts not found`, `no more data available`: whatever a list's records are called. */
const NO_RECORDS =
  /^no( more)? (\w+ ){1,3}(were |was )?(found|available|exists?)$|^(\w+ ){1,2}(were |was )?not found$/
/** The same said of one of these is an error of the request. */
const NO_RECORD =
  /\b(access|accounts?|api|apps?|applications?|auth\w*|clients?|companys?|companies|credentials?|currency|currencies|customer|endpoints?|funds|headers?|keys?|merchants?|methods?|organi[sz]ations?|orgs?|paths?|permissions?|resources?|rights?|routes?|sessions?|servers?|services?|signatures?|tokens?|urls?|users?|wallet)\b/

const plain = (text: string): string =>
  text
    .toLowerCase()
    .replace(/[^a-z\d]+/g, " ")
    .trim()

/** Longest text that may say so and nothing else, in characters. */
const SAYING_LENGTH_MAX = 100

const saysNoRecords = (text: string): boolean => {
  const words = text.length > SAYING_LENGTH_MAX ? "" : plain(text)
  return NO_RECORDS.test(words) && !NO_RECORD.test(words)
}

/** True if a text says that there is nothing to list, and nothing else. */
export const saysNothing = (text: string): boolean =>
  text.length <= SAYING_LENGTH_MAX && (SAYS_NOTHING.test(plain(text)) || saysNoRecords(text))

/** No value at all, a text that says so, or lists and objects of nothing; numbers beside them are a count or a page. */
export const isNothing = (value: Json | undefined, levels = NOTHING_LEVELS_MAX): boolean => {
  if (value === undefined || value === null || value === "" || value === false || value === 0) return true
  if (typeof value === "string") return saysNothing(value)
  if (Array.isArray(value))
    return value.every(item => isExplicitlyEmpty(item) || (typeof item === "string" && saysNothing(item)))
  if (!isJsonObject(value) || levels === 0) return false
  return Object.values(value).every(item => typeof item === "number" || isNothing(item, levels - 1))
}

const errorIn = (envelope: JsonObject): JsonObject => (isJsonObject(envelope.error) ? envelope.error : {})

/** True if an envelope's message says in words that there are no records. */
export const saysEmpty = (envelope: JsonObject): boolean =>
  [envelope.message, envelope.error, errorIn(envelope).message].some(
    text => typeof text === "string" && /^\W*no\W/i.test(text) && saysNothing(text),
  )

/** Codes in an envelope that say of a page, or of a list, that there is none. */
const NOTHING_CODES = new Set(["404", "416"])
/** Codes that are of something else, whatever the message says: of the token, the rate, the server. */
const ERROR_CODES = /^(401|403|408|429|5\d\d)$/

/**
 * An envelope with neither an error nor a code of one; 404 and 416 with their error are none. A code of the API's own is none
 * where the message says that there are no records.
 */
export const namesNoError = (envelope: JsonObject): boolean => {
  const error = errorIn(envelope)
  const codes = [envelope.status_code, envelope.statusCode, envelope.code, envelope.error_code, error.code]
    .filter(code => typeof code === "number" || typeof code === "string")
    .map(String)
    .filter(code => !/^(0|2\d\d|)$/.test(code))
  const isEmpty = saysEmpty(envelope)
  if (codes.length > 0)
    return codes.every(
      code => NOTHING_CODES.has(code) || saysNothing(code) || (isEmpty && !ERROR_CODES.test(code)),
    )
  return isNothing(envelope.error) && isNothing(envelope.errors)
}
