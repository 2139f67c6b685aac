import { existsSync, readFileSync } from "node:fs"
import type { PgTable } from "drizzle-orm/pg-core"
import { Either, ParseResult } from "effect"
import type { Json, JsonObject } from "../../src/core/json.ts"
import { type Decoded, isState, type Normalized, type Row, type Stream } from "../../src/core/stream.ts"
import { shapeOf } from "../../src/postgres/shape.ts"
import { type Fixture, fixtureIn } from "../../src/sandbox/fixture.ts"
import { keptChildColumns, recordColumns, stateColumns } from "../../src/warehouse/schema/columns.ts"
import { json } from "./warehouse.ts"

/** Looking at what a stream makes of a record, field by field, whatever the stream. */

export type { Fixture } from "../../src/sandbox/fixture.ts"

const FIXTURES = new URL("../fixtures/", import.meta.url)

/** The value of a JSON file among the fixtures. */
export const read = (name: string) => json(readFileSync(new URL(`${name}.json`, FIXTURES), "utf8"))

/** The fixture of a stream, or a sentence that says what to write and where. */
export const fixtureOrMistake = ({ name }: Stream): Either.Either<Fixture, string> => {
  const file = new URL(`streams/${name}.json`, FIXTURES)
  return fixtureIn(name, existsSync(file) ? readFileSync(file, "utf8") : undefined)
}

/** The fixture of a stream. Throws the sentence on what is wrong with it. */
export const fixtureOf = (stream: Stream): Fixture =>
  Either.getOrThrowWith(fixtureOrMistake(stream), mistake => new Error(mistake))

type Path = ReadonlyArray<string>

/** Every field of a record, nested ones and those of list items too. */
export const fieldsOf = (value: Json, at: Path = []): ReadonlyArray<Path> => {
  if (typeof value !== "object" || value === null) return []
  const entries = Object.entries(value)
  return entries.flatMap(([key, child]) => {
    const own = Array.isArray(value) ? [] : [[...at, key]]
    return [...own, ...fieldsOf(child as Json, [...at, key])]
  })
}

/** The record with one field replaced; `undefined` leaves it out. */
export const withField = (record: Json, [key, ...rest]: Path, value: Json | undefined): Json => {
  if (key === undefined) return value ?? null
  if (Array.isArray(record))
    return record.map((item, i) => (String(i) === key ? withField(item, rest, value) : item))
  const { [key]: old, ...others } = record as JsonObject
  if (rest.length > 0) return { ...others, [key]: withField(old!, rest, value) }
  return value === undefined ? others : { ...others, [key]: value }
}

export const at = (record: Json, path: Path): Json =>
  path.reduce<Json>((value, key) => (value as JsonObject)[key] ?? null, record)

/** The row, or the path of the field that is in the way. */
export const decode = (stream: Stream, record: Json): Either.Either<Decoded, string> =>
  Either.mapLeft(stream.decode(record), issue =>
    ParseResult.ArrayFormatter.formatIssueSync(issue)[0]!.path.join("."),
  )

/** The fields that cannot be read: the one that keeps the record from being a row, or those that are null in it. */
export const namedIn = (stream: Stream, record: Json): ReadonlyArray<string> =>
  Either.match(decode(stream, record), {
    onLeft: field => [field],
    onRight: ({ unread = [] }) => unread.map(({ path }) => path.join(".")),
  })

/** The record's own table, and those of its children. */
export const tablesOf = (stream: Stream): ReadonlyArray<PgTable> => [
  stream.table,
  ...stream.children.map(({ table }) => table),
]

/** All values that a record becomes, as `table.column`. */
export const cellsOf = (stream: Stream, { row, children }: Normalized): ReadonlyMap<string, unknown> => {
  const rows: ReadonlyArray<readonly [string, Row]> = [
    [shapeOf(stream.table).name, row],
    ...Object.entries(children ?? {}).flatMap(([name, found]) => found.map(child => [name, child] as const)),
  ]
  return new Map(
    rows.flatMap(([name, found]) =>
      Object.entries(found).map(([column, value]) => [`${name}.${column}`, value]),
    ),
  )
}

/** Columns that the loader fills, not the stream. */
export const bookkeepingOf = (stream: Stream, table: PgTable): ReadonlySet<string> => {
  const of = (columns: Record<string, unknown>) => Object.keys(columns).map(toSnake)
  const child = stream.children.find(candidate => candidate.table === table)
  if (child !== undefined) return new Set([...of(keptChildColumns()), child.parentColumn, "position"])
  return new Set([
    ...of(recordColumns()),
    "time_zone",
    // A look-up's answer has no version but its time.
    ...(isState(stream) ? of(stateColumns()) : []),
  ])
}

export const toSnake = (name: string) => name.replace(/[A-Z]/g, letter => `_${letter.toLowerCase()}`)
