import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { discoverDetail, readDetail } from "../../src/paycombat/lists/byId.ts"
import type { Sandbox } from "../../src/sandbox/sandbox.ts"
import { clientOf, discoverFrom, SOURCES, startSandbox, zeroBased } from "./support.ts"

const GET_ALL = "/api/v1/customer/get-all"

const asked = (sandbox: Sandbox) => sandbox.requests.recent.map(({ path, query }) => `${path}?${query}`)

describe("discover", () => {
  it.scopedLive("passes over candidates that do not exist, and proves the one that does", () =>
    Effect.gen(function* () {
      const sandbox = yield* startSandbox({ totals: "meta", envelope: "double.named" })
      expect(yield* discoverFrom(yield* clientOf(sandbox), "customers")).toEqual({
        path: GET_ALL,
        pageParam: "page",
        sizeParam: "limit",
        firstPage: 1,
        at: "data.data.customers",
        pageSize: 20,
        maxPageSize: null,
        hasTotal: true,
        pagingProven: true,
        verified: true,
      })
    }),
  )

  for (const fault of [
    { status: 403, body: {} },
    { status: 400, body: {} },
    { body: "<html>login</html>" },
    { body: { status: false, message: "no" } },
    { body: { status: true, message: "OK", data: { name: "not a list" } } },
    { body: { status: true, data: [{ wallet_id: "w", is_wallet_ready: true }] } },
  ]) {
    it.scopedLive(`passes over a candidate that answers ${JSON.stringify(fault)}`, () =>
      Effect.gen(function* () {
        const sandbox = yield* startSandbox()
        sandbox.setFault(({ path }) => (path.endsWith("/list") ? fault : undefined))
        const contract = yield* discoverFrom(yield* clientOf(sandbox), "customers")
        expect(contract).toMatchObject({ path: GET_ALL, verified: true })
      }),
    )
  }

  it.scopedLive("prefers a list with records to an empty one that comes first", () =>
    Effect.gen(function* () {
      const sandbox = yield* startSandbox()
      sandbox.setFault(({ path }) =>
        path.endsWith("/list") ? { body: { status: true, data: [] } } : undefined,
      )
      const contract = yield* discoverFrom(yield* clientOf(sandbox), "customers")
      expect(contract).toMatchObject({ path: GET_ALL, verified: true })
    }),
  )

  it.scopedLive("calls an empty list on a guessed path unverified", () =>
    Effect.gen(function* () {
      const sandbox = yield* startSandbox({ customers: 0, transactions: 0 })
      const contract = yield* discoverFrom(yield* clientOf(sandbox), "customers")
      expect(contract).toMatchObject({ path: GET_ALL, verified: false, pagingProven: false })
    }),
  )

  it.scopedLive("stops at 401 and names the variable", () =>
    Effect.gen(function* () {
      const sandbox = yield* startSandbox()
      const client = yield* clientOf({ url: sandbox.url, token: "wrong" }, { name: "eu" })
      const error = yield* Effect.flip(discoverFrom(client, "customers"))
      expect(error._tag).toBe("AccountError")
      expect(error.message).toContain("PAYCOMBAT_TOKEN_EU")
      expect(sandbox.requests.total).toBe(1)
    }),
  )

  it.scopedLive("names in one line the attempts and the variable to set", () =>
    Effect.gen(function* () {
      const sandbox = yield* startSandbox({ listPaths: { customers: "/somewhere/else" } })
      sandbox.setFault(({ path }) => (path === GET_ALL ? { status: 403, body: {} } : undefined))
      const error = yield* Effect.flip(discoverFrom(yield* clientOf(sandbox), "customers"))
      expect(error).toMatchObject({ reason: "contract" })
      expect(error.message).toBe(
        "no list found (404: /api/v1/customer/list, /api/v1/customer; 403: /api/v1/customer/get-all): set PAYCOMBAT_PATH_CUSTOMERS to the list's path",
      )
    }),
  )

  it.scopedLive(
    "says that the token may not read a list that was there, or that no path of it may be read",
    () =>
      Effect.gen(function* () {
        const sandbox = yield* startSandbox()
        const client = yield* clientOf(sandbox)
        const known = yield* discoverFrom(client, "customers")
        sandbox.setFault(({ path }) => ({ status: path === known.path ? 403 : 404, body: {} }))
        const error = yield* Effect.flip(discoverFrom(client, "customers", { stored: known }))
        expect(error.message).toContain(
          `${known.path}: refused with 403: this token may not read this endpoint`,
        )
        sandbox.setFault(() => ({ status: 403, body: {} }))
        const nowhere = yield* Effect.flip(discoverFrom(client, "customers"))
        expect(nowhere.message).toContain("this token may not read it: ask PayCombat for access")
      }),
  )

  it.scopedLive("reads the configured path and no other", () =>
    Effect.gen(function* () {
      const sandbox = yield* startSandbox({ listPaths: { customers: "/somewhere/else" } })
      const client = yield* clientOf(sandbox)
      const configuredPath = "/somewhere/else?include_deleted=true"
      const contract = yield* discoverFrom(client, "customers", { configuredPath })
      expect(contract).toMatchObject({ path: configuredPath, verified: true })
      expect(asked(sandbox)[0]).toBe("/somewhere/else?include_deleted=true&page=1&limit=20")
      const error = yield* Effect.flip(discoverFrom(client, "customers", { configuredPath: "/nowhere" }))
      expect(error).toMatchObject({ reason: "refused", status: 404 })
      expect(error.message).toContain("PAYCOMBAT_PATH_CUSTOMERS")
    }),
  )

  it.scopedLive("takes configured paging names as they are", () =>
    Effect.gen(function* () {
      const sandbox = yield* startSandbox({ pagingNames: ["seite", "anzahl"] })
      const client = yield* clientOf(sandbox)
      const error = yield* Effect.flip(discoverFrom(client, "customers"))
      expect(error).toMatchObject({ reason: "contract" })
      expect(error.message).toContain("PAYCOMBAT_PAGING")
      const contract = yield* discoverFrom(client, "customers", { configuredPaging: ["seite", "anzahl"] })
      expect(contract).toMatchObject({
        pageParam: "seite",
        sizeParam: "anzahl",
        pageSize: 20,
        verified: true,
      })
    }),
  )

  it.scopedLive("accepts an ignored page number if a total that does not count the page is reached", () =>
    Effect.gen(function* () {
      const sandbox = yield* startSandbox({ pagingNames: ["seite", "limit"], totals: "total", checkouts: 6 })
      const contract = yield* discoverFrom(yield* clientOf(sandbox), "checkouts")
      expect(contract).toMatchObject({ sizeParam: "limit", verified: true, pagingProven: false })
    }),
  )

  it.scopedLive("counts pages from 0 if the API does", () =>
    Effect.gen(function* () {
      const sandbox = yield* startSandbox()
      const http = yield* zeroBased(sandbox)
      for (const stream of ["transactions", "checkouts"] as const) {
        expect(yield* discoverFrom(http, stream)).toMatchObject({ firstPage: 0, pagingProven: true })
      }
    }),
  )

  it.scopedLive("finds out which page size a strict API accepts", () =>
    Effect.gen(function* () {
      const sandbox = yield* startSandbox()
      sandbox.setFault(({ query }) =>
        Number(query.get("limit")) > 50
          ? { status: 400, body: { message: "limit must not exceed 50" } }
          : undefined,
      )
      const client = yield* clientOf(sandbox, { pageSize: 500 })
      const contract = yield* discoverFrom(client, "transactions")
      expect(contract).toMatchObject({ sizeParam: "limit", pageSize: 50, maxPageSize: 50, verified: true })
    }),
  )

  it.scopedLive("re-verifies a known contract with one request", () =>
    Effect.gen(function* () {
      const sandbox = yield* startSandbox()
      const client = yield* clientOf(sandbox)
      const known = yield* discoverFrom(client, "customers")
      sandbox.resetRequests()
      expect(yield* discoverFrom(client, "customers", { stored: known })).toEqual(known)
      expect(asked(sandbox)).toEqual([`${GET_ALL}?page=1&limit=20`])
    }),
  )

  it.scopedLive("does not call a known list verified that is empty now", () =>
    Effect.gen(function* () {
      const sandbox = yield* startSandbox()
      const client = yield* clientOf(sandbox)
      const known = yield* discoverFrom(client, "customers")
      sandbox.setFault(() => ({ body: { status: true, data: [] } }))
      expect(yield* discoverFrom(client, "customers", { stored: known })).toMatchObject({
        path: GET_ALL,
        verified: false,
      })
    }),
  )

  it.scopedLive("discovers again if the known path is gone or another one is configured", () =>
    Effect.gen(function* () {
      const sandbox = yield* startSandbox()
      const client = yield* clientOf(sandbox)
      const contract = yield* discoverFrom(client, "customers")
      const moved = { ...contract, path: "/api/v0/customers" }
      expect(yield* discoverFrom(client, "customers", { stored: moved })).toEqual(contract)
      const configuredPath = `${GET_ALL}?type=company`
      const configured = yield* discoverFrom(client, "customers", { stored: contract, configuredPath })
      expect(configured.path).toBe(configuredPath)
    }),
  )

  it.scopedLive("searches again if the known list was not proven", () =>
    Effect.gen(function* () {
      const sandbox = yield* startSandbox({ transactions: 1, pagingNames: ["offset", "limit"] })
      const client = yield* clientOf(sandbox)
      const known = yield* discoverFrom(client, "transactions")
      expect(known).toMatchObject({ verified: true, pagingProven: false })
      sandbox.insert("transactions", 30, "back")
      const later = yield* discoverFrom(client, "transactions", { stored: known })
      expect(later).toMatchObject({ pageParam: "offset", pagingProven: true })
    }),
  )
})

describe("a by-id endpoint", () => {
  it.scopedLive("is found by the record that it answers with", () =>
    Effect.gen(function* () {
      const sandbox = yield* startSandbox({ walletListHasBalances: false, detailEnvelope: "double" })
      const client = yield* clientOf(sandbox)
      const [first, second] = [0, 1].map(index => sandbox.idOf("wallets", index))
      const found = yield* discoverDetail(client, SOURCES.wallets, first!)
      expect(found).toMatchObject({ endpoint: "/api/v1/wallet/{id}", record: { wallet_id: first } })
      expect(found.record.wallet_account).toBeInstanceOf(Array)
      const next = yield* readDetail(client, SOURCES.wallets, found.endpoint, second!)
      expect(next.record.wallet_id).toBe(second)
    }),
  )

  it.scopedLive("that answers 404 says so", () =>
    Effect.gen(function* () {
      const sandbox = yield* startSandbox()
      const client = yield* clientOf(sandbox)
      const none = yield* Effect.flip(discoverDetail(client, SOURCES.wallets, "wallet_none"))
      expect(none).toMatchObject({ reason: "refused", status: 404 })
      const gone = yield* Effect.flip(
        readDetail(client, SOURCES.wallets, "/api/v1/wallet/{id}", "wallet_none"),
      )
      expect(gone).toMatchObject({ reason: "refused", status: 404 })
    }),
  )
})
