import { Effect, Option, Stream } from "effect"
import type { AccountError, EndpointError } from "../../core/errors.ts"
import { isId } from "../../core/id.ts"
import type { Json } from "../../core/json.ts"
import type { ListSource } from "../../core/stream.ts"
import type { Tab } from "../client/budget.ts"
import type { Asking, Client } from "../client/client.ts"
import type { Contract } from "./contract.ts"
import { judgeEnd, type Seen } from "./end.ts"
import { isGapAfter, provesFirst } from "./gapChecks.ts"
import { isSame, makeLoopWatch } from "./loopDetector.ts"
import { type Page, PagingBounds, type Position } from "./page.ts"
import { changed, circling, cut, emptied, ignoredPaging, moved, neverEnding } from "./pagingErrors.ts"
import { glanceAt, isNotFound, newcomers, type ReadPage, readPage, released } from "./readPage.ts"
import { judgeRepeat } from "./repeat.ts"
import { credibleTotal, endsAsStated, lastPageOf } from "./total.ts"

/** Ids of a pass' first pages that are kept, to know what is new at the front once its end is reached. */
const REMEMBERED_IDS = 20_000
/** Of those, what a checkpoint carries to the run that goes on: ids that Postgres can keep. */
const HEAD_IDS = 20
/** Looks at an end or a front that keeps growing, before the rest is left to the next run. */
const MAX_LOOKS = 5
/** Short pages read again in vain, before they count as this API's habit. */
const MAX_IDLE_RECHECKS = 2
/** Empty pages in the middle of a list that are read again at its end. */
const SKIPPED_MAX = 100

/**
 * Every record of a list, page by page, in order. Reads on until the end is proven (`end.ts`), in whatever words the API
 * says that it is there. From page 2 on it asks for the size it observed: then positions agree whether the server counts
 * by the size asked for or by its own cap.
 *
 * Promises each record that is listed from the beginning of the pass to its end, and those inserted at either
 * end meanwhile; some twice. Does not promise records that move up because others are deleted or re-ordered
 * meanwhile: no paging by number can, and the next full pass brings them.
 *
 * `from` goes on with an earlier pass if the API still serves pages of its size, and else starts over. The memory of each
 * page is booked on `tab`, until its share is released.
 */
export const pages = (
  client: Client,
  contract: Contract,
  source: ListSource,
  from?: Position,
  tab?: Tab,
): Stream.Stream<Page, AccountError | EndpointError> =>
  Stream.unwrap(
    Effect.map(PagingBounds, ({ maxPages }) => {
      const nextPage = startPass(client, contract, source, maxPages, from, tab)
      return Stream.paginateEffect(undefined, () =>
        Effect.map(nextPage, page => [page, page.isLast ? Option.none() : Option.some(undefined)]),
      )
    }),
  )

type Step = Effect.Effect<Page, AccountError | EndpointError>

const NONE: Seen = { number: 0, ids: [] }

/**
 * The state of one pass, behind the effect that reads its next page:
 *
 *     list ──▶ ended ──▶ skipped ──▶ front ──▶ done
 *      │ ▲       │
 *      ▼ └───────┘ a page holds records after all
 *     recheck
 *
 * `list` reads the next page. `recheck` reads a page again that was short although another followed. `ended` proves the end
 * and reads the last page again, which may have grown. `skipped` reads the empty pages again that stood between others.
 * `front` reads the first pages again until they bring nothing new.
 */
const startPass = (
  client: Client,
  contract: Contract,
  source: ListSource,
  maxPages: number,
  from?: Position,
  tab?: Tab,
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
  /** Length of the list as it was stated last, and the furthest page that it has by any answer of this pass. */
  let stated: number | undefined
  let statedLastPage = 0
  /** No empty page before this one is the end: it was seen to hold records. */
  let notBefore = 0
  /** Empty pages that were followed by others. */
  let skipped = [...(resumed?.skipped ?? [])]
  let hasShifted = false
  let idleRechecks = 0
  let endLooks = 0
  let frontLooks = 0
  let frontPage = 1
  let isFrontNew = false
  const remembered = new Set<string>()
  const cameAgain = makeLoopWatch()

  const asked = (readOne: typeof readPage, asking?: Asking) => (number: number, pageSize: number) =>
    Effect.suspend(() =>
      requests++ < maxPages
        ? Effect.mapError(readOne(client, source, contract, number, pageSize, asking), error =>
            isNotFound(error) ? moved(contract) : error,
          )
        : Effect.fail(neverEnding(contract, maxPages)),
    )
  const [read, glance] = [asked(readPage), asked(glanceAt)]
  /** Reads a page whose records are handed on. The others are dropped after a look at them. */
  const readToKeep = asked(readPage, tab && { tab })

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
    share: records === got.records ? got.share : undefined,
    total: stated,
    next:
      nextPage === null
        ? null
        : {
            page: Math.max(1, nextPage),
            pageSize: size,
            head,
            ...(skipped.length === 0 ? {} : { skipped: [...skipped] }),
          },
    isLast: nextPage === null,
  })

  const list: Step = Effect.suspend(() => Effect.flatMap(readToKeep(page, size), got => take(got, page)))

  const take = (got: ReadPage, number: number): Step =>
    Effect.gen(function* () {
      const length = got.ids.length
      if (resumed !== undefined && last === NONE) {
        // A smaller cap than the one it began with would leave gaps, and beyond the end nothing is proven.
        const goesOn = length === size || (length > 0 && size <= contract.pageSize)
        if (!goesOn) {
          yield* released(got)
          resumed = undefined
          head = []
          skipped = []
          size = askedSize
          page = 1
          return yield* list
        }
      }
      if (number === 1) {
        size = length === 0 ? size : length
        head = got.ids.filter(isId).slice(0, HEAD_IDS)
      }
      stated = credibleTotal(got) ?? stated ?? (number === 1 ? got.total : undefined)
      statedLastPage = Math.max(statedLastPage, lastPageOf(got, size) ?? 0)
      page = number + 1
      const isRepeated = last.number === number - 1 && isSame(got.ids, last.ids)
      if (length === 0 || isRepeated) yield* released(got)
      if (length === 0)
        return yield* number < notBefore && got.absence === undefined
          ? Effect.succeed(skip(got, number))
          : ended(number, got)
      if (isRepeated) return yield* afterRepeat(number)
      if (number > 1 && length > size && contract.pagingProven)
        return yield* Effect.fail(
          changed(contract, `page ${number} holds ${length} records where ${size} were asked for`),
        )
      const seenAs = cameAgain(number, got.ids)
      if (seenAs !== undefined) return yield* Effect.fail(circling(contract, number, seenAs))

      remember(got.ids, REMEMBERED_IDS)
      if (last.ids.length < size && last.number === number - 1 && idleRechecks < MAX_IDLE_RECHECKS)
        short = last
      last = { number, ids: got.ids }
      step = endsAsStated(contract, got, number, size) ? ended(page) : list
      if (short !== NONE) step = recheck(step)
      // A short page may still grow: a run that goes on reads it again.
      return toPage(got, number, got.records, length < size ? number : number + 1)
    })

  const skip = (got: ReadPage, number: number): Page => {
    if (skipped.length < SKIPPED_MAX) skipped.push(number)
    step = list
    return toPage(got, number, [], number + 1)
  }

  /** Page `number` seems to be beyond the end: as it was answered, or, where `got` is undefined, by the stated total. */
  const ended = (number: number, got?: ReadPage): Step =>
    Effect.gen(function* () {
      /** What is known of a page need not be kept while others are asked for. */
      const readNews = (other: number, pageSize: number) =>
        Effect.map(read(other, pageSize), page => ({ ...page, records: newcomers(page, new Set(last.ids)) }))
      const hints = [notBefore, statedLastPage, contract.learned?.pages ?? 0]
      const ending = yield* judgeEnd(readNews, glance, contract, { number, got, last, size, hints })
      if (ending.is === "there") return yield* take(ending.page, number)
      if (ending.is === "hole") {
        notBefore = ending.until
        return skip(ending.page, number)
      }
      const { witness } = ending
      if (witness === undefined) {
        if (contract.verified) return yield* Effect.fail(emptied(contract, 1, got))
        return toPage(got!, number, [], null)
      }
      // `readNews` has left out what the page held before.
      const { records } = witness
      if (records.length > 0) last = { number: last.number, ids: witness.ids }
      page = last.number + 1
      const mayGoOn = records.length > 0 && endLooks++ < MAX_LOOKS
      if (mayGoOn) step = witness.ids.length === size ? list : ended(page)
      else if (skipped.length > 0) step = rereadSkipped
      else if (last.number > 1) step = front
      else {
        yield* provesFirst(client, contract, source, witness.ids, size)
        return toPage(witness, 1, records, null)
      }
      return toPage(witness, last.number, records, last.number)
    })

  /** Pages that were empty may have been so by a fault of a moment. */
  const rereadSkipped: Step = Effect.gen(function* () {
    const number = skipped[0]!
    const got = yield* glance(number, size)
    skipped = skipped.slice(1)
    step = skipped.length > 0 ? rereadSkipped : front
    return toPage(got, number, got.records, last.number)
  })

  const afterRepeat = (number: number): Step =>
    Effect.gen(function* () {
      const got = yield* read(number, size)
      if (!isSame(got.ids, last.ids)) return yield* take(got, number)
      const isEnd = yield* judgeRepeat(read, contract, { number, got, last, size })
      if (isEnd) return yield* ended(number, got)
      if (hasShifted) return yield* Effect.fail(ignoredPaging(contract, number))
      hasShifted = true
      return toPage(got, number, [], number)
    })

  const recheck = (after: Step): Step =>
    Effect.gen(function* () {
      const { number, ids } = short
      const got = yield* read(number, size)
      const records = newcomers(got, new Set(ids))
      if (records.length === 0) {
        idleRechecks++
        if (yield* isGapAfter(read, glance, contract, { number, ids, size }, last.ids))
          return yield* Effect.fail(cut(contract, number))
      }
      short = NONE
      step = after
      return toPage(got, number, records, last.number)
    })

  const front: Step = Effect.gen(function* () {
    const number = frontPage
    const got = yield* read(number, size)
    const isEmptied = number === 1 && got.ids.length === 0 && head.length > 0
    if (isEmptied && (yield* read(last.number, size)).ids.length === 0)
      return yield* Effect.fail(emptied(contract, last.number, got))
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
