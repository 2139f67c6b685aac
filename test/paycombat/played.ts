import * as HttpClient from "@effect/platform/HttpClient"
import { RequestError } from "@effect/platform/HttpClientError"
import * as HttpClientResponse from "@effect/platform/HttpClientResponse"
import { Clock, Duration, Effect, Fiber, Redacted, TestClock } from "effect"
import type { Account } from "../../src/core/account.ts"
import { type ClientOptions, make } from "../../src/paycombat/client/client.ts"

export const TOKEN = "tok_4f1c9e7d2b"

export interface Sent {
  readonly atMillis: number
  readonly url: URL
  readonly headers: Readonly<Record<string, string>>
  readonly method: string
}

export type Reply = Response | "hang" | "reset" | Effect.Effect<Response>

export const ok = (data: unknown = []) => Response.json({ status: true, message: "OK", data })
export const text = (body: string, init?: ResponseInit) => new Response(body, init)

/** A client over a server that is played by a function, and what was sent to it. */
export const against = (
  reply: (n: number, sent: Sent) => Reply,
  account: Partial<Account> = {},
  options: ClientOptions = {},
) =>
  Effect.gen(function* () {
    const sent: Array<Sent> = []
    const http = HttpClient.make((request, url) =>
      Effect.gen(function* () {
        const atMillis = yield* Clock.currentTimeMillis
        const { headers, method } = request
        const one = { atMillis, url, headers, method }
        sent.push(one)
        const answer = reply(sent.length, one)
        if (answer === "hang") return yield* Effect.never
        if (answer === "reset") {
          const cause = Object.assign(new Error(`bad header ${TOKEN}`), { code: "ECONNRESET" })
          return yield* new RequestError({ request, reason: "Transport", cause })
        }
        const response = Effect.isEffect(answer) ? yield* answer : answer
        return HttpClientResponse.fromWeb(request, response)
      }),
    )
    const settings: Account = {
      name: "default",
      token: Redacted.make(TOKEN),
      baseUrl: "https://api.example/base/",
      pageSize: 100,
      ratePerSecond: 10,
      concurrency: 8,
      timeout: Duration.seconds(30),
      ...account,
    }
    const client = yield* make(settings, options).pipe(Effect.provideService(HttpClient.HttpClient, http))
    return { client, sent }
  })

/** Web streams settle in macrotasks, which the test clock does not wait for. */
export const settle = Effect.promise(() => new Promise(resolve => setImmediate(resolve)))

/** Runs an effect to its end, moving the test's time for it. */
export const played = <A, E>(effect: Effect.Effect<A, E>, step: Duration.DurationInput = "500 millis") =>
  Effect.gen(function* () {
    const fiber = yield* Effect.fork(effect)
    while (true) {
      yield* settle
      const exit = yield* Fiber.poll(fiber)
      if (exit._tag === "Some") return yield* exit.value
      yield* TestClock.adjust(step)
    }
  })

export const waits = (sent: ReadonlyArray<Sent>) =>
  sent.slice(1).map(({ atMillis }, index) => atMillis - sent[index]!.atMillis)

/** The most that were sent within any one second. */
export const busiestSecond = (sent: ReadonlyArray<Sent>) =>
  Math.max(
    ...sent.map(
      ({ atMillis: from }) =>
        sent.filter(({ atMillis }) => atMillis >= from && atMillis < from + 1000).length,
    ),
  )

export const PATH = "/api/v1/things"
