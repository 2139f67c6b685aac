import { describe, expect, it } from "@effect/vitest"
import { Clock, Effect } from "effect"
import { PagingBounds } from "../../src/paycombat/lists/page.ts"
import { FAULTS, type SandboxOptions, type Shape } from "../../src/sandbox/sandbox.ts"
import { verdictsOf } from "../../src/warehouse/read/verdict.ts"
import { expectSame, reference, type Whole } from "../support/apiFaults.ts"
import { bench, statusesOf, streamOf, syncedBench } from "../support/warehouse.ts"

const TRANSACTIONS = { only: ["transactions"] }

const tablesOf = (whole: Whole, pattern: RegExp) =>
  new Map([...whole].filter(([table]) => pattern.test(table)))

/** A contract that changes, and whether it can be found anew without help. */
const shapes: ReadonlyArray<readonly [string, from: Partial<SandboxOptions>, to: Partial<Shape>]> = [
  ["paging names", {}, { pagingNames: ["offset", "limit"] }],
  ["the name of the size", {}, { pagingNames: ["page", "per_page"], defaultPageSize: 15 }],
  ["the first page, to 0", {}, { firstPage: 0 }],
  ["the first page, to 1", { firstPage: 0 }, { firstPage: 1 }],
  ["a smaller cap", { offsetBy: "asked" }, { maxPageSize: 4 }],
  ["the envelope", {}, { envelope: "double.named" }],
  ["the path", {}, { listPaths: { transactions: "/api/v1/transaction/list" } }],
  ["what comes after the end", {}, { afterEnd: "404" }],
]

describe("a list that changes its contract", () => {
  it.scopedLive.each([...shapes])(
    "between two runs is discovered again, and nothing is lost: %s",
    ([, from, to]) =>
      Effect.gen(function* () {
        const { sandbox, sync, sql, value } = yield* bench(from)
        expect((yield* sync(TRANSACTIONS)).status).toBe("complete")
        sandbox.reshape(to)
        const runs = [yield* sync(TRANSACTIONS)]
        while (runs.at(-1)!.status !== "complete" && runs.length < 4) runs.push(yield* sync(TRANSACTIONS))
        expect(runs.at(-1)!.status).toBe("complete")
        expect(runs.length).toBeLessThanOrEqual(2)
        for (const run of runs) {
          const { status, error, removed } = streamOf(run, "transactions")
          expect(removed).toBe(0)
          if (status === "failed") expect(error).toMatch(/run again|PAYCOMBAT_PAGING/)
        }
        expect(yield* value("SELECT count(*) FROM warehouse.transactions WHERE removed_at IS NOT NULL")).toBe(
          "0",
        )
        const all = tablesOf(yield* reference, /^transaction/)
        yield* expectSame(sql, all, "between")
      }),
  )

  it.scopedLive.each([...shapes])("in the middle of a run is never green with gaps: %s", ([, from, to]) =>
    Effect.gen(function* () {
      const { sandbox, sync, sql } = yield* bench(from)
      let isChanged = false
      sandbox.setFault(({ path, query }) => {
        const isMiddle = path.includes("/transaction") && ["6", "50"].includes(query.get("page") ?? "")
        if (isMiddle && !isChanged) {
          isChanged = true
          sandbox.reshape(to)
        }
        return undefined
      })
      const all = tablesOf(yield* reference, /^transaction/)
      let runs = 0
      for (let status = "failed"; status === "failed" && runs < 4; runs++) {
        const run = streamOf(yield* sync(TRANSACTIONS), "transactions")
        status = run.status
        if (status === "failed") expect(run.error).toMatch(/run again|PAYCOMBAT_/)
      }
      expect(isChanged).toBe(true)
      expect(runs).toBeLessThanOrEqual(3)
      yield* expectSame(sql, all, "within")
    }),
  )

  it.scopedLive("to an empty one fails, and books nothing as removed", () =>
    Effect.gen(function* () {
      const { sandbox, sync, value } = yield* bench()
      yield* sync(TRANSACTIONS)
      sandbox.setFault(({ path }) => (path.includes("/transaction") ? FAULTS["empty-list"] : undefined))
      for (let n = 0; n < 3; n++) {
        const { status, error } = streamOf(yield* sync(TRANSACTIONS), "transactions")
        expect(status).toBe("failed")
        expect(error).toContain("nothing was booked as removed")
      }
      sandbox.setFault(null)
      expect((yield* sync(TRANSACTIONS)).status).toBe("complete")
      expect(yield* value("SELECT count(*) FROM warehouse.transactions WHERE removed_at IS NULL")).toBe("120")
    }),
  )
})

describe("pages that do not adjoin", () => {
  const gaps = { maxPageSize: 4, offsetBy: "asked" } as const

  it.scopedLive("are read in full if a name of the size can be found", () =>
    Effect.gen(function* () {
      const { sync, sql } = yield* bench({ ...gaps, pagingNames: ["page", "pageSize"], totals: "total" })
      expect((yield* sync(TRANSACTIONS)).status).toBe("complete")
      yield* expectSame(sql, tablesOf(yield* reference, /^transaction/), "gaps")
    }),
  )

  it.scopedLive("fail if none can, and the list is stated to be longer", () =>
    Effect.gen(function* () {
      const { sync, sandbox, value } = yield* bench({
        ...gaps,
        pagingNames: ["page", "anzahl"],
        totals: "total",
      })
      for (const options of [
        TRANSACTIONS,
        { ...TRANSACTIONS, account: { paging: ["page", "limit"] as const } },
      ]) {
        const { status, error } = streamOf(yield* sync(options), "transactions")
        expect(status).toBe("failed")
        expect(error).toContain("states 120 transactions")
        expect(error).toContain("PAYCOMBAT_PAGING")
      }
      expect(Number(yield* value("SELECT count(*) FROM warehouse.transactions"))).toBeLessThan(120)
      expect(sandbox.truth.count("transactions")).toBe(120)
      const run = yield* sync({ ...TRANSACTIONS, account: { paging: ["page", "anzahl"] } })
      expect(run.status).toBe("complete")
      expect(yield* value("SELECT count(*) FROM warehouse.transactions")).toBe("120")
    }),
  )

  it.scopedLive("and state nothing prove no removal, and the note says so", () =>
    Effect.gen(function* () {
      const { sandbox, sync, value } = yield* bench({ pagingNames: ["page", "anzahl"] })
      yield* sync(TRANSACTIONS)
      sandbox.remove("transactions", 5)
      for (let n = 0; n < 3; n++) {
        const { status, note, removed } = streamOf(yield* sync(TRANSACTIONS), "transactions")
        expect([status, removed]).toEqual(["complete", 0])
        expect(note).toContain("PAYCOMBAT_PAGING")
      }
      expect(yield* value("SELECT count(*) FROM warehouse.transactions")).toBe("120")
    }),
  )
})

describe("a list without an end", () => {
  it.scopedLive("that goes round in circles fails within a few rounds, and its rows stay", () =>
    Effect.gen(function* () {
      const { sandbox, sync, sql } = yield* bench()
      yield* sync(TRANSACTIONS)
      sandbox.resetRequests()
      const page = (number: number) => `/api/v1/transaction/get-all?page=${number}&limit=10`
      const bodies = yield* Effect.promise(() =>
        Promise.all(
          Array.from({ length: 12 }, (_, n) =>
            fetch(sandbox.url + page(n + 1), { headers: { "x-token": sandbox.token } }).then(got =>
              got.text(),
            ),
          ),
        ),
      )
      sandbox.setFault(({ query }) => {
        const number = Number(query.get("page"))
        return number > 12 && query.get("limit") === "10" ? { body: bodies[(number - 1) % 12] } : undefined
      })
      const { status, error } = streamOf(yield* sync(TRANSACTIONS), "transactions")
      expect(status).toBe("failed")
      expect(error).toContain("again and again")
      expect(sandbox.requests.total).toBeLessThan(150)
      sandbox.setFault(null)
      expect((yield* sync(TRANSACTIONS)).status).toBe("complete")
      yield* expectSame(sql, tablesOf(yield* reference, /^transaction/), "circle")
    }),
  )

  it.scopedLive("that always brings something new ends with the bound on pages", () =>
    Effect.gen(function* () {
      const { sandbox, sync, value } = yield* bench()
      const first = JSON.parse(sandbox.truth.text("transactions", 3))
      sandbox.setFault(({ query }) => {
        const [number, size] = [Number(query.get("page")), Number(query.get("limit") ?? 10)]
        if (number < 1) return { status: 400 }
        const records = Array.from({ length: size }, (_, n) => ({
          ...first,
          transaction_id: `endless_${(number - 1) * size + n}`,
        }))
        return { body: { status: true, data: records } }
      })
      const run = yield* sync(TRANSACTIONS).pipe(Effect.provideService(PagingBounds, { maxPages: 60 }))
      const { status, error } = streamOf(run, "transactions")
      expect(status).toBe("failed")
      expect(error).toContain("still not at its end after 60 requests")
      expect(Number(yield* value("SELECT count(*) FROM warehouse.transactions"))).toBeLessThanOrEqual(600)
    }),
  )
})

describe("an answer about another record", () => {
  it.scopedLive("in the middle of a list fails the stream, and is not stored", () =>
    Effect.gen(function* () {
      const { sandbox, sync, sql, value } = yield* bench()
      sandbox.setFault(({ path, query }) =>
        path.includes("/transaction/") && query.get("page") === "7" ? FAULTS["other-merchant"] : undefined,
      )
      const { status, error } = streamOf(yield* sync(TRANSACTIONS), "transactions")
      expect(status).toBe("failed")
      expect(error).toContain("another org_id")
      expect(error).toContain("Check the token")
      expect(
        yield* value("SELECT count(*) FROM warehouse.transactions WHERE org_id = 'another-merchant'"),
      ).toBe("0")
      sandbox.setFault(null)
      expect((yield* sync(TRANSACTIONS)).status).toBe("complete")
      yield* expectSame(sql, tablesOf(yield* reference, /^transaction/), "merchant")
    }),
  )

  it.scopedLive("from a by-id endpoint leaves a reject, and no other wallet's balance", () =>
    Effect.gen(function* () {
      const { sandbox, sync, rows } = yield* bench({ walletListHasBalances: false })
      const asked = sandbox.idOf("wallets", 7)
      sandbox.setFault(({ path }) => (path.endsWith(`/${asked}`) ? FAULTS["other-record"] : undefined))
      const booked = streamOf(yield* sync({ only: ["wallets"] }), "wallets")
      expect(booked).toMatchObject({ status: "complete_with_rejects", rejected: 1 })
      expect(yield* rows("SELECT record_id FROM sync.rejects")).toEqual([{ record_id: asked }])
      expect(yield* rows(`SELECT * FROM warehouse.wallet_accounts WHERE wallet_id = '${asked}'`)).toEqual([])
      sandbox.setFault(null)
      expect((yield* sync({ only: ["wallets"] })).status).toBe("complete")
    }),
  )

  it.scopedLive("about readiness counts for no customer, and the run is not green", () =>
    Effect.gen(function* () {
      const { sandbox, sync, sql, rows } = yield* bench()
      const [asked, other] = [sandbox.idOf("customers", 4), sandbox.idOf("customers", 5)]
      sandbox.setFault(({ path }) =>
        path.endsWith(`wallet-is-ready/${asked}`)
          ? { body: { status: true, data: { customer_id: other, is_wallet_ready: true, missing_field: [] } } }
          : undefined,
      )
      const run = yield* sync()
      expect(statusesOf(run).wallet_readiness).toBe("failed")
      const answer = `SELECT is_wallet_ready, check_error FROM warehouse.wallet_readiness WHERE customer_id = '${asked}'`
      expect(yield* rows(answer)).toEqual([
        {
          is_wallet_ready: null,
          check_error: "The answer is about another customer_id: none of it was stored.",
        },
      ])
      sandbox.setFault(null)
      expect((yield* sync()).status).toBe("complete")
      yield* expectSame(sql, yield* reference, "readiness")
    }),
  )
})

describe("clocks that are wrong", () => {
  const HOUR_MILLIS = 3_600_000

  /** This machine's clock, off by so much; what time goes on by is not. */
  const off = (millis: () => number) =>
    Effect.map(Clock.clockWith(Effect.succeed), live =>
      Object.assign(Object.create(live) as Clock.Clock, {
        unsafeCurrentTimeMillis: () => live.unsafeCurrentTimeMillis() + millis(),
        currentTimeMillis: Effect.map(live.currentTimeMillis, now => now + millis()),
      }),
    )

  it.scopedLive(
    "a machine's, set back between two runs or within one, makes no read older than one before it",
    () =>
      Effect.gen(function* () {
        const { sandbox, sync, value } = yield* bench()
        const only = ["wallets"]
        const at = (hours: number) =>
          Effect.flatMap(
            off(() => hours * HOUR_MILLIS),
            clock => Effect.withClock(sync({ only }), clock),
          )
        const balance = Effect.map(value("SELECT max(actual_balance) FROM warehouse.wallet_accounts"), Number)
        expect((yield* at(5)).status).toBe("complete")
        // The balance moves, the wallet's own time does not: what was read later is what counts.
        const wallet = JSON.parse(sandbox.truth.text("wallets", 2))
        for (const [hours, amount] of [
          [0, 900_000_001],
          [-48, 900_000_002],
          [3, 900_000_003],
          [-1, 900_000_004],
        ] as const) {
          const accounts = wallet.wallet_account.map((account: object) => ({
            ...account,
            actual_balance: amount,
          }))
          sandbox.patch("wallets", 2, { wallet_account: accounts })
          const run = streamOf(yield* at(hours), "wallets")
          expect(run).toMatchObject({ status: "complete", updated: 1, stale: 0 })
          expect(yield* balance).toBe(amount)
        }
        expect(yield* value("SELECT count(*) FROM warehouse.wallets WHERE read_at > clock_timestamp()")).toBe(
          "0",
        )
      }),
  )

  it.scopedLive(
    "Postgres' own, set back since the last run, is reported, and reads continue from there",
    () =>
      Effect.gen(function* () {
        const only = ["wallets"]
        const { sandbox, sync, sql, value } = yield* syncedBench({}, { only })
        yield* Effect.promise(async () => {
          await sql`UPDATE warehouse.wallets SET read_at = read_at + interval '2 hours'`
          await sql`UPDATE sync.runs SET finished_at = finished_at + interval '2 hours'`
        })
        const wallet = JSON.parse(sandbox.truth.text("wallets", 2))
        const accounts = wallet.wallet_account.map((account: object) => ({ ...account, actual_balance: 77 }))
        sandbox.patch("wallets", 2, { wallet_account: accounts })
        expect(streamOf(yield* sync({ only }), "wallets")).toMatchObject({ updated: 1, stale: 0 })
        expect(
          yield* value(
            `SELECT bool_and(actual_balance = 77) FROM warehouse.wallet_accounts WHERE wallet_id = '${wallet.wallet_id}'`,
          ),
        ).toBe("true")
      }),
  )

  it.scopedLive("Postgres' own, set back since the last run, hides no run that began later", () =>
    Effect.gen(function* () {
      const only = ["wallets"]
      const { sandbox, sync, sql } = yield* syncedBench({}, { only })
      yield* Effect.promise(
        () => sql`UPDATE sync.stream_runs SET started_at = started_at + interval '2 hours',
          finished_at = finished_at + interval '2 hours'`,
      )
      const verdict = Effect.map(verdictsOf(sql, { streams: only }), ([first]) => first!)
      expect((yield* verdict).findings[0]!.text).toContain("the clock of Postgres was set back since")
      sandbox.setFault(({ path }) => (path.includes("wallet") ? { status: 403 } : undefined))
      expect((yield* sync({ only })).status).toBe("failed")
      expect((yield* verdict).sentence).toBe("The figures cannot be trusted: wallets (failed).")
      sandbox.setFault(null)
      expect((yield* sync({ only })).status).toBe("complete")
      expect((yield* verdict).level).toBe("good")
    }),
  )

  it.scopedLive("the API's make rows as sent: a time in the future, or long ago, stops no run", () =>
    Effect.gen(function* () {
      const { sandbox, sync, rows } = yield* bench()
      sandbox.setFault(() => FAULTS["clock-ahead"])
      sandbox.touch("payouts", 1, undefined, "2999-01-01T00:00:00.000Z")
      sandbox.touch("payouts", 2, undefined, "1001-01-01T00:00:00.000Z")
      const only = ["payouts"]
      expect((yield* sync({ only })).status).toBe("complete")
      const times = `SELECT extract(year FROM source_updated_at)::int AS year FROM warehouse.payouts
        WHERE payout_id IN ('${sandbox.idOf("payouts", 1)}', '${sandbox.idOf("payouts", 2)}') ORDER BY 1`
      // Times before 1970 and after the reading say nothing about the order of versions.
      expect(yield* rows(times)).toEqual([{ year: null }, { year: null }])
      sandbox.touch("payouts", 1, undefined, "2999-01-01T00:00:01.000Z")
      expect(streamOf(yield* sync({ only }), "payouts")).toMatchObject({ updated: 1, stale: 0 })
      expect((yield* sync({ only })).status).toBe("complete")
    }),
  )
})
