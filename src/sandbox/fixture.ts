import { Either } from "effect"
import { isJsonObject, type Json, type JsonObject, parseJson } from "../core/json.ts"
import type { Row } from "../core/stream.ts"

/** A documented record of a stream, and its row. Tests judge the stream by it; the sandbox may serve it. */
export interface Fixture {
  /** Paths of the fields that must be present and not null. */
  readonly required: ReadonlyArray<string>
  readonly record: JsonObject
  readonly sourceUpdatedAt: string | null
  readonly row: Row
  readonly children?: Readonly<Record<string, ReadonlyArray<Row>>>
}

/** In one line, because it is part of a message. */
const FORM =
  '{"required": ["a field without which a record is no row"], "record": {"field": "a record as the API sends it, with' +
  ' every documented field set"}, "sourceUpdatedAt": "its time of change, or null", "row": {"column": "the row that the' +
  ' record becomes"}, "children": {"child_table": [{"column": "only where the stream has child tables"}]}}'

const isTexts = (value: Json | undefined): boolean =>
  Array.isArray(value) && value.every(item => typeof item === "string")

const wrongPart = (value: Json): string | undefined => {
  if (!isJsonObject(value)) return "an object"
  if (!isTexts(value.required)) return '"required", a list of names'
  if (!isJsonObject(value.record)) return '"record", an object'
  if (value.sourceUpdatedAt !== null && typeof value.sourceUpdatedAt !== "string")
    return '"sourceUpdatedAt", a time or null'
  if (!isJsonObject(value.row)) return '"row", an object'
  return value.children === undefined || isJsonObject(value.children) ? undefined : '"children", an object'
}

const parsed = (text: string): Json | SyntaxError => {
  try {
    return parseJson(text)
  } catch (error) {
    return error as SyntaxError
  }
}

/** Reads the fixture in a file's text, or says what to write and where. An absent file has no text. */
export const fixtureIn = (stream: string, text: string | undefined): Either.Either<Fixture, string> => {
  const file = `test/fixtures/streams/${stream}.json`
  if (text === undefined)
    return Either.left(`Stream ${stream} has no fixture. Write ${file} in this form: ${FORM}`)
  const value = parsed(text)
  if (value instanceof SyntaxError) return Either.left(`${file} is not JSON: ${value.message}.`)
  const wrong = wrongPart(value)
  return wrong === undefined
    ? Either.right(value as unknown as Fixture)
    : Either.left(`${file} needs ${wrong}. Its form: ${FORM}`)
}
