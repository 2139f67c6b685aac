import type { Json } from "../Json.ts"

/** What `JSON.stringify` leaves as an escape: U+0000 and a lone surrogate, neither of which Postgres stores. */
const SUSPECT = /\\u(0000|d[89a-f][0-9a-f]{2})/i

const reasonFor = (text: string): string | undefined =>
  text.includes("\u0000")
    ? "holds the character U+0000, which Postgres cannot store"
    : text.isWellFormed()
      ? undefined
      : "holds half a surrogate pair, which is no character"

/** Whether `text` and `jsonb` can hold a text. */
export const isStorable = (text: string): boolean => reasonFor(text) === undefined

const search = (
  value: unknown,
  path: ReadonlyArray<string>,
): { field: string; reason: string } | undefined => {
  if (typeof value === "string") {
    const reason = reasonFor(value)
    return reason === undefined
      ? undefined
      : { field: path.join("."), reason: `${path.join(".")}: ${reason}` }
  }
  if (typeof value !== "object" || value === null) return undefined
  for (const [key, child] of Object.entries(value)) {
    const found =
      reasonFor(key) === undefined ? search(child, [...path, key]) : search(key, [...path, "(a key)"])
    if (found !== undefined) return found
  }
  return undefined
}

/**
 * The first text in a record that is valid JSON and that neither `text` nor `jsonb` can hold, if there is
 * one. `raw` is the record's JSON text: a scan of it spares nearly every record the walk.
 */
export const unstorableText = (record: Json, raw: string): { field: string; reason: string } | undefined =>
  SUSPECT.test(raw) ? search(record, []) : undefined
