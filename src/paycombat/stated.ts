import type { ReadPage } from "./listing.ts"

/** What a page states of its list: claims, held against what is read. */

export const lastPageOf = ({ total, pageCount }: ReadPage, size: number): number | undefined =>
  total === undefined ? pageCount : Math.ceil(total / size)

/**
 * Whether this page is the last by the total that the answer states. Believed only where this page is the first short
 * one, and short by exactly what the total leaves for it: a `total` may count this page, or deleted records, or be an
 * estimate. A number of pages alone is not believed: nothing in a short page bears it out.
 */
export const endsAsStated = (
  { ids, total, pageCount }: ReadPage,
  number: number,
  size: number,
  isFirstShort: boolean,
): boolean =>
  isFirstShort &&
  number > 1 &&
  ids.length < size &&
  total !== undefined &&
  total - (number - 1) * size === ids.length &&
  (pageCount === undefined || pageCount === number)
