import { Effect, Either, Option, Schema } from "effect"
import type { EndpointError } from "../core/errors.ts"
import { isAddressable } from "../core/id.ts"
import { isJsonObject, type Json, stringifyJson } from "../core/json.ts"
import type { Guarded, LookupStream } from "../core/stream.ts"
import { Usage } from "../paycombat/client/client.ts"
import { getById, PLACE, UNADDRESSABLE_ID } from "../paycombat/client/idPath.ts"
import { absentLookup, findRoute, type LookupPath, lookupAnswer, pathOf } from "../paycombat/client/lookup.ts"
import { unstorableText } from "../postgres/unstorable.ts"
import { storeContract, storedContract } from "../warehouse/ledger/contracts.ts"
import { explain } from "../warehouse/load/reasons.ts"
import { answeredBefore } from "../warehouse/lookups/checks.ts"
import { type Answer, type Lookup, REJECTED, UNSTORABLE } from "../warehouse/lookups/lookup.ts"
import type { StreamContext, StreamFailure } from "./context.ts"

/** Makes one look-up, and distinguishes an answer about its key from a failure of the endpoint. */

/** Look-ups in a row without an answer, after all retries, at which the endpoint counts as away. */
const UNAVAILABLE_IN_A_ROW_MAX = 10
/** Keys with an earlier answer, by which the endpoint proves itself. One of them may have no answer by now. */
const WITNESSES = 2

/** Counts of a run's look-ups that are not among the saved answers. */
export interface Tally {
  /** Look-ups without an answer: time-outs, errors of the server, answers that are not JSON. */
  unanswered: number
  /** Answers about another key. One of them casts doubt on all others. */
  mistaken: number
  /** The key of the latest answer. Asked again, it shows whether the endpoint is still there. */
  answered: string | null
  /** The failure of the endpoint that ended the look-ups; null if there is none. */
  end: EndpointError | null
}

export interface Asked {
  readonly answer: Answer | null
  readonly isLast: boolean
}

const failed = (key: string, at: Date, error: string, isUnanswered = false): Answer => ({
  key,
  checkedAt: at.toISOString(),
  row: null,
  raw: null,
  error,
  isUnanswered,
})

type Read = Pick<Answer, "row" | "raw" | "records" | "error">

const NO_RECORD: Read = {
  row: null,
  raw: null,
  error: "The answer is not what is documented: it holds no record.",
}

/** Reads a state, which decodes as a whole or not at all. Its raw text does not hold the key. */
const readState = (stream: Guarded<LookupStream>, sent: Json, key: string): Read => {
  const redacted = stream.redact(sent)
  const record = isJsonObject(redacted) ? redacted : {}
  const raw = stringifyJson(record)
  const whole = { ...record, [stream.source.keyField]: key }
  // Postgres would store deeply nested JSON, and this program could not read it again.
  if (unstorableText(record, raw) !== undefined) return { row: null, raw: null, error: UNSTORABLE }
  return Either.match(stream.decode(whole), {
    onLeft: issue => ({
      row: null,
      raw: null,
      error: `The answer is not what is documented: ${explain(whole, issue).reason}.`,
    }),
    onRight: ({ row }) => ({ row, raw, error: null }),
  })
}

/** Reads records, of which the loader makes rows or rejects. A reject makes the look-up a failed one. */
const readRecords = (stream: Guarded<LookupStream>, sent: ReadonlyArray<Json>, key: string): Read => {
  const { keyField } = stream.source
  const records = sent.map(record =>
    isJsonObject(record) && (record[keyField] ?? null) === null ? { ...record, [keyField]: key } : record,
  )
  const isRow = (record: Json) => {
    const redacted = stream.redact(record)
    return (
      Either.isRight(stream.decode(redacted)) &&
      unstorableText(redacted, stringifyJson(redacted)) === undefined
    )
  }
  return { row: null, raw: null, records, error: records.every(isRow) ? null : REJECTED }
}

/** Reads the answer about a key. Undefined if it is about another key. */
const readAnswer = (stream: Guarded<LookupStream>, body: Json, key: string): Read | undefined => {
  const { records, isAboutAnother } = lookupAnswer(stream.source, body, key)
  if (isAboutAnother === true) return undefined
  if (stream.source.answer.kind === "state") return readState(stream, records?.[0] ?? {}, key)
  return records === null ? NO_RECORD : readRecords(stream, records, key)
}

const FoundPath = Schema.Struct({ path: Schema.String, verified: Schema.Boolean })

const decodeFoundPath = (stored: unknown) =>
  Option.getOrUndefined(Schema.decodeUnknownOption(FoundPath)(stored))

/**
 * Finds the path that an earlier run found, or a candidate that answers about due keys. `forgetPath` undoes it. Fails with
 * `isAbsent` if the look-up is optional and no candidate is there.
 */
export const findPath = (
  { sql, lease, client, account }: StreamContext,
  { stream }: Lookup,
  keys: ReadonlyArray<string>,
): Effect.Effect<LookupPath, StreamFailure> =>
  Effect.gen(function* () {
    const routes = stream.source.paths(PLACE)
    if (routes.length === 1 && !stream.isOptional) return pathOf(routes[0])
    const stored = yield* storedContract(sql, account.name, stream.name, decodeFoundPath)
    if (stored?.verified === true && routes.includes(stored.path)) return pathOf(stored.path)
    const isAnswer = (body: Json, key: string) => readAnswer(stream, body, key)?.error === null
    const { route, isAbsent } = yield* findRoute(client, routes, keys, isAnswer)
    if (isAbsent && stream.isOptional) return yield* absentLookup(routes)
    if (route !== undefined) yield* storeContract(sql, lease, { path: route, verified: true })
    return pathOf(route ?? routes[0])
  })

/** Has the next run find the path again. */
export const forgetPath = ({ sql, lease }: StreamContext, { stream }: Lookup) => {
  const [path, ...others] = stream.source.paths(PLACE)
  return others.length === 0 ? Effect.void : storeContract(sql, lease, { path, verified: false })
}

/** True if the endpoint answers about a key that it answered before. Takes a call or two, and saves nothing. */
export const isThere = (
  { sql, lease, client }: StreamContext,
  lookup: Lookup,
  path: LookupPath,
  tally: Tally,
): Effect.Effect<boolean, StreamFailure> =>
  Effect.gen(function* () {
    const { stream } = lookup
    const witnesses =
      tally.answered === null ? yield* answeredBefore(sql, lease, lookup, WITNESSES) : [tally.answered]
    for (const key of witnesses) {
      const answers = yield* getById(client, path, key).pipe(
        Effect.map(({ body }) => readAnswer(stream, body, key)?.error === null),
        Effect.catchTag("EndpointError", () => Effect.succeed(false)),
      )
      if (answers) return true
    }
    return false
  })

/** Makes the function that asks about one key. A refusal is an answer about it; a failing endpoint ends all. */
export const makeAsk = (context: StreamContext, lookup: Lookup, path: LookupPath, tally: Tally) => {
  const { stream } = lookup
  let unavailableInARow = 0
  const oneAtATime = Effect.unsafeMakeSemaphore(1)
  /** True after many look-ups in a row without an answer, if no witness gets one either. */
  const isAway = oneAtATime.withPermits(1)(
    Effect.gen(function* () {
      if (unavailableInARow < UNAVAILABLE_IN_A_ROW_MAX) return false
      if (tally.end !== null || !(yield* isThere(context, lookup, path, tally))) return true
      unavailableInARow = 0
      return false
    }),
  )

  const answered = (key: string, body: Json, readAt: Date): Answer => {
    unavailableInARow = 0
    const read = readAnswer(stream, body, key)
    if (read === undefined) {
      tally.mistaken++
      return failed(
        key,
        readAt,
        `The answer is about another ${stream.source.keyField}: none of it was stored.`,
      )
    }
    if (read.error === null) tally.answered = key
    return { key, checkedAt: readAt.toISOString(), isUnanswered: false, ...read }
  }

  const refused = (key: string, isSent: boolean, error: EndpointError): Effect.Effect<Asked, StreamFailure> =>
    Effect.gen(function* () {
      unavailableInARow = error.reason === "unavailable" ? unavailableInARow + 1 : 0
      const isUnanswered = error.reason === "unavailable" || error.reason === "malformed"
      if (isUnanswered) tally.unanswered++
      const isEnd = yield* isAway
      const isLast = isEnd || error.status === 403
      if (isLast) tally.end ??= error
      // A refusal that ends the look-ups is saved, too. If it is about this key only, the key would come first in each run,
      // and end it. In a pause that the API asked for, no request is sent: the key then keeps its place.
      const isAboutKey = !isEnd && isSent
      const now = yield* context.client.now
      return { answer: isAboutKey ? failed(key, now, error.message, isUnanswered) : null, isLast }
    })

  return (key: string): Effect.Effect<Asked, StreamFailure> => {
    /** Requests of this look-up alone: others are under way at the same time. */
    const own = { requests: 0, retries: 0 }
    if (!isAddressable(key))
      return Effect.map(context.client.now, now => ({
        answer: failed(key, now, UNADDRESSABLE_ID),
        isLast: false,
      }))
    return getById(context.client, path, key).pipe(
      Effect.provideService(Usage, own),
      Effect.ensuring(
        Effect.sync(() => {
          context.usage.requests += own.requests
          context.usage.retries += own.retries
        }),
      ),
      Effect.map(({ body, readAt }): Asked => ({ answer: answered(key, body, readAt), isLast: false })),
      Effect.catchTag("EndpointError", error => refused(key, own.requests > 0, error)),
    )
  }
}
