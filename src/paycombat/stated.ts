import type { ReadPage } from "./listing.ts"

/** What a page states of its list: claims, held against what is read. */

/**
 * The length of the list that a page states. Undefined where it cannot be true: some APIs count the page instead of the
 * list, and state 0 with an answer that holds nothing.
 */
export const credibleTotal = ({ ids, total }: ReadPage): number | undefined =>
  total !== undefined && ids.length > 0 && total >= ids.length ? total : undefined

export const lastPageOf = ({ total, pageCount }: ReadPage, size: number): number | undefined =>
  total === undefined ? pageCount : Math.ceil(total / size)

/**
 * Whether the list ends with this page by the total that its answer states. A question rather than an answer: a `total` may
 * count the page, or be an estimate, and the end is then proven like any other.
 */
export const endsAsStated = ({ ids, total, pageCount }: ReadPage, number: number, size: number): boolean =>
  total !== undefined &&
  total - (number - 1) * size === ids.length &&
  (pageCount === undefined || pageCount === number)
