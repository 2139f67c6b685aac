import { Effect } from "effect"
import type { Contract } from "./contract.ts"
import { type Checking, hasGapAfter, type Read } from "./gapChecks.ts"
import { isSame } from "./loopDetector.ts"
import { changed, cut, ignoredPaging, missingPage, refusedEnd, repeating } from "./pagingErrors.ts"
import type { ReadPage } from "./readPage.ts"
import { agreesWithTotal, isTooShortForAPage, isWholeBySize, lastPageOf, statesMore } from "./total.ts"

/**
 * Decides if a list has ended: by an empty list, no list (204, 404, 416, no body, no `data`, `status: false`), a
 * refusal (400, 410, 422), a repeated last or first page, or a total. Each may be a fault of one page, so all need the
 * same proof.
 */

/** A page and its ids; number 0 if no page held a record yet. */
export interface Seen {
  readonly number: number
  readonly ids: ReadonlyArray<string>
}

/** Pages beyond an empty page that are always checked, one request each. */
const PAGES_BEYOND = 2

export interface Doubt {
  readonly number: number
  /** The answer for that page, received twice; undefined if only a stated total says that there is none. */
  readonly got: ReadPage | undefined
  readonly last: Seen
  readonly size: number
  /** Pages that may hold records, by statements of the API, or by the earlier length of the list. */
  readonly hints: ReadonlyArray<number>
  /** True if the page is page 1 again. Then records of the list's first pages are not new on the pages beyond it. */
  readonly isWrapped: boolean
  /** True if a list may go on behind the last page: not the only page of a list that held fewer records than requested. */
  readonly mayGoOn: boolean
}

export type Ending =
  /** The list has ended. `witness` is its last page, read again; undefined if no page held a record. */
  | { readonly is: "end"; readonly witness: ReadPage | undefined }
  | { readonly is: "there"; readonly page: ReadPage }
  /** The page is empty, and a later one holds records. The records of this page may all have been deleted. */
  | { readonly is: "hole"; readonly page: ReadPage; readonly until: number }

type HasNews = (page: ReadPage) => boolean

/**
 * Proves the end of a list, or returns how it continues. The list has ended if the last page still answers, and if no
 * record is found on the pages beyond, on the hinted pages, or right behind the last record. A full last page, and one
 * that says that more records follow, need one more proof: see `openEvidence`.
 *
 * Fails with `unavailable` if records are found, or announced, and the page still has none: it may return in a later
 * run. Fails with `contract` if pages are shorter than requested and no longer adjoin, and with `refused` if nothing
 * tells a refused page from a bound on page numbers.
 */
export const judgeEnd = (
  /** Reads a page; an empty one twice. */
  read: Read,
  /** Reads a page once. A refused one counts as empty, because a hint may point anywhere. */
  glance: Read,
  contract: Contract,
  doubt: Doubt,
): Checking<Ending> =>
  Effect.gen(function* () {
    const { number, got, last, size } = doubt
    const witness = last.number === 0 ? undefined : yield* read(last.number, size)
    const first = doubt.isWrapped ? yield* firstPages(read, size) : []
    const knownIds = new Set([...last.ids, ...(witness?.ids ?? []), ...first])
    const hasNews: HasNews = ({ ids }) => ids.some(id => !knownIds.has(id))

    const beyond = got ?? (yield* glance(number, size))
    const later = hasNews(beyond) && got === undefined ? number : yield* laterPage(glance, doubt, hasNews)
    const isGap =
      later !== number &&
      (last.number === 0
        ? (yield* glance(1, 1)).ids.length > 0
        : yield* hasGapAfter(read, glance, contract, { ...last, size }, [...knownIds]))
    const isGone = witness?.ids.length === 0 && (yield* isWholeTailGone(read, doubt))
    const evidence =
      evidenceOf({ later, isGap, isGone, last }) ??
      (yield* openEvidence(read, glance, contract, { ...doubt, beyond, witness, hasNews }))
    if (evidence === undefined) return { is: "end", witness }

    const again = yield* read(number, size)
    if (hasNews(again)) return { is: "there", page: again }
    if (isGap && last.number > 0 && last.ids.length < size)
      return yield* Effect.fail(cut(contract, last.number))
    const isEmptyList = again.absence === undefined && again.ids.length === 0
    if (isEmptyList && later !== undefined && !isGap && !isGone)
      return { is: "hole", page: again, until: later }
    const absence = doubt.isWrapped ? "repeats page 1" : sayingNothing(again)
    return yield* Effect.fail(missingPage(contract, number, absence, evidence))
  })

const firstPages = (read: Read, size: number) =>
  Effect.map(
    Effect.forEach(Array.from({ length: 1 + PAGES_BEYOND }), (_, index) => read(index + 1, size)),
    pages => pages.flatMap(({ ids }) => ids),
  )

const laterPage = (glance: Read, { number, size, hints }: Doubt, hasNews: HasNews) =>
  Effect.gen(function* () {
    const beyond = Array.from({ length: PAGES_BEYOND }, (_, index) => number + 1 + index)
    const candidates = new Set([...beyond, ...hints.filter(hint => hint > number)])
    for (const candidate of [...candidates].sort((a, b) => a - b))
      if (hasNews(yield* glance(candidate, size))) return candidate
    return undefined
  })

/** True if the page before is empty, too: the records of two pages were hardly deleted at the same time. */
const isWholeTailGone = (read: Read, { last, size }: Doubt) =>
  last.number === 1
    ? Effect.succeed(true)
    : Effect.map(read(last.number - 1, size), ({ ids }) => ids.length === 0)

/** Evidence that the list continues behind its last page, in words after "although"; undefined without evidence. */
const evidenceOf = (signs: {
  readonly later: number | undefined
  readonly isGap: boolean
  readonly isGone: boolean
  readonly last: Seen
}): string | undefined => {
  const { later, isGap, isGone, last } = signs
  if (isGap)
    return last.number === 0
      ? "a page of one record holds one"
      : `a record stands right behind page ${last.number}`
  if (later !== undefined) return `page ${later} holds records`
  return isGone ? `page ${last.number} held records, and is not there either` : undefined
}

/**
 * The field by which the last page, or the first page of a list without records, says that more records follow. If an
 * API says so also of an empty page beyond the last, it says so of every page, and that tells nothing.
 */
const promiseOf = (witness: ReadPage | undefined, got: ReadPage | undefined) => {
  const page = witness ?? got
  const isSaidOfNothing = witness !== undefined && got?.ids.length === 0 && typeof got.more === "string"
  if (typeof page?.more !== "string" || isSaidOfNothing) return undefined
  return page.more
}

interface Around extends Doubt {
  readonly beyond: ReadPage
  readonly witness: ReadPage | undefined
  readonly hasNews: HasNews
}

/**
 * Evidence from a page of another size that holds the last record and has room for more. A page behind a full one that
 * holds nothing, or is refused, may only be behind a bound on page numbers or positions. And the last page may say that more
 * records follow, as some APIs do on every full page. The list ends if the last record is the last one of the other page,
 * and that page does not say that more follow.
 *
 * If no page of another size tells, the list goes on if the last page says that more follow, and ends if it says that none
 * do. If it says neither, a refusal is the end only of few records, or if the stated total agrees; an empty page is believed.
 *
 * Returns undefined at the end of the list. Fails with `refused` if nothing tells.
 */
const openEvidence = (
  read: Read,
  glance: Read,
  contract: Contract,
  around: Around,
): Checking<string | undefined> =>
  Effect.gen(function* () {
    const { number, got, beyond, last, size, witness, mayGoOn } = around
    const promise = promiseOf(witness, got)
    const isFull = witness !== undefined && witness.ids.length >= size
    // A witness may have been left without the records that were known.
    const isAgreed = isFull && agreesWithTotal({ ...witness, records: witness.ids }, last, size)
    const isOpen = isFull && (beyond.isRefused || (mayGoOn && !isAgreed))
    if (promise === undefined && !isOpen) return undefined
    const { pagingProven, maxPageSize } = contract
    const others = pagingProven ? pagesAcross(last.number * size, size, maxPageSize) : []
    const shown = yield* pageAcross(glance, others, around)
    // A list that moves shows such records, too.
    const isStill =
      shown?.isGoingOn === true &&
      isSame((yield* read(last.number, size)).ids, witness?.ids ?? []) &&
      (yield* pageAcross(glance, others, around))?.isGoingOn === true
    if (isStill || (shown?.isGoingOn === true && beyond.isRefused))
      return `a page of another size shows more records behind page ${last.number}`
    const other = shown?.isGoingOn === true ? undefined : shown
    if (promise !== undefined && typeof (other === undefined ? promise : other.more) === "string")
      return `page ${Math.max(1, last.number)} says that more records follow (${promise})`
    if (!isFull || !beyond.isRefused || other !== undefined || witness.more === false) return undefined
    const isWhole =
      last.number === 1 ? isTooShortForAPage({ ...witness, records: witness.ids }, size + 1) : isAgreed
    if (others.length === 0 && isWhole) return undefined
    return yield* Effect.fail(refusedEnd(contract, number, sayingNothing(beyond)))
  })

/** The first of these pages that holds the last record, and whether unknown ones stand behind it; undefined if none does. */
const pageAcross = (
  glance: Read,
  others: ReturnType<typeof pagesAcross>,
  { witness, hasNews }: Around,
): Checking<{ readonly isGoingOn: boolean; readonly more: ReadPage["more"] } | undefined> =>
  Effect.gen(function* () {
    for (const other of others) {
      const page = yield* glance(other.number, other.size)
      const place = page.ids.indexOf(witness?.ids.at(-1) ?? "")
      if (place >= 0)
        return { isGoingOn: hasNews({ ...page, ids: page.ids.slice(place + 1) }), more: page.more }
    }
    return undefined
  })

/** Largest multiple of the usual size for a page that must hold the last record and have room for more. */
const ACROSS_SIZE_MAX = 4

/**
 * Pages that hold the record at `position`, the last known one, and the place behind it: a smaller and a larger one, if
 * possible. A server that caps the larger one still shows that place.
 */
const pagesAcross = (position: number, size: number, maxSize: number | null) => {
  const smaller = Array.from({ length: Math.max(0, size - 2) }, (_, index) => size - 1 - index)
  const larger = Array.from({ length: (ACROSS_SIZE_MAX - 1) * size }, (_, index) => size + 1 + index)
  const isAcross = (other: number) =>
    position % other > 0 && position % other < size && other <= (maxSize ?? Number.POSITIVE_INFINITY)
  return [smaller, larger].flatMap(sizes => {
    const other = sizes.find(isAcross)
    return other === undefined ? [] : [{ number: Math.ceil(position / other), size: other }]
  })
}

/** The answer for a page without new records, in words after "page 7". */
export const sayingNothing = ({ absence, ids }: ReadPage): string =>
  absence ?? (ids.length === 0 ? "holds no records" : "repeats the page before it")

/**
 * Decides about a page that equals the page before it, twice. Returns true if this may be the end of the list, which
 * must then be proven. Returns false if as many records as a page holds were inserted meanwhile, so that all pages
 * moved by one. A page of one record, right after the two, decides.
 *
 * Fails with `contract` if the paging parameter is ignored, and with `unavailable` if only the page is wrong.
 */
export const judgeRepeat = (
  read: Read,
  contract: Contract,
  seen: { readonly number: number; readonly got: ReadPage; readonly last: Seen; readonly size: number },
): Checking<boolean> =>
  Effect.gen(function* () {
    const { number, got, last, size } = seen
    if (number > 2 && got.ids.length < size) return true
    if (!contract.pagingProven && number === 2) {
      if (statesMore(got)) return yield* Effect.fail(ignoredPaging(contract))
      // A list with so few records that paging parameters cannot be told apart.
      if (isTooShortForAPage(got, size + 1) && isSame((yield* read(1, size + 1)).ids, last.ids)) return true
    }
    const isOneRecord = last.number * size === 1
    const probe = isOneRecord ? yield* read(1, 2) : yield* read(number * size + 1, 1)
    if (
      contract.firstPage === 0 &&
      number === 2 &&
      (yield* read(3, size)).ids.some(id => !got.ids.includes(id))
    )
      return yield* Effect.fail(changed(contract, "page 0 is page 1"))
    if (probe.ids.length === 0 || (probe.ids.length === 1 && probe.ids[0] === last.ids.at(-1))) return true
    if (probe.ids.length === 1 && !last.ids.includes(probe.ids[0]!)) {
      const hasMoved = !isSame((yield* read(last.number, size)).ids, last.ids)
      if (hasMoved) return false
      const evidence = `page ${number + 1} holds records`
      return yield* Effect.fail(missingPage(contract, number, sayingNothing(got), evidence))
    }
    if (number === 2) {
      if (isWholeBySize(got, probe)) return true
      return yield* Effect.fail(ignoredPaging(contract))
    }
    // A count that changes with the requested size is a count of this page, not of the list.
    const isOfTheList =
      got.total === undefined ? probe.pageCount === got.pageCount : probe.total === got.total
    if (isOfTheList && lastPageOf(got, size) === last.number) return true
    return yield* Effect.fail(repeating(contract, number))
  })
