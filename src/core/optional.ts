import { Either, ParseResult, Schema, SchemaAST } from "effect"
import { isJsonObject, type Json } from "./json.ts"
import { nonObjectPath } from "./nonObjectPath.ts"

/**
 * Finds the optional parts of a record that do not decode, so that each costs its own field and not the record. The
 * schemas stay strict. This derives from them which parts may be null, and runs only for a record that does not decode.
 */

/** A part of a record that could not be read. */
export interface Unread {
  /** Keys on the way to it, including positions in lists. */
  readonly path: ReadonlyArray<string>
  readonly reason: string
  readonly value: Json
  /**
   * `field`: one value, which is null in its row. `item`: an item of a list, or the whole list; its row is missing, is
   * empty, or stays as an earlier version of the record made it.
   */
  readonly kind: "field" | "item"
}

/** The place that does not decode, and the reason; quotes no value. */
export interface Problem {
  readonly path: ReadonlyArray<string>
  readonly reason: string
}

/** A part of a schema, with the parts of it that may be null or left out. */
interface Part {
  readonly problemOf: (value: Json) => Problem | undefined
  readonly fields: ReadonlyMap<string, Field> | undefined
  readonly item: Part | undefined
}

interface Field {
  readonly part: Part
  readonly isOptional: boolean
}

export interface Mended {
  readonly record: Json
  readonly unread: ReadonlyArray<Unread>
}

/** The encoded side of a schema, with the decoders of its parts. */
const sent = (ast: SchemaAST.AST): SchemaAST.AST =>
  SchemaAST.isTransformation(ast) || SchemaAST.isRefinement(ast) ? sent(ast.from) : ast

const alternatives = (ast: SchemaAST.AST): ReadonlyArray<SchemaAST.AST> => {
  const plain = sent(ast)
  return SchemaAST.isUnion(plain) ? plain.types.flatMap(alternatives) : [plain]
}

const isNull = (ast: SchemaAST.AST) => SchemaAST.isLiteral(ast) && ast.literal === null

const fieldOf = ({ name, type, isOptional }: SchemaAST.PropertySignature): readonly [string, Field] => [
  String(name),
  { part: partOf(type), isOptional: isOptional || alternatives(type).some(isNull) },
]

/** The first problem of a value's own parts; undefined if each of them decodes by itself. */
const problemWithin = ({ fields, item }: Pick<Part, "fields" | "item">, value: Json): Problem | undefined => {
  const parts: ReadonlyArray<readonly [string, Part | undefined, Json]> = isJsonObject(value)
    ? Object.entries(value).map(([key, child]) => [key, fields?.get(key)?.part, child])
    : Array.isArray(value)
      ? value.map((child, i) => [String(i), item, child])
      : []
  for (const [key, part, child] of parts) {
    const problem = part?.problemOf(child)
    if (problem !== undefined) return { path: [key, ...problem.path], reason: problem.reason }
  }
  return undefined
}

const partOf = (ast: SchemaAST.AST): Part => {
  const decode = ParseResult.decodeUnknownEither(Schema.make<unknown, unknown>(ast))
  const misplaced = nonObjectPath(SchemaAST.encodedAST(ast))
  const taken = alternatives(ast)
  const object = taken.find(SchemaAST.isTypeLiteral)
  const [rest] = taken.find(SchemaAST.isTupleType)?.rest ?? []
  const parts = {
    fields: object === undefined ? undefined : new Map(object.propertySignatures.map(fieldOf)),
    item: rest === undefined ? undefined : partOf(rest.type),
  }
  return {
    ...parts,
    problemOf: value => {
      const path = misplaced(value)
      if (path !== undefined) return { path, reason: "is not an object" }
      const decoded = decode(value)
      if (Either.isRight(decoded)) return undefined
      if (value === null) return { path: [], reason: "is null" }
      if (object !== undefined && rest === undefined && !isJsonObject(value))
        return { path: [], reason: "is not an object" }
      if (object === undefined && rest !== undefined && !Array.isArray(value))
        return { path: [], reason: "is not a list" }
      const within = problemWithin(parts, value)
      if (within !== undefined) return within
      const [first] = ParseResult.ArrayFormatter.formatIssueSync(decoded.left)
      return { path: (first?.path ?? []).map(String), reason: first?.message ?? "does not decode" }
    },
  }
}

const reasonFor = ({ path, reason }: Problem): string =>
  path.length === 0 ? reason : `${path.join(".")} ${reason}`

/** Mends the parts of a value, and adds the unreadable ones to `unread`. The value itself may still not decode. */
const mendWithin = (part: Part, value: Json, path: ReadonlyArray<string>, unread: Array<Unread>): Json => {
  const { fields, item } = part
  if (fields !== undefined && isJsonObject(value))
    return Object.fromEntries(
      Object.entries(value).map(([key, child]) => {
        const field = fields.get(key)
        return [key, field === undefined ? child : mendField(field, child, [...path, key], unread)]
      }),
    )
  if (item !== undefined && Array.isArray(value))
    return value.flatMap((child, i) => mendItem(item, child, [...path, String(i)], unread))
  return value
}

/** Returns the value if it decodes, or its mended form if that decodes; otherwise undefined. */
const readable = (
  part: Part,
  value: Json,
  path: ReadonlyArray<string>,
  unread: Array<Unread>,
): Json | undefined => {
  if (part.problemOf(value) === undefined) return value
  const within: Array<Unread> = []
  const mended = mendWithin(part, value, path, within)
  if (within.length === 0 || part.problemOf(mended) !== undefined) return undefined
  unread.push(...within)
  return mended
}

/** True if a part is a list or contains one. Without such a part rows are missing, not only a value. */
const holdsItems = ({ fields, item }: Part): boolean =>
  item !== undefined || [...(fields?.values() ?? [])].some(({ part }) => holdsItems(part))

const mendField = (
  { part, isOptional }: Field,
  value: Json,
  path: ReadonlyArray<string>,
  unread: Array<Unread>,
): Json => {
  const read = readable(part, value, path, unread)
  if (read !== undefined || !isOptional) return read ?? value
  const kind = holdsItems(part) ? "item" : "field"
  unread.push({ path, reason: reasonFor(part.problemOf(value)!), value, kind })
  return null
}

/** An item whose fields are all optional keeps its place in the list as an empty item. Any other item is left out. */
const mendItem = (
  item: Part,
  value: Json,
  path: ReadonlyArray<string>,
  unread: Array<Unread>,
): ReadonlyArray<Json> => {
  const read = readable(item, value, path, unread)
  if (read !== undefined) return [read]
  const isPlace = item.problemOf({}) === undefined
  unread.push({ path, reason: reasonFor(item.problemOf(value)!), value, kind: "item" })
  return isPlace ? [{}] : []
}

export interface Mender {
  readonly problemOf: (record: Json) => Problem | undefined
  /** Replaces each optional part that does not decode by null. The result may still lack a required part. */
  readonly mend: (record: Json) => Mended
}

export const menderOf = (ast: SchemaAST.AST): Mender => {
  const whole = partOf(ast)
  return {
    problemOf: whole.problemOf,
    mend: record => {
      const unread: Array<Unread> = []
      return { record: mendWithin(whole, record, [], unread), unread }
    },
  }
}
