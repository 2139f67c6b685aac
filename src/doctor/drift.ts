import { ParseResult, SchemaAST } from "effect"
import { documentedType } from "../core/fields.ts"
import { DeepJson, isJsonObject, type Json, type JsonObject } from "../core/json.ts"
import type { JsonType, Stream, StreamDocs } from "../core/stream.ts"

/** Compares real records with their documentation. Reports names, kinds of values, and values of codes only. */

/** Most fields of one kind that are named; the others are counted. */
const FIELDS_SHOWN_MAX = 40
/** Most values of one field that are shown; the others are counted. */
const VALUES_SHOWN_MAX = 12

/** A field name that a programmer chose. Any other key may be data, such as a mail address or a telephone number. */
const FIELD_NAME = /^(?!.*\d{6})[A-Za-z_][A-Za-z0-9_-]{0,63}$/
export const isFieldName = (key: string): boolean => FIELD_NAME.test(key)

/**
 * A name of a kind or a state, in one case or in the usual forms of compound words: `ON_HOLD`, `payin.done`,
 * `payinDone`.
 */
const CODE = /^(?!.*\d{6})([A-Z][A-Z0-9]*([_.:/-][A-Z0-9]+)*|[a-z][A-Za-z0-9]*([_.:/-][A-Za-z0-9]+)*)$/
/** A capitalized word may be a code (`Pending`) or a person (`Anna`). A person is not in many records of a sample. */
const CAPITALIZED = /^(?!.*\d{6})[A-Z][A-Za-z0-9]*$/
const CAPITALIZED_SEEN_MIN = 3
const CODE_LENGTH_MAX = 40

/**
 * True if a value of a code field looks like a code: a single word of bounded length. A value that does not may be text
 * about a person, so it is counted and not shown. `count` is the number of records with the value.
 */
export const isShowable = (value: string, count: number): boolean =>
  value.length <= CODE_LENGTH_MAX &&
  (CODE.test(value) || (CAPITALIZED.test(value) && count >= CAPITALIZED_SEEN_MIN))

export interface FieldSeen {
  readonly field: string
  readonly types: ReadonlyArray<JsonType>
  /** Records, or list items, with the field. */
  readonly count: number
}

export interface Drift {
  readonly records: number
  readonly undocumented: ReadonlyArray<FieldSeen>
  /** Number of keys that are no field names and may be data. */
  readonly oddKeys: number
  readonly missing: ReadonlyArray<string>
  readonly types: ReadonlyArray<FieldSeen & { readonly documented: ReadonlyArray<JsonType> }>
  /** Fields documented without a type, and the kinds of their values. */
  readonly learned: ReadonlyArray<FieldSeen>
  readonly values: ReadonlyArray<{
    readonly field: string
    readonly documented: ReadonlyArray<string>
    readonly unknown: ReadonlyArray<{ readonly value: string; readonly count: number }>
    /** Number of values that are not shown: too many, or not like a code. */
    readonly further: number
  }>
  /** Records that would become rejects, by the field that does not decode. */
  readonly rejects: ReadonlyArray<{ readonly field: string; readonly count: number }>
  /** Fields that would be null in their rows because they cannot be read, and how often. */
  readonly unread: ReadonlyArray<{ readonly field: string; readonly count: number }>
}

interface Shape {
  /** Empty if the type is not documented. */
  readonly types: Set<JsonType>
  readonly fields: Map<string, Shape> | undefined
  readonly items: Shape | undefined
}

const shape = (types: ReadonlyArray<JsonType>, more: Partial<Shape> = {}): Shape => ({
  types: new Set(types),
  fields: undefined,
  items: undefined,
  ...more,
})

const merged = (some: Shape, other: Shape): Shape => ({
  types: new Set([...some.types, ...other.types]),
  fields: some.fields ?? other.fields,
  items: some.items ?? other.items,
})

const shapeOf = (ast: SchemaAST.AST): Shape => {
  const documented = documentedType(ast)
  if (documented !== undefined) return shape([documented])
  if (SchemaAST.isUnion(ast)) return ast.types.map(shapeOf).reduce(merged)
  if (SchemaAST.isRefinement(ast)) return shapeOf(ast.from)
  if (SchemaAST.isTypeLiteral(ast))
    return shape(["object"], {
      fields: new Map(ast.propertySignatures.map(({ name, type }) => [String(name), shapeOf(type)])),
    })
  if (SchemaAST.isTupleType(ast)) {
    const [rest] = ast.rest
    return shape(["array"], rest === undefined ? {} : { items: shapeOf(rest.type) })
  }
  if (SchemaAST.isStringKeyword(ast)) return shape(["string"])
  if (SchemaAST.isNumberKeyword(ast)) return shape(["number"])
  if (SchemaAST.isBooleanKeyword(ast)) return shape(["boolean"])
  if (SchemaAST.isLiteral(ast) && ast.literal === null) return shape(["null"])
  // The one declared class is a number of many digits.
  return SchemaAST.isDeclaration(ast) ? shape(["number"]) : shape([])
}

/** The documented shape of a stream's records: the fields of its schema, and the fields declared beside it. */
const documentedShape = ({ record, documented }: Stream): Shape => {
  const whole = shapeOf(SchemaAST.encodedAST(record.ast))
  for (const [path, type] of Object.entries(documented.others ?? {})) {
    const keys = path.split(".")
    let parent = whole
    for (const key of keys.slice(0, -1)) {
      const child = parent.fields?.get(key.replace("[]", ""))
      parent = (key.endsWith("[]") ? child?.items : child) ?? parent
    }
    parent.fields?.set(keys.at(-1)!, type === "null" ? shape([]) : shape([type, "null"]))
  }
  return whole
}

const typeOf = (value: Json): JsonType => {
  if (value === null) return "null"
  if (Array.isArray(value)) return "array"
  const type = typeof value
  if (type === "boolean" || type === "string") return type
  return isJsonObject(value) || value instanceof DeepJson ? "object" : "number"
}

/** Tallies fields and their kinds of values, in the order in which they came. */
const makeTally = () => {
  const fields = new Map<string, { types: Set<JsonType>; count: number }>()
  return {
    see: (field: string, type: JsonType) => {
      const seen = fields.get(field) ?? { types: new Set(), count: 0 }
      seen.types.add(type)
      seen.count++
      fields.set(field, seen)
    },
    list: (): ReadonlyArray<FieldSeen> =>
      [...fields]
        .slice(0, FIELDS_SHOWN_MAX)
        .map(([field, { types, count }]) => ({ field, types: [...types], count })),
  }
}

const counted = (counts: Map<string, number>, key: string) => counts.set(key, (counts.get(key) ?? 0) + 1)

/** Keys on the way to the field that does not decode. */
const obstacleIn = (issue: ParseResult.ParseIssue): ReadonlyArray<PropertyKey> =>
  ParseResult.ArrayFormatter.formatIssueSync(issue)[0]?.path ?? []

/** Names a field over many records: without positions in lists. */
const pathOf = (path: ReadonlyArray<PropertyKey>): string =>
  path
    .map(key => (/^\d+$/.test(String(key)) ? "[]" : `.${String(key)}`))
    .join("")
    .replace(/^\./, "")

const valuesOf = (values: NonNullable<StreamDocs["values"]>, seen: Map<string, Map<string, number>>) =>
  Object.entries(values).map(([field, documented]) => {
    const unknown = [...(seen.get(field) ?? [])]
      .filter(([value]) => !documented.includes(value))
      .sort(([, a], [, b]) => b - a)
    const shown = unknown
      .filter(([value, count]) => isShowable(value, count))
      .slice(0, VALUES_SHOWN_MAX)
      .map(([value, count]) => ({ value, count }))
    return { field, documented, unknown: shown, further: unknown.length - shown.length }
  })

/** Compares records with their documentation. Holds no value except codes; bounded by the records. */
export const driftOf = (stream: Stream, records: ReadonlyArray<Json>): Drift => {
  const { mayLack = [], values = {} } = stream.documented
  const whole = documentedShape(stream)
  const undocumented = makeTally()
  const types = makeTally()
  const learned = makeTally()
  const documentedTypes = new Map<string, ReadonlyArray<JsonType>>()
  const codes = new Map<string, Map<string, number>>()
  const rejects = new Map<string, number>()
  const unread = new Map<string, number>()
  const expected = new Set<string>()
  const seen = new Set<string>()
  let oddKeys = 0

  const seeCode = (path: string, value: Json) => {
    if (!Object.hasOwn(values, path)) return
    const found = codes.get(path) ?? new Map<string, number>()
    for (const one of Array.isArray(value) ? value : [value]) if (typeof one === "string") counted(found, one)
    codes.set(path, found)
  }

  const compare = (path: string, value: Json, documented: Shape): void => {
    const type = typeOf(value)
    seeCode(path, value)
    if (documented.types.size === 0) {
      if (type !== "null") learned.see(path, type)
    } else if (!documented.types.has(type)) {
      documentedTypes.set(path, [...documented.types])
      types.see(path, type)
    } else if (isJsonObject(value) && documented.fields !== undefined) {
      compareFields(`${path}.`, value, documented.fields)
    } else if (Array.isArray(value) && documented.items !== undefined) {
      for (const item of value) compare(`${path}[]`, item, documented.items)
    }
  }

  const compareFields = (prefix: string, object: JsonObject, fields: ReadonlyMap<string, Shape>): void => {
    for (const key of fields.keys()) expected.add(`${prefix}${key}`)
    for (const [key, value] of Object.entries(object)) {
      const path = `${prefix}${key}`
      const documented = fields.get(key)
      if (documented !== undefined) {
        seen.add(path)
        compare(path, value, documented)
      } else if (isFieldName(key)) undocumented.see(path, typeOf(value))
      else oddKeys++
    }
  }

  for (const record of records) {
    if (isJsonObject(record)) compareFields("", record, whole.fields ?? new Map())
    const decoded = stream.decode(record)
    if (decoded._tag === "Left") {
      const field = pathOf(obstacleIn(decoded.left))
      counted(rejects, field === "" ? "(record)" : field)
    } else for (const { path } of decoded.right.unread ?? []) counted(unread, pathOf(path))
  }
  return {
    records: records.length,
    undocumented: undocumented.list(),
    oddKeys,
    missing: [...expected].filter(path => !seen.has(path) && !mayLack.includes(path)),
    types: types.list().map(seen => ({ ...seen, documented: documentedTypes.get(seen.field) ?? [] })),
    learned: learned.list(),
    values: valuesOf(values, codes),
    rejects: [...rejects].map(([field, count]) => ({ field, count })),
    unread: [...unread].map(([field, count]) => ({ field, count })),
  }
}
