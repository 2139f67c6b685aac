import * as FetchHttpClient from "@effect/platform/FetchHttpClient"
import * as Headers from "@effect/platform/Headers"
import * as HttpClient from "@effect/platform/HttpClient"
import * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import { Clock, Context, Duration, Effect, Either, Layer, Random, Redacted } from "effect"
import type { Account } from "../../core/account.ts"
import type { AccountError, EndpointError } from "../../core/errors.ts"
import type { Json } from "../../core/json.ts"
import { countRequest, countRetry } from "../../observe/metrics.ts"
import { type AnswerBounds, PAGE_BOUNDS } from "./bounds.ts"
import { type Share, type Tab, unitsOf, withTab } from "./budget.ts"
import { type CircuitBreaker, MAX_ATTEMPTS, makeCircuitBreaker } from "./circuitBreaker.ts"
import {
  afterAttempts,
  type Failure,
  MAX_RETRY_AFTER,
  pauseFailure,
  type RequestInfo,
  timeoutFailure,
  transportFailure,
  unsendableToken,
} from "./failures.ts"
import { placeIn } from "./places.ts"
import { ProxyInUse } from "./proxy.ts"
import { type Grant, makeRateLimiter, monotonicMillis, type RateLimiter } from "./rateLimiter.ts"
import { receive, textOf } from "./receive.ts"
import { classify, recordHead } from "./response.ts"
import { startStopwatch } from "./stopwatch.ts"
import { traced } from "./tracing.ts"

export { MAX_ATTEMPTS } from "./circuitBreaker.ts"

const FIRST_BACKOFF_MILLIS = 500

export type Query = Readonly<Record<string, string | number>>

export interface Answer {
  readonly body: Json
  /** Time at which the request was sent, by `now`. Dated by its arrival, a slow old answer would look newer than a quick one. */
  readonly readAt: Date
  readonly status: number
  readonly bytes: number
  /** The memory that it takes, if it was requested with a tab. Release it when the records are written or dropped. */
  readonly share?: Share | undefined
}

export interface Asking {
  readonly attempts?: number
  /** The path with `{id}` if it names a record, for errors, logs and spans. The path if absent. */
  readonly route?: string
  /** An answer without a body is not requested again; the caller handles it. */
  readonly takesNoBody?: boolean
  /** Bounds on the answer; those of a page if absent. */
  readonly bounds?: AnswerBounds
  /** Keeps the answer's share of the process' memory until it is released; if absent, it is released at once. */
  readonly tab?: Tab
}

export interface Client {
  readonly account: Account
  /** The time by which reads are dated. It never goes back, even if this machine's clock is set back. */
  readonly now: Effect.Effect<Date>
  /**
   * Sends one GET, with repetitions if they may help, and returns the parsed body of a success. `path` is joined to the
   * base URL, and may have a query of its own.
   *
   * - 401: `AccountError`, not repeated (D: a GET needs only the token)
   * - other 4xx and redirects: `refused`, not repeated
   * - 408, 429, 5xx, time-out, transport: repeated up to `MAX_ATTEMPTS` with jittered back-off, then `unavailable`.
   *   `Retry-After`, and a 429 without it, pause the whole account. A pause beyond `MAX_RETRY_AFTER`, or pauses of
   *   three times that without an answer in between, end the call. After calls to a part of the API failed in a row,
   *   further ones get one attempt
   * - HTML, truncated JSON, JSON beyond the bounds, no body: `malformed`; only truncated JSON, and a 200 without a
   *   body, are repeated
   * - 200 whose envelope reports a failure: `failed`, repeated if its code is a transient one (U)
   */
  readonly get: (
    path: string,
    query?: Query,
    asking?: Asking,
  ) => Effect.Effect<Answer, AccountError | EndpointError>
}

/** Counts the requests. Provide a fresh one to a stream's run to get its counts; the default is never read. */
export class Usage extends Context.Reference<Usage>()("paycombat-sync/Usage", {
  defaultValue: (): { requests: number; retries: number } => ({ requests: 0, retries: 0 }),
}) {}

/** All headers except those that help to understand an answer. The API may put a cookie into others. */
const OTHERS = /^(?!(accept|content-type|content-length|content-encoding|date|retry-after)$)/i

const withToken = (names: ReadonlyArray<string | RegExp>) => [...names, "x-token", OTHERS]

/** Keeps `X-token`, and all headers that are not known to be harmless, out of spans and logged errors. */
export const redactedHeaders: Layer.Layer<never> = Layer.fiberRefLocallyScopedWith(
  Headers.currentRedactedNames,
  withToken,
)

export interface ClientOptions {
  /** Start time of the client's clock; this machine's time if absent. */
  readonly startedAt?: Date
  /** Permission to send; absent if no other process asks the API about this account. */
  readonly grant?: Grant
}

interface Shared {
  readonly account: Account
  readonly http: HttpClient.HttpClient
  readonly limiter: RateLimiter
  readonly breaker: CircuitBreaker
  readonly underWay: Effect.Semaphore
  readonly now: Effect.Effect<Date>
  readonly baseUrl: string
  readonly way: Pick<RequestInfo, "proxy" | "unusedProxy">
}

/** Makes the client of one account, which holds its rate, concurrency and pauses: share it between all streams. */
export const make = (
  account: Account,
  { startedAt, grant }: ClientOptions = {},
): Effect.Effect<Client, never, HttpClient.HttpClient> =>
  Effect.gen(function* () {
    const startMillis = startedAt?.getTime() ?? (yield* Clock.currentTimeMillis)
    const startMonotonic = yield* monotonicMillis
    const baseUrl = account.baseUrl.replace(/\/+$/, "")
    const proxies = yield* ProxyInUse
    const shared: Shared = {
      account,
      http: HttpClient.withTracerDisabledWhen(yield* HttpClient.HttpClient, () => true),
      limiter: yield* makeRateLimiter(account.ratePerSecond, Duration.toMillis(MAX_RETRY_AFTER), grant),
      breaker: makeCircuitBreaker(),
      underWay: yield* Effect.makeSemaphore(account.concurrency),
      now: Effect.map(monotonicMillis, millis => new Date(startMillis + millis - startMonotonic)),
      baseUrl,
      way: { proxy: proxies.of(baseUrl)?.label, unusedProxy: proxies.unused },
    }
    return {
      account,
      now: shared.now,
      get: (path, query = {}, asking = {}) =>
        SENDABLE.test(Redacted.value(account.token))
          ? get(shared, path, query, asking).pipe(
              Effect.locallyWith(Headers.currentRedactedNames, withToken),
              // A redirect would carry the token to another server.
              Effect.provideService(FetchHttpClient.RequestInit, { redirect: "manual" }),
            )
          : Effect.fail(unsendableToken(account.name)),
    }
  })

const get = (
  shared: Shared,
  path: string,
  query: Query,
  asking: Asking,
  attempts = 1,
): ReturnType<Client["get"]> =>
  Effect.catchAll(
    withTab(own => attempt(shared, path, query, { route: withoutQuery(path), ...asking }, own)),
    failure =>
      Effect.gen(function* () {
        const { account, limiter, breaker } = shared
        const { attempts: limit = MAX_ATTEMPTS, takesNoBody = false } = asking
        const isAnswered = takesNoBody && saysNothing(failure)
        const most = Math.min(limit, failure.attemptsMax ?? limit, breaker.attempts(path))
        if (isAnswered || !failure.isTransient || attempts >= most) {
          if (!isAnswer(failure) && limit === MAX_ATTEMPTS) breaker.failed(path)
          return yield* Effect.fail(afterAttempts(failure, attempts))
        }
        const jitter = 0.5 + (yield* Random.next)
        const backoffMillis = Math.round(FIRST_BACKOFF_MILLIS * 2 ** (attempts - 1) * jitter)
        const waitMillis = Math.max(backoffMillis, failure.pauseMillis)
        yield* Effect.logDebug(`${failure.error.message}; again in ${(waitMillis / 1000).toFixed(1)} s`)
        ;(yield* Usage).retries++
        yield* countRetry(account.name, statusOf(failure))
        // A 429 without a time concerns the whole account, not only this call.
        if (statusOf(failure) === 429) yield* limiter.pause(backoffMillis)
        // The rate limiter waits for the rest of a pause, or refuses it.
        yield* Effect.sleep(backoffMillis)
        return yield* get(shared, path, query, asking, attempts + 1)
      }),
  )

const attempt = (
  shared: Shared,
  path: string,
  query: Query,
  asking: Asking & { readonly route: string },
  own: Tab,
): Effect.Effect<Answer, Failure> => {
  const { account, limiter, breaker, now, baseUrl, way } = shared
  const { route, bounds = PAGE_BOUNDS, tab } = asking
  const answered = Effect.zipRight(
    limiter.resume,
    Effect.sync(() => breaker.answered(path)),
  )
  return Effect.gen(function* () {
    const leave = yield* placeIn(shared.underWay)
    const subject = { account: account.name, path: route, token: Redacted.value(account.token), ...way }
    yield* Effect.catchAll(limiter.take, ({ millis }) =>
      Effect.flatMap(Clock.currentTimeMillis, sentAtMillis =>
        Effect.fail(pauseFailure({ ...subject, sentAtMillis }, millis)),
      ),
    )
    ;(yield* Usage).requests++
    const readAt = yield* now
    const info: RequestInfo = { ...subject, sentAtMillis: yield* Clock.currentTimeMillis }
    const answer = Effect.gen(function* () {
      const received = yield* send(shared, path, query, info, bounds)
      const { status, bytes, content } = received
      // Other requests may go out while this answer waits for memory, because the holders of the memory may need them.
      yield* leave
      // By-id answers are small, and complete pages that already have a share.
      const share =
        bounds === PAGE_BOUNDS && bytes > 0 ? yield* (tab ?? own).take(unitsOf(content)) : undefined
      const body = Either.flatMap(textOf(info, received), decoded => classify(info, decoded, bounds))
      if (Either.isLeft(body) && share !== undefined) yield* share.release
      return { body: yield* body, status, bytes, ...(tab === undefined ? {} : { share }) }
    })
    return { ...(yield* traced({ baseUrl, route }, answer)), readAt }
  }).pipe(
    Effect.scoped,
    Effect.tapBoth({
      onFailure: failure =>
        failure.pauseMillis > 0
          ? limiter.pause(failure.pauseMillis)
          : isAnswer(failure)
            ? answered
            : Effect.void,
      onSuccess: () => answered,
    }),
  )
}

const send = (
  { account, http, baseUrl }: Shared,
  path: string,
  query: Query,
  info: RequestInfo,
  bounds: AnswerBounds,
) =>
  Effect.gen(function* () {
    const request = HttpClientRequest.get(`${baseUrl}/${path.replace(/^\/+/, "")}`, {
      urlParams: query,
      headers: { "x-token": info.token, accept: "application/json" },
    })
    const stopwatch = yield* startStopwatch(account.timeout)
    return yield* http.execute(request).pipe(
      Effect.mapError(error => transportFailure(info, error)),
      Effect.tap(recordHead),
      Effect.flatMap(response => receive(info, response, bounds, stopwatch)),
      Effect.raceFirst(
        Effect.flatMap(stopwatch.expired, () => Effect.fail(timeoutFailure(info, account.timeout))),
      ),
      Effect.tapBoth({
        onSuccess: ({ status }) => countRequest(account.name, status),
        onFailure: failure => countRequest(account.name, statusOf(failure)),
      }),
    )
  })

const SENDABLE = /^[\x21-\x7e]+$/
const withoutQuery = (path: string) => path.replace(/[?#].*$/s, "")

const statusOf = ({ error }: Failure) => (error._tag === "EndpointError" ? error.status : undefined)

const saysNothing = ({ error }: Failure) => error._tag === "EndpointError" && error.saysNothing === true

/** True if the API answered, with whatever content: it is there. */
const isAnswer = ({ error }: Failure) => error._tag === "AccountError" || error.reason !== "unavailable"
