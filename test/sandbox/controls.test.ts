import { connect } from "node:net"
import { describe, expect, it } from "@effect/vitest"
import { Effect, Either, Exit, Scope } from "effect"
import { FAULTS, type Sandbox, start } from "../../src/sandbox/sandbox.ts"
import { truthOf } from "../support/truth/truth.ts"
import { ask, askJson, type Fields, idsOf, PATHS, page, readAll, small } from "./reading.ts"

const ready = (sandbox: Sandbox, customer: number) =>
  Effect.map(
    askJson(sandbox, `/api/v1/customer/customer-wallet-is-ready/${sandbox.idOf("customers", customer)}`),
    ({ data }) => data as Fields,
  )

describe("access", () => {
  it.scoped("answers only GET with the token, and errors in upstream's form", () =>
    Effect.gen(function* () {
      const sandbox = yield* start({ ...small, token: "secret-1" })
      const refused = yield* ask(sandbox, PATHS.customers, { headers: { "x-token": "other" } })
      expect(refused.status).toBe(401)
      expect(JSON.parse(refused.text)).toMatchObject({
        success: false,
        status_code: 401,
        error: { code: 401, name: "UNAUTHORIZED" },
      })
      expect(refused.text).not.toContain("secret-1")
      const headers = { "x-token": "secret-1" }
      expect((yield* ask(sandbox, PATHS.customers, { method: "POST", headers })).status).toBe(405)
      expect((yield* ask(sandbox, "/api/v1/customers", { headers })).status).toBe(404)
      expect((yield* ask(sandbox, "/api/v1/customer/customer/customer_00", { headers })).status).toBe(404)
      expect(
        (yield* ask(sandbox, "/api/v1/customer/customer-wallet-is-ready/customer_00%", { headers })).status,
      ).toBe(404)
    }),
  )

  it.scoped("serves lists and records at configured paths", () =>
    Effect.gen(function* () {
      const sandbox = yield* start({
        ...small,
        listPaths: { wallets: "/wallets" },
        detailPaths: { wallets: "/one/{id}/wallet" },
        walletListHasBalances: false,
      })
      expect((yield* ask(sandbox, PATHS.wallets)).status).toBe(404)
      const { data } = (yield* askJson(sandbox, "/wallets?limit=3")) as { data: ReadonlyArray<Fields> }
      expect(data[1]).not.toHaveProperty("wallet_account")
      const one = yield* askJson(sandbox, `/one/${data[1]!.wallet_id}/wallet`)
      expect(one.data).toMatchObject({ ...data[1], wallet_account: {} })
    }),
  )

  it.scoped("counts requests, by-id requests under one path", () =>
    Effect.gen(function* () {
      const sandbox = yield* start(small)
      yield* ready(sandbox, 1)
      yield* ready(sandbox, 2)
      yield* page(sandbox, "payouts", "page=3&limit=5")
      expect(sandbox.requests.total).toBe(3)
      expect(sandbox.requests.byPath.get("/api/v1/customer/customer-wallet-is-ready/{id}")).toBe(2)
      expect(sandbox.requests.byMethod).toEqual(new Map([["GET", 3]]))
      expect(sandbox.requests.recent.at(-1)).toEqual({
        method: "GET",
        path: PATHS.payouts,
        query: "page=3&limit=5",
      })
      expect(sandbox.requests.inFlightMax).toBe(1)
      sandbox.resetRequests()
      expect(sandbox.requests.total).toBe(0)
    }),
  )

  it.effect("stops with its scope, even while a request hangs, and reports impossible options", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const sandbox = yield* Scope.extend(start({ ...small, fault: () => FAULTS.hang }), scope)
      const pending = yield* Effect.fork(Effect.either(ask(sandbox, PATHS.customers)))
      yield* Effect.promise(async () => {
        while (sandbox.requests.total === 0) await new Promise(resolve => setTimeout(resolve, 5))
      })
      const port = Number(new URL(sandbox.url).port)
      const taken = yield* Effect.flip(Effect.scoped(start({ port })))
      expect(taken._tag).toBe("ConfigurationError")
      expect(taken.message).toContain(`${port}`)
      yield* Scope.close(scope, Exit.void)
      expect(Either.isLeft(yield* pending.await.pipe(Effect.flatten))).toBe(true)
      const isOpen = yield* Effect.async<boolean>(resume => {
        const socket = connect(port, "127.0.0.1", () => resume(Effect.succeed(true)))
        socket.once("error", () => resume(Effect.succeed(false)))
      })
      expect(isOpen).toBe(false)
      for (const wrong of [{ transactions: -1 }, { until: "soon" }, { days: 1_000 }, { token: "" }])
        expect((yield* Effect.flip(Effect.scoped(start(wrong))))._tag).toBe("ConfigurationError")
    }),
  )
})

describe("changes", () => {
  for (const order of ["oldest-first", "newest-first", "shuffled"] as const)
    it.scoped(`inserts at either end of a list (${order}), and removes and restores anywhere`, () =>
      Effect.gen(function* () {
        const sandbox = yield* start({ ...small, order })
        const before = idsOf("payouts", yield* readAll(sandbox, "payouts"))
        sandbox.insert("payouts", 2, "front")
        sandbox.insert("payouts", 1, "back")
        const front = [sandbox.idOf("payouts", 21), sandbox.idOf("payouts", 20)]
        const after = [...front, ...before, sandbox.idOf("payouts", 22)]
        expect(idsOf("payouts", yield* readAll(sandbox, "payouts", 4))).toEqual(after)
        for (const place of [0, 5, 6, 22])
          sandbox.remove("payouts", sandbox.indexOf("payouts", after[place]!)!)
        const left = after.filter((_, place) => ![0, 5, 6, 22].includes(place))
        expect(idsOf("payouts", yield* readAll(sandbox, "payouts", 4))).toEqual(left)
        expect(sandbox.truth.count("payouts")).toBe(left.length)
        expect([...sandbox.truth.ids("payouts")]).toEqual(left)
        expect(sandbox.indexOf("payouts", after[5]!)).toBeUndefined()
        sandbox.restore("payouts", 22)
        expect(idsOf("payouts", yield* page(sandbox, "payouts", "page=1&limit=50"))).toEqual([
          ...left,
          after[22],
        ])
      }),
    )

  it.scoped("leaves a sorted list sorted when a record is inserted, late ones at the old end", () =>
    Effect.gen(function* () {
      for (const order of ["oldest-first", "newest-first"] as const) {
        const sandbox = yield* start({ ...small, order })
        sandbox.insert("transactions", 3, "front")
        sandbox.insert("transactions", 3, "back")
        const samples = new Set([0, 1, 2].map(index => sandbox.idOf("transactions", index)))
        const times = (yield* readAll(sandbox, "transactions"))
          .filter(record => !samples.has(`${record.transaction_id}`))
          .map(record => `${record.created_at}`)
        expect(times).toEqual(order === "oldest-first" ? times.toSorted() : times.toSorted().reverse())
      }
    }),
  )

  it.scoped("leaves removed records as holes in their page if configured", () =>
    Effect.gen(function* () {
      const sandbox = yield* start({ ...small, removedLeavesHoles: true })
      const second = idsOf("customers", yield* page(sandbox, "customers", "page=2&limit=5"))
      sandbox.remove("customers", 1)
      expect(yield* page(sandbox, "customers", "page=1&limit=5")).toHaveLength(4)
      expect(idsOf("customers", yield* page(sandbox, "customers", "page=2&limit=5"))).toEqual(second)
    }),
  )

  it.scoped("makes newer versions of records, each with a later time", () =>
    Effect.gen(function* () {
      const sandbox = yield* start(small)
      const record = (stream: keyof typeof PATHS, index: number) =>
        JSON.parse(sandbox.truth.text(stream, index)) as Fields
      const pending = [...Array(20).keys()].find(index => record("payouts", index).status === "PENDING")!
      sandbox.touch("payouts", pending)
      expect(record("payouts", pending).status).toBe("SUCCESS")
      expect(record("transactions", 119)).toMatchObject({ is_settled: false, settlement_id: null })
      sandbox.touch("transactions", 119)
      expect(record("transactions", 119)).toMatchObject({ is_settled: true })
      expect(record("transactions", 119).settlement_id).not.toBeNull()
      for (const stream of ["customers", "checkouts", "payouts", "transactions", "wallets"] as const) {
        const texts = [sandbox.truth.text(stream, 5)]
        const times = [record(stream, 5).updated_at as string]
        for (let n = 0; n < 2; n++) {
          sandbox.touch(stream, 5)
          texts.push(sandbox.truth.text(stream, 5))
          times.push(record(stream, 5).updated_at as string)
        }
        expect(new Set(texts).size).toBe(3)
        expect(times).toEqual(times.toSorted())
        sandbox.touch(stream, 5, 1, "2025-04-02T00:00:00.000Z")
        expect(record(stream, 5).updated_at).toBe("2025-04-02T00:00:00.000Z")
      }
    }),
  )

  it.scoped("moves a wallet with the transactions inserted, and keeps those removed in the balance", () =>
    Effect.gen(function* () {
      const sandbox = yield* start(small)
      const differing = () =>
        new Set(
          truthOf(sandbox)
            .balances()
            .filter(({ difference }) => difference !== "0")
            .map(({ ownerId, currency }) => `${ownerId} ${currency}`),
        )
      const before = truthOf(sandbox).balances()
      sandbox.insert("transactions", 50, "back")
      expect(truthOf(sandbox).balances()).not.toEqual(before)
      // Adjustments move the wallet, and the contract gives them no direction.
      const adjusted = (yield* readAll(sandbox, "transactions")).filter(
        ({ event_type }) => event_type === "ADJUSTMENT",
      )
      expect(differing()).toEqual(
        new Set(adjusted.map(record => `${record.customer_id ?? record.org_id} ${record.currency}`)),
      )
      const inserted = truthOf(sandbox).balances()
      sandbox.remove("transactions", 60)
      expect(truthOf(sandbox).balances()).toEqual(inserted)
      expect([...truthOf(sandbox).transactions({ removed: false })]).toHaveLength(169)
    }),
  )

  it.scoped("makes a customer ready, or not, in step with the customer's record", () =>
    Effect.gen(function* () {
      const sandbox = yield* start(small)
      const details = (index: number) => JSON.parse(sandbox.truth.text("customers", index)) as Fields
      for (const index of [0, 2, 7]) {
        sandbox.makeReady(index)
        expect(yield* ready(sandbox, index)).toEqual({ is_wallet_ready: true, missing_field: [] })
        sandbox.setReadiness(index, { ready: false, missing: ["address_city"] })
        expect(yield* ready(sandbox, index)).toEqual({
          is_wallet_ready: false,
          missing_field: ["address_city"],
        })
        const { individual, company, is_wallet_ready } = details(index)
        expect(individual ?? company).not.toHaveProperty("address_city")
        expect(individual ?? company).toHaveProperty("address_line1")
        expect(is_wallet_ready).toBe(false)
      }
    }),
  )

  it.scoped("overwrites and removes fields", () =>
    Effect.gen(function* () {
      const sandbox = yield* start(small)
      sandbox.patch("checkouts", 1, { amount: "NaN", novelty: { a: 1 }, currency: undefined })
      const [, checkout] = yield* page(sandbox, "checkouts", "limit=2")
      expect(checkout).toMatchObject({ amount: "NaN", novelty: { a: 1 } })
      expect(checkout).not.toHaveProperty("currency")
    }),
  )

  it.scoped("changes a list by itself while it is read", () =>
    Effect.gen(function* () {
      const change = { every: 2, times: 3, stream: "customers" } as const
      const shifted = yield* start({ ...small, change: { ...change, action: "remove" } })
      const ids = idsOf("customers", yield* readAll(shifted, "customers", 4))
      expect(shifted.truth.count("customers")).toBe(20)
      const listed = [...shifted.truth.ids("customers")]
      expect(listed.filter(id => !ids.includes(id))).not.toEqual([])
      const grown = yield* start({
        ...small,
        order: "newest-first",
        change: { ...change, action: "insert-front" },
      })
      const twice = idsOf("customers", yield* readAll(grown, "customers", 4))
      expect(grown.truth.count("customers")).toBe(26)
      expect(twice.length).toBeGreaterThan(new Set(twice).size)
    }),
  )
})
