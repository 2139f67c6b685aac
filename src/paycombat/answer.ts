import { Duration, Either } from "effect"
import { AccountError, EndpointError } from "../Errors.ts"
import { type Json, parseJson, TruncatedJsonError } from "../Json.ts"
import { unwrap } from "./envelope.ts"

/** Longest wait that a run sits through when the API asks for one; a longer one ends the stream instead. */
export const MAX_RETRY_AFTER = Duration.minutes(5)

/** One attempt that did not give a body, and whether another may. */
export interface Failure {
  readonly error: AccountError | EndpointError
  readonly isTransient: boolean
  /** Wait that the API asked for with `Retry-After`; the whole account keeps it. */
  readonly pauseMillis: number
}

/** What one request was about. `path` is what may be told of it, `token` is here only to be kept out of texts. */
export interface Asked {
  readonly account: string
  readonly path: string
  readonly token: string
  readonly sentAtMillis: number
}

/** An answer as it arrived. */
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
export const judge = (asked: Asked, received: Received): Either.Either<Json, Failure> => {
  const { status, headers, text } = received
  if (status === 401) return Either.left(ofRefusedToken(asked))
  if (status >= 200 && status < 300) return judgeBody(asked, received)
  const says = named(asked, status, wordsIn(text))
  if (status === 408 || status === 429 || status >= 500) {
    const pauseMillis = readRetryAfter(headers, asked.sentAtMillis)
    return Either.left(unavailable(asked, `HTTP ${status}${says}`, { status, pauseMillis }))
  }
  return Either.left(
    endpointFailure(asked, "refused", `${REFUSED[status] ?? refused(status)}${says}`, status),
  )
}

const REFUSED: Readonly<Record<number, string>> = {
  403: "refused with 403: this token may not read this endpoint; ask PayCombat for access",
  404: "refused with 404: nothing at this path",
}
const refused = (status: number) =>
  status < 400
    ? `answered HTTP ${status}, a redirect, which is not followed: is PAYCOMBAT_BASE_URL the API's address?`
    : `refused with ${status}`

const judgeBody = (asked: Asked, received: Received): Either.Either<Json, Failure> => {
  const { status } = received
  const body = readBody(asked, received)
  if (Either.isLeft(body)) return body
  const unwrapped = unwrap(body.right)
  if (unwrapped.isOk) return body
  const { code, words } = unwrapped
  const failure = endpointFailure(
    asked,
    "failed",
    `failed although HTTP says ${status}${named(asked, status, words)}`,
    status,
  )
  // PayCombat passes its provider's envelope on: a code of the kind that HTTP would have us repeat is repeated.
  return Either.left({ ...failure, isTransient: code === 408 || code === 429 || (code ?? 0) >= 500 })
}

const readBody = (asked: Asked, { status, text, bytes }: Received): Either.Either<Json, Failure> => {
  if (/^\s*</.test(text)) {
    const what = `answered HTML, not JSON (${bytes} bytes): is PAYCOMBAT_BASE_URL the API's address?`
    return Either.left(endpointFailure(asked, "malformed", what, status))
  }
  try {
    return Either.right(parseJson(text))
  } catch (cause) {
    const isTransient = cause instanceof TruncatedJsonError
    const what = `answered ${isTransient ? "JSON that ends too early" : (cause as SyntaxError).message} (${bytes} bytes)`
    return Either.left({ ...endpointFailure(asked, "malformed", what, status), isTransient })
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
  endpointFailure(asked, "unavailable", `PayCombat asked for a pause: ${tryAgain(asked, leftMillis)}`)

export const ofTimeout = (asked: Asked, timeout: Duration.Duration): Failure =>
  unavailable(asked, `no complete answer within ${Duration.toSeconds(timeout)} s`)

/** Only the system's code of the cause is told: messages of the transport may quote headers. */
export const ofTransport = (asked: Asked, cause: unknown): Failure =>
  unavailable(asked, `connection failed (${systemCode(cause) ?? "no code"})`)

export const ofLargeBody = (asked: Asked, limitBytes: number, status: number): Failure =>
  endpointFailure(
    asked,
    "malformed",
    `answered more than ${limitBytes / 2 ** 20} MiB, which is not read`,
    status,
  )

export const ofForeignText = (asked: Asked, status: number, bytes: number): Failure =>
  endpointFailure(asked, "malformed", `answered text that is not UTF-8 (${bytes} bytes)`, status)

/** The last failure of many, told as such. */
export const afterAttempts = ({ error }: Failure, attempts: number): AccountError | EndpointError =>
  error._tag === "AccountError" || attempts === 1
    ? error
    : new EndpointError({
        ...fieldsOf(error),
        message: `${error.message}, still so after ${attempts} attempts`,
      })

const fieldsOf = ({ reason, path, status }: EndpointError) =>
  status === undefined ? { reason, path } : { reason, path, status }

const unavailable = (
  asked: Asked,
  what: string,
  { status, pauseMillis = 0 }: { status?: number; pauseMillis?: number } = {},
): Failure => {
  const isTooLong = pauseMillis > Duration.toMillis(MAX_RETRY_AFTER)
  const told = isTooLong ? `${what}: ${tryAgain(asked, pauseMillis)}` : what
  return { ...endpointFailure(asked, "unavailable", told, status), isTransient: !isTooLong, pauseMillis }
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
  status?: number,
): Failure => ({
  error: new EndpointError({
    reason,
    path,
    message: `GET ${path}: ${what}`,
    ...(status === undefined ? {} : { status }),
  }),
  isTransient: false,
  pauseMillis: 0,
})

/** The dates of RFC 9110, and ISO 8601. Others are not left to `Date.parse`: to it, `soon 2099` is a date. */
const DATE = /^([A-Z][a-z]+,? .*\d\d:\d\d:\d\d.*|\d{4}-\d\d-\d\dT[\d:.]+(Z|[+-]\d\d:?\d\d))$/

/**
 * Both forms of RFC 9110: seconds (with decimals, as some send them), or a date, which is compared to the
 * answer's own clock where it tells it. Anything else, and what is past, asks for nothing.
 */
const readRetryAfter = (headers: Readonly<Record<string, string>>, nowMillis: number): number => {
  const value = headers["retry-after"]?.trim() ?? ""
  if (/^\d+(\.\d+)?$/.test(value)) return Math.ceil(Number(value) * 1000)
  const until = DATE.test(value) ? Date.parse(value) : Number.NaN
  if (Number.isNaN(until)) return 0
  const serverMillis = Date.parse(headers.date ?? "")
  return Math.max(0, until - (Number.isNaN(serverMillis) ? nowMillis : serverMillis))
}

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

const systemCode = (cause: unknown): string | undefined => {
  for (let error = cause, depth = 0; error instanceof Error && depth < 5; error = error.cause, depth++) {
    if ("code" in error && typeof error.code === "string" && /^[A-Z0-9_]+$/.test(error.code))
      return error.code
  }
  return undefined
}
