import { Effect } from "effect"
import { type AccountError, EndpointError } from "../../core/errors.ts"
import { isJsonObject, type Json, type JsonObject } from "../../core/json.ts"
import { recordIdOf } from "../../core/recordId.ts"
import type { ListSource } from "../../core/stream.ts"
import type { Client } from "../client/client.ts"
import { unwrap } from "../client/envelope.ts"
import { getById, PLACE } from "../client/idPath.ts"
import { isNotFound } from "./readPage.ts"

/** Reads records by id. The endpoint is documented for some streams (D), guessed for the others (?), and proven by an answer. */

export interface Detail {
  /** The endpoint that answered, with `{id}` for the id; the same for every record. */
  readonly endpoint: string
  readonly record: JsonObject
  readonly readAt: Date
  /** True if the record came in an envelope, as the API documents its answers (D). */
  readonly isEnveloped: boolean
}

/** Answers of by-id endpoints about records that a list does not show. */
export interface Answers {
  /** The endpoint that proved itself in this run. If undefined, nothing else is known. */
  readonly endpoint: string | undefined
  readonly control: Detail | undefined
  /** Ids that the API itself answered with 404, while listed records were answered before and after. */
  readonly gone: ReadonlyArray<string>
  readonly there: ReadonlyArray<Detail>
  /** Ids that were asked about, whatever the result; another run should begin with others. */
  readonly asked: ReadonlyArray<string>
  /**
   * True if listed records were asked for, and nothing shows that an endpoint knows them. Otherwise there may be an
   * endpoint that could not answer.
   */
  readonly isAbsent: boolean
}

/** Listed records by which an endpoint proves itself. One of them may be gone by now. */
export const CONTROLS = 3

type Failing<A> = Effect.Effect<A, AccountError | EndpointError>

const endpointsOf = ({ detail }: ListSource, earlierEndpoint: string | undefined): ReadonlyArray<string> => {
  const candidates = detail?.paths(PLACE) ?? []
  const isKnown = earlierEndpoint !== undefined && candidates.includes(earlierEndpoint)
  return isKnown
    ? [earlierEndpoint, ...candidates.filter(endpoint => endpoint !== earlierEndpoint)]
    : candidates
}

/** Finds the by-id endpoint that answers with the record of this id, preferring one that gives the whole record. */
export const discoverDetail = (
  client: Client,
  source: ListSource,
  id: string,
  earlierEndpoint?: string,
): Failing<Detail> =>
  Effect.gen(function* () {
    const endpoints = endpointsOf(source, earlierEndpoint)
    let partial: Detail | undefined
    const errors: Array<EndpointError> = []
    for (const endpoint of endpoints) {
      const detail = yield* readDetail(client, source, endpoint, id).pipe(
        Effect.catchTag("EndpointError", error => Effect.succeed(error)),
      )
      if (detail instanceof EndpointError) errors.push(detail)
      else if (source.detail?.isNeeded(detail.record) === false) return detail
      else partial ??= detail
    }
    if (partial !== undefined) return partial
    const telling = errors.find(({ reason }) => reason === "unavailable")
    if (telling !== undefined) return yield* telling
    const isGone = errors.length > 0 && errors.every(isNotFound)
    return yield* new EndpointError({
      reason: isGone ? "refused" : "contract",
      path: endpoints[0] ?? "",
      message: `no by-id endpoint answers with this record (tried ${endpoints.join(", ")}): ask PayCombat where one is read by its id`,
      ...(isGone ? { status: 404 } : {}),
    })
  })

/** Reads a record by its id from an endpoint that `discoverDetail` found. `refused` with 404 if it does not exist. */
export const readDetail = (
  client: Client,
  source: ListSource,
  endpoint: string,
  id: string,
): Failing<Detail> =>
  Effect.gen(function* () {
    const { body, readAt } = yield* getById(client, encoded => endpoint.replace(PLACE, () => encoded), id)
    const record = recordWithId(source, body, id)
    if (record !== undefined) return { endpoint, record, readAt, isEnveloped: record !== body }
    return yield* new EndpointError({
      reason: "contract",
      path: endpoint,
      message: `GET ${endpoint}: the answer is not the record of this id: ask PayCombat why`,
    })
  })

/** The record is the payload, or the only value in it. */
const recordWithId = (source: ListSource, body: Json, id: string): JsonObject | undefined => {
  const unwrapped = unwrap(body)
  const payload = unwrapped.isOk ? unwrapped.payload : null
  const inside = Array.isArray(payload) ? payload : isJsonObject(payload) ? Object.values(payload) : []
  return [payload, ...inside].filter(isJsonObject).find(record => recordIdOf(source, record) === id)
}

/** True if the endpoint does not answer, so that another record would not help. */
const isUnavailable = (error: AccountError | EndpointError): boolean =>
  error._tag === "AccountError" || error.reason === "unavailable"

/** Ids in a row refused with 403, after which the endpoint counts as refusing all: one may concern only its record. */
const FORBIDDEN_MAX = 10

const nothing: Answers = {
  endpoint: undefined,
  control: undefined,
  gone: [],
  there: [],
  asked: [],
  isAbsent: false,
}

/**
 * Asks about the ids. A 404 counts only if the same endpoint answered with a listed record of `controls` before and
 * after it. Never fails: an id without an answer is in neither list, and an endpoint that is away is not asked further.
 */
export const askById = (
  client: Client,
  source: ListSource,
  query: {
    readonly ids: ReadonlyArray<string>
    readonly controls: ReadonlyArray<string>
    readonly earlierEndpoint: string | undefined
  },
): Effect.Effect<Answers> =>
  Effect.gen(function* () {
    const { ids, controls, earlierEndpoint } = query
    const control = yield* firstAnswered(controls, id => discoverDetail(client, source, id, earlierEndpoint))
    if (control === undefined) return nothing
    if ("_tag" in control)
      return {
        ...nothing,
        isAbsent: isNotFound(control) || (earlierEndpoint === undefined && !isUnavailable(control)),
      }
    const { endpoint, isEnveloped } = control
    const read = (id: string) => readDetail(client, source, endpoint, id)
    const answers = yield* askEach(ids, read, { isEnveloped, concurrency: client.account.concurrency })
    const gone = answers.flatMap(({ id, answer }) => (answer === "gone" ? [id] : []))
    const after = gone.length === 0 ? control : yield* firstAnswered(controls, read)
    const isStillProven = after !== undefined && !("_tag" in after)
    return {
      endpoint,
      control,
      gone: isStillProven ? gone : [],
      there: answers.flatMap(({ answer }) => (typeof answer === "object" ? [answer] : [])),
      asked: answers.flatMap(({ id, answer }) => (answer === undefined ? [] : [id])),
      isAbsent: false,
    }
  })

type Failed = AccountError | EndpointError

/** Finds the first listed record that is answered, or the reason why none is. One may be deleted, hardly all. */
const firstAnswered = (
  controls: ReadonlyArray<string>,
  read: (id: string) => Failing<Detail>,
): Effect.Effect<Detail | Failed | undefined> =>
  Effect.gen(function* () {
    let error: Failed | undefined
    for (const id of controls) {
      const detail = yield* Effect.catchAll(read(id), Effect.succeed)
      if (!("_tag" in detail)) return detail
      error = detail
      if (isUnavailable(error)) return error
    }
    return error
  })

/** The answer about one record: the record, gone, or neither. Undefined if it was not asked about. */
type OneAnswer = Detail | "gone" | "unclear" | undefined

const askEach = (
  ids: ReadonlyArray<string>,
  read: (id: string) => Failing<Detail>,
  { isEnveloped, concurrency }: { readonly isEnveloped: boolean; readonly concurrency: number },
): Effect.Effect<ReadonlyArray<{ readonly id: string; readonly answer: OneAnswer }>> => {
  let isAway = false
  let forbidden = 0
  const answerOf = (result: Detail | Failed): OneAnswer => {
    if (!("_tag" in result)) {
      forbidden = 0
      return result
    }
    const isForbidden = result._tag === "EndpointError" && result.status === 403
    forbidden = isForbidden ? forbidden + 1 : isUnavailable(result) ? forbidden : 0
    isAway ||= isUnavailable(result) || forbidden >= FORBIDDEN_MAX
    // A proxy or a gateway without a route answers 404, too. The API's own refusal has an envelope if its records have
    // one.
    const isProof = isNotFound(result) && (!isEnveloped || result.isFromApi === true)
    return isProof ? "gone" : "unclear"
  }
  const ask = (id: string): Effect.Effect<OneAnswer> =>
    Effect.suspend(() =>
      isAway
        ? Effect.succeed(undefined)
        : read(id).pipe(Effect.catchAll(Effect.succeed), Effect.map(answerOf)),
    )
  return Effect.forEach(ids, id => Effect.map(ask(id), answer => ({ id, answer })), { concurrency })
}
