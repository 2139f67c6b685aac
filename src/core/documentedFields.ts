import { Option, Schema, SchemaAST } from "effect"
import { isJsonObject, type Json } from "./json.ts"
import { alternatives } from "./nonObjectPath.ts"

/** Counts the documented fields that records carry: a renamed field would silently move money between sums. */

/** A field's place in a record: its own key, after the keys of the objects and lists of objects around it. */
export interface FieldPath {
  readonly name: string
  readonly keys: ReadonlyArray<string>
  readonly isList: boolean
}

/** Deepest nesting of objects at which fields are counted by name. */
const DEPTH_MAX = 4

const objectIn = (ast: SchemaAST.AST): SchemaAST.TypeLiteral | undefined => {
  const found = alternatives(ast)
  const [rest] = found.find(SchemaAST.isTupleType)?.rest ?? []
  return found.find(SchemaAST.isTypeLiteral) ?? (rest === undefined ? undefined : objectIn(rest.type))
}

const isListOfObjects = (ast: SchemaAST.AST): boolean =>
  alternatives(ast).every(one => !SchemaAST.isTypeLiteral(one)) && objectIn(ast) !== undefined

const keysOf = (literal: SchemaAST.TypeLiteral | undefined) =>
  (literal?.propertySignatures ?? []).map(({ name, type }) => ({ key: String(name), type }))

const known = new WeakMap<Schema.Schema.AnyNoContext, ReadonlyArray<FieldPath>>()

const pathsIn = (
  literal: SchemaAST.TypeLiteral | undefined,
  before: ReadonlyArray<string>,
): ReadonlyArray<FieldPath> =>
  keysOf(literal).flatMap(({ key, type }) => {
    const keys = [...before, key]
    const inner = keys.length < DEPTH_MAX ? pathsIn(objectIn(type), keys) : []
    return [{ name: keys.join("."), keys, isList: isListOfObjects(type) }, ...inner]
  })

/** Lists the fields of a record's schema, and of the objects and lists of objects in it. */
export const fieldPaths = (record: Schema.Schema.AnyNoContext): ReadonlyArray<FieldPath> => {
  const before = known.get(record)
  if (before !== undefined) return before
  const paths = pathsIn(objectIn(SchemaAST.encodedAST(record.ast)), [])
  known.set(record, paths)
  return paths
}

/**
 * State of a field in a record. `empty`: null, blank text or an empty list. `lacked`: the field is absent. A renamed
 * field is lacked; a field that the API no longer fills is empty. Both move money in the same way.
 */
export type FieldState = "carried" | "empty" | "lacked"

const Count = Schema.NonNegativeInt

/** Numbers of records by the state of a field. Records without the object around the field do not count. */
export type Carried = Readonly<Record<FieldState, number>>

/** Counts of a pass by field name. Checkpoints of earlier versions have no count of empty fields. */
const Tally = Schema.Record({
  key: Schema.String,
  value: Schema.Struct({
    carried: Count,
    empty: Schema.optionalWith(Count, { default: () => 0 }),
    lacked: Count,
  }),
})
export type Tally = typeof Tally.Type

const FieldCounts = Schema.Record({ key: Schema.String, value: Count })
export type FieldCounts = typeof FieldCounts.Type

export const NO_STATES: Carried = { carried: 0, empty: 0, lacked: 0 }

const isEmpty = (value: Json | undefined): boolean =>
  value === null ||
  value === undefined ||
  (typeof value === "string" && value.trim() === "") ||
  (Array.isArray(value) && value.length === 0)

const stateIn = (
  holder: Json | undefined,
  [key, ...inner]: ReadonlyArray<string>,
): FieldState | undefined => {
  if (isJsonObject(holder)) {
    if (inner.length > 0) return stateIn(holder[key!], inner)
    if (!Object.hasOwn(holder, key!)) return "lacked"
    return isEmpty(holder[key!]) ? "empty" : "carried"
  }
  if (!Array.isArray(holder)) return undefined
  const states = holder.filter(isJsonObject).map(item => stateIn(item, [key!, ...inner]))
  return (["carried", "empty", "lacked"] as const).find(state => states.includes(state))
}

/** Finds the state of a field in a record; undefined if the object around the field is absent. */
export const fieldStateOf = (record: Json, { keys }: FieldPath): FieldState | undefined =>
  isJsonObject(record) ? stateIn(record, keys) : undefined

/** Counts which fields these records carry. A record that is not an object counts nowhere. */
export const tallyOf = (paths: ReadonlyArray<FieldPath>, records: ReadonlyArray<Json>): Tally =>
  Object.fromEntries(
    paths.map(path => {
      const counts = { ...NO_STATES }
      for (const record of records) {
        const state = fieldStateOf(record, path)
        if (state !== undefined) counts[state]++
      }
      return [path.name, counts]
    }),
  )

export const addTallies = (one: Tally, other: Tally): Tally =>
  Object.fromEntries(
    [...new Set([...Object.keys(one), ...Object.keys(other)])].map(name => {
      const [a, b] = [one[name] ?? NO_STATES, other[name] ?? NO_STATES]
      return [name, { carried: a.carried + b.carried, empty: a.empty + b.empty, lacked: a.lacked + b.lacked }]
    }),
  )

export const addCounts = (one: FieldCounts = {}, other: FieldCounts = {}): FieldCounts => {
  const names = new Set([...Object.keys(one), ...Object.keys(other)])
  return Object.fromEntries(Array.from(names, name => [name, (one[name] ?? 0) + (other[name] ?? 0)]))
}

const optionalCounts = Schema.optionalWith(FieldCounts, { exact: true })

const PassFields = Schema.Struct({
  tally: Tally,
  /** Records of which a version was stored before. */
  known: Count,
  /** Known records whose field is empty, and whose stored version carried a value. */
  emptied: optionalCounts,
  /** Decoded (new or changed) records that carried a value in the field. */
  decoded: optionalCounts,
  /** Decoded records with an unreadable value, by the name of the field, without positions in lists. */
  unread: optionalCounts,
  /** Records that were not stored before, and carried a value in the field. */
  newCarried: optionalCounts,
  /** Records that were not stored before, can no longer change, and lacked the field. */
  newLacked: optionalCounts,
})
export type PassFields = typeof PassFields.Type

/** Decodes the stored counts of a pass; undefined if they do not decode. */
export const decodePassFields = (stored: unknown): PassFields | undefined =>
  Option.getOrUndefined(Schema.decodeUnknownOption(PassFields)(stored))

export const NO_FIELDS: PassFields = { tally: {}, known: 0 }

export const addFields = (one: PassFields, other: PassFields): PassFields => ({
  tally: addTallies(one.tally, other.tally),
  known: one.known + other.known,
  emptied: addCounts(one.emptied, other.emptied),
  decoded: addCounts(one.decoded, other.decoded),
  unread: addCounts(one.unread, other.unread),
  newCarried: addCounts(one.newCarried, other.newCarried),
  newLacked: addCounts(one.newLacked, other.newLacked),
})

const POSITION = /^\d+$/

/** Names a part of a record, in the same way for each item of a list. */
export const nameOfPart = (path: ReadonlyArray<string>): string =>
  path.filter(key => !POSITION.test(key)).join(".")

/** Number of decoded records with a value in the field, or in the object around it beyond the counted depth. */
export const decodedIn = ({ decoded = {} }: PassFields, name: string): number => {
  const keys = name.split(".")
  const known = keys.map((_, n) => keys.slice(0, keys.length - n).join(".")).find(one => one in decoded)
  return known === undefined ? 0 : decoded[known]!
}
