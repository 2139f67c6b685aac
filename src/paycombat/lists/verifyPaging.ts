import { Effect } from "effect"
import { type AccountError, EndpointError } from "../../core/errors.ts"
import type { ListSource } from "../../core/stream.ts"
import type { Asking, Client } from "../client/client.ts"
import type { FoundList } from "../client/envelope.ts"
import { type Contract, paginatorOf } from "./contract.ts"
import { type ReadPage, readPage } from "./readPage.ts"
import { isTooShortForAPage, isWholeBySize, statesMore } from "./total.ts"

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

/** Sizes to try if the configured one is refused. */
const SMALLER_SIZES = [100, 50, 20, 10]

/** The first page of a list, as discovery read it. */
export interface FirstPage {
  readonly path: string
  readonly at: string
  readonly ids: ReadonlyArray<string>
  /** Names with which it was requested; undefined for the bare path. */
  readonly askedWith: PagingNames | undefined
  readonly list: FoundList
}

export type Paging = Pick<
  Contract,
  "pageParam" | "sizeParam" | "paginator" | "firstPage" | "pageSize" | "maxPageSize" | "pagingProven"
>

/** The parameters with these names, and the unit of the first. */
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
 * Finds the paging parameters that take effect: for a second page, the API gives one without the first page's first
 * record, or none. If a list fits one page, halves of it are requested. Configured names are taken as they are. Fails
 * with `contract` if every candidate is ignored, unless a smaller page shows that the first page is the whole list, or
 * the page is too short to be anything else. A stated total equal to its number of records shows nothing, because it
 * may count the page.
 *
 * Paging is proven if the second page of half the size begins within the first page of the whole size: then pages
 * follow one another without a gap. Otherwise a size may be ignored, and skipped records would not be noticed.
 */
export const verifyPaging = (
  client: Client,
  source: ListSource,
  first: FirstPage,
  configured: PagingNames | undefined,
): Failing<Paging> =>
  Effect.gen(function* () {
    const probe = makeProbe(client, source, first)
    if (configured !== undefined) return yield* settle(probe, configured, true)
    for (const names of PAGING_NAMES)
      if (yield* isPaged(probe, names)) return yield* settle(probe, names, false)
    const whole = yield* namesOfWhole(probe)
    if (whole === undefined) return yield* ignored(first)
    const pageSize = first.ids.length
    return { ...addressedBy(whole), firstPage: 1, pageSize, maxPageSize: null, pagingProven: false }
  })

type Probe = ReturnType<typeof makeProbe>

type FirstNumber = 0 | 1

const makeProbe = (client: Client, source: ListSource, first: FirstPage) => {
  /** A page, or undefined if the API refuses these parameters. */
  const page = (
    names: PagingNames,
    number: number,
    size: number,
    firstPage: FirstNumber = 1,
    asking?: Asking,
  ): Failing<ReadPage | undefined> => {
    const contract = { path: first.path, at: first.at, ...addressedBy(names), firstPage }
    return Effect.catchIf(
      readPage(client, source, contract, number, size, asking),
      isAboutTheParameters,
      () => Effect.succeed(undefined),
    )
  }
  const ids = (...request: Parameters<typeof page>) => Effect.map(page(...request), got => got?.ids)
  return { first, askedSize: client.account.pageSize, page, ids }
}

/** True if the API lists the first page for these names. An answer without records then concerns the page. */
const isAccepted = ({ first, ids }: Probe, names: PagingNames) =>
  Effect.gen(function* () {
    if (first.askedWith !== undefined && isSameNames(first.askedWith, names)) return true
    for (const firstPage of isOffset(names) ? ([1] as const) : ([1, 0] as const))
      if ((yield* ids(names, 1, first.ids.length, firstPage))?.includes(first.ids[0]!)) return true
    return false
  })

const isPaged = (probe: Probe, names: PagingNames) =>
  Effect.gen(function* () {
    const { first, page, ids } = probe
    const firstId = first.ids[0]!
    const second = yield* page(names, 2, first.ids.length)
    if (second === undefined) return false
    if (second.absence !== undefined) return yield* isAccepted(probe, names)
    if (!second.ids.includes(firstId)) return true
    // The same records again may be the last page, repeated beyond the end.
    const half = Math.floor(first.ids.length / 2)
    const rest = half === 0 ? undefined : yield* ids(names, 2, half)
    return rest !== undefined && rest.length > 0 && !rest.includes(firstId)
  })

/** 0 if page 0 is neither page 1 nor refused, but comes before it. */
const firstNumber = ({ first, ids }: Probe, names: PagingNames): Failing<FirstNumber> =>
  Effect.gen(function* () {
    if (isOffset(names)) return 1
    const firstId = first.ids[0]!
    const zerothIds = ids(names, 1, first.ids.length, 0, { attempts: CRASHING_ATTEMPTS })
    const zeroth = (yield* Effect.catchIf(zerothIds, isCrash, () => Effect.succeed(undefined))) ?? []
    if (zeroth.length === 0) return 1
    if (first.askedWith !== undefined) return zeroth.includes(firstId) ? 1 : 0
    const one = yield* ids(names, 1, first.ids.length)
    return zeroth[0] === firstId && !(one ?? []).includes(firstId) ? 0 : 1
  })

const largest = ({ first, askedSize, ids }: Probe, names: PagingNames, firstPage: FirstNumber) =>
  Effect.gen(function* () {
    for (const size of [askedSize, ...SMALLER_SIZES.filter(smaller => smaller < askedSize)]) {
      const accepted = yield* ids(names, 1, size, firstPage)
      if (accepted !== undefined) return { size, ids: accepted }
    }
    return { size: first.ids.length, ids: first.ids }
  })

/** True if these pages follow one another. A position in records shows that by itself, even if the size is ignored. */
const areAdjoining = (probe: Probe, names: PagingNames, firstPage: FirstNumber, ids: Ids) =>
  Effect.gen(function* () {
    const half = Math.floor(ids.length / 2)
    const second = half === 0 ? undefined : yield* probe.ids(names, 2, half, firstPage)
    const isWithin = second?.[0] !== undefined && ids.indexOf(second[0]) > 0
    return isWithin && (second!.length <= half || isOffset(names))
  })

const settle = (probe: Probe, names: PagingNames, isConfigured: boolean): Failing<Paging> =>
  Effect.gen(function* () {
    const { first, askedSize } = probe
    const firstPage = yield* firstNumber(probe, names)
    const paging = (by: PagingNames, { size, ids }: { size: number; ids: Ids }, pagingProven: boolean) => ({
      ...addressedBy(by),
      firstPage,
      pageSize: ids.length,
      maxPageSize: size < askedSize ? size : null,
      pagingProven,
    })
    const isKnown = first.askedWith !== undefined && isSameNames(first.askedWith, names) && firstPage === 1
    const page = isKnown ? { size: askedSize, ids: first.ids } : yield* largest(probe, names, firstPage)
    if (yield* areAdjoining(probe, names, firstPage, page.ids)) return paging(names, page, true)
    if (isConfigured || page.ids.length < 2) return paging(names, page, false)
    for (const others of PAGING_NAMES) {
      if (others[0] !== names[0] || others[1] === names[1]) continue
      if (!(yield* areAdjoining(probe, others, firstPage, page.ids))) continue
      return paging(others, yield* largest(probe, others, firstPage), true)
    }
    return paging(names, page, false)
  })

/** Names with which the first page can be read as the whole list; undefined if it may hold only a part. */
const namesOfWhole = ({ first, askedSize, page }: Probe) =>
  Effect.gen(function* () {
    if (isTooShortForAPage(first.list, askedSize)) return PAGING_NAMES[0]
    const half = Math.floor(first.ids.length / 2)
    if (half === 0 || statesMore(first.list)) return undefined
    for (const names of PAGING_NAMES) {
      if (PAGING_NAMES.find(([, sizeParam]) => sizeParam === names[1]) !== names) continue
      const smaller = yield* page(names, 1, half)
      if (smaller !== undefined && isWholeBySize(first.list, smaller)) return names
    }
    return undefined
  })

const isOffset = ([pageParam]: PagingNames) => paginatorOf(pageParam) === "offset"

const isSameNames = (some: PagingNames, others: PagingNames) => some[0] === others[0] && some[1] === others[1]

/** True for a refusal of the parameters. A refused token, or a server that fails, tells nothing about them. */
const isAboutTheParameters = (error: AccountError | EndpointError): boolean =>
  error._tag === "EndpointError" && error.reason !== "unavailable"

/** Attempts for page 0. If it makes the API fail, it will do so again. */
const CRASHING_ATTEMPTS = 3

/** True for a page 0 that the API does not expect: an offset below zero makes some databases fail. */
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
