import { Effect, Option, Stream } from "effect"
import type { AccountError, EndpointError } from "../Errors.ts"
import { isId } from "../id.ts"
import type { Json } from "../Json.ts"
import type { ListSource } from "../Stream.ts"
import type { Client } from "./Client.ts"
import type { Contract } from "./discovery.ts"
import { isNotFound, newcomers, type ReadPage, readPage } from "./listing.ts"
import { isSame, makeLoopWatch } from "./loops.ts"
import { type Page, PagingBounds, type Position } from "./page.ts"
import { changed, circling, ignoredPaging, missingPage, moved, neverEnding } from "./pagingErrors.ts"
import { endsAsStated, lastPageOf } from "./stated.ts"
import { evidenceAgainstEnd, isGapAfter, provesFirst } from "./suspicion.ts"

/** A list ends with the second empty page in a row: one page of nothing but deleted records may look empty too. */
const EMPTY_PAGES_AT_END = 2
/** Ids of a pass' first pages that are kept, to know what is new at the front once its end is reached. */
const REMEMBERED_IDS = 20_000
/** Of those, what a checkpoint carries to the run that goes on: ids that Postgres can keep. */
const HEAD_IDS = 20
/** Looks at an end or a front that keeps growing, before the rest is left to the next run. */
const MAX_LOOKS = 5
/** Short pages read again in vain, before they count as this API's habit. */
const MAX_IDLE_RECHECKS = 2

/**
 * Every record of a list, page by page, in order. Reads on until the end is proven: a short page where the
 * stated size ends, an empty page, a page that is not there and that nothing contradicts, or a repeated last page. From page 2 on it
 * asks for the size it observed: then positions agree whether the server counts by the size asked for or by its
 * own cap.
 *
 * Promises each record that is listed from the beginning of the pass to its end, and those inserted at either
 * end meanwhile; some twice. Does not promise records that move up because others are deleted or re-ordered
 * meanwhile: no paging by number can, and the next full pass brings them.
 *
 * `from` goes on with an earlier pass if the API still serves pages of its size, and else starts over.
 */
export const pages = (
  client: Client,
  contract: Contract,
  source: ListSource,
  from?: Position,
): Stream.Stream<Page, AccountError | EndpointError> =>
  Stream.unwrap(
    Effect.map(PagingBounds, ({ maxPages }) => {
      const nextPage = startPass(client, contract, source, maxPages, from)
      return Stream.paginateEffect(undefined, () =>
        Effect.map(nextPage, page => [page, page.isLast ? Option.none() : Option.some(undefined)]),
      )
    }),
  )

type Step = Effect.Effect<Page, AccountError | EndpointError>

type Seen = Pick<ReadPage, "ids"> & { readonly number: number }
const NONE: Seen = { number: 0, ids: [] }

/**
 * The state of one pass, behind the effect that reads its next page. Four steps: the list itself (`list`); a
 * page that was short although another followed, again (`recheck`); the last page, again, for it may have grown
 * (`tail`); the first pages, again, until they bring nothing new (`front`).
 */
const startPass = (
  client: Client,
  contract: Contract,
  source: ListSource,
  maxPages: number,
  from?: Position,
): Step => {
  const askedSize = Math.min(client.account.pageSize, contract.maxPageSize ?? Number.POSITIVE_INFINITY)
  let resumed = from !== undefined && from.page > 1 ? from : undefined
  let size = resumed?.pageSize ?? askedSize
  let page = resumed?.page ?? 1
  let head = resumed?.head ?? []
  let requests = 0

  /** The latest page of the list that held records, and the one before it if that was short. */
  let last = NONE
  let short = NONE
  /** Page on which the list ends as stated by the latest answer that stated it. */
  let statedLastPage: number | undefined
  /** No empty page before this one is the end: it was seen to hold records. */
  let notBefore = 0
  let emptyPages = 0
  /** Every page of the list that was read before the latest one was full. Unknown of a pass that goes on. */
  let isFullSoFar = from === undefined
  let repeats = 0
  let idleRechecks = 0
  let tailLooks = 0
  let frontLooks = 0
  let frontPage = 1
  let isFrontNew = false
  const remembered = new Set<string>()
  const cameAgain = makeLoopWatch()

  const read = (number: number, pageSize: number) =>
    Effect.suspend(() =>
      requests++ < maxPages
        ? Effect.mapError(readPage(client, source, contract, number, pageSize), error =>
            isNotFound(error) ? moved(contract) : error,
          )
        : Effect.fail(neverEnding(contract, maxPages)),
    )

  const remember = (ids: ReadonlyArray<string>, limit: number) => {
    for (const id of ids) if (remembered.size < limit) remembered.add(id)
  }

  const toPage = (
    got: ReadPage,
    number: number,
    records: ReadonlyArray<Json>,
    nextPage: number | null,
  ): Page => ({
    number,
    pageSize: size,
    records,
    readAt: got.readAt,
    bytes: got.bytes,
    total: got.total,
    next: nextPage === null ? null : { page: Math.max(1, nextPage), pageSize: size, head },
    isLast: nextPage === null,
  })

  const list: Step = Effect.gen(function* () {
    const number = page
    const got = yield* read(number, size)
    const length = got.ids.length
    if (resumed !== undefined && last === NONE) {
      // A smaller cap than the one it began with would leave gaps, and beyond the end nothing is proven.
      const goesOn = length === size || (length > 0 && size <= contract.pageSize)
      if (!goesOn) {
        resumed = undefined
        head = []
        size = askedSize
        page = 1
        return yield* list
      }
    }
    if (number === 1) {
      size = length === 0 ? size : length
      head = got.ids.filter(isId).slice(0, HEAD_IDS)
    }
    statedLastPage = lastPageOf(got, size) ?? statedLastPage
    page = number + 1
    if (length === 0) return yield* afterEmpty(got, number)
    if (last.number === number - 1 && isSame(got.ids, last.ids)) return yield* afterRepeat(got, number)
    if (number > 1 && length > size && contract.pagingProven)
      return yield* Effect.fail(
        changed(contract, `page ${number} holds ${length} records where ${size} were asked for`),
      )
    const seenAs = cameAgain(number, got.ids)
    if (seenAs !== undefined) return yield* Effect.fail(circling(contract, number, seenAs))

    isFullSoFar &&= emptyPages === 0 && (last === NONE || last.ids.length === size)
    emptyPages = 0
    remember(got.ids, REMEMBERED_IDS)
    if (last.ids.length < size && last.number === number - 1 && idleRechecks < MAX_IDLE_RECHECKS) short = last
    last = { number, ids: got.ids }
    step = endsAsStated(got, number, size, isFullSoFar) ? front : list
    if (short !== NONE) step = recheck(step)
    // A short page may still grow: a run that goes on reads it again.
    return toPage(got, number, got.records, length < size ? number : number + 1)
  })

  const afterEmpty = (got: ReadPage, number: number): Step =>
    Effect.gen(function* () {
      if (number === 1) return toPage(got, number, [], null)
      if (got.absence !== undefined) return yield* afterAbsent(got, number)
      emptyPages++
      if (statedLastPage !== undefined && statedLastPage > Math.max(number, notBefore)) {
        const stated = yield* read(statedLastPage, size)
        if (stated.ids.length > 0) notBefore = statedLastPage
      }
      if (number < notBefore || emptyPages < EMPTY_PAGES_AT_END) return toPage(got, number, [], number)
      return yield* atEnd(got, number)
    })

  /** A page that is not there is the end only where nothing speaks against it, or it is there after all by now. */
  const afterAbsent = (got: ReadPage, number: number): Step =>
    Effect.gen(function* () {
      const seen = { number, notBefore, statedLastPage, last, size }
      const { evidence, total, lastPage } = yield* evidenceAgainstEnd(read, contract, seen)
      statedLastPage = lastPage
      if (evidence === undefined) return yield* atEnd({ ...got, total }, number)
      const again = yield* read(number, size)
      if (again.ids.length === 0)
        return yield* Effect.fail(missingPage(contract, number, got.absence!, evidence))
      page = number
      return toPage(again, number, [], number)
    })

  const atEnd = (got: ReadPage, number: number): Step =>
    Effect.gen(function* () {
      if (last.number === 1 && got.ids.length === 0) {
        yield* provesFirst(client, contract, source, last.ids, size)
        return toPage(got, number, [], null)
      }
      step = last.ids.length < size ? tail : front
      return toPage(got, number, [], last.number)
    })

  /**
   * The same page twice: the API repeats its last page beyond the end, or ignores the paging parameter, or as
   * many records as a page holds were inserted meanwhile. A page of one record, right after the two, tells.
   */
  const afterRepeat = (got: ReadPage, number: number): Step =>
    Effect.gen(function* () {
      if (number > 2 && got.ids.length < size) return yield* atEnd(got, number)
      const isOneRecord = last.number * size === 1
      const probe = isOneRecord ? yield* read(1, 2) : yield* read(number * size + 1, 1)
      if (
        contract.firstPage === 0 &&
        number === 2 &&
        (yield* read(3, size)).ids.some(id => !got.ids.includes(id))
      )
        return yield* Effect.fail(changed(contract, "page 0 is page 1"))
      const isRepeatedEnd =
        probe.ids.length === 0 || (probe.ids.length === 1 && probe.ids[0] === last.ids.at(-1))
      if (isRepeatedEnd) return yield* atEnd(got, number)
      const isShift = probe.ids.length === 1 && !last.ids.includes(probe.ids[0]!)
      if (isShift && repeats++ === 0) return toPage(got, number, [], number)
      // A count that changes with the size asked for is one of this page, not of the list.
      const isOfTheList =
        got.total === undefined ? probe.pageCount === got.pageCount : probe.total === got.total
      const isAllStated = isOfTheList && lastPageOf(got, size) === last.number
      if (isAllStated) return yield* atEnd(got, number)
      return yield* Effect.fail(ignoredPaging(contract, number))
    })

  const recheck = (after: Step): Step =>
    Effect.gen(function* () {
      const got = yield* read(short.number, size)
      const records = newcomers(got, new Set(short.ids))
      const { number } = short
      if (records.length === 0) {
        idleRechecks++
        yield* noGapAfter(short, last.ids)
      }
      short = NONE
      step = after
      return toPage(got, number, records, last.number)
    })

  const noGapAfter = (page: Seen, others: ReadonlyArray<string>) =>
    Effect.flatMap(isGapAfter(read, contract, { ...page, size }, others), isGap =>
      isGap
        ? Effect.fail(changed(contract, `page ${page.number} is cut, and what it lacks is on no other page`))
        : Effect.void,
    )

  const tail: Step = Effect.gen(function* () {
    const got = yield* read(last.number, size)
    const records = newcomers(got, new Set(last.ids))
    if (records.length === 0) yield* noGapAfter(last, [])
    if (records.length === 0 || tailLooks++ === MAX_LOOKS) return yield* front
    last = { number: last.number, ids: got.ids }
    emptyPages = 0
    page = last.number + 1
    step = got.ids.length < size ? tail : list
    return toPage(got, last.number, records, last.number)
  })

  const front: Step = Effect.gen(function* () {
    const number = frontPage
    const got = yield* read(number, size)
    const records = newcomers(got, remembered)
    remember(got.ids, 2 * REMEMBERED_IDS)
    isFrontNew ||= records.length > 0
    const isOld = records.length === 0 || number >= last.number
    const isHead = resumed !== undefined && got.ids.some(id => head.includes(id))
    if (!isOld && !isHead) {
      frontPage++
      step = front
      return toPage(got, number, records, last.number)
    }
    if (!isFrontNew || frontLooks++ === MAX_LOOKS) {
      if (number === 1) yield* provesFirst(client, contract, source, got.ids, size)
      return toPage(got, number, records, null)
    }
    frontPage = 1
    isFrontNew = false
    step = front
    return toPage(got, number, records, last.number)
  })

  let step = list
  return Effect.suspend(() => step)
}
