import { createHmac } from "node:crypto"
import { Redacted } from "effect"
import { LosslessNumber } from "lossless-json"
import { amountText } from "./fields.ts"
import { instantText } from "./instant.ts"
import { canonical, isJsonObject, type Json, type JsonObject, stringifyJson } from "./json.ts"
import { idText } from "./recordId.ts"

/**
 * Decides which parts of a record are personal, and what is stored of them. A stream declares, next to its schema, the
 * fields that are *not* personal. Everything else is personal: names and free text, and undocumented fields.
 */

/**
 * A field that is not personal, by the form of its values. A value of another form (a mail address for an id, a text
 * for a time, an object for either) is treated as personal.
 *
 * For an object, each field is declared. A field that is not declared is personal by itself, so that columns stay
 * filled. `[…]` is a list of such values.
 */
export type Plain = "id" | "code" | "flag" | "amount" | "time" | PlainFields | readonly [Plain]

export interface PlainFields {
  readonly [field: string]: Plain
}

/**
 * The data subject of a record, for `erase`. `of` names the stream whose records are the persons.
 *
 * - `self`: the record is about the person that its id names. Once erased, it is gone for good
 * - `named`: a field, and a column of the same name, holds the person's id. Once erased, the record stays without its
 *   personal fields, because money must stay accounted for. `leadsTo` is another field and column, with the id of a
 *   record of another stream that belongs to the same person
 * - `referred`: a record with such an id; `ids` are its fields that may hold the id, and their columns. It is erased
 *   like `named`
 */
export type Subject =
  | { readonly kind: "self"; readonly of: string }
  | {
      readonly kind: "named"
      readonly of: string
      readonly field: string
      readonly leadsTo?: { readonly field: string; readonly stream: string }
    }
  | { readonly kind: "referred"; readonly ids: Readonly<Record<string, string>> }

export interface PrivacySpec {
  readonly plain: PlainFields
  readonly subject?: Subject
}

/** The default for a stream without a declaration: everything except the record's id is personal. */
export const ALL_PERSONAL: PrivacySpec = { plain: {} }

/** Form of stored personal data: unchanged, hashed (HMAC-SHA256), or null. With `drop` a key tells unreadable records apart. */
export type Privacy =
  | { readonly mode: "keep" }
  | { readonly mode: "hash"; readonly key: Redacted.Redacted }
  | { readonly mode: "drop"; readonly key?: Redacted.Redacted }

type Concealing = Exclude<Privacy, { mode: "keep" }>

export const KEEP: Privacy = { mode: "keep" }
export const DROP: Privacy = { mode: "drop" }

/** Form of a hashed value. It looks like no account number, and it is not hashed again. */
const HASHED = /^hmac:[0-9a-f]{64}$/

const hmac = (key: Redacted.Redacted, text: string): string =>
  createHmac("sha256", Redacted.value(key)).update(text).digest("hex")

const hashOf = (key: Redacted.Redacted, text: string): string => `hmac:${hmac(key, text)}`

/** Identifies a key by 16 hex characters that reveal nothing about it. Null if there is no key. */
export const keyFingerprint = (privacy: Privacy): string | null =>
  privacy.mode === "hash" ? hmac(privacy.key, "paycombat-sync key fingerprint").slice(0, 16) : null

/** Returns the stored form of a personal value. Equal values give equal hashes in every field; null stays null. */
const concealed = (value: Json, privacy: Concealing): Json => {
  if (value === null || privacy.mode === "drop") return null
  if (typeof value !== "string") return hashOf(privacy.key, canonical(value))
  return HASHED.test(value) ? value : hashOf(privacy.key, value)
}

/** Ids are opaque (D), but no documented id holds a space or an @, as a person's name or address does. */
const ID = /^[^\s@\p{Cc}\p{Cs}]{1,300}$/u
/** Names of kinds, states, currencies and countries: open lists, but short. */
const CODE = /^[^@\0\p{Cs}]{0,100}$/u
/** A day is no moment, but it is a time. Longer texts than these may hold more than a number or a time. */
const DAY = /^\d{4}-\d\d-\d\d$/
const PLAIN_LENGTH_MAX = 100
const isTime = (text: string) =>
  text.length <= PLAIN_LENGTH_MAX && (text === "" || DAY.test(text) || instantText(text) !== undefined)
const isAmount = (text: string) =>
  text.length <= PLAIN_LENGTH_MAX && (text.trim() === "" || amountText(text) !== undefined)

const isNumber = (value: Json): boolean => typeof value === "number" || value instanceof LosslessNumber

const IS_PLAIN: Readonly<Record<Extract<Plain, string>, (value: Json) => boolean>> = {
  id: value => (typeof value === "string" ? ID.test(value) && !HASHED.test(value) : isNumber(value)),
  code: value =>
    typeof value === "string"
      ? CODE.test(value) && !HASHED.test(value)
      : isNumber(value) || typeof value === "boolean",
  flag: value => typeof value === "boolean",
  amount: value => (typeof value === "string" ? isAmount(value) : isNumber(value)),
  time: value => typeof value === "string" && isTime(value),
}

/** A field name that a programmer chose. Any other key may be data, such as a mail address. */
const FIELD_NAME = /^[A-Za-z_][A-Za-z0-9_-]{0,63}$/

/** Replaces a value of the wrong kind with `drop`: it is no time, amount, flag or object. */
const DROPPED = "dropped"

const isConcealed = (value: Json): boolean =>
  isJsonObject(value) && typeof value.redacted === "string" && HASHED.test(value.redacted)

/**
 * Replaces a value that does not have the form declared for its field. The replacement also has a wrong form: a record
 * that would have been a reject must not become a row because redaction removed its fault.
 */
const misfit = (value: Json, plain: Plain, privacy: Concealing): Json => {
  const isText = plain === "id" || plain === "code"
  if (isText && typeof value === "string") return concealed(value, privacy)
  if (isText && privacy.mode === "drop") return {}
  if (isText) return isConcealed(value) ? value : { redacted: concealed(value, privacy) }
  return privacy.mode === "drop" ? DROPPED : concealed(value, privacy)
}

const withoutPersonal = (value: Json, plain: Plain | undefined, privacy: Concealing): Json => {
  if (value === null) return null
  if (plain === undefined) return concealed(value, privacy)
  if (typeof plain === "string") return IS_PLAIN[plain](value) ? value : misfit(value, plain, privacy)
  if (isList(plain) && Array.isArray(value))
    return value.map(item => withoutPersonal(item, plain[0], privacy))
  return !isList(plain) && isJsonObject(value)
    ? fieldsWithoutPersonal(value, plain, privacy)
    : misfit(value, plain, privacy)
}

const isList = (plain: Plain): plain is readonly [Plain] => Array.isArray(plain)

const fieldsWithoutPersonal = (object: JsonObject, plain: PlainFields, privacy: Concealing): JsonObject =>
  // An assignment would be wrong: a key may be `__proto__`.
  Object.fromEntries(
    Object.entries(object).flatMap(([key, value]): Array<[string, Json]> => {
      const declared = Object.hasOwn(plain, key) ? plain[key] : undefined
      if (FIELD_NAME.test(key)) return [[key, withoutPersonal(value, declared, privacy)]]
      return privacy.mode === "drop"
        ? []
        : [[`hmac_${hmac(privacy.key, key).slice(0, 32)}`, withoutPersonal(value, declared, privacy)]]
    }),
  )

/** The id is the pseudonym that joins, and stays. A value in its place that is no id is removed. */
const idOrNull = (value: Json | undefined): Json => (idText(value) === null ? null : value!)

/**
 * Returns a function that removes all parts of a record that `personal` does not declare as plain, and keeps the id in
 * `idField`. A record that is not an object has no fields: its length is kept, and its hash if there is a key. Hashed
 * values stay as they are, so that the function may be applied to stored records.
 */
export const redactor = (
  personal: PrivacySpec,
  idField: string,
  privacy: Privacy,
): ((record: Json) => Json) => {
  if (privacy.mode === "keep") return record => record
  return record => {
    if (!isJsonObject(record)) return unreadable(record, privacy)
    const redacted = fieldsWithoutPersonal(record, personal.plain, privacy)
    return Object.hasOwn(record, idField) ? { ...redacted, [idField]: idOrNull(record[idField]) } : redacted
  }
}

const UNREADABLE = /^(redacted: \d+ characters)(?:, hmac:[0-9a-f]{64})?$/

const unreadable = (record: Json, { key }: Concealing): string => {
  const text = typeof record === "string" ? record : stringifyJson(record)
  const known = UNREADABLE.exec(text)
  if (known !== null) return key === undefined ? known[1]! : text
  return `redacted: ${text.length} characters${key === undefined ? "" : `, ${hashOf(key, text)}`}`
}
