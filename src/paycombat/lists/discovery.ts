import { Effect } from "effect"
import { type AccountError, EndpointError, saysAbsent } from "../../core/errors.ts"
import type { ListSource } from "../../core/stream.ts"
import type { Client, Query } from "../client/client.ts"
import { type FoundList, isNothingAt, listAt } from "../client/envelope.ts"
import type { Contract } from "./contract.ts"
import { idOf, isOurs, isRefusedPage, ourList, queryOf, saysEmptyList } from "./readPage.ts"
import { addressedBy, PAGING_NAMES, type PagingNames, verifyPaging } from "./verifyPaging.ts"

export interface DiscoveryOptions {
  /** Variable for this list's path, for messages: `PAYCOMBAT_PATH_CUSTOMERS`. */
  readonly pathVariable: string
  readonly configuredPath?: string | undefined
  readonly configuredPaging?: PagingNames | undefined
  readonly stored?: Contract | undefined
}

const FORBIDDEN = 403

type Failing<A> = Effect.Effect<A, AccountError | EndpointError>

/**
 * Finds out how a list is read (?: nothing about the lists is documented), and proves it with a record.
 *
 * First it tries the contract that an earlier run stored, with one request. Then it tries the configured path, or the
 * candidates in order, until one lists a record of this stream. It skips a candidate that refuses, fails or lists
 * something else; 401 ends the search. It takes an empty list only if no other candidate has records, and that list is
 * not verified. Fails with `unavailable` if a candidate that could not be read may be the list, with `malformed` if one
 * exceeded a bound, else with `contract`; the message names the attempts and the variable to set.
 */
export const discover = (client: Client, source: ListSource, options: DiscoveryOptions): Failing<Contract> =>
  Effect.gen(function* () {
    const { stored, configuredPath } = options
    let forbidden: EndpointError | undefined
    if (stored !== undefined && isStillAskedFor(stored, options)) {
      const again = yield* passOver(verifyAgain(client, source, stored))
      if (again instanceof EndpointError && again.reason === "unavailable") return yield* again
      if (again !== undefined && !(again instanceof EndpointError)) return again
      // The list was there before. That it may not be read now is more useful than that it is nowhere else.
      if (again?.status === FORBIDDEN) forbidden = again
    }

    let empty: Contract | undefined
    let reported = forbidden
    const tried: Array<readonly [path: string, what: string]> = []
    for (const path of configuredPath === undefined ? source.paths : [configuredPath]) {
      const outcome = yield* passOver(tryPath(client, source, path, options))
      if (outcome instanceof EndpointError) {
        if (configuredPath !== undefined) return yield* ofConfigured(outcome, options.pathVariable)
        tried.push([path, outcomeOf(outcome)])
        const isInformative =
          outcome.reason === "unavailable" || outcome.reason === "contract" || outcome.isTooLarge === true
        if (isInformative && reported?.reason !== "unavailable") reported = outcome
      } else if (outcome === undefined) tried.push([path, `no list with ${source.idField}`])
      else if (outcome.verified) return outcome
      else empty ??= outcome
    }
    if (reported !== undefined) return yield* reported
    return empty ?? (yield* nothingFound(options, tried))
  })

const NO_JSON = "no JSON that can be read"

const outcomeOf = ({ reason, status }: EndpointError): string => {
  if (reason === "malformed") return NO_JSON
  return status === undefined || status < 300 ? reason : String(status)
}

/** An error of one path is an answer about it; an error of the account is not. */
const passOver = <A>(effect: Failing<A>): Effect.Effect<A | EndpointError, AccountError> =>
  Effect.catchTag(effect, "EndpointError", error => Effect.succeed(error))

const isStillAskedFor = (stored: Contract, { configuredPath, configuredPaging }: DiscoveryOptions) =>
  stored.pagingProven &&
  (configuredPath === undefined || configuredPath === stored.path) &&
  (configuredPaging === undefined ||
    (configuredPaging[0] === stored.pageParam && configuredPaging[1] === stored.sizeParam))

/** Sends one request with a known contract: still valid, empty now, or (undefined) no longer this stream's list. */
const verifyAgain = (client: Client, source: ListSource, stored: Contract): Failing<Contract | undefined> =>
  Effect.gen(function* () {
    const size = Math.min(client.account.pageSize, stored.maxPageSize ?? Number.POSITIVE_INFINITY)
    const { body } = yield* client.get(stored.path, queryOf(stored, 1, size))
    const list = [listAt(body, stored.at), ourList(source, body)].find(list => isOurList(source, list))
    if (list !== undefined) return { ...stored, ...measured(list), verified: true }
    const isEmpty = listAt(body, stored.at)?.records.length === 0
    return isEmpty && stored.verified ? { ...stored, pageSize: size, verified: false } : undefined
  })

const isOurList = (source: ListSource, list: FoundList | undefined): list is FoundList =>
  list?.records.some(record => isOurs(source, record)) === true

const measured = ({ at, records, total, pageCount }: FoundList) => ({
  at,
  pageSize: records.length,
  hasTotal: total !== undefined || pageCount !== undefined,
})

interface Opened {
  readonly list: FoundList | undefined
  /** The parameters that the list was asked with; undefined for none. */
  readonly askedWith: PagingNames | undefined
}

/** Asks for the list at a path, with the paging parameters or, where that fails or shows nothing, without. */
const open = (
  client: Client,
  source: ListSource,
  path: string,
  names: PagingNames,
  isVouched: boolean,
): Failing<Opened> =>
  Effect.gen(function* () {
    const ask = (query: Query) =>
      client.get(path, query).pipe(
        Effect.map(({ body }) => ourList(source, body) ?? (isNothingAt(body, EMPTY.at) ? EMPTY : undefined)),
        Effect.catchIf(
          error => isVouched && saysEmptyList(error),
          () => Effect.succeed(EMPTY),
        ),
      )
    const first = queryOf({ ...addressedBy(names), firstPage: 1 }, 1, client.account.pageSize)
    const opened = yield* ask(first).pipe(
      Effect.map((list): Opened => ({ list, askedWith: names })),
      Effect.catchIf(isAboutTheQuery, error =>
        Effect.map(
          Effect.catchIf(ask({}), isNothing, () => Effect.fail(error)),
          list => ({ list, askedWith: undefined }),
        ),
      ),
    )
    if (opened.list?.records.length !== 0 || opened.askedWith === undefined) return opened
    // If pages are counted from 0, page 1 of a short list is empty.
    const bare = yield* ask({})
    return isOurList(source, bare) ? { list: bare, askedWith: undefined } : opened
  })

/** The list at one path: this stream's records, nothing (not verified), or something else (undefined). */
const tryPath = (
  client: Client,
  source: ListSource,
  path: string,
  { configuredPath, configuredPaging: configured, stored }: DiscoveryOptions,
): Failing<Contract | undefined> =>
  Effect.gen(function* () {
    const names = configured ?? PAGING_NAMES[0]!
    // An answer without any list is an empty list only on a path that is configured, or that showed records before.
    const isVouched = configuredPath !== undefined || stored?.path === path
    const { list, askedWith } = yield* open(client, source, path, names, isVouched)
    if (list === undefined || (list === EMPTY && !isVouched)) return undefined
    if (!isOurList(source, list)) {
      const unproven = { maxPageSize: null, pagingProven: false, verified: false }
      const addressing = { path, ...addressedBy(names), firstPage: 1 as const }
      return { ...addressing, ...measured(list), ...unproven, pageSize: client.account.pageSize }
    }
    const ids = list.records.map(record => idOf(source, record))
    const firstPage = { path, at: list.at, ids, askedWith, list }
    const paging = yield* verifyPaging(client, source, firstPage, configured)
    return { path, ...measured(list), ...paging, verified: true }
  })

const EMPTY: FoundList = {
  at: "data",
  records: [],
  total: undefined,
  pageCount: undefined,
  more: undefined,
}

const isNothing = (error: AccountError | EndpointError): boolean =>
  error._tag === "EndpointError" && error.saysNothing === true

/** Strict servers refuse unknown names, and sizes over their bound. Counted from 0, a short list has no page 1. */
const isAboutTheQuery = (error: AccountError | EndpointError): boolean =>
  isNothing(error) || isRefusedPage(error)

const ofConfigured = ({ reason, path, status, message }: EndpointError, pathVariable: string) =>
  new EndpointError({
    reason,
    path,
    message: `${message} (the path is from ${pathVariable})`,
    ...(status === undefined ? {} : { status }),
  })

const nothingFound = (
  { pathVariable, configuredPath }: DiscoveryOptions,
  tried: ReadonlyArray<readonly [path: string, what: string]>,
) => {
  const outcomes = [...new Set(tried.map(([, what]) => what))].map(
    outcome =>
      `${outcome}: ${tried
        .filter(([, what]) => what === outcome)
        .map(([path]) => path.replace(/\?.*$/s, ""))
        .join(", ")}`,
  )
  const isNoApi = tried.every(([, what]) => what === NO_JSON)
  const isAbsent =
    configuredPath === undefined && tried.every(([, what]) => saysAbsent({ status: Number(what) }))
  const isForbidden = tried.every(([, what]) => what === String(FORBIDDEN))
  const remedy =
    (isForbidden ? "this token may not read it: ask PayCombat for access, or " : "") +
    (isNoApi ? "check that PAYCOMBAT_BASE_URL is the API's address, or " : "") +
    `set ${pathVariable} to ${configuredPath === undefined ? "the list's path" : "another path"}`
  return Effect.fail(
    new EndpointError({
      reason: "contract",
      path: tried[0]?.[0] ?? "",
      message: `no list found (${outcomes.join("; ")}): ${remedy}`,
      isAbsent,
    }),
  )
}
