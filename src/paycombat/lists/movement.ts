import { createHash } from "node:crypto"
import type { ListSource } from "../../core/stream.ts"
import { counted } from "../../core/words.ts"
import { timedOf } from "./order.ts"
import type { Page } from "./page.ts"
import { idOf } from "./readPage.ts"

/**
 * Signs that a list moved while it was read. A record that moves across the border of the page being read is on no
 * page, so a pass without proof of a still list proves nothing about unlisted records.
 */

/** Largest distance of a believed time of change after its reading. */
const AHEAD_MAX_MILLIS = 3_600_000

export interface Shown {
  /** Records on its pages, with repetitions; null for a resumed reading, which cannot tell a repeated record. */
  readonly held: number | null
  readonly distinct: number
  readonly stated: number | undefined
}

export interface Movement {
  readonly see: (page: Page) => void
  /** The reason why the list did not stand still, in one sentence; undefined without a sign. */
  readonly why: (shown: Shown) => string | undefined
  /** True if the pages so far are the first pages of another reading, or with `isWhole` all of its pages. */
  readonly isAs: (other: Movement, isWhole?: boolean) => boolean
  /** One number for each page: its place, its records and their order, and the stated length. At most `MAX_PAGES`. */
  readonly digests: ReadonlyArray<number>
}

const DIGEST_BYTES = 6

const digestOf = (source: ListSource, { number, total, records }: Page): number => {
  const text = JSON.stringify([number, total ?? null, ...records.map(record => idOf(source, record))])
  return createHash("sha256").update(text).digest().readUIntBE(0, DIGEST_BYTES)
}

export const watchMovement = (source: ListSource): Movement => {
  const digests: Array<number> = []
  let startedAt: number | undefined
  let last = 0
  let stated: number | undefined
  let otherTotal: string | undefined
  let newcomers = 0
  let changed = 0
  return {
    digests,
    see: page => {
      const readAt = page.readAt.getTime()
      startedAt ??= readAt
      digests.push(digestOf(source, page))
      // A page that is read again is emitted with its new records only.
      if (page.number <= last) newcomers += page.records.length
      last = Math.max(last, page.number)
      if (stated !== undefined && page.total !== undefined && page.total !== stated)
        otherTotal ??= `The API stated ${counted(stated, "record")} on one page, and ${page.total} on another.`
      stated ??= page.total
      for (const record of page.records) {
        const updated = timedOf(source, record)?.updated ?? startedAt
        if (updated > startedAt && updated <= readAt + AHEAD_MAX_MILLIS) changed++
      }
    },
    why: shown => {
      const { held, distinct, stated: statedLast } = shown
      if (otherTotal !== undefined) return otherTotal
      if (held !== null && newcomers > 0)
        return `Pages that were read again held ${counted(newcomers, "more record")}.`
      if (held !== null && held > distinct)
        return `${counted(held - distinct, "record")} came more than once.`
      if (statedLast !== undefined && statedLast !== distinct)
        return `The API states ${counted(statedLast, "record")}, and its pages hold ${distinct}.`
      return changed > 0 ? `${counted(changed, "record")} changed while the list was read.` : undefined
    },
    isAs: (other, isWhole = false) =>
      (!isWhole || digests.length === other.digests.length) &&
      digests.every((digest, index) => digest === other.digests[index]),
  }
}
