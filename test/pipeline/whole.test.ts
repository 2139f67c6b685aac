import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import type postgres from "postgres"
import { connect } from "../../src/postgres/connect.ts"
import { embeddedPostgres } from "../../src/postgres/embedded/embeddedPostgres.ts"
import { start } from "../../src/sandbox/sandbox.ts"
import type { StreamSummary } from "../../src/warehouse/ledger/summary.ts"
import { migrate } from "../../src/warehouse/schema/migrator.ts"
import { STREAM_NAMES } from "../support/lists.ts"
import { type PostgresVersion, resolveFrom, temporaryDirectory } from "../support/postgres.ts"
import { slowUnless } from "../support/slow.ts"
import { truthOf } from "../support/truth/truth.ts"
import {
  bench,
  dump,
  footprint,
  printed,
  SMALL,
  statusesOf,
  storedIds,
  streamOf,
  syncedBench,
  syncOnce,
  warehouseTables,
} from "../support/warehouse.ts"

const sumOfOutcomes = ({ inserted, updated, unchanged, stale, rejected }: StreamSummary) =>
  inserted + updated + unchanged + stale + rejected

/** The outcome counters of a run that are not zero. */
const changesOf = ({ inserted, updated, stale, rejected, removed }: StreamSummary) =>
  Object.fromEntries(
    Object.entries({ inserted, updated, stale, rejected, removed }).filter(([, count]) => count > 0),
  )

describe.each<PostgresVersion>(["18", "14"])("a whole run on Postgres %s", version => {
  it.scopedLive("brings every record of every list, and records its counts", () =>
    Effect.gen(function* () {
      const given = yield* bench({}, version)
      const { sandbox, sync, rows, value } = given
      const run = yield* sync()
      expect(run.status).toBe("complete")
      expect(new Set(Object.values(statusesOf(run)))).toEqual(new Set(["complete"]))
      expect(run.streams).toHaveLength(STREAM_NAMES.length)
      for (const stream of sandbox.lists) {
        const booked = streamOf(run, stream)
        const expected = [...sandbox.truth.ids(stream)].sort()
        expect(yield* storedIds(given, stream)).toEqual(expected)
        expect(booked.inserted).toBe(expected.length)
        expect(booked.extracted).toBe(sumOfOutcomes(booked))
        expect(booked.pages).toBeGreaterThan(1)
      }
      const readiness = streamOf(run, "wallet_readiness")
      expect(readiness.extracted).toBe(sandbox.truth.count("customers"))
      const notReady = [...truthOf(sandbox).notReady()].map(({ customerId }) => customerId).sort()
      const asked = yield* rows(
        "SELECT customer_id AS id FROM warehouse.wallet_readiness WHERE NOT is_wallet_ready",
      )
      expect(asked.map(row => row.id).sort()).toEqual(notReady)
      expect([...sandbox.requests.byMethod.keys()]).toEqual(["GET"])
      expect(yield* value("SELECT count(*) FROM sync.seen_keys")).toBe("0")
      expect(yield* value("SELECT count(*) FROM sync.due_keys")).toBe("0")
      expect(yield* value("SELECT count(*) FROM sync.checkpoints")).toBe("0")
      expect(yield* value("SELECT count(*) FROM sync.leases WHERE expires_at > clock_timestamp()")).toBe("0")
    }),
  )

  it.scopedLive("answers every view", () =>
    Effect.gen(function* () {
      const { rows, value } = yield* syncedBench({}, {}, version)
      const views = yield* rows("SELECT viewname AS name FROM pg_views WHERE schemaname = 'analytics'")
      expect(views.length).toBeGreaterThanOrEqual(16)
      for (const { name } of views) {
        const count = Number(yield* value(`SELECT count(*) FROM analytics.${name}`))
        // Each event type of the sandbox has a direction. Each transaction is older than the first answer about readiness, and
        // none changed since it was first seen.
        if (!["unmapped_event_type", "kyc_transacting", "settlement_change"].includes(name!))
          expect([name, count > 0]).toEqual([name, true])
      }
    }),
  )

  slowUnless(version === "18", () => {
    it.scopedLive("writes nothing if nothing changed, except the time of readiness checks", () =>
      Effect.gen(function* () {
        const { sql, sync } = yield* syncedBench({}, {}, version)
        const tables = (yield* warehouseTables(sql)).filter(table => table !== "wallet_readiness")
        const before = yield* Effect.forEach(tables, table => footprint(sql, table))
        const readiness = yield* dump(sql, "wallet_readiness", ["checked_at", "run_id"])
        const second = yield* sync()
        expect(yield* Effect.forEach(tables, table => footprint(sql, table))).toEqual(before)
        expect(yield* dump(sql, "wallet_readiness", ["checked_at", "run_id"])).toEqual(readiness)
        for (const booked of second.streams) {
          expect(changesOf(booked)).toEqual({})
          expect(booked.unchanged).toBe(booked.extracted)
          expect(booked.status).toBe("complete")
        }
      }),
    )
  })

  slowUnless(version === "18", () => {
    it.scopedLive("brings exactly the changes since", () =>
      Effect.gen(function* () {
        const { sandbox, sync, value } = yield* syncedBench({}, {}, version)
        sandbox.touch("customers", 5)
        sandbox.touch("payouts", 0)
        sandbox.touch("payouts", 7)
        sandbox.touch("wallets", 4)
        sandbox.remove("checkouts", 6)
        const second = yield* sync()
        expect(Object.fromEntries(second.streams.map(booked => [booked.stream, changesOf(booked)]))).toEqual({
          ...Object.fromEntries(second.streams.map(({ stream }) => [stream, {}])),
          customers: { updated: 1 },
          payouts: { updated: 2 },
          wallets: { updated: 1 },
          // Its by-id endpoint says that it is gone.
          checkouts: { removed: 1 },
        })
        const description = yield* value(
          `SELECT description FROM warehouse.customers WHERE customer_id = '${sandbox.idOf("customers", 5)}'`,
        )
        expect(description).toContain("version 1")
        sandbox.insert("transactions", 3, "back")
        const third = yield* sync()
        expect(changesOf(streamOf(third, "transactions"))).toEqual({ inserted: 3 })
        expect(yield* value("SELECT count(*) FROM warehouse.transactions")).toBe(
          String(sandbox.truth.count("transactions")),
        )
      }),
    )
  })
})

/** Bytes of write-ahead log since the server was made. */
const walBytes = (sql: postgres.Sql) =>
  Effect.map(printed(sql, "SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0') AS bytes"), ([row]) =>
    Number(row!.bytes),
  )

describe("the write-ahead log", () => {
  it.scopedLive("stays flat if nothing changed", () =>
    Effect.gen(function* () {
      // A server of its own: the log is the server's, and other tests write to theirs.
      const server = yield* embeddedPostgres(yield* temporaryDirectory, {
        resolveFrom: resolveFrom("18"),
        settings: { fsync: "off", autovacuum: "off", full_page_writes: "off" },
      })
      const sql = yield* connect(server.ownerUrl)
      yield* migrate(sql)
      const sandbox = yield* start({ ...SMALL, transactions: 4_000 })
      const sync = syncOnce(sql, sandbox, { only: ["transactions"], account: { pageSize: 500 } })
      const empty = yield* walBytes(sql)
      yield* sync
      const loaded = yield* walBytes(sql)
      yield* sync
      const again = yield* walBytes(sql)
      expect(loaded - empty).toBeGreaterThan(4_000_000)
      // Lease, checkpoint and counters are rows too.
      expect(again - loaded).toBeLessThan(60_000)
    }),
  )
})

describe("history that cannot be fetched again", () => {
  const setup = bench({ transactions: 60 })

  it.scopedLive("keeps the first time of each payout status and of settlement, once", () =>
    Effect.gen(function* () {
      const { sandbox, sync, rows, value } = yield* setup
      const statusesOfPayout = (index: number) =>
        Effect.map(
          rows(
            `SELECT status FROM warehouse.payout_status_history
             WHERE payout_id = '${sandbox.idOf("payouts", index)}' ORDER BY first_seen_at, status`,
          ),
          found => found.map(({ status }) => status),
        )
      yield* sync()
      expect(yield* statusesOfPayout(0)).toEqual(["PENDING"])
      const first = yield* value(
        `SELECT first_seen_at FROM warehouse.payout_status_history WHERE payout_id = '${sandbox.idOf("payouts", 0)}'`,
      )
      sandbox.touch("payouts", 0)
      yield* sync({ only: ["payouts"] })
      sandbox.touch("payouts", 0)
      yield* sync({ only: ["payouts"] })
      yield* sync({ only: ["payouts"] })
      expect(yield* statusesOfPayout(0)).toEqual(["PENDING", "SUCCESS", "RETURNED"])
      const [pending] = yield* rows(
        `SELECT first_seen_at FROM warehouse.payout_status_history
         WHERE payout_id = '${sandbox.idOf("payouts", 0)}' AND status = 'PENDING'`,
      )
      expect(pending!.first_seen_at).toBe(first)

      const settled = [...truthOf(sandbox).transactions()].filter(({ isSettled }) => isSettled).length
      expect(yield* value("SELECT count(*) FROM warehouse.settlement_history")).toBe(String(settled))
    }),
  )

  it.scopedLive("records a balance only when it differs", () =>
    Effect.gen(function* () {
      const { sandbox, sync, rows, value } = yield* setup
      const only = ["wallets"]
      yield* sync({ only })
      const accounts = Number(yield* value("SELECT count(*) FROM warehouse.wallet_accounts"))
      expect(yield* value("SELECT count(*) FROM warehouse.wallet_balance_snapshots")).toBe(String(accounts))
      yield* sync({ only })
      sandbox.patch("wallets", 3, { wallet_alias: "renamed" })
      yield* sync({ only })
      expect(yield* value("SELECT count(*) FROM warehouse.wallet_balance_snapshots")).toBe(String(accounts))
      sandbox.touch("wallets", 3)
      yield* sync({ only })
      const changed = yield* rows(
        `SELECT s.wallet_account_id, a.actual_balance = s.actual_balance AS is_latest
         FROM warehouse.wallet_balance_snapshots AS s JOIN warehouse.wallet_accounts AS a USING (account, wallet_account_id)
         WHERE a.wallet_id = '${sandbox.idOf("wallets", 3)}' ORDER BY s.observed_at`,
      )
      const touched = changed.filter(
        ({ wallet_account_id }) => wallet_account_id === changed.at(-1)!.wallet_account_id,
      )
      expect(touched.map(row => row.is_latest)).toEqual(["false", "true"])
      expect(yield* value("SELECT count(*) FROM warehouse.wallet_balance_snapshots")).toBe(
        String(accounts + 1),
      )
    }),
  )

  it.scopedLive("keeps each readiness state with its period", () =>
    Effect.gen(function* () {
      const { sandbox, sync, rows } = yield* setup
      const customer = sandbox.idOf("customers", 4)
      const states = rows(
        `SELECT is_wallet_ready, missing_fields::text AS missing, valid_to IS NULL AS is_open,
           valid_to = lead(valid_from) OVER (ORDER BY valid_from) AS is_joined
         FROM warehouse.wallet_readiness_history WHERE customer_id = '${customer}' ORDER BY valid_from`,
      )
      const only = { only: ["customers", "wallet_readiness"] }
      sandbox.setReadiness(4, { ready: false, missing: ["email", "dob"] })
      yield* sync(only)
      sandbox.setReadiness(4, { ready: false, missing: ["dob", "email"] })
      yield* sync(only)
      sandbox.setReadiness(4, { ready: false, missing: ["dob"] })
      yield* sync(only)
      sandbox.makeReady(4)
      yield* sync(only)
      yield* sync(only)
      expect(yield* states).toEqual([
        { is_wallet_ready: "false", missing: "{dob,email}", is_open: "false", is_joined: "true" },
        { is_wallet_ready: "false", missing: "{dob}", is_open: "false", is_joined: "true" },
        { is_wallet_ready: "true", missing: "{}", is_open: "true", is_joined: null },
      ])
    }),
  )
})
