import { Effect } from "effect"
import { type AccountError, EndpointError } from "../../core/errors.ts"
import type { ListSource } from "../../core/stream.ts"
import type { Asking, Client } from "../client/client.ts"
import type { FoundList } from "../client/envelope.ts"
import { type Contract, paginatorOf } from "./contract.ts"
import { type ReadPage, readPage } from "./readPage.ts"
import { isTooShortForAPage, isWholeBySize, statesMore } from "./total.ts"

/** Names of the two paging parameters. */
export type PagingNames = readonly [page: string, size: string]

/** The first pair is upstream's (U); the others are usual elsewhere (?). */
export const PAGING_NAMES: ReadonlyArray<PagingNames> = [
  ["page", "limit"],
  ["page", "per_page"],
  ["page", "page_size"],
  ["page", "pageSize"],
  ["page", "size"],
  ["offset", "limit"],
  ["skip", "take"],
]

/** Sizes to try where the one that is configured is refused. */
const SMALLER_SIZES = [100, 50, 20, 10]

/** The first page of a list, as discovery read it. */
export interface FirstPage {
  readonly path: string
  readonly at: string
  readonly ids: ReadonlyArray<string>
  /** Names it was asked with; undefined where the bare path was asked. */
  readonly askedWith: PagingNames | undefined
  /** What was answered. */
  readonly list: FoundList
}

export type Paging = Pick<
  Contract,
  "pageParam" | "sizeParam" | "paginator" | "firstPage" | "pageSize" | "maxPageSize" | "pagingProven"
>

/** The parameters of these names, with what the first of them counts. */
export const addressedBy = ([pageParam, sizeParam]: PagingNames): Pick<
  Contract,
  "pageParam" | "sizeParam" | "paginator"
> => {
  const paginator = paginatorOf(pageParam)
  return { pageParam, sizeParam, ...(paginator === "offset" ? { paginator } : {}) }
}

type Ids = ReadonlyArray<string>
type Failing<A> = Effect.Effect<A, AccountError | EndpointError>

/**
 * Finds the paging parameters that take effect: asked for a second page, the API gives one without the first
 * page's first record, or none. Where a list fits one page, halves of it are asked for. The names that are
 * configured are taken as they are. Fails with `contract` where every candidate is ignored, unless the first page is
 * shown to be the whole list by a smaller one, or is too short to be anything else. That it states as many records as
 * it holds shows nothing: it may count the page.
 *
 * Paging is proven where the second page of half the size begins within the first page of the whole size: then
 * pages follow one another without a gap. Otherwise a size may be ignored, and what a page skips cannot be told.
 */
export const verifyPaging = (
  client: Client,
  source: ListSource,
  first: FirstPage,
  configured: PagingNames | undefined,
): Failing<Paging> => {
  const firstId = first.ids[0]!
  const askedSize = client.account.pageSize

  /** A page, or undefined where the API refuses these parameters. */
  const pageOn = (
    names: PagingNames,
    number: number,
    size: number,
    firstPage: 0 | 1 = 1,
    asking?: Asking,
  ): Failing<ReadPage | undefined> => {
    const contract = { path: first.path, at: first.at, ...addressedBy(names), firstPage }
    return Effect.catchIf(
      readPage(client, source, contract, number, size, asking),
      isAboutTheParameters,
      () => Effect.succeed(undefined),
    )
  }

  const idsOn = (...asked: Parameters<typeof pageOn>): Failing<Ids | undefined> =>
    Effect.map(pageOn(...asked), page => page?.ids)

  /** The API lists the first page when it is asked for by these names: an answer of nothing is then about the page. */
  const isAccepted = (names: PagingNames) =>
    Effect.gen(function* () {
      if (first.askedWith !== undefined && isSameNames(first.askedWith, names)) return true
      for (const firstPage of isOffset(names) ? ([1] as const) : ([1, 0] as const))
        if ((yield* idsOn(names, 1, first.ids.length, firstPage))?.includes(firstId)) return true
      return false
    })

  const isPaged = (names: PagingNames) =>
    Effect.gen(function* () {
      const second = yield* pageOn(names, 2, first.ids.length)
      if (second === undefined) return false
      if (second.absence !== undefined) return yield* isAccepted(names)
      if (!second.ids.includes(firstId)) return true
      // The same records again: perhaps the last page, repeated beyond the end.
      const half = Math.floor(first.ids.length / 2)
      const rest = half === 0 ? undefined : yield* idsOn(names, 2, half)
      return rest !== undefined && rest.length > 0 && !rest.includes(firstId)
    })

  /** 0 where page 0 is not page 1 or refused, but comes before it. */
  const firstPageOf = (names: PagingNames) =>
    Effect.gen(function* () {
      if (isOffset(names)) return 1
      const ids = idsOn(names, 1, first.ids.length, 0, { attempts: CRASHING_ATTEMPTS })
      const zeroth = (yield* Effect.catchIf(ids, isCrash, () => Effect.succeed(undefined))) ?? []
      if (zeroth.length === 0) return 1
      if (first.askedWith !== undefined) return zeroth.includes(firstId) ? 1 : 0
      const one = yield* idsOn(names, 1, first.ids.length)
      return zeroth[0] === firstId && !(one ?? []).includes(firstId) ? 0 : 1
    })

  /** The largest size that is accepted, up to the one asked for, and the records that come for it. */
  const largest = (names: PagingNames, firstPage: 0 | 1) =>
    Effect.gen(function* () {
      for (const size of [askedSize, ...SMALLER_SIZES.filter(smaller => smaller < askedSize)]) {
        const ids = yield* idsOn(names, 1, size, firstPage)
        if (ids !== undefined) return { size, ids }
      }
      return { size: first.ids.length, ids: first.ids }
    })

  /** Whether these pages follow one another. A position in records says so itself, even where the size is ignored. */
  const areAdjoining = (names: PagingNames, firstPage: 0 | 1, ids: Ids) =>
    Effect.gen(function* () {
      const half = Math.floor(ids.length / 2)
      const second = half === 0 ? undefined : yield* idsOn(names, 2, half, firstPage)
      const isWithin = second?.[0] !== undefined && ids.indexOf(second[0]) > 0
      return isWithin && (second!.length <= half || isOffset(names))
    })

  const settle = (names: PagingNames, isConfigured: boolean): Failing<Paging> =>
    Effect.gen(function* () {
      const firstPage = yield* firstPageOf(names)
      const paging = (
        sizeParam: string,
        { size, ids }: { size: number; ids: Ids },
        pagingProven: boolean,
      ): Paging => ({
        pageParam: names[0],
        sizeParam,
        firstPage,
        pageSize: ids.length,
        maxPageSize: size < askedSize ? size : null,
        pagingProven,
      })
      const known = first.askedWith !== undefined && isSameNames(first.askedWith, names) && firstPage === 1
      const found = known ? { size: askedSize, ids: first.ids } : yield* largest(names, firstPage)
      if (yield* areAdjoining(names, firstPage, found.ids)) return paging(names[1], found, true)
      if (isConfigured || found.ids.length < 2) return paging(names[1], found, false)
      for (const others of PAGING_NAMES) {
        if (others[0] !== names[0] || others[1] === names[1]) continue
        if (!(yield* areAdjoining(others, firstPage, found.ids))) continue
        return paging(others[1], yield* largest(others, firstPage), true)
      }
      return paging(names[1], found, false)
    })

  /** Names with which the first page can be read as the whole list; undefined where it may hold a part only. */
  const wholeBy = Effect.gen(function* () {
    if (isTooShortForAPage(first.list, askedSize)) return PAGING_NAMES[0]
    const half = Math.floor(first.ids.length / 2)
    if (half === 0 || statesMore(first.list)) return undefined
    for (const names of PAGING_NAMES) {
      if (PAGING_NAMES.find(([, sizeParam]) => sizeParam === names[1]) !== names) continue
      const smaller = yield* pageOn(names, 1, half)
      if (smaller !== undefined && isWholeBySize(first.list, smaller)) return names
    }
    return undefined
  })

  return Effect.gen(function* () {
    if (configured !== undefined) return yield* settle(configured, true)
    for (const names of PAGING_NAMES) if (yield* isPaged(names)) return yield* settle(names, false)
    const whole = yield* wholeBy
    if (whole === undefined) return yield* ignored(first)
    const [pageParam, sizeParam] = whole
    const pageSize = first.ids.length
    return { pageParam, sizeParam, firstPage: 1, pageSize, maxPageSize: null, pagingProven: false }
  })
}

const isOffset = ([pageParam]: PagingNames) => paginatorOf(pageParam) === "offset"

const isSameNames = (some: PagingNames, others: PagingNames) => some[0] === others[0] && some[1] === others[1]

/** A refusal of the parameters tells something about them; a token or a server that fails does not. */
const isAboutTheParameters = (error: AccountError | EndpointError): boolean =>
  error._tag === "EndpointError" && error.reason !== "unavailable"

/** Times that page 0 is asked for: where it makes the API fail, it will do so again. */
const CRASHING_ATTEMPTS = 3

/** A page 0 that nobody thought of: an offset below zero makes some databases fail. */
const isCrash = (error: AccountError | EndpointError): boolean =>
  error._tag === "EndpointError" && error.status === 500

const ignored = ({ path, list: { more } }: FirstPage) => {
  const names = PAGING_NAMES.map(pair => pair.join(",")).join(" ")
  const sign = typeof more === "string" ? `, and the answer says that more records follow (${more})` : ""
  return Effect.fail(
    new EndpointError({
      reason: "contract",
      path,
      message:
        `GET ${path}: every paging parameter that was tried is ignored (${names})${sign}:` +
        " put the names of the API's own in PAYCOMBAT_PAGING",
    }),
  )
}
