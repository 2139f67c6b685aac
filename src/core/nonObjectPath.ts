import { SchemaAST } from "effect"
import { isJsonObject, type Json } from "./json.ts"

/**
 * Finds places where a record must hold an object. A schema whose fields are all optional also accepts a list, or a
 * number of many digits, as an object without fields. The value would then be only in `raw`.
 */

type Path = ReadonlyArray<string>

/** Finds the first value that must be an object and is not. */
export type Misplaced = (value: Json | undefined) => Path | undefined

const NOWHERE: Misplaced = () => undefined

export const alternatives = (ast: SchemaAST.AST): ReadonlyArray<SchemaAST.AST> =>
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

/** Builds the check from a schema's encoded side. Places that may hold a list or an object are left to the schema. */
export const nonObjectPath = (ast: SchemaAST.AST): Misplaced => {
  const taken = alternatives(ast)
  const object = taken.find(SchemaAST.isTypeLiteral)
  const list = taken.find(SchemaAST.isTupleType)
  if (object !== undefined) return list === undefined ? inObject(object) : NOWHERE
  const [rest] = list?.rest ?? []
  return rest === undefined ? NOWHERE : inList(nonObjectPath(rest.type))
}
