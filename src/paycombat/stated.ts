import type { ReadPage } from "./listing.ts"

/** What a page states of its list: claims, held against what is read. */

export const lastPageOf = ({ total, pageCount }: ReadPage, size: number): number | undefined =>
  total === undefined ? pageCount : Math.ceil(total / size)

/**
 * Whether this page is the last by what the answer states of the list. Believed only where the page is short by
 * exactly what the total leaves for it: a `total` may count this page, or deleted records, or be an estimate.
 */
export const endsAsStated = ({ ids, total, pageCount }: ReadPage, number: number, size: number): boolean =>
  number > 1 &&
  ids.length < size &&
  (total === undefined ? pageCount === number : total - (number - 1) * size === ids.length) &&
  (pageCount === undefined || pageCount === number)
