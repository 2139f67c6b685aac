import { createHmac } from "node:crypto"
import { Redacted } from "effect"
import { LosslessNumber } from "lossless-json"
import { amountText } from "./fields.ts"
import { instantText } from "./instant.ts"
import { canonical, isJsonObject, type Json, type JsonObject, stringifyJson } from "./json.ts"
import { idText } from "./recordId.ts"

/**
 * What of a record is about a person, and what is left of it. A stream declares, next to its schema, what is
 * *not* personal; everything else counts as personal: names and free text as well as fields nobody documented.
 */

/**
 * A field that is not personal, by what may stand in it. A value that does not look like it (a mail address for an
 * id, a text for a time, an object for either) is treated as personal all the same.
 *
 * An object says it field by field: what it does not name is personal, each field on its own, so that columns stay
 * filled. `[…]` is a list of such.
 */
export type Plain = "id" | "code" | "flag" | "amount" | "time" | PlainFields | readonly [Plain]

export interface PlainFields {
  readonly [field: string]: Plain
}

/**
 * Whose data a record is, for `erase`. `of` names the stream whose records are the persons.
 *
 * - `self`: the record is about the person that its id names; erased, it is gone for good
 * - `named`: a field, and a column of the same name, holds the person's id; erased, the record stays without its
 *   personal fields: money must stay accounted for. `leadsTo` is a further field and column, with the id of a record
 *   of another stream that is the person's too
 * - `referred`: such a record; `ids` are its fields that may hold the id, and their columns. Erased as `named`
 */
export type Person =
  | { readonly kind: "self"; readonly of: string }
  | {
      readonly kind: "named"
      readonly of: string
      readonly field: string
      readonly leadsTo?: { readonly field: string; readonly stream: string }
    }
  | { readonly kind: "referred"; readonly ids: Readonly<Record<string, string>> }

/** What a stream declares about people. */
export interface Personal {
  readonly plain: PlainFields
  /** Absent where a record is nobody's. */
  readonly person?: Person
}

/** A stream that declares nothing: all but the record's id counts as personal. */
export const ALL_PERSONAL: Personal = { plain: {} }

/**
 * What is stored of personal data: all of it, a keyed hash (HMAC-SHA256) of each value, or null. With `drop` a key
 * only serves to tell records apart that could not be read at all.
 */
export type Privacy =
  | { readonly mode: "keep" }
  | { readonly mode: "hash"; readonly key: Redacted.Redacted }
  | { readonly mode: "drop"; readonly key?: Redacted.Redacted }

type Concealing = Exclude<Privacy, { mode: "keep" }>

export const KEEP: Privacy = { mode: "keep" }
export const DROP: Privacy = { mode: "drop" }

/** What a hashed value looks like: nobody takes it for an account number, and it is not hashed again. */
const HASHED = /^hmac:[0-9a-f]{64}$/

const hmac = (key: Redacted.Redacted, text: string): string =>
  createHmac("sha256", Redacted.value(key)).update(text).digest("hex")

const hashOf = (key: Redacted.Redacted, text: string): string => `hmac:${hmac(key, text)}`

/** Tells one key from another, and says nothing about it: 16 hex characters. Null where nothing is hashed. */
export const keyFingerprint = (privacy: Privacy): string | null =>
  privacy.mode === "hash" ? hmac(privacy.key, "paycombat-sync key fingerprint").slice(0, 16) : null

/** What is stored in place of a personal value. Equal values give equal hashes, whatever field they stand in; null stays null. */
const concealed = (value: Json, privacy: Concealing): Json => {
  if (value === null || privacy.mode === "drop") return null
  if (typeof value !== "string") return hashOf(privacy.key, canonical(value))
  return HASHED.test(value) ? value : hashOf(privacy.key, value)
}

/** Ids are opaque (D), but none that is documented holds a space or an @: a person's name or address does. */
const ID = /^[^\s@\p{Cc}\p{Cs}]{1,300}$/u
/** Names of kinds, states, currencies and countries: open lists, but short. A control character in one names nobody. */
const CODE = /^[^@\0\p{Cs}]{0,100}$/u
/** A day is no moment, but it is a time. Longer texts than these may say more than a number or a time. */
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

/** A name that a programmer gave to a field. Another key may be data itself: a mail address that leads to a name. */
const FIELD_NAME = /^[A-Za-z_][A-Za-z0-9_-]{0,63}$/

/** What stands in for a value of the wrong kind, with `drop`: no time, no amount, no flag, no object. */
const DROPPED = "dropped"

const isConcealed = (value: Json): boolean =>
  isJsonObject(value) && typeof value.redacted === "string" && HASHED.test(value.redacted)

/**
 * A value that does not look like what its field is declared to hold. It goes, but stays of the wrong kind: a
 * record that would have been a reject must not become a row because its fault was taken out of it.
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
  // Not by assignment: a key may be `__proto__`.
  Object.fromEntries(
    Object.entries(object).flatMap(([key, value]): Array<[string, Json]> => {
      const declared = Object.hasOwn(plain, key) ? plain[key] : undefined
      if (FIELD_NAME.test(key)) return [[key, withoutPersonal(value, declared, privacy)]]
      return privacy.mode === "drop"
        ? []
        : [[`hmac_${hmac(privacy.key, key).slice(0, 32)}`, withoutPersonal(value, declared, privacy)]]
    }),
  )

/** The id is the pseudonym that joins, and stays; what stands in its place and can be none goes. */
const idOrNull = (value: Json | undefined): Json => (idText(value) === null ? null : value!)

/**
 * A function that takes from a record what `personal` does not declare as plain, and leaves the id in `idField`.
 * What is no object has no fields to tell apart: its length is left of it, and its hash where there is a key.
 * What was hashed before stays, so that it may be applied to what is stored.
 */
export const redactor = (personal: Personal, idField: string, privacy: Privacy): ((record: Json) => Json) => {
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
