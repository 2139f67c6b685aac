import { Duration } from "effect"
import { AccountError, EndpointError } from "../../core/errors.ts"
import {
  ADVICE_NOT_JSON,
  ADVICE_PROXY_CONNECTION,
  ADVICE_TIMEOUT,
  adviceForConnection,
  adviceForProxy,
} from "./advice.ts"
import type { AnswerBounds } from "./bounds.ts"

/** The failures of a request, each with its sentence. They quote only codes of the API. */

/** Longest pause that a run waits for; a longer one ends the stream. */
export const MAX_RETRY_AFTER = Duration.minutes(5)

export interface Failure {
  readonly error: AccountError | EndpointError
  /** Advice at the end of the last attempt's message, unless the error has its own. */
  readonly advice?: string
  readonly isTransient: boolean
  /** Most useful attempts, if fewer than usual. */
  readonly attemptsMax?: number
  /** Wait that the API requested with `Retry-After`; it applies to the whole account. */
  readonly pauseMillis: number
}

/** The subject of one request. Messages name its `path`. `token` is here only to be kept out of them. */
export interface RequestInfo {
  readonly account: string
  readonly path: string
  readonly token: string
  readonly sentAtMillis: number
  /** The proxy that the request goes through, without credentials. */
  readonly proxy?: string | undefined
  /** The variable of a proxy that is passed over, with its kind. */
  readonly unusedProxy?: string | undefined
}

/** The account's variable; that of `default` has no suffix. */
const tokenVariable = (account: string): string =>
  account === "default"
    ? "PAYCOMBAT_TOKEN"
    : `PAYCOMBAT_TOKEN_${account.toUpperCase().replace(/[^A-Z0-9]/g, "_")}`

export const tokenFailure = (request: RequestInfo): Failure => ({
  error: new AccountError({
    message: `PayCombat does not accept the token of account ${request.account} (401): put a valid one in ${tokenVariable(request.account)}`,
  }),
  isTransient: false,
  pauseMillis: 0,
})

/** A header cannot carry the token, and the transport's own error would quote it. */
export const unsendableToken = (account: string): AccountError =>
  new AccountError({
    message: `${tokenVariable(account)} holds a space, a line break or a character that a header cannot carry: put the bare token in it`,
  })

export const pauseFailure = (request: RequestInfo, leftMillis: number): Failure =>
  endpointFailure(request, "unavailable", "PayCombat asked for a pause", tryAgain(request, leftMillis))

const through = ({ proxy }: RequestInfo) => (proxy === undefined ? "" : ` through the proxy ${proxy}`)

export const timeoutFailure = (request: RequestInfo, timeout: Duration.Duration): Failure =>
  unavailable(
    request,
    `no complete answer${through(request)} within ${Duration.toSeconds(timeout)} s`,
    ADVICE_TIMEOUT,
  )

/** The message holds only the system's code of the cause, because messages of the transport may quote headers. */
export const transportFailure = (request: RequestInfo, cause: unknown): Failure => {
  const refusal = proxyRefusal(cause)
  if (request.proxy !== undefined && refusal !== undefined) {
    const what = `the proxy ${request.proxy} refused the connection with ${refusal}`
    return { ...unavailable(request, what, adviceForProxy(refusal)), isTransient: refusal >= 500 }
  }
  const code = systemCode(cause)
  const advice =
    request.proxy === undefined ? adviceForConnection(code, request.unusedProxy) : ADVICE_PROXY_CONNECTION
  return unavailable(request, `connection${through(request)} failed (${code ?? "no code"})`, advice)
}

/** An answer over a bound (`limit` in words). Nothing of it was kept. */
export const largeAnswerFailure = (
  request: RequestInfo,
  { advice }: AnswerBounds,
  limit: string,
  status: number,
): Failure => {
  const what = `answered more than ${limit}, which is not read`
  return endpointFailure(request, "malformed", what, advice, { status, isTooLarge: true })
}

export const notUtf8Failure = (request: RequestInfo, status: number, bytes: number): Failure => {
  const what = `answered text that is not UTF-8 (${bytes} bytes)`
  return endpointFailure(request, "malformed", what, ADVICE_NOT_JSON, { status })
}

export const afterAttempts = ({ error, advice }: Failure, attempts: number): AccountError | EndpointError => {
  if (error._tag === "AccountError") return error
  const often = attempts === 1 ? "" : `, still so after ${attempts} attempts`
  const next = advice === undefined ? "" : `: ${advice}`
  return new EndpointError({ ...error, message: `${error.message}${often}${next}` })
}

/** A failure that may pass. If it asks for a longer pause than a run waits for, it is not repeated. */
export const unavailable = (
  request: RequestInfo,
  what: string,
  advice: string,
  { status, pauseMillis = 0 }: { status?: number; pauseMillis?: number } = {},
): Failure => {
  const isTooLong = pauseMillis > Duration.toMillis(MAX_RETRY_AFTER)
  const next = isTooLong ? tryAgain(request, pauseMillis) : advice
  return {
    ...endpointFailure(request, "unavailable", what, next, status === undefined ? {} : { status }),
    isTransient: !isTooLong,
    pauseMillis,
  }
}

/** A longer `Retry-After` is a ban or a mistake, so the message names no date for it. */
const PLAUSIBLE_WAIT_MILLIS = Duration.toMillis("365 days")

const tryAgain = (request: RequestInfo, millis: number) => {
  if (millis > PLAUSIBLE_WAIT_MILLIS)
    return "the pause it asks for is longer than a year: ask PayCombat whether it blocks this access"
  return `try again after ${new Date(request.sentAtMillis + millis).toISOString().replace(/\.\d+Z$/, "Z")}`
}

export const endpointFailure = (
  { path }: RequestInfo,
  reason: EndpointError["reason"],
  what: string,
  advice: string,
  marks: Partial<
    Pick<EndpointError, "status" | "saysNothing" | "saysEmpty" | "isFromApi" | "isTooLarge">
  > = {},
): Failure => ({
  error: new EndpointError({ reason, path, message: `GET ${path}: ${what}`, ...marks }),
  advice,
  isTransient: false,
  pauseMillis: 0,
})

/** Reads the status with which a proxy refused a tunnel. undici has it only in words. */
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
