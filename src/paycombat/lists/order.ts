import { instantMillis } from "../../core/instant.ts"
import type { JsonObject } from "../../core/json.ts"
import { recordIdOf } from "../../core/recordId.ts"
import type { ListSource } from "../../core/stream.ts"
import type { TimeField } from "./contract.ts"
import type { Page } from "./page.ts"

/**
 * Tells whether a list is newest-first, and by which time: seen on the pages that a pass reads, never guessed from one
 * of them (?: no order is documented).
 */

/** Pages in a row, and steps down in time from record to record, that an order must show. */
const PAGES_MIN = 3
const STEPS_MIN = 20
/** Newest records of a pass that are remembered, with their times: what a time filter is tried on. */
export const NEWEST = 40

/** A record as far as times go; a time that it lacks is null. In milliseconds. */
export interface Timed {
  readonly id: string
  readonly created: number | null
  readonly updated: number | null
}

/** What the pages of a pass showed. */
export interface Watch {
  readonly see: (page: Page) => void
  /** Newest first by this time, on all pages from the first on. Where both would do, `created`, which promises less. */
  readonly order: () => TimeField | undefined
  /** Some of the newest records by the other time have none of this: what goes by it would not show what is as new. */
  readonly isLacking: (by: TimeField) => boolean
  /** A page contradicted an order by this time. */
  readonly isRefuted: (by: TimeField) => boolean
  /** The newest of a time that was seen; not later than it was read. */
  readonly newest: (by: TimeField) => number | undefined
  /** The newest records by this time, newest first; more than these are listed where there are `NEWEST`. */
  readonly latest: (by: TimeField) => ReadonlyArray<Timed>
  readonly pages: () => number
}

/** A record's times, as the stream declares them; undefined where it has no id. */
export const timedOf = (source: ListSource, record: unknown): Timed | undefined => {
  const { times } = source
  const id = recordIdOf(source, record)
  if (times === undefined || id === null) return undefined
  const object = record as JsonObject
  return {
    id,
    created: instantMillis(object[times.created]),
    updated: instantMillis(object[times.updated]),
  }
}

const watchTime = (by: TimeField) => {
  let before: number | undefined
  let steps = 0
  let pages = 0
  let isRefuted = false
  let newest: number | undefined
  let latest: Array<Timed> = []
  /** Records without the time: before all that have it, between two that have it, and after the last that has it. */
  const lacking = { before: 0, between: 0, after: 0 }
  return {
    see: (records: ReadonlyArray<Timed>, readAt: number) => {
      let hasTime = false
      for (const record of records) {
        const time = record[by]
        if (time === null) {
          lacking.after++
          continue
        }
        hasTime = true
        lacking[before === undefined ? "before" : "between"] += lacking.after
        lacking.after = 0
        if (before !== undefined && time > before) isRefuted = true
        if (before !== undefined && time < before) steps++
        before = time
        newest = Math.max(newest ?? Number.NEGATIVE_INFINITY, Math.min(time, readAt))
        latest.push(record)
      }
      if (hasTime) pages++
      latest = latest.sort((a, b) => b[by]! - a[by]!).slice(0, NEWEST)
    },
    isProven: () => !isRefuted && pages >= PAGES_MIN && steps >= STEPS_MIN,
    /** Where the records without the time stand, if they stand apart: sorted by the time that they lack. */
    apart: () =>
      lacking.between > 0 ? undefined : lacking.before > 0 ? "front" : lacking.after > 0 ? "end" : undefined,
    isRefuted: () => isRefuted,
    newest: () => newest,
    latest: () => latest,
  }
}

/**
 * Watches the pages of a pass. Counts what is read in order: pages that are read again, and records that the page
 * before held too because others were inserted meanwhile, say nothing. Nor do records without a time that stand among
 * those that have it.
 */
export const watchOrder = (source: ListSource): Watch => {
  const of = { created: watchTime("created"), updated: watchTime("updated") }
  const isLacking = (by: TimeField) =>
    of[by === "created" ? "updated" : "created"].latest().some(record => record[by] === null)
  /** All that is new stands in front: not behind a block of records without the time, nor in one at the list's end. */
  const hidesNone = (by: TimeField) => {
    const apart = of[by].apart()
    return apart === undefined || (apart === "end" && !isLacking(by))
  }
  let last = 0
  let isFromFirst = false
  let before: ReadonlySet<string> = new Set()
  return {
    see: page => {
      if (source.times === undefined || page.number <= last || page.records.length === 0) return
      if (last === 0) isFromFirst = page.number === 1
      last = page.number
      const timed = page.records.flatMap(record => timedOf(source, record) ?? [])
      const fresh = timed.filter(({ id }) => !before.has(id))
      for (const each of Object.values(of)) each.see(fresh, page.readAt.getTime())
      before = new Set(timed.map(({ id }) => id))
    },
    order: () =>
      isFromFirst
        ? (["created", "updated"] as const).find(by => of[by].isProven() && hidesNone(by))
        : undefined,
    isLacking,
    isRefuted: by => of[by].isRefuted(),
    newest: by => of[by].newest(),
    latest: by => of[by].latest(),
    pages: () => last,
  }
}
