import { SchemaAST } from "effect"
import { isJsonObject, type Json } from "./json.ts"

/**
 * Where a record must hold an object. A schema whose fields are all optional takes a list, or a number of many
 * digits, for an object without any of them, and what was sent would be nowhere but in `raw`.
 */

type Path = ReadonlyArray<string>

/** Finds the first value that stands in the place of an object and is none. */
export type Misplaced = (value: Json | undefined) => Path | undefined

const NOWHERE: Misplaced = () => undefined

const alternatives = (ast: SchemaAST.AST): ReadonlyArray<SchemaAST.AST> =>
  SchemaAST.isUnion(ast) ? ast.types.flatMap(alternatives) : [ast]

const below = (key: string, found: Path | undefined): Path | undefined =>
  found === undefined ? undefined : [key, ...found]

const inObject = (literal: SchemaAST.TypeLiteral): Misplaced => {
  const fields = literal.propertySignatures
    .map(({ name, type }) => [String(name), nonObjectPath(type)] as const)
    .filter(([, find]) => find !== NOWHERE)
  return value => {
    if (typeof value !== "object" || value === null) return undefined
    if (!isJsonObject(value)) return []
    for (const [key, find] of fields) {
      const found = Object.hasOwn(value, key) ? below(key, find(value[key])) : undefined
      if (found !== undefined) return found
    }
    return undefined
  }
}

const inList = (item: Misplaced): Misplaced =>
  item === NOWHERE
    ? NOWHERE
    : value => {
        if (!Array.isArray(value)) return undefined
        for (const [i, one] of value.entries()) {
          const found = below(String(i), item(one))
          if (found !== undefined) return found
        }
        return undefined
      }

/** For a schema's encoded side; a place that may hold a list or an object is the schema's own to judge. */
export const nonObjectPath = (ast: SchemaAST.AST): Misplaced => {
  const taken = alternatives(ast)
  const object = taken.find(SchemaAST.isTypeLiteral)
  const list = taken.find(SchemaAST.isTupleType)
  if (object !== undefined) return list === undefined ? inObject(object) : NOWHERE
  const [rest] = list?.rest ?? []
  return rest === undefined ? NOWHERE : inList(nonObjectPath(rest.type))
}
