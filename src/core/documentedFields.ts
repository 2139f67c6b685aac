import { Option, Schema, SchemaAST } from "effect"
import { isJsonObject, type Json } from "./json.ts"

/**
 * Counts the documented fields that records carry. Otherwise a renamed field would become null and silently move money
 * from one sum to another.
 */

/** A field's place in a record: its own key, after the keys of the objects and lists of objects around it. */
export interface FieldPath {
  /** The keys joined by dots. */
  readonly name: string
  readonly keys: ReadonlyArray<string>
  /** True for a list of objects. */
  readonly isList: boolean
}

/** Deepest nesting of objects at which fields are counted by name. */
const DEPTH_MAX = 4

const alternatives = (ast: SchemaAST.AST): ReadonlyArray<SchemaAST.AST> =>
  SchemaAST.isUnion(ast) ? ast.types.flatMap(alternatives) : [ast]

/** Finds the object that a field holds, alone or in a list. */
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

/** Number of records by field name. */
const FieldCounts = Schema.Record({ key: Schema.String, value: Count })
export type FieldCounts = typeof FieldCounts.Type

const NONE: Carried = { carried: 0, empty: 0, lacked: 0 }

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
      const counts = { ...NONE }
      for (const record of records) {
        const state = fieldStateOf(record, path)
        if (state !== undefined) counts[state]++
      }
      return [path.name, counts]
    }),
  )

/** Adds two tallies. */
export const addTallies = (one: Tally, other: Tally): Tally =>
  Object.fromEntries(
    [...new Set([...Object.keys(one), ...Object.keys(other)])].map(name => {
      const [a, b] = [one[name] ?? NONE, other[name] ?? NONE]
      return [name, { carried: a.carried + b.carried, empty: a.empty + b.empty, lacked: a.lacked + b.lacked }]
    }),
  )

/** Adds two counts. */
export const addCounts = (one: FieldCounts = {}, other: FieldCounts = {}): FieldCounts => {
  const names = new Set([...Object.keys(one), ...Object.keys(other)])
  return Object.fromEntries(Array.from(names, name => [name, (one[name] ?? 0) + (other[name] ?? 0)]))
}

const optionalCounts = Schema.optionalWith(FieldCounts, { exact: true })

/** Counts of a pass so far. A checkpoint stores them. */
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

/** A key that is a position in a list. */
const POSITION = /^\d+$/

/** Names a part of a record, in the same way for each item of a list. */
export const nameOfPart = (path: ReadonlyArray<string>): string =>
  path.filter(key => !POSITION.test(key)).join(".")

/**
 * Number of decoded records that carried a value in the field. For a field deeper than fields are counted, the count of
 * the object around it.
 */
export const decodedIn = ({ decoded = {} }: PassFields, name: string): number => {
  const keys = name.split(".")
  const known = keys.map((_, n) => keys.slice(0, keys.length - n).join(".")).find(one => one in decoded)
  return known === undefined ? 0 : decoded[known]!
}

/** Findings of earlier runs about a field. */
export interface KnownField {
  readonly field: string
  /** Largest number of records of one pass that carried a value in it. */
  readonly carried: number
  /** True if no record has lacked it yet. */
  readonly isAlways: boolean
  /** Records without the field whose stored version carried a value, since a record last carried one. */
  readonly lost: number
  /** New records in a row without the field, over several runs, since a new record last carried a value. */
  readonly newLacked: number
  /** True for a list of objects. */
  readonly isList?: boolean
}

/** Fewest records whose loss of a field is no coincidence. */
const LOST_MIN = 3
/** Smallest share of the known records that must lose a field, if not all records carry it, or if it became empty. */
const LOST_SHARE_MIN = 0.1
/** Fewest records that must all carry a field before new records are expected to carry it. */
const ALWAYS_MIN = 10

/**
 * True if a field is gone: no record of the pass carries a value in it, although stored records did. A pass over the
 * whole list reports every field that its records lost. An empty value may be right, such as the time of waiting of a
 * payout that no longer waits. So only a pass over the whole list reports an empty field, and only if this pass emptied
 * a share of the stored records. A field that was empty before is not reported. A list of objects that becomes empty in
 * all records takes rows away, and counts like an absent field.
 *
 * A run that reads a part may read just the records that lack an optional field. It reports a field only if a share of
 * the known records lost it, or if every record carried it before.
 */
export const isGone = (field: KnownField, pass: PassFields, isWholePass: boolean): boolean => {
  const { carried, empty, lacked } = { ...NONE, ...pass.tally[field.field] }
  if (carried > 0) return false
  const { known } = pass
  if (isWholePass && empty > 0) {
    const lost = field.lost + (pass.emptied?.[field.field] ?? 0)
    if (field.isList === true && lost >= Math.max(1, Math.min(LOST_MIN, known))) return true
    if (lost >= LOST_MIN && lost >= LOST_SHARE_MIN * known) return true
  }
  if (lacked === 0) return false
  if (isWholePass) return field.lost >= Math.max(1, Math.min(LOST_MIN, known))
  const isShare = field.lost >= LOST_MIN && field.lost >= LOST_SHARE_MIN * known
  const isEvery = field.lost > 0 && field.lost >= known
  return isShare || (field.isAlways && (isEvery || (field.carried >= ALWAYS_MIN && lacked >= LOST_MIN)))
}
