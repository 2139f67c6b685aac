import { counted } from "../../core/words.ts"
import type { FoundList } from "../client/envelope.ts"
import type { ReadPage } from "./readPage.ts"

/** Claims of a page about its list, compared with what is read. */

/**
 * The length of the list that a page states. Undefined where it cannot be true: some APIs count the page instead of the
 * list, and state 0 with an answer that holds nothing.
 */
export const credibleTotal = ({ ids, total }: ReadPage): number | undefined =>
  total !== undefined && ids.length > 0 && total >= ids.length ? total : undefined

export const lastPageOf = ({ total, pageCount }: ReadPage, size: number): number | undefined =>
  total === undefined ? pageCount : Math.ceil(total / size)

/** The length of the list as a page states it, in words. */
export const statedBy = ({ total, pageCount }: ReadPage): string =>
  total !== undefined
    ? `it states ${counted(total, "record")}`
    : pageCount !== undefined
      ? `it states ${counted(pageCount, "page")}`
      : "it states no total"

/**
 * True if the list ends with this page by the total that its answer states. This is a reason to ask, and no proof: a `total` may
 * count the page, or be an estimate, and the end is then proven like any other. Of a first page whose successor was never
 * seen to differ it is not even asked: such a total says nothing.
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

/**
 * True if a page states that the list ends with it. A total that may count the page, and not the list, agrees with
 * nothing; so does a page that states neither a total nor a number of pages.
 */
export const agreesWithTotal = (
  { total, pageCount }: ReadPage,
  last: { readonly number: number; readonly ids: ReadonlyArray<string> },
  size: number,
): boolean =>
  last.number > 1 &&
  (total !== undefined || pageCount !== undefined) &&
  (total === undefined || total === (last.number - 1) * size + last.ids.length) &&
  (pageCount === undefined || pageCount === last.number)

/**
 * Least number of records that an API is taken to put on a page when it is not told how many. A list of fewer is whole
 * although no paging parameter is known to work, unless its answer says that more follow.
 */
const DEFAULT_PAGE_MIN = 5

/** True if an answer says by itself that the list holds more than the records that came with it. */
export const statesMore = ({ records, total, pageCount, more }: FoundList): boolean =>
  typeof more === "string" || (total ?? 0) > records.length || (pageCount ?? 0) > 1

/** True if a first page, for which `asked` records were asked, is too short to be anything but the whole list. */
export const isTooShortForAPage = (page: FoundList, asked: number): boolean =>
  page.records.length < Math.min(asked, DEFAULT_PAGE_MIN) && !statesMore(page)

/**
 * True if the answer for a smaller size shows that a page is the whole list: of the smaller page the API says that more
 * follow, and of this page it does not. A total or a number of pages that counts the page says so of neither.
 */
export const isWholeBySize = (page: FoundList, smaller: FoundList): boolean =>
  smaller.records.length < page.records.length && statesMore(smaller) && !statesMore(page)
