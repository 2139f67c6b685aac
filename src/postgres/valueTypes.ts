import type postgres from "postgres"
import { arrayLiteral } from "./bulk.ts"

/** The types of a statement's columns, as far as an export distinguishes them. */

/** `text`: any type that can hold words from outside. `other`: prints as text that cannot begin a formula. */
export type ValueType =
  | { readonly kind: "boolean" | "integer" | "float" | "json" | "text" | "other" }
  | { readonly kind: "array"; readonly of: ValueType; readonly delimiter: string }

interface Entry {
  readonly oid: string
  readonly name: string
  readonly category: string
  readonly isBuiltIn: string
  readonly base: string
  readonly element: string
  readonly isArray: string
  readonly delimiter: string
}

const KINDS: Readonly<Record<string, Exclude<ValueType["kind"], "array">>> = {
  bool: "boolean",
  int2: "integer",
  int4: "integer",
  int8: "integer",
  oid: "integer",
  float4: "float",
  float8: "float",
  json: "json",
  jsonb: "json",
  bytea: "other",
  uuid: "other",
}

/** Categories of `pg_type` that can hold words from outside: strings, enums, unknown, user-defined, internal. */
const TEXT_CATEGORIES = "SEXUZ"

const typeOf = (oid: string, entries: ReadonlyMap<string, Entry>): ValueType => {
  const entry = entries.get(oid)
  if (entry === undefined) return { kind: "text" }
  if (entry.base !== "0") return typeOf(entry.base, entries)
  if (entry.isArray === "t")
    return {
      kind: "array",
      of: typeOf(entry.element, entries),
      delimiter: entries.get(entry.element)?.delimiter ?? ",",
    }
  const kind = entry.isBuiltIn === "t" ? KINDS[entry.name] : undefined
  return { kind: kind ?? (TEXT_CATEGORIES.includes(entry.category) ? "text" : "other") }
}

/** Returns the types with these object ids, in their order; a domain as its base type. `sql` is a reader's session. */
export const valueTypesOf = async (
  sql: postgres.ISql,
  oids: ReadonlyArray<number>,
): Promise<ReadonlyArray<ValueType>> => {
  const rows = await sql.unsafe<Array<Entry>>(
    `WITH RECURSIVE asked AS (
       SELECT oid, typbasetype, typelem FROM pg_catalog.pg_type
       WHERE oid = ANY ($1::oid[])
       UNION
       SELECT t.oid, t.typbasetype, t.typelem FROM asked JOIN pg_catalog.pg_type AS t
         ON t.oid = ANY (ARRAY[asked.typbasetype, asked.typelem])
     )
     SELECT t.oid::text AS oid, t.typname::text AS name, t.typcategory::text AS category,
       t.typnamespace = 'pg_catalog'::regnamespace AS "isBuiltIn", t.typbasetype::text AS base,
       t.typelem::text AS element,
       t.typoutput = 'pg_catalog.array_out'::regproc AS "isArray", t.typdelim::text AS delimiter
     FROM pg_catalog.pg_type AS t JOIN asked ON asked.oid = t.oid`,
    [arrayLiteral([...new Set(oids)].map(String))],
  )
  const entries = new Map(rows.map(row => [row.oid, row]))
  return oids.map(oid => typeOf(String(oid), entries))
}
