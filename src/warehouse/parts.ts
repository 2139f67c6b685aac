import type { Stream } from "../Stream.ts"
import type { Version } from "./prepare.ts"

/** Characters of records that one statement carries: a text of V8's ends at 2^29, and Postgres reads a statement whole. */
export const STATEMENT_CHARS_MAX = 2 ** 24

/** Cuts a list where the next item would make a piece too long; one that is too long by itself stays alone. */
export const cutByLength = <A extends { readonly raw: string }>(
  items: ReadonlyArray<A>,
  max: number = STATEMENT_CHARS_MAX,
): ReadonlyArray<ReadonlyArray<A>> => {
  const pieces: Array<Array<A>> = []
  let length = Number.POSITIVE_INFINITY
  for (const item of items) {
    length += item.raw.length
    if (length > max) {
      pieces.push([])
      length = item.raw.length
    }
    pieces.at(-1)!.push(item)
  }
  return pieces
}

/** In the order in which versions of one record follow each other. */
const byTime = (one: Version, other: Version): number => {
  if (one.readAt !== other.readAt) return one.readAt < other.readAt ? -1 : 1
  return one.hash < other.hash ? -1 : one.hash > other.hash ? 1 : 0
}

/** The first version of each record, then the second of those that have one, and so on. */
const rounds = (versions: ReadonlyArray<Version>): ReadonlyArray<ReadonlyArray<Version>> => {
  const found: Array<Array<Version>> = []
  const counts = new Map<string, number>()
  for (const version of [...versions].sort(byTime)) {
    const round = counts.get(version.id) ?? 0
    counts.set(version.id, round + 1)
    found[round] ??= []
    found[round].push(version)
  }
  return found
}

/**
 * What of a batch is written together. Where each change is recorded, no two versions of a record are: how pages
 * fell into batches must not decide whether the state between two others was ever seen.
 */
export const partsOf = (
  stream: Stream,
  versions: ReadonlyArray<Version>,
): ReadonlyArray<ReadonlyArray<Version>> => {
  const recordsChanges = stream.histories.some(({ kind }) => kind === "change")
  return (recordsChanges ? rounds(versions) : [versions]).flatMap(round => cutByLength(round))
}
