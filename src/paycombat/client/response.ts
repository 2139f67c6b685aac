import type { HttpClientResponse } from "@effect/platform/HttpClientResponse"
import { Clock, Context, Effect, Either } from "effect"
import { type Json, parseJson, TooManyValuesError, TruncatedJsonError } from "../../core/json.ts"
import { ADVICE_CUT_BODY, ADVICE_FAILED, ADVICE_NO_BODY, ADVICE_NOT_JSON, adviceForStatus } from "./advice.ts"
import { type AnswerBounds, PAGE_BOUNDS } from "./bounds.ts"
import { findList, isEnvelope, unwrap } from "./envelope.ts"
import {
  endpointFailure,
  type Failure,
  largeAnswerFailure,
  type RequestInfo,
  tokenFailure,
  unavailable,
} from "./failures.ts"
import { saysNothing } from "./nothing.ts"

/** The head of an answer of any status, and its time by this machine's clock. */
export interface Head {
  readonly status: number
  readonly contentType: string
  /** The server's clock, to the second; undefined if the answer does not state it. */
  readonly date: Date | undefined
  readonly receivedAt: Date
}

/** Keeps the head of the latest answer. Provide a fresh one to see how the API answers; the default is never read. */
export class LastResponse extends Context.Reference<LastResponse>()("paycombat-sync/LastResponse", {
  defaultValue: (): { head: Head | undefined } => ({ head: undefined }),
}) {}

export const recordHead = ({ status, headers }: HttpClientResponse): Effect.Effect<void> =>
  Effect.gen(function* () {
    const millis = Date.parse(headers.date ?? "")
    ;(yield* LastResponse).head = {
      status,
      contentType: headers["content-type"] ?? "",
      date: Number.isNaN(millis) ? undefined : new Date(millis),
      receivedAt: new Date(yield* Clock.currentTimeMillis),
    }
  })

export interface Received {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly text: string
  /** Length of the sent body, unpacked. A message about an unreadable body states only this. */
  readonly bytes: number
}

/**
 * Classifies an answer: the JSON of a success, or a failure with one line for people. The line quotes only codes and
 * names for machines. Sentences of the API may name a person, and the line is logged and stored.
 */
export const classify = (
  request: RequestInfo,
  received: Received,
  bounds: AnswerBounds = PAGE_BOUNDS,
): Either.Either<Json, Failure> => {
  const { status, headers, text } = received
  if (status === 401) return Either.left(tokenFailure(request))
  if (status >= 200 && status < 300) return classifyBody(request, received, bounds)
  const said = refusalIn(text)
  // Only the envelope of an error body is quoted (U).
  const unwrapped = unwrap(said ?? null)
  const envelope = unwrapped.isOk ? undefined : unwrapped
  const words = inParentheses(request, status, envelope?.words ?? [])
  const advice = adviceForStatus(status)
  if (isTransientStatus(status)) {
    const pauseMillis = readRetryAfter(headers, request.sentAtMillis)
    return Either.left(unavailable(request, `HTTP ${status}${words}`, advice, { status, pauseMillis }))
  }
  const what =
    status < 400 ? `answered HTTP ${status}, a redirect, which is not followed` : `refused with ${status}`
  const marks = {
    status,
    ...(status === 404 || status === 416 ? { saysNothing: true, isFromApi: isEnvelope(said) } : {}),
    ...(status === 404 && envelope?.saysEmpty === true ? { saysEmpty: true } : {}),
  }
  return Either.left(endpointFailure(request, "refused", `${what}${words}`, advice, marks))
}

const isTransientStatus = (status: number): boolean => status === 408 || status === 429 || status >= 500

const classifyBody = (
  request: RequestInfo,
  received: Received,
  bounds: AnswerBounds,
): Either.Either<Json, Failure> => {
  const { status } = received
  const body = readBody(request, received, bounds)
  if (Either.isLeft(body)) return body
  const unwrapped = unwrap(body.right)
  if (unwrapped.isOk) {
    const isTooLong = (findList(body.right)?.records.length ?? 0) > bounds.records
    const limit = `${bounds.records.toLocaleString("en")} records`
    return isTooLong ? Either.left(largeAnswerFailure(request, bounds, limit, status)) : body
  }
  const { code = 0, words } = unwrapped
  // PayCombat passes its provider's envelope on, so transient codes in it are repeated like those of HTTP.
  const isTransient = isTransientStatus(code)
  const what = `failed although HTTP says ${status}${inParentheses(request, status, words)}`
  const advice = isTransient ? adviceForStatus(code) : ADVICE_FAILED
  const marks = {
    status,
    ...(unwrapped.saysNothing
      ? { saysNothing: true, ...(unwrapped.saysOther ? {} : { saysEmpty: true }) }
      : {}),
  }
  return Either.left({ ...endpointFailure(request, "failed", what, advice, marks), isTransient })
}

/** An answer without a body is complete. 204 has none by definition; for others it may be a fault of the server. */
const noBodyFailure = (request: RequestInfo, status: number): Failure => ({
  ...endpointFailure(request, "malformed", `answered ${status} without a body`, ADVICE_NO_BODY, {
    status,
    saysNothing: true,
  }),
  isTransient: status !== NO_CONTENT,
  attemptsMax: NO_BODY_ATTEMPTS,
})

/** Most attempts of a request whose answer has no body. Such a fault passes sooner than others. */
const NO_BODY_ATTEMPTS = 3

const NO_CONTENT = 204
const BLANK = /^[\s\ufeff]*$/

const readBody = (
  request: RequestInfo,
  { status, text, bytes }: Received,
  bounds: AnswerBounds,
): Either.Either<Json, Failure> => {
  if (BLANK.test(text)) return Either.left(noBodyFailure(request, status))
  if (/^\s*</.test(text)) {
    const what = `answered HTML, not JSON (${bytes} bytes)`
    return Either.left(endpointFailure(request, "malformed", what, ADVICE_NOT_JSON, { status }))
  }
  // A bare text that says that there is nothing to list is not JSON, but an answer.
  if (saysNothing(text)) return Either.right(text)
  try {
    return Either.right(parseJson(text, bounds.values))
  } catch (cause) {
    if (cause instanceof TooManyValuesError)
      return Either.left(
        largeAnswerFailure(request, bounds, `${bounds.values.toLocaleString("en")} JSON values`, status),
      )
    const isTransient = cause instanceof TruncatedJsonError
    const what = `answered ${cause instanceof SyntaxError ? cause.message : "JSON that cannot be read"} (${bytes} bytes)`
    const advice = isTransient ? ADVICE_CUT_BODY : ADVICE_NOT_JSON
    return Either.left({ ...endpointFailure(request, "malformed", what, advice, { status }), isTransient })
  }
}

const refusalIn = (text: string): Json | undefined => {
  try {
    return parseJson(text)
  } catch {
    return undefined
  }
}

const inParentheses = ({ token }: RequestInfo, status: number, words: ReadonlyArray<string>): string => {
  const shown = words.filter(word => word !== String(status) && !word.includes(token))
  return shown.length === 0 ? "" : ` (${shown.join(" ")})`
}

/** The dates of RFC 9110, and ISO 8601. `Date.parse` would accept more: `soon 2099` is a date to it. */
const DATE = /^([A-Z][a-z]+,? .*\d\d:\d\d:\d\d.*|\d{4}-\d\d-\d\dT[\d:.]+(Z|[+-]\d\d:?\d\d))$/

/**
 * Reads both forms of RFC 9110: seconds (also with decimals), or a date, which is compared with the answer's own clock
 * if it states it. Any other value, and a time in the past, requests no wait.
 */
const readRetryAfter = (headers: Readonly<Record<string, string>>, nowMillis: number): number => {
  const value = headers["retry-after"]?.trim() ?? ""
  if (/^\d+(\.\d+)?$/.test(value)) return Math.ceil(Number(value) * 1000)
  const until = DATE.test(value) ? Date.parse(value) : Number.NaN
  if (Number.isNaN(until)) return 0
  const serverMillis = Date.parse(headers.date ?? "")
  return Math.max(0, until - (Number.isNaN(serverMillis) ? nowMillis : serverMillis))
}
