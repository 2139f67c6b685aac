import { describe, expect, it } from "@effect/vitest"
import { Effect, Fiber, Redacted } from "effect"
import { start } from "../../src/sandbox/sandbox.ts"
import { STREAM_NAMES } from "../support/lists.ts"
import {
  accountOf,
  bench,
  holdUp,
  SMALL,
  statusesOf,
  stoppedWhileBeginning,
  stopWhileWaiting,
  streamOf,
  syncedBench,
  unhurried,
  untilWaiting,
} from "../support/warehouse.ts"

const without = (stream: string) =>
  Object.fromEntries(STREAM_NAMES.filter(name => name !== stream).map(name => [name, "complete"]))

describe("a list of another merchant", () => {
  it.scopedLive("is not loaded, and no stored row is booked as removed", () =>
    Effect.gen(function* () {
      const { sandbox, sync, value } = yield* bench({})
      yield* sync()
      const before = yield* value(
        "SELECT md5(string_agg(t::text, '' ORDER BY payout_id)) FROM warehouse.payouts AS t",
      )
      for (const index of [0, 1, 2]) sandbox.patch("payouts", index, { merchant_id: "somebody-else" })
      for (let index = 3; index < sandbox.options.payouts; index++) sandbox.remove("payouts", index)
      const [second, third] = [yield* sync(), yield* sync()]
      for (const run of [second, third]) {
        expect(statusesOf(run)).toEqual({ ...without("payouts"), payouts: "failed" })
        expect(streamOf(run, "payouts").error).toContain("another merchant_id")
        expect(streamOf(run, "payouts").error).toContain("somebody-else")
      }
      expect(
        yield* value("SELECT md5(string_agg(t::text, '' ORDER BY payout_id)) FROM warehouse.payouts AS t"),
      ).toBe(before)
    }),
  )
})

describe("a stream that fails", () => {
  it.scopedLive("with 403 stops no other, and the run is not green", () =>
    Effect.gen(function* () {
      const { sandbox, sync } = yield* bench({})
      sandbox.setFault(({ path }) => (path.includes("/payout") ? { status: 403 } : undefined))
      const run = yield* sync()
      expect(run.status).toBe("failed")
      expect(statusesOf(run)).toEqual({ ...without("payouts"), payouts: "failed" })
      expect(streamOf(run, "payouts").error).toContain("PAYCOMBAT_PATH_PAYOUTS")
      expect(streamOf(run, "payouts").retries).toBe(0)
    }),
  )

  it.scopedLive("among many calls under way stops no other", () =>
    Effect.gen(function* () {
      const { sandbox, sync } = yield* bench({ walletListHasBalances: false })
      const bad = sandbox.idOf("wallets", 13)
      sandbox.setFault(({ path, nth }) =>
        path.endsWith(bad)
          ? { status: 403 }
          : path.includes("wallet-is-ready") && nth === 3
            ? { status: 403 }
            : undefined,
      )
      const run = yield* sync()
      expect(run.status).toBe("failed")
      expect(statusesOf(run)).toEqual({
        ...without("wallets"),
        wallets: "failed",
        wallet_readiness: "failed",
      })
    }),
  )

  it.scopedLive("in the middle keeps the records read so far, and the next run continues there", () =>
    Effect.gen(function* () {
      const { sandbox, sync, value } = yield* bench({ transactions: 7_500 })
      const only = ["transactions"]
      const account = { pageSize: 1_000 }
      sandbox.setFault(({ query }) => (query.get("page") === "7" ? { hang: true } : undefined))
      const first = yield* Effect.fork(unhurried(sync({ only, account })))
      const committed = value("SELECT count(*) FROM warehouse.transactions")
      yield* committed.pipe(Effect.delay("50 millis"), Effect.repeat({ until: count => count === "6000" }))
      yield* Fiber.interrupt(first)
      expect(yield* value("SELECT status FROM sync.stream_runs")).toBe("interrupted")
      expect(yield* value("SELECT status FROM sync.runs")).toBe("interrupted")
      sandbox.setFault(null)
      sandbox.resetRequests()
      const second = yield* sync({ only, account })
      expect(second.status).toBe("complete")
      expect(streamOf(second, "transactions").inserted).toBe(1_500)
      const asked = new Set(
        sandbox.requests.recent.map(({ query }) => new URLSearchParams(query).get("page")),
      )
      for (const page of ["2", "3", "4", "5", "6"]) expect(asked).not.toContain(page)
      expect(yield* committed).toBe("7500")
      expect(yield* value("SELECT count(*) FROM sync.seen_keys")).toBe("0")
    }),
  )

  it.scopedLive("just before its pass was closed has nothing to read again", () =>
    Effect.gen(function* () {
      const only = ["checkouts"]
      const { sql, sandbox, sync, value } = yield* syncedBench({}, { only })
      yield* Effect.promise(async () => {
        const pass = "00000000-0000-4000-8000-000000000000"
        await sql`INSERT INTO sync.seen_keys SELECT ${pass}::uuid, checkout_id FROM warehouse.checkouts`
        await sql`
          INSERT INTO sync.checkpoints (account, stream, pass_id, started_at, position, seen_keys, updated_at)
          VALUES ('default', 'checkouts', ${pass}, clock_timestamp(), 'null', 12, clock_timestamp())`
      })
      sandbox.resetRequests()
      expect(streamOf(yield* sync({ only }), "checkouts")).toMatchObject({
        status: "complete",
        extracted: 0,
        removed: 0,
        note: "Read whole: the latest pass was broken off.",
      })
      // Its contract is verified again, as on each run.
      expect(sandbox.requests.total).toBe(1)
      expect(yield* value("SELECT count(*) FROM sync.checkpoints")).toBe("0")
      expect(streamOf(yield* sync({ only }), "checkouts").unchanged).toBe(12)
    }),
  )

  it.scopedLive("starts again with --full", () =>
    Effect.gen(function* () {
      const { sandbox, sync, value } = yield* bench({ transactions: 5_500 })
      const options = { only: ["transactions"], account: { pageSize: 1_000 } }
      sandbox.setFault(({ query }) => (query.get("page") === "6" ? { status: 403 } : undefined))
      expect((yield* sync(options)).status).toBe("failed")
      sandbox.setFault(null)
      const second = yield* sync({ ...options, full: true })
      expect(streamOf(second, "transactions").extracted).toBe(5_500)
      expect(yield* value("SELECT count(*) FROM warehouse.transactions")).toBe("5500")
    }),
  )
})

describe("a token that is refused", () => {
  it.scopedLive("stops its account at once, and no other account", () =>
    Effect.gen(function* () {
      const { sandbox, sync, rows } = yield* bench({})
      const other = yield* start({ ...SMALL, seed: 2 })
      const run = yield* sync({
        accounts: [
          accountOf(other, { name: "bad", token: Redacted.make("s3cret-and-wrong") }),
          accountOf(sandbox, { name: "good" }),
        ],
      })
      expect(run.status).toBe("failed")
      for (const stream of STREAM_NAMES) {
        expect(streamOf(run, stream, "good").status).toBe("complete")
        expect([stream, streamOf(run, stream, "bad").status]).toEqual([stream, "failed"])
        expect(streamOf(run, stream, "bad").error).toContain("PAYCOMBAT_TOKEN_BAD")
        expect(streamOf(run, stream, "bad").error).not.toContain("s3cret")
      }
      expect(other.requests.total).toBeLessThanOrEqual(STREAM_NAMES.length)
      const accounts = yield* rows("SELECT DISTINCT account FROM warehouse.customers")
      expect(accounts).toEqual([{ account: "good" }])
    }),
  )
})

describe("two accounts", () => {
  it.scopedLive("share the warehouse, but no rows", () =>
    Effect.gen(function* () {
      const { sandbox, sync, rows } = yield* bench({})
      const other = yield* start({ ...SMALL, customers: 9, seed: 1, token: "another" })
      const accounts = [accountOf(sandbox, { name: "eu" }), accountOf(other, { name: "apac" })]
      const run = yield* sync({ accounts })
      expect(run.status).toBe("complete")
      const counts = yield* rows(
        "SELECT account, count(*) AS n FROM warehouse.customers GROUP BY 1 ORDER BY 1",
      )
      expect(counts).toEqual([
        { account: "apac", n: "9" },
        { account: "eu", n: "23" },
      ])
      other.touch("customers", 3)
      const again = yield* sync({ accounts })
      expect(streamOf(again, "customers", "apac").updated).toBe(1)
      expect(streamOf(again, "customers", "eu").updated).toBe(0)
    }),
  )
})

describe("a run that is told to stop", () => {
  it.scopedLive("while a stream begins records its end, too", () =>
    Effect.gen(function* () {
      const { sql, sync, rows } = yield* bench({})
      yield* stoppedWhileBeginning(sql, sync({ only: ["payouts"] }))
      expect(yield* rows("SELECT status FROM sync.stream_runs")).toEqual([{ status: "interrupted" }])
      expect(yield* rows("SELECT status FROM sync.runs")).toEqual([{ status: "interrupted" }])
    }),
  )

  it.scopedLive("while it records its end finishes that, and releases its leases", () =>
    Effect.gen(function* () {
      const { sql, sync, rows } = yield* syncedBench({}, { only: ["customers"] })
      // The run is booked as begun when its stream is about to be.
      const begin = yield* holdUp(sql, "sync.stream_runs", "SHARE")
      const run = yield* Effect.fork(unhurried(sync({ only: ["wallet_readiness"] })))
      yield* untilWaiting(sql)
      // Look-ups read nothing of earlier runs: the first to want it is who books the end.
      const end = yield* holdUp(sql, "sync.runs", "ACCESS EXCLUSIVE")
      yield* begin
      yield* stopWhileWaiting(sql, run, end)
      const complete = [{ status: "complete" }, { status: "complete" }]
      expect(yield* rows("SELECT status FROM sync.stream_runs")).toEqual(complete)
      expect(yield* rows("SELECT status FROM sync.runs")).toEqual(complete)
      expect(yield* rows("SELECT stream FROM sync.leases WHERE expires_at > clock_timestamp()")).toEqual([])
    }),
  )
})
