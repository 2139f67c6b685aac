import { ParseResult, SchemaAST } from "effect"
import { LosslessNumber } from "lossless-json"
import { isJsonObject, type Json } from "../../core/json.ts"
import type { Stream } from "../../core/stream.ts"

/**
 * Explains why a record does not decode, without quoting it. Reasons are listed, exported and kept, and a value, or a key
 * that is no documented field, may be personal data.
 */

/** Explanation of a failed decoding. */
export interface Explained {
  /** Path of the field at fault; null if it is the record as a whole. */
  readonly field: string | null
  readonly reason: string
}

const kindOf = (value: unknown): string => {
  if (value === null) return "null"
  if (Array.isArray(value)) return "a list"
  if (typeof value === "number" || value instanceof LosslessNumber) return "a number"
  if (typeof value === "string") return value === "" ? "an empty text" : "a text"
  return typeof value === "boolean" ? "true or false" : "an object"
}

/** Reads the value at a path; undefined if the record holds none. */
const valueAt = (record: Json, path: ReadonlyArray<PropertyKey>): unknown =>
  path.reduce<unknown>(
    (value, key) =>
      isJsonObject(value as Json) || Array.isArray(value)
        ? (value as Record<PropertyKey, unknown>)[key]
        : undefined,
    record,
  )

/** The end of a decoder's message, which quotes the value: `Expected string, actual "Ana"`. */
const QUOTED = /, actual [\s\S]*$/

/** Explains the first fault of a record. */
export const explain = (record: Json, issue: ParseResult.ParseIssue): Explained => {
  const [first] = ParseResult.ArrayFormatter.formatIssueSync(issue)
  if (first === undefined) return { field: null, reason: "record: does not decode" }
  const field = first.path.map(String).join(".")
  const message = first.message.replace(QUOTED, () => `, not ${kindOf(valueAt(record, first.path))}`)
  return { field: field || null, reason: `${field || "record"}: ${message}` }
}

const namesIn = (ast: SchemaAST.AST, names: Set<string>): void => {
  if (SchemaAST.isTypeLiteral(ast))
    for (const { name, type } of ast.propertySignatures) {
      names.add(String(name))
      namesIn(type, names)
    }
  else if (SchemaAST.isUnion(ast)) for (const type of ast.types) namesIn(type, names)
  else if (SchemaAST.isTupleType(ast)) for (const { type } of ast.rest) namesIn(type, names)
}

const namesOf = new WeakMap<Stream["record"], ReadonlySet<string>>()

/** Collects the names of all documented fields of a stream's records, at any depth. */
const fieldNames = ({ record }: Stream): ReadonlySet<string> => {
  const cached = namesOf.get(record)
  if (cached !== undefined) return cached
  const names = new Set<string>()
  namesIn(SchemaAST.encodedAST(record.ast), names)
  namesOf.set(record, names)
  return names
}

/** Replaces an undocumented key of an object, which may be data, such as a mail address. */
const SOME_KEY = "(a key)"

/** A key of the record itself that looks like the name of a field. */
const FIELD_NAME = /^[a-z][a-z0-9_]{0,39}$/i

const POSITION = /^\d{1,9}$/

/** Keys of a path that are named; a record may be nested hundreds of levels deep. */
const KEYS_MAX = 10

/** Names a path by fields of the record, documented fields below them, and positions in lists. */
export const pathName = (stream: Stream, path: ReadonlyArray<string>): string => {
  const names = fieldNames(stream)
  const keys = path.slice(0, KEYS_MAX).map((key, depth) => {
    if (key === "") return "(an empty key)"
    if (names.has(key)) return key
    return (depth === 0 ? FIELD_NAME : POSITION).test(key) ? key : SOME_KEY
  })
  return [...keys, ...(path.length > KEYS_MAX ? ["…"] : [])].join(".")
}
