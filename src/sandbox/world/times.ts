import type { Listing } from "./list.ts"
import type { TimeFilter } from "./options.ts"

/**
 * Lists by the times of their records. They are read from the records, so that every change counts. For small lists.
 */

/** A record's time in milliseconds; null if it has none. */
export type TimeOf = (index: number, field: TimeFilter["by"]) => number | null

const listingOfAll = (indices: () => ReadonlyArray<number>): Listing => ({
  total: () => indices().length,
  places: () => indices().length,
  slice: (offset, limit) => indices().slice(offset, offset + limit),
  *all() {
    yield* indices()
  },
})

/** The list by time of change. Records without such a time count as the oldest. */
export const byUpdated = (
  order: "updated-first" | "updated-last",
  listing: Listing,
  timeOf: TimeOf,
  revision: () => number,
): Listing => {
  const direction = order === "updated-first" ? -1 : 1
  let sortedAt = -1
  let sorted: ReadonlyArray<number> = []
  return listingOfAll(() => {
    if (sortedAt !== revision()) {
      const timed = [...listing.all()].map(index => ({ index, time: timeOf(index, "updated_at") ?? 0 }))
      sorted = timed.sort((a, b) => direction * (a.time - b.time)).map(({ index }) => index)
      sortedAt = revision()
    }
    return sorted
  })
}

/** The part of a list between `start_time` and `end_time`, both included; the whole list if neither is given. */
export const between = (
  listing: Listing,
  { unit, by }: TimeFilter,
  query: URLSearchParams,
  timeOf: TimeOf,
): Listing => {
  const limitOf = (name: string) => {
    const text = query.get(name)
    return text === null || !/^\d+$/.test(text) ? undefined : Number(text) * (unit === "seconds" ? 1_000 : 1)
  }
  const [from, to] = [limitOf("start_time"), limitOf("end_time")]
  if (from === undefined && to === undefined) return listing
  const found = [...listing.all()].filter(index => {
    const time = timeOf(index, by)
    return time !== null && time >= (from ?? 0) && time <= (to ?? Number.POSITIVE_INFINITY)
  })
  return listingOfAll(() => found)
}
