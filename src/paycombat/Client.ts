import * as FetchHttpClient from "@effect/platform/FetchHttpClient"
import * as Headers from "@effect/platform/Headers"
import * as HttpClient from "@effect/platform/HttpClient"
import type { HttpClientError } from "@effect/platform/HttpClientError"
import * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import type { HttpClientResponse } from "@effect/platform/HttpClientResponse"
import { Clock, Context, Duration, Effect, Layer, Random, Redacted, Stream } from "effect"
import type { AccountError, EndpointError } from "../Errors.ts"
import type { Json } from "../Json.ts"
import {
  type Asked,
  afterAttempts,
  type Failure,
  judge,
  MAX_RETRY_AFTER,
  ofForeignText,
  ofLargeBody,
  ofPause,
  ofTimeout,
  ofTransport,
  ofUnsendableToken,
  type Received,
} from "./answer.ts"
import { makePace } from "./pace.ts"

/** Times one request is sent before it counts as failed; with the waits between them, about 15 seconds. */
export const MAX_ATTEMPTS = 6
/** An answer larger than this is not read to its end. A page of 1,000 records is some 1 MiB. */
export const BODY_LIMIT_BYTES = 64 * 2 ** 20
const FIRST_BACKOFF_MILLIS = 500

/** One merchant's access to the API, and the bounds on what the API is asked. */
export interface Account {
  readonly name: string
  readonly token: Redacted.Redacted<string>
  readonly baseUrl: string
  /** Records asked for per page; the API may give fewer. */
  readonly pageSize: number
  readonly ratePerSecond: number
  /** Requests under way at once. */
  readonly concurrency: number
  /** For one attempt: from sending it to the last byte of its answer. */
  readonly timeout: Duration.Duration
}

export type Query = Readonly<Record<string, string | number>>

export interface Answer {
  readonly body: Json
  /**
   * When the request was sent, by this machine's clock. What was read is at least as new as that; the time of
   * the answer would let a slow answer with old data pass for newer than a quick one with new data.
   */
  readonly readAt: Date
  readonly status: number
}

export interface Client {
  readonly account: Account
  /**
   * Sends one GET, again where that may help, and answers the parsed body of a success. `path` is joined to
   * the base URL and may carry a query of its own.
   *
   * - 401: `AccountError`, not repeated (D: the token is all that a GET needs)
   * - other 4xx and redirects: `refused`, not repeated
   * - 408, 429, 5xx, time-out, transport: repeated up to `MAX_ATTEMPTS` with jittered back-off, then
   *   `unavailable`. `Retry-After` holds back the whole account; beyond `MAX_RETRY_AFTER` it ends the call
   * - HTML, cut or overlong JSON: `malformed`; only cut JSON is repeated
   * - 200 whose envelope says that it failed: `failed`, repeated where its code is a transient one (U)
   */
  readonly get: (path: string, query?: Query) => Effect.Effect<Answer, AccountError | EndpointError>
}

/** Counts what is sent. Provide a fresh one to a stream's run to learn its figures; the default is read by nobody. */
export class Usage extends Context.Reference<Usage>()("paycombat-sync/Usage", {
  defaultValue: (): { requests: number; retries: number } => ({ requests: 0, retries: 0 }),
}) {}

const withToken = (names: ReadonlyArray<string | RegExp>) => [...names, "x-token"]

/** Keeps `X-token` out of spans and logged errors: for the whole application. The client needs no help by itself. */
export const redactedHeaders: Layer.Layer<never> = Layer.fiberRefLocallyScopedWith(
  Headers.currentRedactedNames,
  withToken,
)

/**
 * The client of one account. Rate, concurrency and the API's pauses are kept in it: make one per account, and
 * let all of the account's streams share it.
 */
export const make = (account: Account): Effect.Effect<Client, never, HttpClient.HttpClient> =>
  Effect.gen(function* () {
    const http = yield* Effect.map(HttpClient.HttpClient, HttpClient.withTracerPropagation(false))
    const pace = yield* makePace(account.ratePerSecond, Duration.toMillis(MAX_RETRY_AFTER))
    const underWay = yield* Effect.makeSemaphore(account.concurrency)
    const token = Redacted.value(account.token)
    const baseUrl = account.baseUrl.replace(/\/+$/, "")

    const attempt = (path: string, query: Query): Effect.Effect<Answer, Failure> =>
      Effect.gen(function* () {
        const about = { account: account.name, path: path.replace(/[?#].*$/s, ""), token }
        yield* Effect.catchAll(pace.take, ({ millis }) =>
          Effect.flatMap(Clock.currentTimeMillis, now =>
            Effect.fail(ofPause({ ...about, sentAtMillis: now }, millis)),
          ),
        )
        ;(yield* Usage).requests++
        const sentAtMillis = yield* Clock.currentTimeMillis
        const asked: Asked = { ...about, sentAtMillis }
        const request = HttpClientRequest.get(`${baseUrl}/${path.replace(/^\/+/, "")}`, {
          urlParams: query,
          headers: { "x-token": token, accept: "application/json" },
        })
        const received = yield* http.execute(request).pipe(
          Effect.mapError(error => ofTransport(asked, error)),
          Effect.flatMap(response => receive(asked, response)),
          Effect.timeoutFail({
            duration: account.timeout,
            onTimeout: () => ofTimeout(asked, account.timeout),
          }),
        )
        const body = yield* judge(asked, received)
        return { body, readAt: new Date(sentAtMillis), status: received.status }
      }).pipe(
        Effect.tapError(failure => (failure.pauseMillis > 0 ? pace.pause(failure.pauseMillis) : Effect.void)),
        underWay.withPermits(1),
      )

    const get = (path: string, query: Query, attempts: number): ReturnType<Client["get"]> =>
      Effect.catchAll(attempt(path, query), failure =>
        Effect.gen(function* () {
          if (!failure.isTransient || attempts === MAX_ATTEMPTS) {
            return yield* Effect.fail(afterAttempts(failure, attempts))
          }
          const jitter = 0.5 + (yield* Random.next)
          const backoffMillis = Math.round(FIRST_BACKOFF_MILLIS * 2 ** (attempts - 1) * jitter)
          const waitMillis = Math.max(backoffMillis, failure.pauseMillis)
          yield* Effect.logDebug(`${failure.error.message}; again in ${(waitMillis / 1000).toFixed(1)} s`)
          ;(yield* Usage).retries++
          yield* Effect.sleep(waitMillis)
          return yield* get(path, query, attempts + 1)
        }),
      )

    return {
      account,
      get: (path, query = {}) =>
        SENDABLE.test(token)
          ? get(path, query, 1).pipe(
              Effect.locallyWith(Headers.currentRedactedNames, withToken),
              // A redirect would carry the token to wherever it points.
              Effect.provideService(FetchHttpClient.RequestInit, { redirect: "manual" }),
            )
          : Effect.fail(ofUnsendableToken(account.name)),
    }
  })

/** What a header may carry: visible ASCII. */
const SENDABLE = /^[\x21-\x7e]+$/

const receive = (asked: Asked, response: HttpClientResponse): Effect.Effect<Received, Failure> => {
  let size = 0
  const chunks: Array<Uint8Array> = []
  const read = Stream.runForEach(response.stream, chunk => {
    size += chunk.byteLength
    if (size > BODY_LIMIT_BYTES) return Effect.fail(ofLargeBody(asked, BODY_LIMIT_BYTES, response.status))
    chunks.push(chunk)
    return Effect.void
  }).pipe(
    Effect.mapError((error: HttpClientError | Failure) =>
      "isTransient" in error ? error : ofTransport(asked, error),
    ),
  )
  return Effect.flatMap(read, () =>
    Effect.try({
      // Not the lenient decoder: it would put U+FFFD in place of what was sent.
      try: () => ({
        status: response.status,
        headers: response.headers,
        text: new TextDecoder("utf-8", { fatal: true }).decode(Buffer.concat(chunks)),
      }),
      catch: () => ofForeignText(asked, response.status),
    }),
  )
}
