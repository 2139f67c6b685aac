import { describe, expect, it } from "@effect/vitest"
import { Effect, Either } from "effect"
import * as fc from "fast-check"
import type postgres from "postgres"
import { isList, type Normalized, type Row, type Stream } from "../../src/core/stream.ts"
import { shapeOf } from "../../src/postgres/shape.ts"
import { allStreams } from "../../src/registry.ts"
import type { Sandbox } from "../../src/sandbox/sandbox.ts"
import { rebuildWith } from "../../src/sync/maintenance.ts"
import { statusOf } from "../../src/warehouse/read/status.ts"
import { fuzz, fuzzMillis } from "../support/fuzz.ts"
import { LIST_PATHS } from "../support/lists.ts"
import { slow } from "../support/slow.ts"
import { onWarehouse } from "../support/upkeep.ts"
import {
  accountOf,
  BOOKKEEPING,
  bench,
  dump,
  footprint,
  loading,
  printed,
  stoppedWhileBeginning,
  streamOf,
  syncedBench,
  syncOnce,
  testWarehouse,
  warehouseTables,
} from "../support/warehouse.ts"

const streams = await Effect.runPromise(allStreams)

const rebuild = (
  sql: postgres.Sql,
  options: { readonly accounts?: ReadonlyArray<string>; readonly streams?: ReadonlyArray<Stream> } = {},
) => onWarehouse(sql)(rebuildWith({ accounts: [], streams, leaseSeconds: 30, ...options }))

/** Place of every row of `warehouse`, and its writing transaction: shows any write. */
const footprints = (sql: postgres.Sql) =>
  Effect.flatMap(warehouseTables(sql), tables =>
    Effect.forEach(tables, table => Effect.map(footprint(sql, table), rows => [table, rows] as const)),
  )

/** Every table of `warehouse`, its rows whole or without the columns named. */
const dumps = (sql: postgres.Sql, without: ReadonlyArray<string> = []) =>
  Effect.flatMap(warehouseTables(sql), tables =>
    Effect.forEach(tables, table => Effect.map(dump(sql, table, without), rows => [table, rows] as const)),
  )

describe("rebuild", () => {
  it.scopedLive("sends no request, is recorded, and makes nothing fresher", () =>
    Effect.gen(function* () {
      const { sql, sandbox } = yield* syncedBench()
      const status = yield* statusOf(sql, streams)
      const fresh = yield* printed(sql, "SELECT stream, last_complete_at FROM analytics.freshness ORDER BY 1")
      const reconciled = yield* printed(sql, "SELECT * FROM analytics.balance_reconciliation ORDER BY 2, 3")
      sandbox.resetRequests()
      const summary = yield* rebuild(sql)
      expect(summary!.status).toBe("complete")
      for (const { name } of streams) {
        const booked = streamOf(summary!, name)
        expect(booked).toMatchObject({
          mode: "rebuild",
          status: "complete",
          requests: 0,
          updated: 0,
          rejected: 0,
        })
        expect(booked.extracted).toBeGreaterThan(0)
        expect(booked.unchanged).toBe(booked.extracted)
      }
      expect(sandbox.requests.recent).toEqual([])
      expect(yield* statusOf(sql, streams)).toEqual(status)
      const now = yield* printed(sql, "SELECT stream, last_complete_at FROM analytics.freshness ORDER BY 1")
      expect(now).toEqual(fresh)
      expect(yield* printed(sql, "SELECT * FROM analytics.balance_reconciliation ORDER BY 2, 3")).toEqual(
        reconciled,
      )
    }),
  )

  it.scopedLive("makes the totals of an account anew, and leaves those of another account alone", () =>
    Effect.gen(function* () {
      const { sql, sandbox, sync } = yield* bench()
      const accounts = ["eu", "apac"].map(name => accountOf(sandbox, { name }))
      yield* sync({ accounts, only: ["transactions"] })
      const only = streams.filter(({ name }) => name === "transactions")
      const totals = ["kinds", "days", "settlements", "owners"].map(of => `transaction_${of}`)
      const kept = Effect.forEach(totals, table => dump(sql, table, []))
      const before = yield* kept
      for (const table of totals)
        yield* Effect.promise(() =>
          sql.unsafe(
            `UPDATE warehouse.${table} SET amount = amount + 1 WHERE event_type = 'PAYIN' AND account = 'eu';
             UPDATE warehouse.${table} SET event_type = 'NEVER SENT' WHERE event_type = 'REFUND' AND account = 'eu';
             DELETE FROM warehouse.${table} WHERE event_type = 'PAYOUT' AND account = 'eu'`,
          ),
        )
      yield* Effect.promise(() => sql`UPDATE warehouse.transaction_settlements SET settled_seen_at = now()`)
      const place = yield* Effect.forEach(totals, table => footprint(sql, table))
      yield* rebuild(sql, { accounts: ["apac"], streams: only })
      yield* rebuild(sql, { accounts: ["eu"], streams: only })
      expect(yield* kept).toEqual(before)
      // Again, it finds nothing to mend.
      const mended = yield* Effect.forEach(totals, table => footprint(sql, table))
      expect(mended).not.toEqual(place)
      yield* rebuild(sql, { streams: only })
      expect(yield* Effect.forEach(totals, table => footprint(sql, table))).toEqual(mended)
    }),
  )

  slow(() => {
    it.scopedLive("can be narrowed to accounts and streams, and finds the stored accounts", () =>
      Effect.gen(function* () {
        const { sql, sandbox, sync } = yield* bench()
        expect(yield* rebuild(sql)).toBeUndefined()
        const accounts = ["eu", "apac"].map(name => accountOf(sandbox, { name }))
        yield* sync({ accounts })
        yield* Effect.promise(() => sql`UPDATE warehouse.payouts SET status = 'x'`)
        const only = streams.filter(({ name }) => name === "payouts")
        const summary = yield* rebuild(sql, { accounts: ["eu"], streams: only })
        expect(summary!.streams.map(({ account, stream }) => [account, stream])).toEqual([["eu", "payouts"]])
        const left = yield* printed(sql, "SELECT DISTINCT account FROM warehouse.payouts WHERE status = 'x'")
        expect(left).toEqual([{ account: "apac" }])
        expect((yield* rebuild(sql))!.streams).toHaveLength(2 * streams.length)
        const error = yield* Effect.flip(rebuild(sql, { accounts: ["default"] }))
        expect(error).toMatchObject({ _tag: "ConfigurationError" })
        expect(error.message).toContain("apac, eu")
      }),
    )
  })

  it.scopedLive("leaves a row whose raw record no longer decodes as it is, names it, and fails", () =>
    Effect.gen(function* () {
      const { sql } = yield* syncedBench()
      yield* Effect.promise(() =>
        sql.unsafe(`
          UPDATE warehouse.payouts SET status = 'x';
          UPDATE warehouse.payouts SET raw = raw || '{"status": {"of": "secret words"}}'
            WHERE payout_id IN (SELECT payout_id FROM warehouse.payouts ORDER BY 1 LIMIT 12)`),
      )
      const broken = "SELECT payout_id AS id FROM warehouse.payouts WHERE status = 'x' ORDER BY 1"
      const summary = yield* rebuild(sql)
      expect(summary!.status).toBe("failed")
      const left = yield* printed(sql, broken)
      expect(left).toHaveLength(12)
      const booked = streamOf(summary!, "payouts")
      expect(booked).toMatchObject({ status: "failed", extracted: 20, updated: 8, rejected: 12 })
      expect(booked.error).toContain("12 of the stored raw records")
      expect(booked.error).toContain(`${left[0]!.id} (status)`)
      expect(booked.error).not.toContain("secret")
      expect(streamOf(summary!, "transactions").status).toBe("complete")
    }),
  )

  it.scopedLive("that is stopped while a stream begins records its end, too", () =>
    Effect.gen(function* () {
      const { sql, rows } = yield* syncedBench({}, { only: ["payouts"] })
      const payouts = streams.filter(({ name }) => name === "payouts")
      yield* stoppedWhileBeginning(sql, rebuild(sql, { streams: payouts }))
      const booked = (table: string) =>
        rows(`SELECT status FROM sync.${table} ORDER BY started_at DESC LIMIT 1`)
      expect(yield* booked("stream_runs")).toEqual([{ status: "interrupted" }])
      expect(yield* booked("runs")).toEqual([{ status: "interrupted" }])
      expect(yield* rows("SELECT 1 AS one FROM sync.stream_runs WHERE status = 'running'")).toEqual([])
    }),
  )

  it.scopedLive("does nothing if another run holds every lease, and the rest if it holds one", () =>
    Effect.gen(function* () {
      const { sql } = yield* syncedBench()
      const payouts = streams.filter(isList).find(({ name }) => name === "payouts")!
      yield* loading(sql, payouts)
      const error = yield* Effect.flip(rebuild(sql, { streams: [payouts] }))
      expect(error).toMatchObject({ _tag: "LeaseError", reason: "held" })
      const summary = yield* rebuild(sql)
      expect(summary!.status).toBe("failed")
      expect(summary!.streams.map(({ status }) => status)).toEqual(streams.slice(1).map(() => "complete"))
    }),
  )
})

/** The stream after a change of its normalizer. */
const changed = (stream: Stream): Stream => ({
  ...stream,
  version: stream.version + 1,
  decode: given => Either.map(stream.decode(given), made => renormalized(stream, made)),
})

const renormalized = (stream: Stream, made: Normalized): Normalized => {
  const rename = (row: Row): Row =>
    Object.fromEntries(
      Object.entries(row).map(([name, value]) => [
        name,
        ["description", "event_type", "currency", "wallet_alias"].includes(name) && typeof value === "string"
          ? `${value}?`
          : value,
      ]),
    )
  const children = Object.entries(made.children ?? {}).map(([name, rows]) => {
    const isPositioned = shapeOf(
      stream.children.find(({ table }) => shapeOf(table).name === name)!.table,
    ).types.has("position")
    // Fewer positions than before; of children with an id all stay.
    return [name, (isPositioned ? rows.slice(1) : rows).map(rename)] as const
  })
  return {
    row: rename(made.row),
    sourceUpdatedAt: made.sourceUpdatedAt,
    children: Object.fromEntries(children),
  }
}

describe("after a stream's normalizer was changed", () => {
  it.scopedLive("rebuild has the same result as a fresh sync, and the next sync has nothing to write", () =>
    Effect.gen(function* () {
      const { sql, sandbox, sync } = yield* syncedBench()
      const before = yield* dumps(sql)
      const next = streams.map(stream => (isList(stream) ? changed(stream) : stream))
      const summary = yield* rebuild(sql, { streams: next })
      for (const stream of next.filter(isList)) {
        const { extracted, updated } = streamOf(summary!, stream.name)
        // Even where no column differs, the hash does.
        expect([stream.name, updated]).toEqual([stream.name, extracted])
      }
      const after = yield* dumps(sql)
      expect(after).not.toEqual(before)

      const sink = yield* testWarehouse()
      yield* syncOnce(sink, sandbox, { streams: next })
      const isHistory = (table: string) => /history|snapshots/.test(table)
      const comparable = (sql: postgres.Sql) =>
        Effect.map(dumps(sql, BOOKKEEPING), all => all.filter(([table]) => !isHistory(table)))
      expect(yield* comparable(sql)).toEqual(yield* comparable(sink))

      const kept = `SELECT run_id, read_at, first_seen_at, removed_at FROM warehouse.transactions ORDER BY transaction_id`
      const [first] = yield* printed(sql, "SELECT min(run_id::text) AS run FROM warehouse.transactions")
      expect(first!.run).not.toBe(summary!.runId)
      expect((yield* printed(sql, kept)).length).toBeGreaterThan(0)
      for (const [table, rows] of before.filter(([name]) => isHistory(name)))
        expect([table, new Map(after).get(table)]).toEqual([table, rows])

      const lists = next.filter(isList)
      const place = yield* footprints(sql)
      const again = yield* sync({ streams: lists })
      for (const { name } of lists) {
        const { extracted, unchanged } = streamOf(again, name)
        expect([name, unchanged]).toEqual([name, extracted])
      }
      expect(yield* footprints(sql)).toEqual(place)
    }),
  )
})

/** Changes of what the API shows; a record may become one that cannot be a row, and sound again. */
const act = (sandbox: Sandbox, { what, stream, index }: { what: string; stream: string; index: number }) => {
  switch (what) {
    case "touch":
      return sandbox.touch(stream, index)
    case "spoil":
      return sandbox.patch(stream, index, { updated_at: "never", created_at: 7 })
    case "mend":
      return sandbox.patch(stream, index, { updated_at: "2026-01-01T00:00:00.000Z", created_at: null })
    case "digits":
      return sandbox.patch(stream, index, {
        amount: "9007199254740993.1000",
        ["__proto__"]: { deep: [1.5, null] },
      })
    case "remove":
      return sandbox.remove(stream, index)
    case "restore":
      return sandbox.restore(stream, index)
    default:
      return sandbox.insert(stream, 1, "back")
  }
}

const RUNS = 4
/** In `npm test`. */
const QUICK_RUNS = 1

describe("any synced warehouse", () => {
  const action = fc.record({
    what: fc.constantFrom("touch", "spoil", "mend", "digits", "remove", "restore", "insert"),
    stream: fc.constantFrom(...Object.keys(LIST_PATHS)),
    index: fc.nat({ max: 5 }),
  })
  const rounds = fc.array(fc.array(action, { minLength: 1, maxLength: 8 }), { minLength: 1, maxLength: 3 })
  const corruptions = fc.uniqueArray(
    fc.constantFrom(
      "UPDATE warehouse.customers SET type = 'x', is_wallet_ready = NULL, org_id = 'x'",
      "UPDATE warehouse.transactions SET amount = -amount, owner_id = 'x', is_settled = NOT is_settled",
      "UPDATE warehouse.transactions SET source_updated_at = now(), content_hash = md5(content_hash)",
      "UPDATE warehouse.payouts SET amount = amount + 0.000, status = NULL WHERE false OR payout_id > 'payout'",
      "UPDATE warehouse.payouts SET currency = lower(currency)",
      "UPDATE warehouse.wallets SET customer_id = NULL, is_active = NULL",
      "UPDATE warehouse.wallet_accounts SET actual_balance = 1, currency = 'XXX' WHERE removed_at IS NULL",
      "UPDATE warehouse.checkout_items SET quantity = NULL",
      "DELETE FROM warehouse.checkout_fees",
      "UPDATE warehouse.wallet_readiness SET missing_fields = '{a,b}' WHERE raw IS NOT NULL",
    ),
    { minLength: 1 },
  )

  const holds = (runs: number) =>
    it(
      "rebuild changes nothing, and after columns were changed by hand restores them",
      () =>
        fc.assert(
          fc.asyncProperty(rounds, corruptions, (changes, statements) =>
            Effect.gen(function* () {
              const { sql, sandbox, sync } = yield* syncedBench({
                transactions: 30,
                customers: 8,
                payouts: 8,
                checkouts: 6,
              })
              for (const actions of changes) {
                for (const one of actions) act(sandbox, one)
                yield* sync()
              }
              const place = yield* footprints(sql)
              const whole = yield* dumps(sql)
              const rejects = yield* printed(sql, "SELECT * FROM sync.rejects ORDER BY reject_id")
              expect((yield* rebuild(sql))!.status).toBe("complete")
              expect(yield* footprints(sql)).toEqual(place)
              for (const statement of statements) yield* Effect.promise(() => sql.unsafe(statement).simple())
              expect((yield* rebuild(sql))!.status).toBe("complete")
              expect(yield* dumps(sql)).toEqual(whole)
              expect(yield* printed(sql, "SELECT * FROM sync.rejects ORDER BY reject_id")).toEqual(rejects)
            }).pipe(Effect.scoped, Effect.runPromise),
          ),
          fuzz(runs),
        ),
      fuzzMillis(runs, 240_000),
    )

  holds(QUICK_RUNS)
  slow(() => holds(RUNS))
})
