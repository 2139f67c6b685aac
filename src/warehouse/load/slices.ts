import type { DecodedRecord } from "../../core/decodedRecord.ts"
import type { Stream } from "../../core/stream.ts"
import { cutByLength } from "../../postgres/statementSize.ts"

/** In the order in which versions of one record were read; of one moment, as Postgres compares them. */
const byReading = (one: DecodedRecord, other: DecodedRecord): number => {
  if (one.readAt !== other.readAt) return one.readAt < other.readAt ? -1 : 1
  return one.hash < other.hash ? -1 : one.hash > other.hash ? 1 : 0
}

/** The first version of each record, then the second of those that have one, and so on. */
const rounds = (versions: ReadonlyArray<DecodedRecord>): ReadonlyArray<ReadonlyArray<DecodedRecord>> => {
  const found: Array<Array<DecodedRecord>> = []
  const counts = new Map<string, number>()
  for (const version of [...versions].sort(byReading)) {
    const round = counts.get(version.id) ?? 0
    counts.set(version.id, round + 1)
    found[round] ??= []
    found[round].push(version)
  }
  return found
}

/** Records of which some versions carry a time of change and others do not: their versions cannot be sorted. */
const mixedIds = (versions: ReadonlyArray<DecodedRecord>): ReadonlySet<string> => {
  const isTimed = ({ normalized }: DecodedRecord) => normalized.sourceUpdatedAt !== null
  const timed = new Set(versions.filter(isTimed).map(({ id }) => id))
  if (timed.size === 0) return timed
  return new Set(versions.filter(version => !isTimed(version) && timed.has(version.id)).map(({ id }) => id))
}

/**
 * What of a batch is written together. Versions of one record are written one after the other, in the order of reading,
 * where they cannot be sorted, and where each change is recorded: how pages fell into batches must decide neither which
 * version stays, nor whether the state between two others was ever seen.
 */
export const partsOf = (
  stream: Stream,
  versions: ReadonlyArray<DecodedRecord>,
): ReadonlyArray<ReadonlyArray<DecodedRecord>> => {
  const recordsChanges = stream.histories.some(({ kind }) => kind !== "first_seen")
  if (recordsChanges) return rounds(versions).flatMap(round => cutByLength(round))
  const mixed = mixedIds(versions)
  const sortable = versions.filter(({ id }) => !mixed.has(id))
  const others = versions.filter(({ id }) => mixed.has(id))
  return [sortable, ...rounds(others)].flatMap(part => cutByLength(part))
}
