import type { ValueType } from "../../postgres/valueTypes.ts"
import type { QueryAnswer } from "../../warehouse/read/query.ts"
import { visibleJson } from "./visible.ts"

/**
 * Renders rows as JSON objects that keep types and digits: booleans, integers, floats, arrays and JSON as such; all
 * other types, `numeric` and integers beyond 2^53 as the text that Postgres prints.
 */

const text = (value: string): string => JSON.stringify(value)

const scalar = (value: string, kind: ValueType["kind"]): string => {
  if (kind === "boolean") return value === "t" ? "true" : "false"
  if (kind === "integer") return Number.isSafeInteger(Number(value)) ? value : text(value)
  // NaN and the infinities are not JSON numbers.
  if (kind === "float") return Number.isFinite(Number(value)) ? value : text(value)
  return kind === "json" ? value : text(value)
}

/** Converts the text of a Postgres array to JSON; see "Array Input and Output Syntax" in Postgres' manual. */
const array = (literal: string, of: ValueType, delimiter: string): string => {
  // Lower bounds other than 1 precede the elements: `[0:1]={a,b}`.
  let at = literal.indexOf("{")
  const element = (): string => {
    if (literal[at] === "{") return list()
    let value = ""
    if (literal[at] !== '"') {
      while (literal[at] !== delimiter && literal[at] !== "}") value += literal[at++]
      return value === "NULL" ? "null" : json(value, of)
    }
    at += 1
    while (literal[at] !== '"') {
      if (literal[at] === "\\") at += 1
      value += literal[at++]
    }
    at += 1
    return json(value, of)
  }
  const list = (): string => {
    const elements: Array<string> = []
    at += 1
    while (literal[at] !== "}") {
      elements.push(element())
      if (literal[at] === delimiter) at += 1
    }
    at += 1
    return `[${elements.join(",")}]`
  }
  return list()
}

const json = (value: string, type: ValueType): string =>
  type.kind === "array" ? array(value, type.of, type.delimiter) : scalar(value, type.kind)

/** Makes unique keys for an object: a second column of the same name gets `_2`, or the next free number. */
export const keysOf = (columns: ReadonlyArray<string>): ReadonlyArray<string> => {
  const keys = new Set(columns)
  const earlier = new Set<string>()
  return columns.map(column => {
    let key = column
    for (let n = 2; earlier.has(column) && keys.has(key); n += 1) key = `${column}_${n}`
    earlier.add(column)
    keys.add(key)
    return key
  })
}

const TEXT: ValueType = { kind: "text" }

/** Rows that are rendered at a time. */
const BATCH_ROWS = 500

/** Renders an answer as a JSON array with one object per line and keys in the order of the columns. */
export function* jsonText({ columns, types, rows }: QueryAnswer): Generator<string> {
  const keys = keysOf(columns).map(text)
  const object = (row: ReadonlyArray<string | null>) =>
    `{${row.map((value, i) => `${keys[i]}:${value === null ? "null" : json(value, types[i] ?? TEXT)}`).join(",")}}`
  for (let from = 0; from < rows.length; from += BATCH_ROWS)
    yield visibleJson(
      (from === 0 ? "[\n  " : ",\n  ") +
        rows
          .slice(from, from + BATCH_ROWS)
          .map(object)
          .join(",\n  "),
    )
  yield rows.length === 0 ? "[]\n" : "\n]\n"
}
