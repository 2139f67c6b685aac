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
  type Asked,
  afterAttempts,
  type Failure,
  MAX_RETRY_AFTER,
  pauseFailure,
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
  /**
   * The time when the request was sent, by the client's clock (`now`). The records are at least as new as that; the time
   * of the answer would let a slow answer with old data pass for newer than a quick one with new data.
   */
  readonly readAt: Date
  readonly status: number
  /** Length of the answer, unpacked. */
  readonly bytes: number
  /** The memory that it takes, where it was asked for with a tab: to be released once it is written, or dropped. */
  readonly share?: Share | undefined
}

export interface Asking {
  /** Times it is sent at most, where the answer is worth no more. */
  readonly attempts?: number
  /**
   * The path with `{id}` where it names a record: what errors, logs and spans tell of the request, for whose record it
   * was is nobody's business who reads them. The path where absent.
   */
  readonly route?: string
  /** An answer without a body is not asked for again: the caller takes it for an answer. */
  readonly takesNoBody?: boolean
  /** Bounds on the answer; those of a page where absent. */
  readonly bounds?: AnswerBounds
  /** Keeps the answer's share of the process' memory until it is released; given back at once where absent. */
  readonly tab?: Tab
}

export interface Client {
  readonly account: Account
  /** The time that reads are dated by. It never goes back, whatever is done to this machine's clock meanwhile. */
  readonly now: Effect.Effect<Date>
  /**
   * Sends one GET, again where that may help, and answers the parsed body of a success. `path` is joined to
   * the base URL and may carry a query of its own.
   *
   * - 401: `AccountError`, not repeated (D: the token is all that a GET needs)
   * - other 4xx and redirects: `refused`, not repeated
   * - 408, 429, 5xx, time-out, transport: repeated up to `MAX_ATTEMPTS` with jittered back-off, then
   *   `unavailable`. `Retry-After`, and a 429 without it, hold back the whole account; beyond
   *   `MAX_RETRY_AFTER`, or three times that without an answer in between, it ends the call. Where a part of the
   *   API failed call after call, further ones are sent once
   * - HTML, cut JSON, JSON beyond the bounds, no body: `malformed`; only cut JSON, and a 200 without a body, are repeated
   * - 200 whose envelope says that it failed: `failed`, repeated where its code is a transient one (U)
   */
  readonly get: (
    path: string,
    query?: Query,
    asking?: Asking,
  ) => Effect.Effect<Answer, AccountError | EndpointError>
}

/** Counts what is sent. Provide a fresh one to a stream's run to learn its figures; the default is never read. */
export class Usage extends Context.Reference<Usage>()("paycombat-sync/Usage", {
  defaultValue: (): { requests: number; retries: number } => ({ requests: 0, retries: 0 }),
}) {}

/** All headers but those that help to understand an answer and hold nothing else. The API may put a cookie or an echo into others. */
const OTHERS = /^(?!(accept|content-type|content-length|content-encoding|date|retry-after)$)/i

const withToken = (names: ReadonlyArray<string | RegExp>) => [...names, "x-token", OTHERS]

/** Keeps `X-token`, and all that is not known to be harmless, out of spans and logged errors: for the whole application. */
export const redactedHeaders: Layer.Layer<never> = Layer.fiberRefLocallyScopedWith(
  Headers.currentRedactedNames,
  withToken,
)

export interface ClientOptions {
  /** Time at which the client's clock starts; this machine's time where absent. */
  readonly startedAt?: Date
  /** Permission to send; absent where no other process asks the API about this account. */
  readonly grant?: Grant
}

/** The parts that the requests of one account share. */
interface Shared {
  readonly account: Account
  readonly http: HttpClient.HttpClient
  readonly limiter: RateLimiter
  readonly breaker: CircuitBreaker
  readonly underWay: Effect.Semaphore
  readonly now: Effect.Effect<Date>
  readonly baseUrl: string
  /** The proxy of the base URL, as errors name it. */
  readonly proxy: string | undefined
}

/**
 * The client of one account. Rate, concurrency and the API's pauses are kept in it: make one per account, and
 * let all of the account's streams share it.
 */
export const make = (
  account: Account,
  { startedAt, grant }: ClientOptions = {},
): Effect.Effect<Client, never, HttpClient.HttpClient> =>
  Effect.gen(function* () {
    const startMillis = startedAt?.getTime() ?? (yield* Clock.currentTimeMillis)
    const startMonotonic = yield* monotonicMillis
    const baseUrl = account.baseUrl.replace(/\/+$/, "")
    const shared: Shared = {
      account,
      http: HttpClient.withTracerDisabledWhen(yield* HttpClient.HttpClient, () => true),
      limiter: yield* makeRateLimiter(account.ratePerSecond, Duration.toMillis(MAX_RETRY_AFTER), grant),
      breaker: makeCircuitBreaker(),
      underWay: yield* Effect.makeSemaphore(account.concurrency),
      now: Effect.map(monotonicMillis, millis => new Date(startMillis + millis - startMonotonic)),
      baseUrl,
      proxy: (yield* ProxyInUse).of(baseUrl)?.label,
    }
    return {
      account,
      now: shared.now,
      get: (path, query = {}, asking = {}) =>
        SENDABLE.test(Redacted.value(account.token))
          ? get(shared, path, query, asking).pipe(
              Effect.locallyWith(Headers.currentRedactedNames, withToken),
              // A redirect would carry the token to wherever it points.
              Effect.provideService(FetchHttpClient.RequestInit, { redirect: "manual" }),
            )
          : Effect.fail(unsendableToken(account.name)),
    }
  })

/** Sends a request until it is answered, refused, or not worth another attempt. */
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
        // Asked to slow down without being told for how long: it is the account that is too fast, not the call.
        if (statusOf(failure) === 429) yield* limiter.pause(backoffMillis)
        // The rest of a pause is the rate limiter's to wait for, or to refuse.
        yield* Effect.sleep(backoffMillis)
        return yield* get(shared, path, query, asking, attempts + 1)
      }),
  )

/** Sends a request once, in its turn. */
const attempt = (
  shared: Shared,
  path: string,
  query: Query,
  asking: Asking & { readonly route: string },
  own: Tab,
): Effect.Effect<Answer, Failure> => {
  const { account, limiter, breaker, now, baseUrl, proxy } = shared
  const { route, bounds = PAGE_BOUNDS, tab } = asking
  const answered = Effect.zipRight(
    limiter.resume,
    Effect.sync(() => breaker.answered(path)),
  )
  return Effect.gen(function* () {
    const leave = yield* placeIn(shared.underWay)
    const about = { account: account.name, path: route, token: Redacted.value(account.token), proxy }
    yield* Effect.catchAll(limiter.take, ({ millis }) =>
      Effect.flatMap(Clock.currentTimeMillis, sentAtMillis =>
        Effect.fail(pauseFailure({ ...about, sentAtMillis }, millis)),
      ),
    )
    ;(yield* Usage).requests++
    const readAt = yield* now
    const asked: Asked = { ...about, sentAtMillis: yield* Clock.currentTimeMillis }
    const answer = Effect.gen(function* () {
      const received = yield* send(shared, path, query, asked, bounds)
      const { status, bytes, content } = received
      // Others may be asked while this answer waits for memory: what holds the memory may need them.
      yield* leave
      // By-id answers are small, and complete pages that have a share already.
      const share =
        bounds === PAGE_BOUNDS && bytes > 0 ? yield* (tab ?? own).take(unitsOf(content)) : undefined
      const body = Either.flatMap(textOf(asked, received), decoded => classify(asked, decoded, bounds))
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

/** The exchange itself: the request goes out, and the answer comes in within the account's time-out. */
const send = (
  { account, http, baseUrl }: Shared,
  path: string,
  query: Query,
  asked: Asked,
  bounds: AnswerBounds,
) =>
  Effect.gen(function* () {
    const request = HttpClientRequest.get(`${baseUrl}/${path.replace(/^\/+/, "")}`, {
      urlParams: query,
      headers: { "x-token": asked.token, accept: "application/json" },
    })
    const stopwatch = yield* startStopwatch(account.timeout)
    return yield* http.execute(request).pipe(
      Effect.mapError(error => transportFailure(asked, error)),
      Effect.tap(recordHead),
      Effect.flatMap(response => receive(asked, response, bounds, stopwatch)),
      Effect.raceFirst(
        Effect.flatMap(stopwatch.expired, () => Effect.fail(timeoutFailure(asked, account.timeout))),
      ),
      Effect.tapBoth({
        onSuccess: ({ status }) => countRequest(account.name, status),
        onFailure: failure => countRequest(account.name, statusOf(failure)),
      }),
    )
  })

/** Text that a header may carry: visible ASCII. */
const SENDABLE = /^[\x21-\x7e]+$/
const withoutQuery = (path: string) => path.replace(/[?#].*$/s, "")

const statusOf = ({ error }: Failure) => (error._tag === "EndpointError" ? error.status : undefined)

const saysNothing = ({ error }: Failure) => error._tag === "EndpointError" && error.saysNothing === true

/** Whatever it says, it was said by the API: it is there. */
const isAnswer = ({ error }: Failure) => error._tag === "AccountError" || error.reason !== "unavailable"
