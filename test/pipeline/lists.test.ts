import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import type { SandboxOptions } from "../../src/sandbox/sandbox.ts"
import { slow, slowUnless } from "../support/slow.ts"
import { type Bench, bench, statusesOf, storedIds, streamOf, syncedBench } from "../support/warehouse.ts"

/** Every record that the sandbox lists is in the warehouse, and nothing else. */
const holdsAll = (given: Bench, lists: ReadonlyArray<string> = given.sandbox.lists) =>
  Effect.forEach(
    lists,
    list =>
      Effect.map(storedIds(given, list), stored =>
        expect([list, stored]).toEqual([list, [...given.sandbox.truth.ids(list)].sort()]),
      ),
    { discard: true },
  )

describe("a list as undocumented as it may be", () => {
  const page = ["page", "limit"] as const
  const offset = ["offset", "limit"] as const
  /** Chosen so that any two values of different options meet. */
  const variants: ReadonlyArray<Partial<SandboxOptions>> = [
    { envelope: "data", totals: "none", order: "oldest-first", afterEnd: "empty", pagingNames: page },
    {
      envelope: "data",
      totals: "total",
      order: "newest-first",
      afterEnd: "404",
      pagingNames: offset,
      maxPageSize: 4,
    },
    {
      envelope: "data",
      totals: "meta",
      order: "shuffled",
      afterEnd: "repeat",
      pagingNames: ["page", "per_page"],
    },
    { envelope: "data.data", totals: "none", order: "newest-first", afterEnd: "repeat", pagingNames: offset },
    {
      envelope: "data.data",
      totals: "pagination",
      order: "oldest-first",
      afterEnd: "empty",
      pagingNames: ["page", "size"],
      maxPageSize: 7,
    },
    {
      envelope: "data.named",
      totals: "total",
      order: "shuffled",
      afterEnd: "empty",
      pagingNames: ["page", "pageSize"],
      maxPageSize: 4,
      offsetBy: "asked",
      defaultPageSize: 3,
    },
    {
      envelope: "data.named",
      totals: "none",
      order: "oldest-first",
      afterEnd: "404",
      pagingNames: ["skip", "take"],
      listName: "items",
    },
    {
      envelope: "double",
      totals: "meta",
      order: "newest-first",
      afterEnd: "empty",
      pagingNames: page,
      maxPageSize: 7,
      offsetBy: "asked",
    },
    {
      envelope: "double",
      totals: "none",
      order: "shuffled",
      afterEnd: "404",
      pagingNames: ["page", "page_size"],
      maxPageSize: 3,
    },
    {
      envelope: "double.named",
      totals: "pagination",
      order: "newest-first",
      afterEnd: "404",
      pagingNames: page,
      detailEnvelope: "double",
    },
    {
      envelope: "double.named",
      totals: "total",
      order: "oldest-first",
      afterEnd: "repeat",
      pagingNames: offset,
      maxPageSize: 4,
      totalSkew: 30,
    },
    {
      envelope: "double.named",
      totals: "none",
      order: "shuffled",
      afterEnd: "repeat",
      pagingNames: ["p", "n"],
      maxPageSize: 7,
    },
  ]
  const named = variants.map(options => [Object.values(options).join(" "), options] as const)

  /** One list by page alone, and one with parts by id. All lists have the same reader of pages. */
  const ONE_OF_EACH = ["wallets", "transactions"]

  for (const [index, given] of [...named].entries()) {
    const isWhole = index === 3
    slowUnless(isWhole, () => {
      it.scopedLive.each([given])("%s: brings every record", ([, options]) =>
        Effect.gen(function* () {
          const given = yield* bench({
            ...options,
            walletListHasBalances: options.detailEnvelope !== "double",
          })
          const isUnusual = options.pagingNames?.[0] === "p"
          const run = yield* given.sync({
            ...(isWhole ? {} : { only: ONE_OF_EACH }),
            ...(isUnusual ? { account: { paging: ["p", "n"] } } : {}),
          })
          expect(run.streams.map(({ error }) => error)).toEqual(run.streams.map(() => null))
          expect(run.status).toBe("complete")
          yield* holdsAll(given, isWhole ? undefined : ONE_OF_EACH)
          const contracts = yield* given.rows("SELECT bool_and(is_verified) AS all FROM sync.contracts")
          expect(contracts).toEqual([{ all: "true" }])
        }),
      )
    })
  }
})

describe("a list that changes while it is read", () => {
  it.scopedLive.each([
    ["insert-front", "newest-first"],
    ["insert-back", "oldest-first"],
    ["insert-front", "shuffled"],
    ["touch", "oldest-first"],
  ] as const)("%s, %s: brings every record", ([action, order]) =>
    Effect.gen(function* () {
      const change = { every: 2, times: 4, action, stream: "transactions" } as const
      const given = yield* bench({ order, change })
      const run = yield* given.sync({ only: ["transactions"] })
      expect(run.status).toBe("complete")
      yield* holdsAll(given, ["transactions"])
    }),
  )

  slow(() => {
    it.scopedLive(
      "by removal: the next pass brings the records that moved, and none is booked as removed meanwhile",
      () =>
        Effect.gen(function* () {
          const change = { every: 3, times: 3, action: "remove", stream: "transactions" } as const
          const { sandbox, sync, rows } = yield* bench({ change })
          // The first moves while it is read; each of the three after it does not list what was removed.
          for (let n = 0; n < 4; n++)
            expect((yield* sync({ only: ["transactions"] })).status).toBe("complete")
          const stored = yield* rows(
            "SELECT transaction_id AS id, removed_at IS NOT NULL AS gone FROM warehouse.transactions",
          )
          const listed = new Set(sandbox.truth.ids("transactions"))
          for (const id of listed) expect(stored).toContainEqual({ id, gone: "false" })
          for (const { id, gone } of stored) expect(gone).toBe(String(!listed.has(id!)))
        }),
    )
  })
})

describe("wallets whose list items carry no balance", () => {
  it.scopedLive("are each fetched by id", () =>
    Effect.gen(function* () {
      const whole = yield* bench({})
      const byId = yield* bench({ walletListHasBalances: false })
      const accounts = `SELECT wallet_account_id AS id, wallet_id, currency, actual_balance, available_balance
        FROM warehouse.wallet_accounts ORDER BY 1`
      yield* whole.sync({ only: ["wallets"] })
      yield* byId.sync({ only: ["wallets"] })
      const expected = yield* whole.rows(accounts)
      expect(expected.length).toBeGreaterThan(20)
      expect(yield* byId.rows(accounts)).toEqual(expected)
    }),
  )

  it.scopedLive.each([0, 11])(
    "with one that is gone by then: only that one becomes a reject (number %i)",
    index =>
      Effect.gen(function* () {
        const { sandbox, sync, rows } = yield* bench({ walletListHasBalances: false })
        const gone = sandbox.idOf("wallets", index)
        sandbox.setFault(({ path }) => (path.endsWith(`/${gone}`) ? { status: 404 } : undefined))
        const booked = streamOf(yield* sync({ only: ["wallets"] }), "wallets")
        expect(booked.error).toBe(null)
        expect(booked).toMatchObject({ status: "complete_with_rejects", rejected: 1 })
        expect(booked.inserted).toBe(sandbox.truth.count("wallets") - 1)
        expect(yield* rows("SELECT record_id, field FROM sync.rejects")).toEqual([
          { record_id: gone, field: "wallet_account" },
        ])
        sandbox.setFault(null)
        expect((yield* sync({ only: ["wallets"] })).status).toBe("complete")
      }),
  )

  it.scopedLive("and no by-id endpoint either: the stream says so", () =>
    Effect.gen(function* () {
      const { sync } = yield* bench({ walletListHasBalances: false, detailPaths: { wallets: null } })
      const booked = streamOf(yield* sync({ only: ["wallets"] }), "wallets")
      expect(booked.status).toBe("failed")
      expect(booked.error).toContain("by-id")
      expect(booked.requests).toBeLessThan(100)
    }),
  )
})

describe("a list elsewhere", () => {
  const elsewhere = { payouts: "/v9/money/out" }

  it.scopedLive("is not found: the stream fails and names the variable, the others are done", () =>
    Effect.gen(function* () {
      const given = yield* bench({ listPaths: elsewhere })
      const run = yield* given.sync()
      expect(run.status).toBe("failed")
      const { payouts, ...others } = statusesOf(run)
      expect(payouts).toBe("failed")
      expect(streamOf(run, "payouts").error).toContain("PAYCOMBAT_PATH_PAYOUTS")
      expect(new Set(Object.values(others))).toEqual(new Set(["complete"]))
      yield* holdsAll(
        given,
        given.sandbox.lists.filter(list => list !== "payouts"),
      )
    }),
  )

  it.scopedLive("is read at the configured path", () =>
    Effect.gen(function* () {
      const given = yield* bench({ listPaths: elsewhere })
      const run = yield* given.sync({ account: { paths: elsewhere } })
      expect(run.status).toBe("complete")
      yield* holdsAll(given)
      const contract = yield* given.value("SELECT path FROM sync.contracts WHERE stream = 'payouts'")
      expect(contract).toBe(elsewhere.payouts)
    }),
  )

  slow(() => {
    it.scopedLive("and moved since: is discovered again", () =>
      Effect.gen(function* () {
        const { sandbox, sync, value } = yield* syncedBench({}, { only: ["payouts"] })
        const [first, second] = ["/api/v1/payout/get-all", "/api/v1/payout/list"]
        sandbox.setFault(({ path, query }) => {
          if (path === first) return { status: 404 }
          // The other path serves the same list.
          return path === second && query.get("page") === "1"
            ? { body: { status: true, data: [JSON.parse(sandbox.truth.text("payouts", 0))], total: 1 } }
            : undefined
        })
        expect((yield* sync({ only: ["payouts"] })).status).toBe("complete")
        expect(yield* value("SELECT path FROM sync.contracts")).toBe(second)
      }),
    )
  })
})

describe("an empty list", () => {
  it.scopedLive("on an undocumented path proves nothing: the stream fails and names the variable", () =>
    Effect.gen(function* () {
      const { sync, value } = yield* bench({ payouts: 0 })
      const run = yield* sync()
      expect(run.status).toBe("failed")
      const { payouts, ...others } = statusesOf(run)
      expect(payouts).toBe("failed")
      expect(new Set(Object.values(others))).toEqual(new Set(["complete"]))
      expect(streamOf(run, "payouts").error).toContain("PAYCOMBAT_PATH_PAYOUTS=/api/v1/payout/get-all")
      expect(yield* value("SELECT is_verified FROM sync.contracts WHERE stream = 'payouts'")).toBe("false")
    }),
  )

  slow(() => {
    it.scopedLive("on the configured path is believed and reported", () =>
      Effect.gen(function* () {
        const { sync } = yield* bench({ payouts: 0 })
        const account = { paths: { payouts: "/api/v1/payout/get-all" } }
        const booked = streamOf(yield* sync({ account }), "payouts")
        expect(booked).toMatchObject({ status: "complete", extracted: 0, error: null })
        expect(booked.note).toContain("lists nothing")
      }),
    )
  })
})
