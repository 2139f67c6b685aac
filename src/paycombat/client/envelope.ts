import { isJsonObject, type Json, type JsonObject } from "../../core/json.ts"
import { isExplicitlyEmpty, isNothing, namesError, namesNoError, saysEmpty, saysOther } from "./nothing.ts"

export type Unwrapped =
  | { readonly isOk: true; readonly payload: Json }
  | {
      readonly isOk: false
      readonly code: number | undefined
      /** The error's codes and names for machines. Its message is left out, because it may hold personal data. */
      readonly words: ReadonlyArray<string>
      /** The envelope names no error except 404 or 416, and holds nothing: there may be nothing to list. */
      readonly saysNothing: boolean
      /** Its message says that there are no records, such as "No payouts found". */
      readonly saysEmpty: boolean
      /** Its message says something else: it may be a failure that is not named otherwise. */
      readonly saysOther: boolean
    }

export interface FoundList {
  /** Place of the records, as keys from the top: `data`, `data.items`; empty if the body itself is the array. */
  readonly at: string
  readonly records: ReadonlyArray<Json>
  /** Length of the whole list that the answer states. A claim, not a proof. */
  readonly total: number | undefined
  readonly pageCount: number | undefined
  /** Name of the field that says that more records follow; false if one says that none do. A claim, not a proof. */
  readonly more: string | false | undefined
}

/**
 * Returns the payload in one envelope or two (D: single and double), or in none (U). `status: false`, `success: false`,
 * an `error` instead of `data`, or an error that is named beside empty `data` is a failure, whatever HTTP said.
 */
export const unwrap = (body: Json): Unwrapped => {
  const layers = layersOf(body)
  const failed = layers.findLast((layer, depth) => isFailure(layer.value, depth, depth === layers.length - 1))
  if (failed === undefined) return { isOk: true, payload: layers.at(-1)!.value }
  const envelopes = layers.map(({ value }) => value).filter(isJsonObject)
  const payload = layers.at(-1)!.value
  return {
    isOk: false,
    ...describeFailure(failed.value as JsonObject),
    saysNothing:
      envelopes.every(envelope => namesNoError(envelope) && !namesError(envelope)) &&
      (payload === failed.value || isNothing(payload)),
    saysEmpty: envelopes.some(saysEmpty),
    saysOther: envelopes.some(saysOther),
  }
}

const MARKS = ["status", "success", "data", "error", "code", "status_code", "statusCode"]
/** True if a body reports the success of the call, or holds a payload. A gateway's body often does not. */
export const isEnvelope = (body: Json | undefined): boolean =>
  isJsonObject(body) && MARKS.some(key => Object.hasOwn(body, key))

/**
 * Finds every array that may be the list, the likeliest first: the payload itself, or an array up to two levels below
 * it, with any name (?: no list's envelope is documented). Its records decide which one is the list.
 */
export const findLists = (body: Json): ReadonlyArray<FoundList> => {
  const { at, value } = layersOf(body).at(-1)!
  return arraysUnder(at, value, 2)
    .filter(({ records }) => records.length === 0 || records.some(isJsonObject))
    .map(found => ({ ...found, ...statedSize(body, found.at) }))
    .sort(byLikelihood)
}

export const findList = (body: Json): FoundList | undefined => findLists(body)[0]

/** Returns the list at a known place. `null`, `{}` or `[]` on the way is an empty list; another value is no list. */
export const listAt = (body: Json, at: string): FoundList | undefined => {
  let value: Json | undefined = body
  for (const key of keysOf(at)) {
    value = isJsonObject(value) ? value[key] : undefined
    if (isExplicitlyEmpty(value)) value = []
    if (Array.isArray(value) && value.length === 0) break
  }
  return Array.isArray(value) ? { at, records: recordsIn(value), ...statedSize(body, at) } : undefined
}

/**
 * True if an answer without a failure holds nothing at the place of the list: the place is missing or empty, or an
 * envelope there says no. False if the answer names an error, holds records elsewhere, or a value that is not a list.
 */
export const isNothingAt = (body: Json, at: string): boolean => {
  let value: Json | undefined = body
  for (const key of keysOf(at)) {
    if (!isJsonObject(value)) break
    value = Object.hasOwn(value, key) ? value[key] : undefined
  }
  const isRefusal = isJsonObject(value) && (value.status === false || value.success === false)
  // Some APIs put a second envelope only around their empty pages.
  const innermost = layersOf(body).at(-1)!
  const isBelow = keysOf(innermost.at).length > keysOf(at).length
  const isFailed = layersOf(body).some(layer => isJsonObject(layer.value) && namesError(layer.value))
  if (isFailed) return false
  const isEmpty =
    value === undefined ||
    isNothing(value) ||
    (isBelow && isNothing(innermost.value)) ||
    (isRefusal && namesNoError(value as JsonObject))
  return isEmpty && findLists(body).every(({ records }) => records.length === 0)
}

interface Layer {
  readonly at: string
  readonly value: Json
}

/**
 * The body, and the content of each envelope in it. A boolean identifies a second envelope, because records may have
 * `data`, too.
 */
const layersOf = (body: Json): ReadonlyArray<Layer> => {
  if (!isJsonObject(body) || !Object.hasOwn(body, "data")) return [{ at: "", value: body }]
  const outer = [
    { at: "", value: body },
    { at: "data", value: body.data! },
  ]
  const inner = body.data!
  const isEnvelope =
    isJsonObject(inner) &&
    Object.hasOwn(inner, "data") &&
    (typeof inner.success === "boolean" || typeof inner.status === "boolean")
  return isEnvelope ? [...outer, { at: "data.data", value: inner.data! }] : outer
}

const isFailure = (value: Json, depth: number, isInnermost: boolean): boolean => {
  if (!isJsonObject(value)) return false
  const saysNo = value.status === false || value.success === false
  if (depth === 0)
    return (
      saysNo ||
      (isJsonObject(value.error) && !Object.hasOwn(value, "data")) ||
      (Object.hasOwn(value, "data") && isNothing(value.data) && namesError(value))
    )
  // The innermost value may be a record with such a field, unless the rest of an envelope is there, too.
  return (
    saysNo && (!isInnermost || ["error", "status_code", "request_id"].some(key => Object.hasOwn(value, key)))
  )
}

const describeFailure = (envelope: JsonObject) => {
  const error = isJsonObject(envelope.error) ? envelope.error : {}
  const code = [envelope.status_code, error.code].find(isHttpStatus)
  const words = [envelope.status_code, envelope.code, envelope.error, error.code, error.name]
    .map(word => (typeof word === "number" ? String(word) : word))
    .filter(isMachineWord)
  return { code, words: [...new Set(words)] }
}

const isHttpStatus = (value: Json | undefined): value is number =>
  typeof value === "number" && value >= 100 && value <= 599

/** A code such as `BAD_REQUEST` or `4001`: never a sentence, and no telephone or account number. */
const isMachineWord = (word: Json | undefined): word is string =>
  typeof word === "string" && /^(?!.*\d{6})[A-Z0-9_]{1,64}$/.test(word)

const keysOf = (at: string) => (at === "" ? [] : at.split("."))
const below = (at: string, key: string) => (at === "" ? key : `${at}.${key}`)

interface Found {
  readonly at: string
  readonly records: ReadonlyArray<Json>
}

/**
 * The items of an array. A single `null`, `{}` or `[]` holds no record: some APIs end a list with one. Several of them
 * are records that cannot be read, so a page that lost its content never counts as the end of its list.
 */
const recordsIn = (items: ReadonlyArray<Json>): ReadonlyArray<Json> =>
  items.length === 1 && items.every(isExplicitlyEmpty) ? [] : items

const arraysUnder = (at: string, value: Json, levels: number): ReadonlyArray<Found> => {
  if (Array.isArray(value)) return [{ at, records: recordsIn(value) }]
  if (!isJsonObject(value) || levels === 0) return []
  return Object.entries(value).flatMap(([key, item]) =>
    key.includes(".") ? [] : arraysUnder(below(at, key), item, levels - 1),
  )
}

const USUAL_NAMES = ["data", "items", "records", "rows", "list", "results", "result", "docs", "content"]

/** Objects first, then usual names, longer lists and nearer ones; then by name, so that the order never varies. */
const byLikelihood = (one: Found, other: Found): number => {
  const [a, b] = [one, other].map(({ at, records }) => {
    const usual = USUAL_NAMES.indexOf(keysOf(at).at(-1) ?? "data")
    return [
      records.length > 0 ? 0 : 1,
      usual < 0 ? USUAL_NAMES.length : usual,
      -records.length,
      keysOf(at).length,
    ]
  })
  const difference = a!.findIndex((rank, index) => rank !== b![index])
  return difference < 0 ? one.at.localeCompare(other.at) : a![difference]! - b![difference]!
}

// Normalized names: lower case, without `_` and `-`. `count` is not among them, because it often counts this page.
const TOTAL = new Set(
  "total totalcount totalrecord totalrecords totalitem totalitems totaldata totalrow totalrows totalelements totalresults totalentries recordstotal".split(
    " ",
  ),
)
const PAGE_COUNT = new Set(
  "totalpage totalpages pagecount pagescount pages lastpage numpages numberofpages maxpage".split(" "),
)
const ABOUT_PAGING = new Set(
  "pagination paging paginator page pageinfo meta metadata link links cursor cursors responsemetadata".split(
    " ",
  ),
)
/** Fields that are true, a cursor, a link or a number if more records follow. */
const MORE = new Set(
  "hasmore hasmoredata hasmorepages hasmorerecords hasmoreitems hasmoreresults moreavailable hasnext hasnextpage next nextpage nextpageurl nextpagelink nextpagetoken nexttoken nextcursor nextlink nexturl nexthref nextoffset nextid continuationtoken".split(
    " ",
  ),
)
const LAST = new Set("last islast islastpage isend islastpagereached endofresults".split(" "))
const plain = (key: string) => key.toLowerCase().replace(/[_-]/g, "")

/** Sizes stated beside the list, the nearest first. A sign of more records counts anywhere. */
const statedSize = (body: Json, at: string) => {
  const around: Array<JsonObject> = []
  let value: Json | undefined = body
  for (const key of [...keysOf(at), ""]) {
    if (!isJsonObject(value)) break
    const about = Object.entries(value).flatMap(([name, item]) =>
      ABOUT_PAGING.has(plain(name)) && isJsonObject(item) ? [item] : [],
    )
    around.unshift(value, ...about)
    value = value[key]
  }
  return {
    total: firstCount(around, TOTAL),
    pageCount: firstCount(around, PAGE_COUNT),
    more: moreOf(around.flatMap(Object.entries)),
  }
}

const moreOf = (stated: ReadonlyArray<readonly [name: string, value: Json]>): string | false | undefined => {
  const claims = stated.flatMap(([name, value]) => {
    if (LAST.has(plain(name)) && typeof value === "boolean") return [{ name, isMore: !value }]
    return MORE.has(plain(name)) ? [{ name, isMore: pointsOn(value) }] : []
  })
  return claims.length === 0 ? undefined : (claims.find(({ isMore }) => isMore)?.name ?? false)
}

/** True if a value points to more records. Some APIs write a missing one as text. */
const pointsOn = (value: Json): boolean => {
  if (isJsonObject(value)) return Object.values(value).some(pointsOn)
  if (typeof value === "string") return !/^\s*(|0|no|false|null|none|undefined)\s*$/i.test(value)
  return Array.isArray(value) ? value.length > 0 : Boolean(value)
}

const firstCount = (objects: ReadonlyArray<JsonObject>, names: ReadonlySet<string>): number | undefined => {
  for (const object of objects) {
    for (const [key, value] of Object.entries(object)) {
      const count = typeof value === "string" && /^\d{1,15}$/.test(value) ? Number(value) : value
      if (names.has(plain(key)) && Number.isSafeInteger(count)) return Math.max(0, count as number)
    }
  }
  return undefined
}
