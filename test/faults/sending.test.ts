import * as FetchHttpClient from "@effect/platform/FetchHttpClient"
import { describe, expect, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { make } from "../../src/paycombat/client/client.ts"
import { start } from "../../src/sandbox/sandbox.ts"
import { accountOf, SMALL } from "../support/warehouse.ts"

/** When requests are sent and when they arrive, in a process that has much else to do. Both by one monotonic clock. */

const RATE = 10
const REQUESTS = 45
/** How long other work keeps the process from anything else at a time, and how often, in milliseconds. */
const BUSY_MILLIS = 160
const BUSY_EVERY_MILLIS = 370

/** The shortest time in which one request more than the rate allows was sent. */
const shortest = (times: ReadonlyArray<number>): number =>
  Math.min(...times.slice(RATE).map((at, n) => at - times[n]!))

describe("requests of a process that is kept busy", () => {
  it.scopedLive("are never sent closer together than the rate allows, and all of them arrive", () =>
    Effect.gen(function* () {
      const sandbox = yield* start(SMALL)
      const sent: Array<number> = []
      const arrived: Array<number> = []
      sandbox.setFault(() => {
        arrived.push(performance.now())
        return undefined
      })
      const recording: typeof fetch = (...request) => {
        sent.push(performance.now())
        return fetch(...request)
      }
      const http = FetchHttpClient.layer.pipe(Layer.provide(Layer.succeed(FetchHttpClient.Fetch, recording)))
      const keepBusy = setInterval(() => {
        const until = performance.now() + BUSY_MILLIS
        while (performance.now() < until);
      }, BUSY_EVERY_MILLIS)
      yield* Effect.addFinalizer(() => Effect.sync(() => clearInterval(keepBusy)))
      const client = yield* make(accountOf(sandbox, { ratePerSecond: RATE })).pipe(Effect.provide(http))
      const path = "/api/v1/payout/get-all"
      yield* Effect.all(
        Array.from({ length: REQUESTS }, () => client.get(path, { page: 1, limit: 10 })),
        { concurrency: "unbounded" },
      ).pipe(Effect.provide(http))
      expect(sent).toHaveLength(REQUESTS)
      expect(arrived).toHaveLength(REQUESTS)
      expect(shortest(sent)).toBeGreaterThanOrEqual(1_000)
    }),
  )
})
