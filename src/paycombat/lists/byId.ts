import { Effect } from "effect"
import { type AccountError, EndpointError } from "../../core/errors.ts"
import { isJsonObject, type Json, type JsonObject } from "../../core/json.ts"
import { recordIdOf } from "../../core/recordId.ts"
import type { ListSource } from "../../core/stream.ts"
import type { Client } from "../client/client.ts"
import { unwrap } from "../client/envelope.ts"
import { getById, PLACE } from "../client/idPath.ts"
import { isNotFound } from "./readPage.ts"

/**
 * Records asked for by their id. Where the endpoint is, is documented for some streams (D) and guessed for the
 * others (?): it counts as found once it answered with the very record that was asked for.
 */

/** The record of a by-id answer. */
export interface Detail {
  /** The endpoint that answered, with `{id}` for the id: the same for every record. */
  readonly endpoint: string
  readonly record: JsonObject
  readonly readAt: Date
  /** The record came in an envelope, as the API documents its answers (D). */
  readonly isEnveloped: boolean
}

/** Answers of by-id endpoints about records that a list does not show. */
export interface Answers {
  /** The endpoint that proved itself in this run; undefined where none did, and nothing else is known then. */
  readonly endpoint: string | undefined
  /** A record that is listed, as the endpoint answers it. */
  readonly control: Detail | undefined
  /** Ids that the API itself answered with 404, while listed records were answered before and after. */
  readonly gone: ReadonlyArray<string>
  /** Records that exist, listed or not. */
  readonly there: ReadonlyArray<Detail>
  /** Ids that were asked about, whatever came of it; another run should begin with others. */
  readonly asked: ReadonlyArray<string>
  /**
   * Listed records were asked for, and nothing says that there is an endpoint that would know of them: none is known from
   * before and none answered, or the known one says 404 of them all. Otherwise one may be there that could not answer.
   */
  readonly isAbsent: boolean
}

type Failing<A> = Effect.Effect<A, AccountError | EndpointError>

/** The candidates, what an earlier run found first. */
const endpointsOf = ({ detail }: ListSource, known: string | undefined): ReadonlyArray<string> => {
  const candidates = detail?.paths(PLACE) ?? []
  const isKnown = known !== undefined && candidates.includes(known)
  return isKnown ? [known, ...candidates.filter(endpoint => endpoint !== known)] : candidates
}

/** Finds the by-id endpoint that answers with the record of this id, the whole record if one does. */
export const discoverDetail = (
  client: Client,
  source: ListSource,
  id: string,
  known?: string,
): Failing<Detail> =>
  Effect.gen(function* () {
    const endpoints = endpointsOf(source, known)
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

/** Reads a record by its id from an endpoint that `discoverDetail` found. `refused` with 404: there is none. */
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

/** The record is the payload, or the one thing in it. */
const recordWithId = (source: ListSource, body: Json, id: string): JsonObject | undefined => {
  const unwrapped = unwrap(body)
  const payload = unwrapped.isOk ? unwrapped.payload : null
  const inside = Array.isArray(payload) ? payload : isJsonObject(payload) ? Object.values(payload) : []
  return [payload, ...inside].filter(isJsonObject).find(record => recordIdOf(source, record) === id)
}

/** The endpoint does not answer: asking about another record would not help. */
const isUnavailable = (error: AccountError | EndpointError): boolean =>
  error._tag === "AccountError" || error.reason === "unavailable"

/** Ids in a row that are refused with 403, from which on the endpoint is taken to refuse all. One may be a record's own. */
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
 * Asks about each of the ids. `controls` are records that are listed: a 404 may be a wrong path, or a route that
 * is away, so it counts only where the same endpoint answered with one of them before, and again afterwards.
 * Never fails: what got neither answer is in neither list, and an endpoint that does not answer is not asked further.
 */
export const askById = (
  client: Client,
  source: ListSource,
  query: {
    readonly ids: ReadonlyArray<string>
    readonly controls: ReadonlyArray<string>
    readonly known: string | undefined
  },
): Effect.Effect<Answers> =>
  Effect.gen(function* () {
    const { ids, controls, known } = query
    const control = yield* firstAnswered(controls, id => discoverDetail(client, source, id, known))
    if (control === undefined) return nothing
    if ("_tag" in control)
      return {
        ...nothing,
        isAbsent: isNotFound(control) || (known === undefined && !isUnavailable(control)),
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

/** The first listed record that is answered, or why none is: one of them may be gone by now, all of them hardly. */
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

/** Asks about records until the endpoint is away, or refuses one after the other. */
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
    // A proxy or a gateway without a route says 404, too. The API's own refusal has an envelope where its records have one.
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
