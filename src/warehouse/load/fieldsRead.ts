import type { DecodedRecord } from "../../core/decodedRecord.ts"
import {
  type FieldState,
  fieldPaths,
  nameOfPart,
  type PassFields,
  type Tally,
  tallyOf,
} from "../../core/documentedFields.ts"
import type { Json } from "../../core/json.ts"
import { mayStillChange } from "../../core/openRecord.ts"
import type { Stream } from "../../core/stream.ts"

/** A batch as its records were sent: a mode of privacy that removes a value says nothing about the API. */
interface SentBatch {
  readonly sent: ReadonlyArray<Json>
  /** Records that were decoded. */
  readonly decoded: ReadonlyArray<Json>
  /** Records of which no version is stored, by id. */
  readonly unstored: ReadonlyMap<string, Json>
  /** Records of which a version is stored. */
  readonly stored: number
  readonly versions: ReadonlyArray<DecodedRecord>
}

/** Counts the versions that hold an unreadable value, by field. */
const unreadIn = (versions: ReadonlyArray<DecodedRecord>): Record<string, number> => {
  const unread: Record<string, number> = {}
  for (const { normalized } of versions)
    for (const name of new Set((normalized.unread ?? []).map(({ path }) => nameOfPart(path))))
      unread[name] = (unread[name] ?? 0) + 1
  return unread
}

const countOf = (tally: Tally, state: FieldState): Record<string, number> =>
  Object.fromEntries(
    Object.entries(tally).flatMap(([name, counts]) => (counts[state] > 0 ? [[name, counts[state]]] : [])),
  )

/** Counts which documented fields the records of a batch carry, lack, and hold unreadable values in. */
export const fieldsRead = (
  stream: Stream,
  { sent, decoded, unstored, stored, versions }: SentBatch,
): Omit<PassFields, "emptied"> => {
  const paths = fieldPaths(stream.record)
  // A record that may still change may still get a field that it lacks.
  const settled = new Set(
    versions.flatMap(({ id, normalized }) => (mayStillChange(stream, normalized.row) ? [] : [id])),
  )
  const settledOnes = [...unstored].flatMap(([id, record]) => (settled.has(id) ? [record] : []))
  return {
    tally: tallyOf(paths, sent),
    known: stored,
    decoded: Object.fromEntries(
      Object.entries(tallyOf(paths, decoded)).map(([name, { carried }]) => [name, carried] as const),
    ),
    unread: unreadIn(versions),
    newCarried: countOf(tallyOf(paths, [...unstored.values()]), "carried"),
    newLacked: countOf(tallyOf(paths, settledOnes), "lacked"),
  }
}
