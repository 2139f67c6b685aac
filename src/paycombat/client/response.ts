import { Duration, Either } from "effect"
import { AccountError, EndpointError } from "../../core/errors.ts"
import { type Json, parseJson, TooManyValuesError, TruncatedJsonError } from "../../core/json.ts"
import {
  OF_CUT_BODY,
  OF_FAILED,
  OF_NO_BODY,
  OF_NO_JSON,
  OF_PROXY_CONNECTION,
  OF_TIMEOUT,
  ofConnection,
  ofPassing,
  ofProxy,
  ofRefusal,
} from "./advice.ts"
import { type AnswerBounds, PAGE_BOUNDS } from "./bounds.ts"
import { findList, unwrap } from "./envelope.ts"
import { readRetryAfter } from "./retryAfter.ts"

/** Longest wait that a run sits through when the API asks for one; a longer one ends the stream instead. */
export const MAX_RETRY_AFTER = Duration.minutes(5)

/** One attempt that did not give a body, and whether another may. */
export interface Failure {
  /** Says what happened. */
  readonly error: AccountError | EndpointError
  /** What to do next, where the error does not say so itself: said once, after the last attempt. */
  readonly remedy?: string
  readonly isTransient: boolean
  /** Attempts after which another is of no use, where they are fewer than usual. */
  readonly attemptsMax?: number
  /** Wait that the API asked for with `Retry-After`; the whole account keeps it. */
  readonly pauseMillis: number
}

/** What one request was about. `path` is what may be told of it, `token` is here only to be kept out of texts. */
export interface Asked {
  readonly account: string
  readonly path: string
  readonly token: string
  readonly sentAtMillis: number
  /** The proxy that the request goes through, as it may be told. */
  readonly proxy?: string | undefined
}

/** An answer as it arrived, its text decoded. */
export interface Received {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly text: string
  /** Length of the body as it was sent, unpacked: all that is told of one that cannot be read. */
  readonly bytes: number
}

/**
 * Takes an answer for what it is: the JSON of a success, or a failure with one line for people. Of what the API
 * says of a failure, the line has only codes and names made for machines: its sentences may name a person, and
 * the line is logged and stored.
 */
export const judge = (
  asked: Asked,
  received: Received,
  bounds: AnswerBounds = PAGE_BOUNDS,
): Either.Either<Json, Failure> => {
  const { status, headers, text } = received
  if (status === 401) return Either.left(ofRefusedToken(asked))
  if (status >= 200 && status < 300) return judgeBody(asked, received, bounds)
  const says = named(asked, status, wordsIn(text))
  if (status === 408 || status === 429 || status >= 500) {
    const pauseMillis = readRetryAfter(headers, asked.sentAtMillis)
    return Either.left(
      unavailable(asked, `HTTP ${status}${says}`, ofPassing(status), { status, pauseMillis }),
    )
  }
  const what =
    status < 400 ? `answered HTTP ${status}, a redirect, which is not followed` : `refused with ${status}`
  const refused = endpointFailure(asked, "refused", `${what}${says}`, ofRefusal(status), status)
  return Either.left(status === 404 || status === 416 ? sayingNothing(refused) : refused)
}

/** The same failure, as one that may only mean that there is nothing to list. */
const sayingNothing = ({ error, ...rest }: Failure): Failure => ({
  ...rest,
  error:
    error._tag === "AccountError"
      ? error
      : new EndpointError({ ...fieldsOf(error), message: error.message, saysNothing: true }),
})

const judgeBody = (asked: Asked, received: Received, bounds: AnswerBounds): Either.Either<Json, Failure> => {
  const { status } = received
  const body = readBody(asked, received, bounds)
  if (Either.isLeft(body)) return body
  const unwrapped = unwrap(body.right)
  if (unwrapped.isOk) {
    const isTooLong = (findList(body.right)?.records.length ?? 0) > bounds.records
    const limit = `${bounds.records.toLocaleString("en")} records`
    return isTooLong ? Either.left(ofLargeAnswer(asked, bounds, limit, status)) : body
  }
  const { code = 0, words, saysNothing } = unwrapped
  // PayCombat passes its provider's envelope on: a code of the kind that HTTP would have us repeat is repeated.
  const isTransient = code === 408 || code === 429 || code >= 500
  const what = `failed although HTTP says ${status}${named(asked, status, words)}`
  const remedy = isTransient ? ofPassing(code) : OF_FAILED
  const failed = { ...endpointFailure(asked, "failed", what, remedy, status), isTransient }
  return Either.left(saysNothing ? sayingNothing(failed) : failed)
}

/** An answer without a body is whole. 204 says so on purpose; of any other success it may be a server's mishap. */
const withoutBody = (asked: Asked, status: number): Failure => ({
  ...sayingNothing(
    endpointFailure(asked, "malformed", `answered ${status} without a body`, OF_NO_BODY, status),
  ),
  isTransient: status !== NO_CONTENT,
  attemptsMax: NO_BODY_ATTEMPTS,
})

/** Times one request is sent at most where the answer has no body: a mishap passes sooner than that. */
const NO_BODY_ATTEMPTS = 3

const NO_CONTENT = 204
/** White space as JSON has it, and a byte order mark. */
const BLANK = /^[\s\ufeff]*$/

const readBody = (
  asked: Asked,
  { status, text, bytes }: Received,
  bounds: AnswerBounds,
): Either.Either<Json, Failure> => {
  if (BLANK.test(text)) return Either.left(withoutBody(asked, status))
  if (/^\s*</.test(text)) {
    const what = `answered HTML, not JSON (${bytes} bytes)`
    return Either.left(endpointFailure(asked, "malformed", what, OF_NO_JSON, status))
  }
  try {
    return Either.right(parseJson(text, bounds.values))
  } catch (cause) {
    if (cause instanceof TooManyValuesError)
      return Either.left(
        ofLargeAnswer(asked, bounds, `${bounds.values.toLocaleString("en")} JSON values`, status),
      )
    const isTransient = cause instanceof TruncatedJsonError
    const what = `answered ${cause instanceof SyntaxError ? cause.message : "JSON that cannot be read"} (${bytes} bytes)`
    const remedy = isTransient ? OF_CUT_BODY : OF_NO_JSON
    return Either.left({ ...endpointFailure(asked, "malformed", what, remedy, status), isTransient })
  }
}

/** The account's variable; `default` is the one without a suffix. */
export const tokenVariable = (account: string): string =>
  account === "default"
    ? "PAYCOMBAT_TOKEN"
    : `PAYCOMBAT_TOKEN_${account.toUpperCase().replace(/[^A-Z0-9]/g, "_")}`

const ofRefusedToken = (asked: Asked): Failure => ({
  error: new AccountError({
    message: `PayCombat does not accept the token of account ${asked.account} (401): put a valid one in ${tokenVariable(asked.account)}`,
  }),
  isTransient: false,
  pauseMillis: 0,
})

/** A header cannot carry it, and the transport's own error would quote it. */
export const ofUnsendableToken = (account: string): AccountError =>
  new AccountError({
    message: `${tokenVariable(account)} holds a space, a line break or a character that a header cannot carry: put the bare token in it`,
  })

/** The API's earlier request to wait is not over: nothing was sent. */
export const ofPause = (asked: Asked, leftMillis: number): Failure =>
  endpointFailure(asked, "unavailable", "PayCombat asked for a pause", tryAgain(asked, leftMillis))

const through = ({ proxy }: Asked) => (proxy === undefined ? "" : ` through the proxy ${proxy}`)

export const ofTimeout = (asked: Asked, timeout: Duration.Duration): Failure =>
  unavailable(
    asked,
    `no complete answer${through(asked)} within ${Duration.toSeconds(timeout)} s`,
    OF_TIMEOUT,
  )

/** Only the system's code of the cause is told: messages of the transport may quote headers. */
export const ofTransport = (asked: Asked, cause: unknown): Failure => {
  const refusal = proxyRefusal(cause)
  if (asked.proxy !== undefined && refusal !== undefined) {
    const what = `the proxy ${asked.proxy} refused the connection with ${refusal}`
    return { ...unavailable(asked, what, ofProxy(refusal)), isTransient: refusal >= 500 }
  }
  const code = systemCode(cause)
  const remedy = asked.proxy === undefined ? ofConnection(code) : OF_PROXY_CONNECTION
  return unavailable(asked, `connection${through(asked)} failed (${code ?? "no code"})`, remedy)
}

/** An answer over a bound, `limit` in words: nothing of it was kept. */
export const ofLargeAnswer = (
  asked: Asked,
  { remedy }: AnswerBounds,
  limit: string,
  status: number,
): Failure =>
  endpointFailure(asked, "malformed", `answered more than ${limit}, which is not read`, remedy, status)

export const ofForeignText = (asked: Asked, status: number, bytes: number): Failure => {
  const what = `answered text that is not UTF-8 (${bytes} bytes)`
  return endpointFailure(asked, "malformed", what, OF_NO_JSON, status)
}

/** The last failure of one or many attempts, told as such, with what to do next. */
export const afterAttempts = ({ error, remedy }: Failure, attempts: number): AccountError | EndpointError => {
  if (error._tag === "AccountError") return error
  const often = attempts === 1 ? "" : `, still so after ${attempts} attempts`
  const next = remedy === undefined ? "" : `: ${remedy}`
  return new EndpointError({ ...fieldsOf(error), message: `${error.message}${often}${next}` })
}

const fieldsOf = ({ reason, path, status, saysNothing }: EndpointError) => ({
  reason,
  path,
  ...(status === undefined ? {} : { status }),
  ...(saysNothing === undefined ? {} : { saysNothing }),
})

const unavailable = (
  asked: Asked,
  what: string,
  remedy: string,
  { status, pauseMillis = 0 }: { status?: number; pauseMillis?: number } = {},
): Failure => {
  const isTooLong = pauseMillis > Duration.toMillis(MAX_RETRY_AFTER)
  const next = isTooLong ? tryAgain(asked, pauseMillis) : remedy
  return {
    ...endpointFailure(asked, "unavailable", what, next, status),
    isTransient: !isTooLong,
    pauseMillis,
  }
}

/** Beyond it, `Retry-After` is no plan but a ban or a mistake; no date is told for it. */
const PLAUSIBLE_WAIT_MILLIS = Duration.toMillis("365 days")

const tryAgain = (asked: Asked, millis: number) => {
  if (millis > PLAUSIBLE_WAIT_MILLIS)
    return "the pause it asks for is longer than a year: ask PayCombat whether it blocks this access"
  return `try again after ${new Date(asked.sentAtMillis + millis).toISOString().replace(/\.\d+Z$/, "Z")}`
}

const endpointFailure = (
  { path }: Asked,
  reason: EndpointError["reason"],
  what: string,
  remedy: string,
  status?: number,
): Failure => ({
  error: new EndpointError({
    reason,
    path,
    message: `GET ${path}: ${what}`,
    ...(status === undefined ? {} : { status }),
  }),
  remedy,
  isTransient: false,
  pauseMillis: 0,
})

/** The machine words of an error body (U), none of anything else. */
const wordsIn = (text: string): ReadonlyArray<string> => {
  try {
    const unwrapped = unwrap(parseJson(text))
    return unwrapped.isOk ? [] : unwrapped.words
  } catch {
    return []
  }
}

const named = ({ token }: Asked, status: number, words: ReadonlyArray<string>): string => {
  const told = words.filter(word => word !== String(status) && !word.includes(token))
  return told.length === 0 ? "" : ` (${told.join(" ")})`
}

/** The status with which a proxy refused to make a tunnel: undici has it in words only. */
const proxyRefusal = (cause: unknown): number | undefined => {
  for (let error = cause, depth = 0; error instanceof Error && depth < 5; error = error.cause, depth++) {
    const status = /^Proxy response \((\d{3})\)/.exec(error.message)?.[1]
    if (status !== undefined) return Number(status)
  }
  return undefined
}

const systemCode = (cause: unknown): string | undefined => {
  for (let error = cause, depth = 0; error instanceof Error && depth < 5; error = error.cause, depth++) {
    if ("code" in error && typeof error.code === "string" && /^[A-Z0-9_]+$/.test(error.code))
      return error.code
  }
  return undefined
}
