import { SchemaAST } from "effect"
import { isJsonObject, type Json, type JsonObject, stringifyJson } from "../../src/core/json.ts"
import type { Stream } from "../../src/core/stream.ts"
import { at, fieldsOf, fixtureOf, namedIn, withField } from "./conformance.ts"
import { json } from "./warehouse.ts"

/** Records that are wrong in one place, of any stream, made of its schema: a new stream needs no edit here. */

type Kind = "string" | "number" | "boolean" | "null" | "object" | "array"

/** A value of each kind; the object and the array have nothing in them that any field needs. */
const SAMPLES: Readonly<Record<Kind, Json>> = {
  string: "wrong",
  number: json("12345678901234567890.5"),
  boolean: true,
  null: null,
  object: { wrong: true },
  array: [17],
}

interface Field {
  readonly path: ReadonlyArray<string>
  /** Kinds that a record may hold here; undefined where anything goes. */
  readonly kinds: ReadonlySet<Kind> | undefined
}

/** The alternatives that a schema takes in place of one value. */
const alternatives = (ast: SchemaAST.AST): ReadonlyArray<SchemaAST.AST> =>
  SchemaAST.isUnion(ast) ? ast.types.flatMap(alternatives) : [ast]

const kindOf = (ast: SchemaAST.AST): Kind | undefined => {
  if (SchemaAST.isStringKeyword(ast)) return "string"
  // A number that a double does not hold is a class of its own.
  if (SchemaAST.isNumberKeyword(ast) || SchemaAST.isDeclaration(ast)) return "number"
  if (SchemaAST.isBooleanKeyword(ast)) return "boolean"
  if (SchemaAST.isLiteral(ast) && ast.literal === null) return "null"
  if (SchemaAST.isTypeLiteral(ast)) return "object"
  if (SchemaAST.isTupleType(ast)) return "array"
  if (SchemaAST.isUndefinedKeyword(ast)) return undefined
  throw new Error(`The schema has a field of a kind that no test knows: ${ast}`)
}

/** Every field of a schema as records are sent, nested ones and those of the first item of a list too. */
const fieldsUnder = (ast: SchemaAST.AST, path: ReadonlyArray<string>): ReadonlyArray<Field> =>
  alternatives(ast).flatMap(one => {
    if (SchemaAST.isTupleType(one)) return one.rest.flatMap(({ type }) => fieldsUnder(type, [...path, "0"]))
    if (!SchemaAST.isTypeLiteral(one)) return []
    return one.propertySignatures.flatMap(({ name, type }) => {
      const own = [...path, String(name)]
      const taken = alternatives(type)
      const isAnything = taken.some(SchemaAST.isUnknownKeyword)
      const kinds = isAnything ? undefined : new Set(taken.flatMap(found => kindOf(found) ?? []))
      return [{ path: own, kinds }, ...fieldsUnder(type, own)]
    })
  })

export const schemaFields = (stream: Stream): ReadonlyArray<Field> =>
  fieldsUnder(SchemaAST.encodedAST(stream.record.ast), [])

/** A full record of the stream with ids of its own, so that many of them are many records. */
export const recordOf = (stream: Stream, id: string, merchant?: string): JsonObject => {
  const { record } = fixtureOf(stream)
  const nested = fieldsOf(record).filter(path => path.length > 1 && path.at(-1)!.endsWith("_id"))
  const own = nested.reduce<Json>(
    (made, path) => fill(made, path, `${id}/${path.join("/")}`),
    withField(record, [stream.source.idField], id),
  )
  const { source } = stream
  const isOthers = source.kind === "list" && source.merchantField !== null && merchant !== undefined
  return (isOthers ? withField(own, [source.merchantField], merchant) : own) as JsonObject
}

const fill = (record: Json, path: ReadonlyArray<string>, value: string): Json =>
  typeof at(record, path) === "string" ? withField(record, path, value) : record

export interface BadRecord {
  /** Dotted path of the field that must be named. */
  readonly field: string
  readonly record: Json
}

/** The record with each field of its schema in turn holding a value of each kind that it cannot hold. */
export const wrongTypes = (stream: Stream, merchant?: string): ReadonlyArray<BadRecord> =>
  schemaFields(stream).flatMap(({ path, kinds }) =>
    Object.entries(SAMPLES)
      .filter(([kind]) => kinds !== undefined && !kinds.has(kind as Kind))
      .map(([kind, value]) => {
        const field = path.join(".")
        return {
          field,
          record: withField(recordOf(stream, `wrong/${field}/${kind}`, merchant), path, value),
        }
      }),
  )

/** Fields of a full record that take one value and refuse the other: its times, or its amounts. */
export const fieldsLike = (stream: Stream, good: Json, bad: Json): ReadonlyArray<ReadonlyArray<string>> => {
  const { record } = fixtureOf(stream)
  const takes = (path: ReadonlyArray<string>, value: Json) =>
    namedIn(stream, withField(record, path, value)).length === 0
  return fieldsOf(record).filter(path => takes(path, good) && !takes(path, bad))
}

export const timeFields = (stream: Stream) => fieldsLike(stream, "2026-01-01T00:00:00.000Z", "yesterday")
export const amountFields = (stream: Stream) => fieldsLike(stream, json("1.50"), "NaN")

/** The record's JSON text with one more member, as text: what no value in a program can hold. */
export const withMember = (record: Json, member: string): string => {
  if (!isJsonObject(record)) throw new Error("Only an object has members.")
  return `{${member},${stringifyJson(record).slice(1)}`
}
