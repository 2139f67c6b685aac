import { counted } from "../../core/words.ts"
import type { FoundList } from "../client/envelope.ts"
import type { ReadPage } from "./readPage.ts"

/** Compares the claims of a page about its list with the records that were read. */

/** The stated length of the list. Undefined if it cannot be true: some APIs count the page, and state 0 with nothing. */
export const credibleTotal = ({ ids, total }: ReadPage): number | undefined =>
  total !== undefined && ids.length > 0 && total >= ids.length ? total : undefined

export const lastPageOf = ({ total, pageCount }: ReadPage, size: number): number | undefined =>
  total === undefined ? pageCount : Math.ceil(total / size)

/** The length of the list that a page states, in words. */
export const statedBy = ({ total, pageCount }: ReadPage): string =>
  total !== undefined
    ? `it states ${counted(total, "record")}`
    : pageCount !== undefined
      ? `it states ${counted(pageCount, "page")}`
      : "it states no total"

/**
 * True if the stated total ends the list with this page: a reason for the proof of an end, and no proof. It tells
 * nothing for a first page whose successor was never seen to differ.
 */
export const endsAsStated = (
  { pagingProven }: { readonly pagingProven: boolean },
  { ids, total, pageCount }: ReadPage,
  number: number,
  size: number,
): boolean =>
  (pagingProven || number > 1) &&
  total !== undefined &&
  total - (number - 1) * size === ids.length &&
  (pageCount === undefined || pageCount === number)

/** True if a page states that the list ends with it. A total that may count the page agrees with nothing. */
export const agreesWithTotal = (
  { total, pageCount }: ReadPage,
  last: { readonly number: number; readonly ids: ReadonlyArray<string> },
  size: number,
): boolean =>
  last.number > 1 &&
  (total !== undefined || pageCount !== undefined) &&
  (total === undefined || total === (last.number - 1) * size + last.ids.length) &&
  (pageCount === undefined || pageCount === last.number)

/** Fewest records that an API puts on a page by default (assumed). A shorter list is complete, unless it says otherwise. */
const DEFAULT_PAGE_MIN = 5

/** True if an answer itself says that the list holds more records than it. */
export const statesMore = ({ records, total, pageCount, more }: FoundList): boolean =>
  typeof more === "string" || (total ?? 0) > records.length || (pageCount ?? 0) > 1

/** True if a first page, requested with `asked` records, is too short to be anything but the whole list. */
export const isTooShortForAPage = (page: FoundList, requestedSize: number): boolean =>
  page.records.length < Math.min(requestedSize, DEFAULT_PAGE_MIN) && !statesMore(page)

/**
 * True if the answer for a smaller size shows that a page is the whole list: the API says of the smaller page that more
 * records follow, and of this page that none do. A total or a number of pages that counts the page says so of neither.
 */
export const isWholeBySize = (page: FoundList, smaller: FoundList): boolean =>
  smaller.records.length < page.records.length && statesMore(smaller) && !statesMore(page)
