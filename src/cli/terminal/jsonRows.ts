import type { ValueType } from "../../postgres/valueTypes.ts"
import type { QueryAnswer } from "../../warehouse/read/query.ts"
import { visibleJson } from "./visible.ts"

/**
 * Rows as JSON objects that keep each value's type and every digit: booleans, integers, floats and arrays as such,
 * `json` and `jsonb` as the value they hold, and everything else, `numeric` included, as the text that Postgres prints.
 * An integer beyond 2^53, which most readers of JSON would round, is text as well.
 */

const text = (value: string): string => JSON.stringify(value)

const scalar = (value: string, kind: ValueType["kind"]): string => {
  if (kind === "boolean") return value === "t" ? "true" : "false"
  if (kind === "integer") return Number.isSafeInteger(Number(value)) ? value : text(value)
  // NaN and the infinities are no JSON numbers.
  if (kind === "float") return Number.isFinite(Number(value)) ? value : text(value)
  return kind === "json" ? value : text(value)
}

/** Turns the text of an array into JSON; see "Array Input and Output Syntax" in Postgres' manual. */
const array = (literal: string, of: ValueType, delimiter: string): string => {
  // Bounds other than from 1 on stand in front: `[0:1]={a,b}`.
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

/** Names for the keys of an object: a second column of a name gets `_2`, or the next number that is free. */
export const keysOf = (columns: ReadonlyArray<string>): ReadonlyArray<string> => {
  const taken = new Set(columns)
  const seen = new Set<string>()
  return columns.map(column => {
    let key = column
    for (let n = 2; seen.has(column) && taken.has(key); n += 1) key = `${column}_${n}`
    seen.add(column)
    taken.add(key)
    return key
  })
}

const TEXT: ValueType = { kind: "text" }

/** Rows turned into text together. */
const BATCH_ROWS = 500

/** Writes an answer as a JSON array with one object a line, keys in the order of the columns. */
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
