import { Effect } from "effect"
import type { Contract } from "./contract.ts"
import { type Checking, isGapAfter, type Read } from "./gapChecks.ts"
import { cut, missingPage } from "./pagingErrors.ts"
import type { ReadPage } from "./readPage.ts"

/**
 * The one place that decides whether a list has ended. An API may say so by an empty list, by an answer that holds none
 * (204, 404, 416, no body, no `data`, `status: false`), by its last page once more, or by the total that it states. Each
 * of these may also be a fault of one page, so each needs the same proof.
 */

/** A page and its ids; number 0 where no page held a record yet. */
export interface Seen {
  readonly number: number
  readonly ids: ReadonlyArray<string>
}

/** Pages beyond a page of nothing that are looked at in any case, one request each. */
const PAGES_BEYOND = 2

export interface Doubt {
  /** The first page that seems to be beyond the end. */
  readonly number: number
  /** How that page was answered, twice; undefined where a total alone says that there is none. */
  readonly got: ReadPage | undefined
  /** The last page that held records. */
  readonly last: Seen
  readonly size: number
  /** Pages that may hold records by what the API stated, or by how long the list was before. */
  readonly hints: ReadonlyArray<number>
}

export type Ending =
  /** The list has ended. `witness` is its last page, read again; undefined where no page held a record. */
  | { readonly is: "end"; readonly witness: ReadPage | undefined }
  /** The page holds records by now. */
  | { readonly is: "there"; readonly page: ReadPage }
  /** The page is an empty list, and a later one holds records: those of this page may all have been deleted. */
  | { readonly is: "hole"; readonly page: ReadPage; readonly until: number }

/**
 * Proves the end of a list, or answers how it goes on. It is the end where the last page still answers, and no record is
 * found on the pages beyond, on the pages that are hinted at, or right behind the last record, and the last page does not say
 * that more records follow.
 *
 * Fails with `unavailable` where records are found, or announced, and the page still has none of them: it may be back in a
 * later run.
 * Fails with `contract` where pages are shorter than asked for and do not adjoin any more.
 */
export const judgeEnd = (
  /** Reads a page; one of nothing is asked for twice. */
  read: Read,
  /** Reads a page once; one that is refused counts as empty, because a hint may point anywhere. */
  glance: Read,
  contract: Contract,
  { number, got, last, size, hints }: Doubt,
): Checking<Ending> =>
  Effect.gen(function* () {
    const witness = last.number === 0 ? undefined : yield* read(last.number, size)
    const known = new Set([...last.ids, ...(witness?.ids ?? [])])
    const hasNews = ({ ids }: ReadPage) => ids.some(id => !known.has(id))

    const beyond = Array.from({ length: PAGES_BEYOND }, (_, n) => number + 1 + n)
    const candidates = new Set([
      ...(got === undefined ? [number] : []),
      ...beyond,
      ...hints.filter(hint => hint > number),
    ])
    let later: number | undefined
    for (const candidate of [...candidates].sort((a, b) => a - b)) {
      if (!hasNews(yield* glance(candidate, size))) continue
      later = candidate
      break
    }
    const isGap =
      later !== number &&
      (last.number === 0
        ? (yield* glance(1, 1)).ids.length > 0
        : yield* isGapAfter(read, glance, contract, { ...last, size }, [...known]))
    // The records of the last page may just have been deleted; those of the page before it hardly at once.
    const isGone =
      witness?.ids.length === 0 &&
      (last.number === 1 || (yield* read(last.number - 1, size)).ids.length === 0)
    const promise = promiseOf(witness, got)
    if (later === undefined && !isGap && !isGone && promise === undefined) return { is: "end", witness }

    const again = yield* read(number, size)
    if (hasNews(again)) return { is: "there", page: again }
    if (isGap && last.number > 0 && last.ids.length < size)
      return yield* Effect.fail(cut(contract, last.number))
    const isEmptyList = again.absence === undefined && again.ids.length === 0
    if (isEmptyList && later !== undefined && !isGap && !isGone)
      return { is: "hole", page: again, until: later }
    const evidence = isGap
      ? last.number === 0
        ? "a page of one record holds one"
        : `a record stands right behind page ${last.number}`
      : later !== undefined
        ? `page ${later} holds records`
        : isGone
          ? `page ${last.number} held records, and is not there either`
          : `page ${Math.max(1, last.number)} says that more records follow (${promise})`
    return yield* Effect.fail(missingPage(contract, number, sayingNothing(again), evidence))
  })

/**
 * The field by which the last page, or the first of a list that held no record, says that more records follow. An API
 * that says so even of an empty page beyond the last says it of every page, which tells nothing.
 */
const promiseOf = (witness: ReadPage | undefined, got: ReadPage | undefined) => {
  const page = witness ?? got
  const isSaidOfNothing = witness !== undefined && got?.ids.length === 0 && typeof got.more === "string"
  if (typeof page?.more !== "string" || isSaidOfNothing) return undefined
  return page.more
}

/** How a page without new records was answered, in words that go on after "page 7". */
export const sayingNothing = ({ absence, ids }: ReadPage): string =>
  absence ?? (ids.length === 0 ? "holds no records" : "repeats the page before it")
