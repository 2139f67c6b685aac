import { type Schema, SchemaAST } from "effect"
import { isJsonObject, type Json } from "./Json.ts"

/**
 * Which documented fields records carry. A field that is renamed would otherwise be null from then on, and move
 * money from one sum to another without a word.
 */

/** A field's place in a record: its own key, or those of the object or list of objects that holds it before it. */
export interface FieldPath {
  /** The keys joined by dots. */
  readonly name: string
  readonly keys: readonly [string] | readonly [string, string]
}

const alternatives = (ast: SchemaAST.AST): ReadonlyArray<SchemaAST.AST> =>
  SchemaAST.isUnion(ast) ? ast.types.flatMap(alternatives) : [ast]

/** The object that a field holds, alone or in a list. */
const objectIn = (ast: SchemaAST.AST): SchemaAST.TypeLiteral | undefined => {
  const found = alternatives(ast)
  const [rest] = found.find(SchemaAST.isTupleType)?.rest ?? []
  return found.find(SchemaAST.isTypeLiteral) ?? (rest === undefined ? undefined : objectIn(rest.type))
}

const keysOf = (literal: SchemaAST.TypeLiteral | undefined) =>
  (literal?.propertySignatures ?? []).map(({ name, type }) => ({ key: String(name), type }))

const known = new WeakMap<Schema.Schema.AnyNoContext, ReadonlyArray<FieldPath>>()

/** The fields of a record's schema, and of the objects in it, one level deep. */
export const fieldPaths = (record: Schema.Schema.AnyNoContext): ReadonlyArray<FieldPath> => {
  const before = known.get(record)
  if (before !== undefined) return before
  const paths = keysOf(objectIn(SchemaAST.encodedAST(record.ast))).flatMap(
    ({ key, type }): Array<FieldPath> => [
      { name: key, keys: [key] },
      ...keysOf(objectIn(type)).map(inner => ({
        name: `${key}.${inner.key}`,
        keys: [key, inner.key] as const,
      })),
    ],
  )
  known.set(record, paths)
  return paths
}

/** How many records carried a field, and how many lacked it though what would hold it was there. */
export interface Carried {
  readonly carried: number
  readonly lacked: number
}

/** What records of a pass carried, by field name. */
export type Tally = Readonly<Record<string, Carried>>

const NONE: Carried = { carried: 0, lacked: 0 }

const holds = (holder: Json | undefined, key: string): boolean | undefined => {
  if (isJsonObject(holder)) return Object.hasOwn(holder, key)
  if (!Array.isArray(holder)) return undefined
  const objects = holder.filter(isJsonObject)
  return objects.length === 0 ? undefined : objects.some(one => Object.hasOwn(one, key))
}

/** Counts which fields these records carry. A record that is no object counts nowhere. */
export const tallyOf = (paths: ReadonlyArray<FieldPath>, records: ReadonlyArray<Json>): Tally =>
  Object.fromEntries(
    paths.map(({ name, keys: [first, second] }) => {
      let carried = 0
      let lacked = 0
      for (const record of records) {
        if (!isJsonObject(record)) continue
        const isCarried = second === undefined ? Object.hasOwn(record, first) : holds(record[first], second)
        if (isCarried === true) carried++
        else if (isCarried === false) lacked++
      }
      return [name, { carried, lacked }]
    }),
  )

/** The sum of two tallies. */
export const addTallies = (one: Tally, other: Tally): Tally =>
  Object.fromEntries(
    [...new Set([...Object.keys(one), ...Object.keys(other)])].map(name => {
      const [a, b] = [one[name] ?? NONE, other[name] ?? NONE]
      return [name, { carried: a.carried + b.carried, lacked: a.lacked + b.lacked }]
    }),
  )

/** What a pass has read so far. */
export interface PassFields {
  readonly tally: Tally
  /** Records of which a version was stored already. */
  readonly known: number
}

export const NO_FIELDS: PassFields = { tally: {}, known: 0 }

export const addFields = (one: PassFields, other: PassFields): PassFields => ({
  tally: addTallies(one.tally, other.tally),
  known: one.known + other.known,
})

/** What the runs before this one found out about a field. */
export interface KnownField {
  readonly field: string
  /** Most records of one pass that carried it. */
  readonly carried: number
  /** No record lacked it yet. */
  readonly isAlways: boolean
  /** Records that came without it though their stored version had it, since a record last carried it. */
  readonly lost: number
}

/** So many records that lose a field are no chance. */
const LOST_MIN = 3
/** Of the known records that a run read in part, the share that must have lost a field that not all carry. */
const LOST_SHARE_MIN = 0.1
/** So many records that all carried a field make it one that new records carry too. */
const ALWAYS_MIN = 10

/**
 * Whether a field is gone: no record of the pass carries it, though stored ones did. A pass over the whole list says
 * so of every field that it lost. A run that reads a part may read just those records that lack an optional field: it
 * says so of a field that a share of them lost, or that every record carried before.
 */
export const isGone = (
  field: KnownField,
  { carried, lacked }: Carried,
  known: number,
  isWholePass: boolean,
): boolean => {
  if (carried > 0 || lacked === 0) return false
  if (isWholePass) return field.lost >= Math.max(1, Math.min(LOST_MIN, known))
  const isShare = field.lost >= LOST_MIN && field.lost >= LOST_SHARE_MIN * known
  const isEvery = field.lost > 0 && field.lost >= known
  return isShare || (field.isAlways && (isEvery || (field.carried >= ALWAYS_MIN && lacked >= LOST_MIN)))
}
