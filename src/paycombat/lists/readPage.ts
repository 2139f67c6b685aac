import { Effect } from "effect"
import { type AccountError, EndpointError } from "../../core/errors.ts"
import { contentHash, isJsonObject, type Json } from "../../core/json.ts"
import { recordIdOf } from "../../core/recordId.ts"
import type { ListSource } from "../../core/stream.ts"
import type { Share } from "../client/budget.ts"
import type { Asking, Client, Query } from "../client/client.ts"
import { type FoundList, findLists, isNothingAt, listAt } from "../client/envelope.ts"
import type { Addressing } from "./contract.ts"

/** The query for page `number`, counted from 1, whatever the API counts from. */
export const queryOf = (
  { pageParam, sizeParam, firstPage, paginator }: Omit<Addressing, "path">,
  number: number,
  size: number,
): Query => ({
  [pageParam]: paginator === "offset" ? (number - 1) * size : number - 1 + firstPage,
  [sizeParam]: size,
})

/** A page as it was read, before any conclusion. */
export interface ReadPage extends FoundList {
  readonly ids: ReadonlyArray<string>
  readonly readAt: Date
  readonly bytes: number
  readonly share: Share | undefined
  /** Says that the page does not exist, by another form than an empty list, in words after "page 7"; else undefined. */
  readonly absence: string | undefined
  /** True if the page was refused, or failed: the answer may be about a bound on page numbers, and not about the list. */
  readonly isRefused: boolean
}

/** Identifies a record by its id, or by its content if it lacks one. */
export const idOf = (source: ListSource, record: Json): string =>
  recordIdOf(source, record) ?? `#${contentHash(record, 0)}`

/** True if a record is this stream's: it has an id, and the stream recognizes it. */
export const isOurs = (source: ListSource, record: Json): boolean =>
  isJsonObject(record) && recordIdOf(source, record) !== null && source.recognizes(record)

/** Finds the list in an answer that holds a record of this stream, or else the likeliest empty one. */
export const ourList = (source: ListSource, body: Json): FoundList | undefined => {
  const lists = findLists(body)
  return (
    lists.find(({ records }) => records.some(record => isOurs(source, record))) ??
    (lists[0]?.records.length === 0 ? lists[0] : undefined)
  )
}

/**
 * Reads one page of a list whose place is known. Beyond the first page, an answer without content (404, 416, 204, no
 * body, no list, only `status: false`), and a refusal of the page (400, 410, 422), is an absent page. A page without
 * records is read again before it is believed, because one such answer may be a short fault; so is the first page of a
 * list that showed a record. The caller decides what an absent page proves.
 */
export const readPage = (
  client: Client,
  source: ListSource,
  contract: Place,
  number: number,
  size: number,
  asking?: Asking,
): Effect.Effect<ReadPage, AccountError | EndpointError> => {
  const once = readOnce(client, source, contract, number, size, asking)
  const isExpected = number === 1 && contract.verified !== true
  return Effect.flatMap(once, page =>
    page.ids.length > 0 || (page.absence === undefined && isExpected)
      ? Effect.succeed(page)
      : Effect.zipRight(releaseShare(page), once),
  )
}

/** Releases the memory of a page whose records are dropped. */
export const releaseShare = ({ share }: ReadPage): Effect.Effect<void> => share?.release ?? Effect.void

/** Reads a page once, to see if it holds records. A page that is refused, or that makes the API fail, holds none. */
export const glanceAt = (
  client: Client,
  source: ListSource,
  contract: Place,
  number: number,
  size: number,
): Effect.Effect<ReadPage, AccountError | EndpointError> =>
  Effect.catchIf(readOnce(client, source, contract, number, size), isNoSuchPage, error =>
    Effect.map(client.now, now => absentPage(contract.at, now, error as EndpointError)),
  )

/** True for the answers of some APIs to a too large offset: a refusal, or a failure. */
const isNoSuchPage = (error: AccountError | EndpointError): boolean =>
  error._tag === "EndpointError" &&
  (error.reason === "refused" || error.reason === "failed" || error.status === 500)

/** The place of a list. A list without records so far (`verified` false) may have none on its first page either. */
type Place = Addressing & { readonly at: string; readonly verified?: boolean }

const readOnce = (
  client: Client,
  source: ListSource,
  contract: Place,
  number: number,
  size: number,
  asking?: Asking,
): Effect.Effect<ReadPage, AccountError | EndpointError> => {
  const { path, at } = contract
  const mayBeAbsent = number > 1 || contract.verified === false
  return client.get(path, queryOf(contract, number, size), { ...asking, takesNoBody: mayBeAbsent }).pipe(
    Effect.flatMap(({ body, readAt, bytes, share }) => {
      const list = listAt(body, at)
      // Empty here, and with records elsewhere: its place has changed, so this is not its end.
      const isElsewhere = list?.records.length === 0 && (ourList(source, body)?.records.length ?? 0) > 0
      if (list !== undefined && !isElsewhere)
        return Effect.succeed({
          ...list,
          readAt,
          bytes,
          share,
          absence: undefined,
          isRefused: false,
          ids: list.records.map(record => idOf(source, record)),
        })
      return mayBeAbsent && isNothingAt(body, at)
        ? Effect.succeed(absentPage(at, readAt))
        : Effect.fail(noListAt(contract, number))
    }),
    Effect.catchIf(
      error =>
        number > 1 ? saysNothing(error) || isRefusedPage(error) : mayBeAbsent && saysEmptyList(error),
      error => Effect.map(client.now, now => absentPage(at, now, error as EndpointError)),
    ),
  )
}

const saysNothing = (error: AccountError | EndpointError): boolean =>
  error._tag === "EndpointError" && error.saysNothing === true

/** Statuses by which some APIs refuse a page number beyond the last (?). For any other request they are a failure. */
const PAGE_REFUSALS = new Set([400, 410, 422])

export const isRefusedPage = (error: AccountError | EndpointError): boolean =>
  error._tag === "EndpointError" && error.reason === "refused" && PAGE_REFUSALS.has(error.status ?? 0)

/** True if a first page states an empty list. A 404 does so only if its words say that there are no records. */
export const saysEmptyList = (error: AccountError | EndpointError): boolean =>
  error._tag === "EndpointError" &&
  error.saysNothing === true &&
  (!isNotFound(error) || error.saysEmpty === true)

const absentPage = (at: string, readAt: Date, error?: EndpointError): ReadPage => ({
  at,
  readAt,
  absence: error === undefined ? "holds no list" : absenceOf(error),
  isRefused:
    error !== undefined && (isRefusedPage(error) || (error.reason === "failed" && error.saysEmpty !== true)),
  records: [],
  ids: [],
  bytes: 0,
  share: undefined,
  total: undefined,
  pageCount: undefined,
  more: undefined,
})

const absenceOf = ({ reason, status }: EndpointError): string => {
  if (reason === "failed") return `failed although HTTP says ${status}`
  return reason === "malformed" ? `is answered ${status} without a body` : `is answered with ${status}`
}

export const isNotFound = (error: AccountError | EndpointError): error is EndpointError =>
  error._tag === "EndpointError" && error.reason === "refused" && error.status === 404

const noListAt = ({ path, at }: { path: string; at: string }, number: number) =>
  new EndpointError({
    reason: "contract",
    path,
    message: `GET ${path}: page ${number} holds no list at "${at}", where earlier answers had it: run again to discover it anew`,
  })

/** The records of a page that are not known yet. */
export const newcomers = (got: ReadPage, knownIds: Pick<ReadonlySet<string>, "has">) =>
  got.records.filter((_, index) => !knownIds.has(got.ids[index]!))
