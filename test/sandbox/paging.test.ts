import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { start } from "../../src/sandbox/sandbox.ts"
import { ask, askJson, idsOf, LISTS, PATHS, page, readAll, small } from "./reading.ts"

describe("determinism", () => {
  it.scoped(
    "serves the same bytes for the same seed, in any order of requests, and others for another seed",
    () =>
      Effect.gen(function* () {
        const [one, two, other] = yield* Effect.all([
          start(small),
          start(small),
          start({ ...small, seed: 2 }),
        ])
        yield* readAll(two, "transactions")
        for (const stream of LISTS) {
          const path = `${PATHS[stream]}?page=2&limit=5`
          const first = yield* ask(one, path)
          expect((yield* ask(two, path)).text).toBe(first.text)
          expect((yield* ask(other, path)).text).not.toBe(first.text)
        }
      }),
  )
})

describe("paging", () => {
  const envelopes = ["data", "data.data", "data.named", "double", "double.named"] as const
  const totals = ["none", "total", "pagination", "meta"] as const
  const orders = ["oldest-first", "newest-first", "shuffled"] as const
  const names = [
    ["page", "limit"],
    ["page", "per_page"],
    ["offset", "limit"],
    ["skip", "take"],
  ] as const

  for (const envelope of envelopes)
    it.scoped(`returns each record exactly once under envelope ${envelope}`, () =>
      Effect.gen(function* () {
        for (const [n, total] of totals.entries())
          for (const [m, order] of orders.entries()) {
            const pagingNames = names[(n + m) % names.length]!
            const sandbox = yield* start({ ...small, envelope, totals: total, order, pagingNames })
            const ids = idsOf("customers", yield* readAll(sandbox, "customers", 7))
            expect(ids).toHaveLength(23)
            expect(new Set(ids)).toEqual(new Set(sandbox.truth.ids("customers")))
          }
      }),
    )

  it.scoped("puts each list into its envelope, with the total beside it", () =>
    Effect.gen(function* () {
      const bare = yield* start({ ...small, totals: "total" })
      expect(yield* askJson(bare, PATHS.customers)).toMatchObject({ status: true, data: {}, total: 23 })
      const named = yield* start({
        ...small,
        envelope: "data.named",
        totals: "pagination",
        listName: "items",
      })
      expect(yield* askJson(named, `${PATHS.customers}?limit=5&page=2`)).toMatchObject({
        data: { items: {}, pagination: { page: 2, limit: 5, total: 23, page_count: 5 } },
      })
      const double = yield* start({ ...small, envelope: "double.named", totals: "meta", totalSkew: 4 })
      expect(yield* askJson(double, PATHS.customers)).toMatchObject({
        data: { success: true, data: { customers: {}, meta: { total: 27, current_page: 1, last_page: 3 } } },
      })
    }),
  )

  it.scoped("orders by age, or randomly", () =>
    Effect.gen(function* () {
      const read = (order: "oldest-first" | "newest-first" | "shuffled") =>
        Effect.flatMap(start({ ...small, order }), sandbox => readAll(sandbox, "transactions"))
      const oldest = yield* read("oldest-first")
      const times = oldest.map(({ created_at }) => created_at as string)
      expect(times).toEqual([...times].sort())
      const newest = yield* read("newest-first")
      expect(newest).toEqual([...oldest].reverse())
      const shuffled = yield* read("shuffled")
      expect(shuffled).not.toEqual(oldest)
      expect(shuffled).not.toEqual(newest)
    }),
  )

  it.scoped(
    "reduces a size above its cap, and starts the next page by the served or the requested size",
    () =>
      Effect.gen(function* () {
        const served = yield* start({ ...small, maxPageSize: 5 })
        expect(yield* readAll(served, "customers", 10)).toHaveLength(23)
        const asked = yield* start({ ...small, maxPageSize: 5, offsetBy: "asked" })
        const ids = idsOf("customers", yield* readAll(asked, "customers", 10))
        const all = [...asked.truth.ids("customers")]
        expect(ids).toEqual([...all.slice(0, 5), ...all.slice(10, 15), ...all.slice(20, 23)])
      }),
  )

  it.scoped("ignores unknown parameters, and serves ten records without a size", () =>
    Effect.gen(function* () {
      const sandbox = yield* start({ ...small, pagingNames: ["p", "s"] })
      const first = yield* page(sandbox, "customers", "")
      expect(first).toHaveLength(10)
      expect(yield* page(sandbox, "customers", "page=2&limit=5")).toEqual(first)
      expect(yield* page(sandbox, "customers", "p=x&s=-1")).toEqual(first)
    }),
  )

  it.scoped("answers pages after the end as configured", () =>
    Effect.gen(function* () {
      const empty = yield* start(small)
      expect(yield* page(empty, "customers", "page=4&limit=10")).toEqual([])
      const missing = yield* start({ ...small, afterEnd: "404" })
      expect((yield* ask(missing, `${PATHS.customers}?page=3&limit=10`)).status).toBe(200)
      expect((yield* ask(missing, `${PATHS.customers}?page=4&limit=10`)).status).toBe(404)
      const repeating = yield* start({ ...small, afterEnd: "repeat" })
      const last = yield* page(repeating, "customers", "page=3&limit=10")
      expect(last).toHaveLength(3)
      expect(yield* page(repeating, "customers", "page=9&limit=10")).toEqual(last)
      const none = yield* start({ ...small, payouts: 0, afterEnd: "404" })
      expect(yield* page(none, "payouts", "page=1")).toEqual([])
    }),
  )

  it.scoped("counts pages from 0, and changes its contract, as configured", () =>
    Effect.gen(function* () {
      const sandbox = yield* start({ ...small, firstPage: 0 })
      const ids = [...sandbox.truth.ids("transactions")]
      const query = (number: number) => `page=${number}&limit=4`
      expect(idsOf("transactions", yield* page(sandbox, "transactions", query(0)))).toEqual(ids.slice(0, 4))
      expect(idsOf("transactions", yield* page(sandbox, "transactions", query(1)))).toEqual(ids.slice(4, 8))
      sandbox.reshape({ firstPage: 1, maxPageSize: 2, envelope: "double" })
      expect(idsOf("transactions", yield* page(sandbox, "transactions", query(2)))).toEqual(ids.slice(2, 4))
      sandbox.reshape({ listPaths: { transactions: "/elsewhere" }, pagingNames: ["skip", "take"] })
      expect((yield* ask(sandbox, PATHS.transactions)).status).toBe(404)
      const { data } = yield* askJson(sandbox, "/elsewhere?skip=1&take=1")
      expect(JSON.stringify(data)).toContain(ids[1])
    }),
  )

  it.scoped("serves a page deep in ten million as fast as the first, and finds a record by its id", () =>
    Effect.gen(function* () {
      const sandbox = yield* start({ transactions: 10_000_000, customers: 5_000, order: "shuffled" })
      const before = process.memoryUsage().heapUsed
      const began = process.cpuUsage()
      const deep = yield* page(sandbox, "transactions", "page=99991&limit=100")
      // The time of this process, without that of others.
      expect(process.cpuUsage(began).user).toBeLessThan(1_000_000)
      expect(deep).toHaveLength(100)
      expect(new Set(idsOf("transactions", deep)).size).toBe(100)
      const index = sandbox.indexOf("transactions", idsOf("transactions", deep)[7]!)!
      expect(JSON.parse(sandbox.truth.text("transactions", index))).toEqual(deep[7])
      expect(process.memoryUsage().heapUsed - before).toBeLessThan(100_000_000)
    }),
  )
})
