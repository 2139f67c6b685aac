import { instantMillis } from "../../core/instant.ts"
import type { JsonObject } from "../../core/json.ts"
import { recordIdOf } from "../../core/recordId.ts"
import type { ListSource } from "../../core/stream.ts"
import type { TimeField } from "./contract.ts"
import type { Page } from "./page.ts"

/** Detects if a list is newest-first, and by which time, from the pages of a pass (?: no order is documented). */

/** Fewest pages in a row, and steps down in time from record to record, that show an order. */
const PAGES_MIN = 3
const STEPS_MIN = 20
const NEWEST = 40

/** A record's times in milliseconds; null for a missing one. */
export interface Timed {
  readonly id: string
  readonly created: number | null
  readonly updated: number | null
}

export interface Watch {
  readonly see: (page: Page) => void
  /** The time by which all pages from the first on are newest-first. If both fit, `created`, which promises less. */
  readonly order: () => TimeField | undefined
  /** True if a page contradicted an order by this time. */
  readonly isRefuted: (by: TimeField) => boolean
  readonly latest: (by: TimeField) => ReadonlyArray<Timed>
  readonly pages: () => number
}

/** A record's times, as the stream declares them; undefined without an id. */
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
  let latest: Array<Timed> = []
  /** Numbers of records without the time: before, between and after those that have it. */
  const lacking = { before: 0, between: 0, after: 0 }
  return {
    see: (records: ReadonlyArray<Timed>) => {
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
        latest.push(record)
      }
      if (hasTime) pages++
      latest = latest.sort((a, b) => b[by]! - a[by]!).slice(0, NEWEST)
    },
    isProven: () => !isRefuted && pages >= PAGES_MIN && steps >= STEPS_MIN,
    /** Place of the records without the time, if they are together: sorted by the missing time. */
    apart: () =>
      lacking.between > 0 ? undefined : lacking.before > 0 ? "front" : lacking.after > 0 ? "end" : undefined,
    isRefuted: () => isRefuted,
    latest: () => latest,
  }
}

/**
 * Watches the pages of a pass. Pages that are read again, records that the page before held, and records without a time
 * between others tell nothing.
 */
export const watchOrder = (source: ListSource): Watch => {
  const of = { created: watchTime("created"), updated: watchTime("updated") }
  /** True if some of the newest records by the other time lack this one. */
  const isLacking = (by: TimeField) =>
    of[by === "created" ? "updated" : "created"].latest().some(record => record[by] === null)
  /** True if all new records are in front, and not behind or in a block of records without the time. */
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
      for (const each of Object.values(of)) each.see(fresh)
      before = new Set(timed.map(({ id }) => id))
    },
    order: () =>
      isFromFirst
        ? (["created", "updated"] as const).find(by => of[by].isProven() && hidesNone(by))
        : undefined,
    isRefuted: by => of[by].isRefuted(),
    latest: by => of[by].latest(),
    pages: () => last,
  }
}
