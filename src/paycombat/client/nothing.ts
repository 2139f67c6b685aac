import { isJsonObject, type Json, type JsonObject } from "../../core/json.ts"

/** The spellings of "there is nothing to list" in an answer (?: PayCombat's is not documented). */

/** `null`, `{}` or `[]`. */
export const isExplicitlyEmpty = (value: Json | undefined): boolean =>
  value === null ||
  (Array.isArray(value) && value.length === 0) ||
  (isJsonObject(value) && Object.keys(value).length === 0)

/** Levels of an envelope's content that are searched for values. */
const NOTHING_LEVELS_MAX = 3

const THINGS = "(data|records?|results?|items?|entries|entry|rows?|documents?|pages?|content)"
/** Matches `NO_RECORDS`, `not found`, `empty`: a whole text of this kind, never a part of a longer one. */
const SAYS_NOTHING = new RegExp(`^(no( more)? ${THINGS}( exists?)?|nothing( was)? found|not found|empty)$`)
/** Matches `No payouts found`, `payouts not found`, `no more data available`, for any noun. */
const NO_RECORDS =
  /^no( more)? (\w+ ){1,3}(were |was )?(found|available|exists?)$|^(\w+ ){1,2}(were |was )?not found$/
/** With one of these nouns, the text is an error of the request. */
const NO_RECORD =
  /\b(access|accounts?|api|apps?|applications?|auth\w*|clients?|companys?|companies|credentials?|currency|currencies|customer|endpoints?|funds|headers?|keys?|merchants?|methods?|organi[sz]ations?|orgs?|paths?|permissions?|resources?|rights?|routes?|sessions?|servers?|services?|signatures?|tokens?|urls?|users?|wallet)\b/

const plain = (text: string): string =>
  text
    .toLowerCase()
    .replace(/[^a-z\d]+/g, " ")
    .trim()

/** Longest text in characters that can mean only this. */
const SAYING_LENGTH_MAX = 100

const saysNoRecords = (text: string): boolean => {
  const words = text.length > SAYING_LENGTH_MAX ? "" : plain(text)
  return NO_RECORDS.test(words) && !NO_RECORD.test(words)
}

/** True if a text says only that there is nothing to list. */
export const saysNothing = (text: string): boolean =>
  text.length <= SAYING_LENGTH_MAX && (SAYS_NOTHING.test(plain(text)) || saysNoRecords(text))

/** True for no value, a text that says so, and lists and objects of these. Numbers beside them are a count or a page. */
export const isNothing = (value: Json | undefined, levels = NOTHING_LEVELS_MAX): boolean => {
  if (value === undefined || value === null || value === "" || value === false || value === 0) return true
  if (typeof value === "string") return saysNothing(value)
  if (Array.isArray(value))
    return value.every(item => isExplicitlyEmpty(item) || (typeof item === "string" && saysNothing(item)))
  if (!isJsonObject(value) || levels === 0) return false
  return Object.values(value).every(item => typeof item === "number" || isNothing(item, levels - 1))
}

const errorIn = (envelope: JsonObject): JsonObject => (isJsonObject(envelope.error) ? envelope.error : {})

export const saysEmpty = (envelope: JsonObject): boolean =>
  [envelope.message, envelope.error, errorIn(envelope).message].some(
    text => typeof text === "string" && /^\W*no\W/i.test(text) && saysNothing(text),
  )

/** Codes in an envelope for a page or a list that does not exist. */
const NOTHING_CODES = new Set(["404", "416"])
/** Codes with another meaning, whatever the message says: of the token, the rate, the server. */
const ERROR_CODES = /^(401|403|408|429|5\d\d)$/

/** Words of a message that say nothing of what was asked, such as those of a success. */
const NEUTRAL = /^(ok|success\w*( .*)?|created|done)?$/

export const saysOther = (envelope: JsonObject): boolean =>
  [envelope.message, errorIn(envelope).message].some(
    text => typeof text === "string" && !NEUTRAL.test(plain(text)) && !saysNothing(text),
  )

const FAILURE = /^(false|errors?|fail(ed|ure)?)$/
const NO_ERROR = /^(|0|no|none|null|false|ok|success|no errors?)$/
/** Statuses of HTTP that are errors, without those that say of a page that there is none. */
const ERROR_STATUS = /^(?!404|416)[45]\d\d$/

/** True if what stands in place of an error is one. Within an object its text tells, because a number may be a code of a success. */
const isError = (value: Json | undefined): boolean => {
  if (typeof value === "string") return !NO_ERROR.test(plain(value)) && !saysNothing(value)
  if (typeof value === "number") return value !== 0 && !/^2\d\d$/.test(String(value))
  if (Array.isArray(value)) return value.some(isError)
  if (isJsonObject(value)) return Object.values(value).some(item => typeof item !== "number" && isError(item))
  return value === true
}

/** True if an envelope names an error, by a word, a status of HTTP, or an error. Codes of its own may be successes. */
export const namesError = (envelope: JsonObject): boolean =>
  [envelope.status, envelope.success].some(
    value => typeof value === "string" && FAILURE.test(plain(value)) && !saysEmpty(envelope),
  ) ||
  [envelope.status, envelope.status_code, envelope.statusCode, envelope.code].some(
    value => (typeof value === "number" || typeof value === "string") && ERROR_STATUS.test(String(value)),
  ) ||
  [envelope.error, envelope.errors].some(isError)

/**
 * True for an envelope without an error and without the code of one; 404 and 416 with their error do not count. A code
 * of the API's own does not count if the message says that there are no records.
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
