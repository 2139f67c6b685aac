import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { cli } from "../support/cli.ts"

/** Tests the options of `sandbox`. */

interface Served {
  readonly status: number
  readonly records: ReadonlyArray<string>
}

/** Serves a few records, of today or of given days, and requests lists by path and query. */
const servedAt = (...switches: ReadonlyArray<string>) =>
  Effect.gen(function* () {
    const { start } = yield* cli()
    const sizes = ["--customers", "5", "--transactions", "12", "--payouts", "6", "--checkouts", "0"]
    const running = yield* start(["sandbox", "--port", "0", "--json", ...sizes, ...switches])
    yield* running.printed("Serving")
    const { url, token } = JSON.parse(running.stdout()) as { url: string; token: string }
    return (pathAndQuery: string) =>
      Effect.promise(async (): Promise<Served> => {
        const answer = await fetch(url + pathAndQuery, { headers: { "X-token": token } })
        const { data } = (await answer.json()) as { data?: object | ReadonlyArray<object> }
        return { status: answer.status, records: [data ?? []].flat().map(record => JSON.stringify(record)) }
      })
  })

/** Serves the same records at every start. */
const served = (...switches: ReadonlyArray<string>) => servedAt("--until", UNTIL, ...switches)

const TRANSACTIONS = "/api/v1/transaction/get-all"
const UNTIL = "2026-03-01"
/** Twelve payments in sixty days. The newest is close to the end of that time. */
const RECENT_MILLIS = 30 * 86_400_000

describe.concurrent("sandbox", () => {
  it.scopedLive("serves lists at the given paths with the given paging names", () =>
    Effect.gen(function* () {
      const get = yield* served(
        "--path",
        "payouts=/v2/payouts",
        "--path",
        "wallets=/v2/w",
        "--paging",
        "skip,take",
      )
      const whole = yield* get("/v2/payouts")
      expect([whole.status, whole.records.length]).toEqual([200, 6])
      expect((yield* get("/v2/payouts?skip=1&take=2")).records).toEqual(whole.records.slice(1, 3))
      expect((yield* get("/v2/w")).status).toBe(200)
      expect((yield* get("/api/v1/payout/get-all")).status).toBe(404)
      expect((yield* get(TRANSACTIONS)).status).toBe(200)
    }),
  )

  it.scopedLive("ends a list and limits its pages as configured", () =>
    Effect.gen(function* () {
      const asked = ["--max-page-size", "4", "--offset-by", "asked", "--after-end", "404"]
      const [skipping, repeating] = yield* Effect.all([served(...asked), served("--after-end", "repeat")])
      const whole = yield* repeating(`${TRANSACTIONS}?limit=12`)
      expect((yield* skipping(`${TRANSACTIONS}?page=2&limit=6`)).records).toEqual(whole.records.slice(6, 10))
      expect((yield* skipping(`${TRANSACTIONS}?page=3&limit=6`)).status).toBe(404)
      expect((yield* repeating(`${TRANSACTIONS}?page=3&limit=6`)).records).toEqual(whole.records.slice(6))
    }),
  )

  it.scopedLive("orders lists, and serves records by id as configured", () =>
    Effect.gen(function* () {
      const byId = ["--by-id", "transactions=/api/v1/transaction/{id}/one"]
      const [updatedFirst, withById] = yield* Effect.all([
        served("--order", "updated-first"),
        served(...byId),
      ])
      const timesOf = ({ records }: Served, field: string) =>
        records.map(record => String(JSON.parse(record)[field]))
      const updated = timesOf(yield* updatedFirst(`${TRANSACTIONS}?limit=20`), "updated_at")
      expect(updated).toHaveLength(12)
      expect(updated).toEqual([...updated].sort().reverse())
      const [id] = timesOf(yield* withById(`${TRANSACTIONS}?limit=20`), "transaction_id")
      expect((yield* withById(`/api/v1/transaction/${id}/one`)).status).toBe(200)
      expect((yield* updatedFirst(`/api/v1/transaction/${id}/one`)).status).toBe(404)
    }),
  )

  it.scopedLive("has payments up to today, or up to the given day", () =>
    Effect.gen(function* () {
      const newestOf = (get: Effect.Effect.Success<ReturnType<typeof servedAt>>) =>
        Effect.map(get(`${TRANSACTIONS}?limit=20`), ({ records }) =>
          Math.max(...records.map(record => Date.parse(JSON.parse(record).created_at))),
        )
      const [upToToday, upToDay] = yield* Effect.all([servedAt(), served()])
      for (const [get, end] of [
        [upToToday, Date.now()],
        [upToDay, Date.parse(UNTIL)],
      ] as const) {
        const newest = yield* newestOf(get)
        expect(newest).toBeLessThan(end)
        expect(newest).toBeGreaterThan(end - RECENT_MILLIS)
      }
    }),
  )

  it.scopedLive("counts pages from 0, and injects faults, as configured", () =>
    Effect.gen(function* () {
      const [fromZero, failing] = yield* Effect.all([
        served("--first-page", "0"),
        served("--fault", "other-merchant=1"),
      ])
      const whole = yield* fromZero(`${TRANSACTIONS}?page=0&limit=12`)
      expect(whole.records).toHaveLength(12)
      expect((yield* fromZero(`${TRANSACTIONS}?page=1&limit=3`)).records).toEqual(whole.records.slice(3, 6))
      expect((yield* failing(TRANSACTIONS)).records[0]).toContain("another-merchant")
    }),
  )

  it.scopedLive("changes the transactions, or another list, while a client pages through it", () =>
    Effect.gen(function* () {
      const once = ["--change-every", "1", "--change-times", "1"]
      const [removing, inserting] = yield* Effect.all([
        served("--change", "remove", ...once),
        served("--change", "insert-front", "--change-stream", "payouts"),
      ])
      const first = yield* removing(`${TRANSACTIONS}?limit=20`)
      for (const _ of [1, 2])
        expect((yield* removing(`${TRANSACTIONS}?limit=20`)).records).toEqual(first.records.slice(1))

      const payouts = "/api/v1/payout/get-all?limit=20"
      const lengths = yield* Effect.forEach([1, 2, 3], () => inserting(payouts))
      expect(lengths.map(({ records }) => records.length)).toEqual([6, 6, 7])
      for (const _ of [1, 2, 3])
        expect((yield* inserting(`${TRANSACTIONS}?limit=20`)).records).toHaveLength(12)
    }),
  )
})
