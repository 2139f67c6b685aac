import { randomUUID } from "node:crypto"
import { describe, expect, it } from "@effect/vitest"
import { Effect, Either } from "effect"
import type postgres from "postgres"
import { NO_COUNTS } from "../../src/core/counts.ts"
import { isJsonObject, type Json, type JsonObject } from "../../src/core/json.ts"
import type { Stream } from "../../src/core/stream.ts"
import { allStreams } from "../../src/registry.ts"
import { acquire, release } from "../../src/warehouse/ledger/lease.ts"
import { settleItems } from "../../src/warehouse/load/settleItems.ts"
import { type RewriteOptions, rewriteRecords } from "../../src/warehouse/maintain/rewrite.ts"
import { fixtureOf } from "../support/conformance.ts"
import { slow } from "../support/slow.ts"
import {
  dump,
  footprint,
  json,
  listStream,
  loading,
  printed,
  syncedBench,
  testWarehouse,
  warehouseTables,
} from "../support/warehouse.ts"

const streams = await Effect.runPromise(allStreams)
const transactions = await Effect.runPromise(listStream("transactions"))
const wallets = await Effect.runPromise(listStream("wallets"))
const checkouts = await Effect.runPromise(listStream("checkouts"))

const T1 = "2026-01-01T00:00:00.000Z"
const T2 = "2026-01-02T00:00:00.000Z"
const T3 = "2026-01-03T00:00:00.000Z"

const same = (record: Json): Json | null => record

/** Walks a stream's records under a lease of its own. */
const rewrite = (
  sql: postgres.Sql,
  stream: Stream,
  change: (record: Json) => Json | null = same,
  options: RewriteOptions = {},
) =>
  Effect.gen(function* () {
    const taken = yield* acquire(sql, {
      streams: [{ account: "default", stream: stream.name }],
      runId: randomUUID(),
      holder: "test",
      leaseSeconds: 30,
    })
    const lease = taken.leases[0]!
    return yield* Effect.ensuring(
      rewriteRecords(sql, lease, stream, change, options),
      Effect.orDie(release(sql, [lease])),
    )
  })

/** Every table of `warehouse`, its rows whole or without the columns named. */
const dumpAll = (sql: postgres.Sql, without: ReadonlyArray<string> = []) =>
  Effect.flatMap(warehouseTables(sql), tables =>
    Effect.forEach(tables, table => Effect.map(dump(sql, table, without), rows => [table, rows] as const)),
  )

const payment = fixtureOf(transactions).record
const record = (id: string, fields: JsonObject = {}): JsonObject => ({
  ...payment,
  transaction_id: id,
  ...fields,
})

describe("a walk over the stored records", () => {
  it.scopedLive("reaches every record of every stream, and writes nothing if nothing differs", () =>
    Effect.gen(function* () {
      const { sql, value } = yield* syncedBench()
      const tables = yield* warehouseTables(sql)
      const footprints = Effect.forEach(tables, table => footprint(sql, table))
      const before = yield* footprints
      for (const stream of streams) {
        const count = Number(yield* value(`SELECT count(*) FROM warehouse.${stream.name}`))
        expect(count).toBeGreaterThan(0)
        const { counts } = yield* rewrite(sql, stream)
        expect({ stream: stream.name, counts }).toEqual({
          stream: stream.name,
          counts: { ...NO_COUNTS, extracted: count, unchanged: count },
        })
      }
      expect(yield* footprints).toEqual(before)
    }),
  )

  it.scopedLive("restores manual edits, and only those, with every digit", () =>
    Effect.gen(function* () {
      const { sql } = yield* syncedBench()
      const before = yield* dumpAll(sql)
      yield* Effect.promise(() =>
        sql.unsafe(`
          UPDATE warehouse.customers SET type = 'x', is_active = NULL, content_hash = 'y' WHERE customer_id > '';
          UPDATE warehouse.transactions SET amount = amount + 0.00, owner_id = '?', created_at = now(), source_updated_at = NULL;
          UPDATE warehouse.payouts SET status = upper(status) || '!';
          UPDATE warehouse.wallets SET customer_id = 'customer_0';
          UPDATE warehouse.wallet_accounts SET actual_balance = 0, wallet_id = 'nowhere' WHERE removed_at IS NULL;
          DELETE FROM warehouse.checkout_items WHERE position = 1;
          UPDATE warehouse.checkout_items SET quantity = 99;
          INSERT INTO warehouse.checkout_fees (account, checkout_id, position, fee_name)
            SELECT account, checkout_id, 77, 'surplus' FROM warehouse.checkouts;
          UPDATE warehouse.wallet_readiness SET is_wallet_ready = NOT is_wallet_ready, missing_fields = '{x}';
        `),
      )
      expect(yield* dumpAll(sql)).not.toEqual(before)
      for (const stream of streams) {
        const { counts } = yield* rewrite(sql, stream)
        expect([stream.name, counts.updated > 0, counts.rejected]).toEqual([stream.name, true, 0])
      }
      expect(yield* dumpAll(sql)).toEqual(before)
    }),
  )

  slow(() => {
    it.scopedLive("goes from batch to batch, with any ids, and records each in its transaction", () =>
      Effect.gen(function* () {
        const sql = yield* testWarehouse()
        const pass = yield* loading(sql, transactions)
        const odd = ["!", "é", "Z", "z", "10", "9", "_", "'; --", "😀"]
        const ids = [...Array.from({ length: 2_490 }, (_, n) => `t${n}`), ...odd]
        yield* pass.load(...ids.map(id => [record(id), T1] as const))
        yield* pass.close()
        const batches: Array<number> = []
        const told: Array<number> = []
        const seen = new Set<string>()
        const result = yield* rewrite(
          sql,
          transactions,
          given => {
            seen.add(String((given as JsonObject).transaction_id))
            return given
          },
          {
            book: async (_, { counts }) => batches.push(counts.extracted),
            tell: ({ counts }) => Effect.sync(() => told.push(counts.extracted)),
          },
        )
        const counts = { ...NO_COUNTS, extracted: ids.length, unchanged: ids.length }
        expect(result).toEqual({ counts, failures: [] })
        expect([...seen].sort()).toEqual([...ids].sort())
        expect(batches).toEqual([1_000, 1_000, 499])
        expect(told).toEqual([1_000, 2_000, 2_499])
      }),
    )
  })

  slow(() => {
    it.scopedLive("takes few records at once if they are large", () =>
      Effect.gen(function* () {
        const sql = yield* testWarehouse()
        const pass = yield* loading(sql, transactions)
        const large = "x".repeat(3_000_000)
        for (const id of ["a", "b", "c", "d"])
          yield* pass.load([record(id, { additional_data: { note: large } }), T1])
        yield* pass.load([record("e", { additional_data: { note: large.repeat(3) } }), T1], [record("f"), T1])
        yield* pass.close()
        const batches: Array<number> = []
        yield* rewrite(sql, transactions, same, {
          book: async (_, { counts }) => batches.push(counts.extracted),
        })
        expect(batches).toEqual([3, 2, 1])
      }),
    )
  })
})

describe("another record in place of the stored one", () => {
  it.scopedLive("is in raw, hash, columns and children, as after a sync", () =>
    Effect.gen(function* () {
      const sql = yield* testWarehouse()
      const sink = yield* testWarehouse()
      const whole = fixtureOf(checkouts).record
      const redact = (given: Json): Json =>
        isJsonObject(given) ? { ...given, description: null, customer_id: "somebody" } : given
      const pass = yield* loading(sql, checkouts)
      yield* pass.load([whole, T1], [{ ...whole, id: "other" }, T1])
      yield* pass.close()
      const result = yield* rewrite(sql, checkouts, redact)
      expect(result).toMatchObject({ counts: { extracted: 2, updated: 2, rejected: 0 } })

      const fresh = yield* loading(sink, checkouts)
      yield* fresh.load([redact(whole), T1], [redact({ ...whole, id: "other" }), T1])
      expect(yield* dumpAll(sql, ["run_id"])).toEqual(yield* dumpAll(sink, ["run_id"]))

      const next = yield* loading(sql, checkouts)
      expect(yield* next.load([redact(whole), T2])).toMatchObject({ unchanged: 1 })
    }),
  )

  it.scopedLive("keeps digits that no double holds, and leaves the given records alone", () =>
    Effect.gen(function* () {
      const sql = yield* testWarehouse()
      const pass = yield* loading(sql, transactions)
      const digits = "9007199254740993.10000000000000000001"
      yield* pass.load(
        [record("a", { amount: json(digits), extra: json("1e400") }), T1],
        [record("b", { amount: json(digits) }), T1],
      )
      yield* pass.close()
      const result = yield* rewrite(sql, transactions, given =>
        (given as JsonObject).transaction_id === "a" ? { ...(given as JsonObject), scope: "new" } : null,
      )
      expect(result).toMatchObject({ counts: { extracted: 2, updated: 1 } })
      const rows = yield* printed(
        sql,
        "SELECT amount::text, raw->>'amount' AS raw, raw->>'extra' AS extra, scope FROM warehouse.transactions ORDER BY transaction_id",
      )
      expect(rows[0]).toEqual({ amount: digits, raw: digits, extra: `1${"0".repeat(400)}`, scope: "new" })
      expect(rows[1]).toMatchObject({ amount: digits, raw: digits })
      expect(rows[1]!.scope).not.toBe("new")
    }),
  )
})

describe("a stored record that does not decode", () => {
  it.scopedLive("stays unchanged, is named, and does not affect its neighbours", () =>
    Effect.gen(function* () {
      const sql = yield* testWarehouse()
      const pass = yield* loading(sql, transactions)
      yield* pass.load(...["a", "b", "c", "d", "e"].map(id => [record(id), T1] as const))
      yield* pass.close()
      const before = yield* dump(sql, "transactions", [])
      const secret = "a private sentence"
      const change = (given: Json): Json => {
        const changed: JsonObject = { ...(given as JsonObject), scope: "new" }
        switch (changed.transaction_id) {
          case "b":
            return { ...changed, amount: secret }
          case "c":
            return { ...changed, transaction_id: "z" }
        }
        return changed
      }
      // A value that only Postgres refuses: an amount that is no number.
      const picky: Stream = {
        ...transactions,
        decode: given =>
          Either.map(transactions.decode(given), made =>
            made.row.transaction_id === "d" ? { ...made, row: { ...made.row, amount: "NaN" } } : made,
          ),
      }
      const failures: Array<{ readonly id: string }> = []
      const result = yield* rewrite(sql, picky, change, {
        book: async (_, batch) => failures.push(...batch.failures),
      })
      expect(result).toEqual({
        counts: { ...NO_COUNTS, extracted: 5, updated: 2, rejected: 3 },
        failures: [
          { id: "b", field: "amount" },
          { id: "c", field: "transaction_id" },
          { id: "d", field: null },
        ],
      })
      expect(failures.map(({ id }) => id)).toEqual(["b", "c", "d"])
      const after = yield* dump(sql, "transactions", [])
      expect(after.filter(row => before.includes(row))).toHaveLength(3)
      const scopes = yield* printed(
        sql,
        "SELECT transaction_id AS id FROM warehouse.transactions WHERE scope = 'new' ORDER BY 1",
      )
      expect(scopes).toEqual([{ id: "a" }, { id: "e" }])
      const leases = yield* printed(sql, "SELECT * FROM sync.leases")
      expect(JSON.stringify(leases)).not.toContain(secret)
    }),
  )
})

describe("children that are kept", () => {
  const wallet = fixtureOf(wallets).record
  const part = (wallet.wallet_account as ReadonlyArray<JsonObject>)[0]!
  const owning = (
    id: string,
    ...accounts: ReadonlyArray<readonly [id: string, balance: number]>
  ): JsonObject => ({
    ...wallet,
    wallet_id: id,
    wallet_account: accounts.map(([name, balance]) => ({
      ...part,
      wallet_account_id: name,
      actual_balance: balance,
    })),
  })

  it.scopedLive(
    "stay where they are: moved ones with the later wallet, unlisted ones unlisted, no new snapshots",
    () =>
      Effect.gen(function* () {
        const sql = yield* testWarehouse()
        const pass = yield* loading(sql, wallets)
        // `moved` goes from z to a; `gone` is no longer listed; `back` was another wallet's until that dropped it.
        yield* pass.load([owning("z", ["moved", 1], ["own", 2]), T1], [owning("g", ["gone", 3]), T1])
        yield* pass.load([owning("a", ["moved", 4]), T2], [owning("g"), T2])
        yield* pass.load([owning("m", ["dropped", 5]), T1])
        yield* pass.load([owning("n", ["dropped", 6]), T2])
        yield* pass.load([owning("n"), T3])
        yield* settleItems(sql, pass.lease, wallets, false)
        yield* pass.close()
        const before = yield* dumpAll(sql)
        expect(yield* rewrite(sql, wallets)).toMatchObject({
          counts: { extracted: 5, updated: 0, rejected: 0 },
        })
        expect(yield* dumpAll(sql)).toEqual(before)

        yield* Effect.promise(() =>
          sql.unsafe(`
          UPDATE warehouse.wallet_accounts SET actual_balance = 99 WHERE wallet_account_id IN ('moved', 'own');
          UPDATE warehouse.wallet_accounts SET wallet_id = 'a' WHERE wallet_account_id = 'own'`),
        )
        expect(yield* rewrite(sql, wallets)).toMatchObject({ counts: { updated: 2, rejected: 0 } })
        expect(yield* dumpAll(sql)).toEqual(before)
        expect(yield* rewrite(sql, wallets)).toMatchObject({ counts: { updated: 0 } })
      }),
  )

  it.scopedLive("are inserted again if they were lost, with the time when their wallet was read", () =>
    Effect.gen(function* () {
      const sql = yield* testWarehouse()
      const pass = yield* loading(sql, wallets)
      yield* pass.load([owning("a", ["x", 1], ["y", 2]), T1])
      yield* pass.close()
      const before = yield* dumpAll(sql, ["run_id"])
      yield* Effect.promise(() => sql`DELETE FROM warehouse.wallet_accounts WHERE wallet_account_id = 'x'`)
      expect(yield* rewrite(sql, wallets)).toMatchObject({ counts: { updated: 1, rejected: 0 } })
      expect(yield* dumpAll(sql, ["run_id"])).toEqual(before)
    }),
  )
})

describe("a walk whose lease is taken over", () => {
  it.scopedLive("writes no more, and says so", () =>
    Effect.gen(function* () {
      const sql = yield* testWarehouse()
      const pass = yield* loading(sql, transactions)
      yield* pass.load(...Array.from({ length: 1_500 }, (_, n) => [record(`t${n}`), T1] as const))
      yield* pass.close()
      const change = (given: Json): Json => ({ ...(given as JsonObject), scope: "new" })
      const error = yield* Effect.flip(
        rewrite(sql, transactions, change, {
          tell: () => Effect.promise(() => sql`UPDATE sync.leases SET fence = fence + 1`),
        }),
      )
      expect(error).toMatchObject({ _tag: "LeaseError", reason: "lost" })
      const [written] = yield* printed(sql, "SELECT count(*) FROM warehouse.transactions WHERE scope = 'new'")
      expect(written).toEqual({ count: "1000" })
    }),
  )
})
