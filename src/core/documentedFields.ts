import { Option, Schema, SchemaAST } from "effect"
import { isJsonObject, type Json } from "./json.ts"

/**
 * Which documented fields records carry. A field that is renamed would otherwise be null from then on, and move
 * money from one sum to another without a word.
 */

/** A field's place in a record: its own key, after those of the objects and lists of objects that hold it. */
export interface FieldPath {
  /** The keys joined by dots. */
  readonly name: string
  readonly keys: ReadonlyArray<string>
  /** It holds a list of objects. */
  readonly isList: boolean
}

/** Objects in objects down to which fields are known by name. */
const DEPTH_MAX = 4

const alternatives = (ast: SchemaAST.AST): ReadonlyArray<SchemaAST.AST> =>
  SchemaAST.isUnion(ast) ? ast.types.flatMap(alternatives) : [ast]

/** The object that a field holds, alone or in a list. */
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

/** The fields of a record's schema, and of the objects and lists of objects in it. */
export const fieldPaths = (record: Schema.Schema.AnyNoContext): ReadonlyArray<FieldPath> => {
  const before = known.get(record)
  if (before !== undefined) return before
  const paths = pathsIn(objectIn(SchemaAST.encodedAST(record.ast)), [])
  known.set(record, paths)
  return paths
}

/**
 * State of a field in a record: `empty` where null, blank text or a list of nothing stands there, `lacked`
 * where the field is not there. A renamed field is lacked; an API that stopped filling it in sends it empty: both move money alike.
 */
export type FieldState = "carried" | "empty" | "lacked"

const Count = Schema.NonNegativeInt

/** How many records carried a value in a field, and how many did not though what would hold it was there. */
export type Carried = Readonly<Record<FieldState, number>>

/** What records of a pass carried, by field name. A checkpoint of an earlier version counts nothing as empty. */
const Tally = Schema.Record({
  key: Schema.String,
  value: Schema.Struct({
    carried: Count,
    empty: Schema.optionalWith(Count, { default: () => 0 }),
    lacked: Count,
  }),
})
export type Tally = typeof Tally.Type

/** Records, by field name. */
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

/** The state of a field in a record; undefined where what would hold the field is not there. */
export const fieldStateOf = (record: Json, { keys }: FieldPath): FieldState | undefined =>
  isJsonObject(record) ? stateIn(record, keys) : undefined

/** Counts which fields these records carry. A record that is no object counts nowhere. */
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

/** The sum of two tallies. */
export const addTallies = (one: Tally, other: Tally): Tally =>
  Object.fromEntries(
    [...new Set([...Object.keys(one), ...Object.keys(other)])].map(name => {
      const [a, b] = [one[name] ?? NONE, other[name] ?? NONE]
      return [name, { carried: a.carried + b.carried, empty: a.empty + b.empty, lacked: a.lacked + b.lacked }]
    }),
  )

/** The sum of two counts. */
export const addCounts = (one: FieldCounts = {}, other: FieldCounts = {}): FieldCounts => {
  const names = new Set([...Object.keys(one), ...Object.keys(other)])
  return Object.fromEntries(Array.from(names, name => [name, (one[name] ?? 0) + (other[name] ?? 0)]))
}

const optionalCounts = Schema.optionalWith(FieldCounts, { exact: true })

/** What a pass has read so far. A checkpoint stores it. */
const PassFields = Schema.Struct({
  tally: Tally,
  /** Records of which a version was stored already. */
  known: Count,
  /** Known records whose field is empty, and whose stored version carried a value in it. */
  emptied: optionalCounts,
  /** Records that were decoded, since they are new or changed, and carried a value in the field. */
  decoded: optionalCounts,
  /** Decoded records whose value could not be read, by the name of the field, without positions in lists. */
  unread: optionalCounts,
  /** Records that were not stored before and carried a value in the field. */
  newCarried: optionalCounts,
  /** Records that were not stored before, may not change any more, and lacked the field. */
  newLacked: optionalCounts,
})
export type PassFields = typeof PassFields.Type

/** The counts of a pass as they were stored; undefined where they do not decode. */
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

/** The name of a part of a record, the same for each item of a list. */
export const nameOfPart = (path: ReadonlyArray<string>): string =>
  path.filter(key => !POSITION.test(key)).join(".")

/** How many decoded records carried a value in the field, or in the object that holds it where it lies deeper than fields are counted. */
export const decodedIn = ({ decoded = {} }: PassFields, name: string): number => {
  const keys = name.split(".")
  const known = keys.map((_, n) => keys.slice(0, keys.length - n).join(".")).find(one => one in decoded)
  return known === undefined ? 0 : decoded[known]!
}

/** What the runs before this one found out about a field. */
export interface KnownField {
  readonly field: string
  /** Most records of one pass that carried a value in it. */
  readonly carried: number
  /** No record lacked it yet. */
  readonly isAlways: boolean
  /** Records that lacked it though their stored version carried a value in it, since a record last did. */
  readonly lost: number
  /** New records that lacked it, one after the other over several runs, since a new record last carried a value in it. */
  readonly newLacked: number
  /** It holds a list of objects. */
  readonly isList?: boolean
}

/** So many records that lose a field are no chance. */
const LOST_MIN = 3
/** Of the known records, the share that must have lost a field that not all carry, or that is there and empty. */
const LOST_SHARE_MIN = 0.1
/** So many records that all carried a field make it one that new records carry too. */
const ALWAYS_MIN = 10

/**
 * True if a field is gone: no record of the pass carries a value in it, though stored ones did. A pass over the whole list
 * says so of every field that its records lost. A value that became empty may be a state that is over, such as that of
 * a payout that waits no longer: only a pass over the whole list says that such a field is gone, and only where it emptied
 * a share of the stored records by itself. One that was empty before is no news. A list of objects that becomes empty in
 * all records takes rows away, and is gone like a field that is not there.
 *
 * A run that reads a part may read just those records that lack an optional field: it says so of a field that a share of
 * them lost, or that every record carried before.
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
