import { describe, expect, it } from "@effect/vitest"
import { Effect, Either, ParseResult } from "effect"
import * as fc from "fast-check"
import type { JsonObject } from "../../src/core/json.ts"
import type { Guarded, ListStream } from "../../src/core/stream.ts"
import { replayWith } from "../../src/sync/maintenance.ts"
import { rejectNumbered } from "../../src/warehouse/read/rejectList.ts"
import { statusOf } from "../../src/warehouse/read/status.ts"
import { fixtureOf } from "../support/conformance.ts"
import { fuzz, fuzzMillis } from "../support/fuzz.ts"
import { slow } from "../support/slow.ts"
import { onWarehouse } from "../support/upkeep.ts"
import { dump, listStream, loading, printed, streamOf, testWarehouse } from "../support/warehouse.ts"

const transactions = await Effect.runPromise(listStream("transactions"))
const wallets = await Effect.runPromise(listStream("wallets"))
const payment = fixtureOf(transactions).record

const T1 = "2026-01-01T00:00:00.000Z"
const T2 = "2026-01-02T00:00:00.000Z"
const T3 = "2026-01-03T00:00:00.000Z"

const record = (id: string, fields: JsonObject = {}): JsonObject => ({
  ...payment,
  transaction_id: id,
  ...fields,
})
const odd = (id: string, fields: JsonObject = {}) => record(id, { scope: "odd", ...fields })

/** The stream before it knew the value `odd`. */
const yesterdays = (stream: ListStream): ListStream => ({
  ...stream,
  decode: given =>
    JSON.stringify(given).includes('"odd"')
      ? Either.left(
          new ParseResult.Pointer("scope", given, new ParseResult.Type(stream.record.ast, given, "is odd")),
        )
      : stream.decode(given),
})

interface Chosen {
  readonly streams?: ReadonlyArray<Guarded>
  readonly all?: boolean
  readonly ids?: ReadonlyArray<number>
}

const setup = Effect.gen(function* () {
  const sql = yield* testWarehouse()
  return {
    sql,
    /** A pass of yesterday's program, or of another. */
    load: (records: ReadonlyArray<readonly [JsonObject, string]>, stream = yesterdays(transactions)) =>
      Effect.gen(function* () {
        const pass = yield* loading(sql, stream)
        const counts = yield* pass.load(...records)
        yield* pass.close(false)
        return counts
      }),
    replay: ({ streams = [transactions], all = false, ids = [] }: Chosen = {}) =>
      onWarehouse(sql)(replayWith({ streams, all, ids, accounts: [], leaseSeconds: 30 })),
    rejects: printed(
      sql,
      "SELECT reject_id AS number, record_id AS id, reason FROM sync.rejects ORDER BY record_id, reject_id",
    ),
    stored: printed(
      sql,
      "SELECT transaction_id AS id, scope, read_at FROM warehouse.transactions ORDER BY 1",
    ),
  }
})

const at = (time: string) => time.replace(".000Z", "+00:00")

describe("replay", () => {
  it.scopedLive(
    "makes rows of records that decode now, as of the time of their reading, and records a run",
    () =>
      Effect.gen(function* () {
        const { sql, load, replay, rejects, stored } = yield* setup
        yield* load([
          [odd("a", { is_settled: true }), T1],
          [record("b"), T1],
          [record("c", { amount: "x", scope: "odd" }), T1],
        ])
        expect((yield* rejects).map(({ id }) => id)).toEqual(["a", "c"])
        const summary = yield* replay()
        expect(summary!.status).toBe("complete_with_rejects")
        expect(streamOf(summary!, "transactions")).toMatchObject({
          mode: "replay",
          status: "complete_with_rejects",
          extracted: 2,
          inserted: 1,
          updated: 0,
          unchanged: 0,
          stale: 0,
          rejected: 1,
          requests: 0,
        })
        expect((yield* stored)[0]).toEqual({ id: "a", scope: "odd", read_at: at(T1) })
        // It belongs to the run that read it, as its time does.
        const runs = yield* printed(
          sql,
          "SELECT run_id AS run FROM warehouse.transactions ORDER BY transaction_id",
        )
        expect(runs[0]).toEqual(runs[1])
        const settled =
          "SELECT settled_seen_at AS at FROM warehouse.settlement_history WHERE transaction_id = 'a'"
        expect(yield* printed(sql, settled)).toEqual([{ at: at(T1) }])
        const [left, ...others] = yield* rejects
        expect([left!.id, others.length]).toEqual(["c", 0])
        expect(left!.reason).toContain("amount")
        // The next sync finds it stored as it is.
        expect(yield* load([[odd("a", { is_settled: true }), T2]], transactions)).toMatchObject({
          unchanged: 1,
        })
      }),
  )

  it.scopedLive("never lets an older version overwrite a newer one, and still closes the older", () =>
    Effect.gen(function* () {
      const { load, replay, rejects, stored } = yield* setup
      yield* load([[record("a", { scope: "new" }), T2]])
      yield* load([[odd("a"), T1]])
      yield* load([[record("b", { scope: "old" }), T1]])
      yield* load([[odd("b"), T3]])
      expect(streamOf((yield* replay())!, "transactions")).toMatchObject({
        stale: 1,
        updated: 1,
        rejected: 0,
      })
      expect(yield* stored).toEqual([
        { id: "a", scope: "new", read_at: at(T2) },
        { id: "b", scope: "odd", read_at: at(T3) },
      ])
      expect(yield* rejects).toEqual([])
    }),
  )

  it.scopedLive("replaces nothing that was read later, also if a version without a time came between", () =>
    Effect.gen(function* () {
      const { load, replay, rejects, stored } = yield* setup
      yield* load([[record("a", { scope: "no time", updated_at: null }), T2]])
      yield* load([[record("a", { scope: "back in time", updated_at: T1 }), T3]])
      // The latest change of all, as far as it says, and the first of them to be read.
      yield* load([[odd("a", { updated_at: T3 }), T1]])
      expect(yield* rejects).toHaveLength(1)
      expect(streamOf((yield* replay())!, "transactions")).toMatchObject({ stale: 1, updated: 0 })
      expect(yield* stored).toEqual([{ id: "a", scope: "back in time", read_at: at(T3) }])
      expect(yield* rejects).toEqual([])
    }),
  )

  it.scopedLive(
    "leaves one reject per record, with today's reason and hash, in a stream whose version was raised",
    () =>
      Effect.gen(function* () {
        const { sql, load, replay, rejects } = yield* setup
        const raised: Guarded<ListStream> = { ...transactions, version: transactions.version + 1 }
        const bad = odd("a", { amount: "x" })
        const anonymous: JsonObject = { ...odd("x"), transaction_id: null }
        yield* load([
          [bad, T1],
          [anonymous, T1],
        ])
        // The same two, read by a program between the two.
        yield* load([[anonymous, T1]], { ...yesterdays(transactions), version: raised.version + 1 })
        expect(streamOf((yield* replay({ streams: [raised] }))!, "transactions")).toMatchObject({
          rejected: 3,
        })
        const before = yield* rejects
        for (const { reason } of before) expect(reason).not.toContain("is odd")
        yield* load(
          [
            [bad, T2],
            [anonymous, T2],
          ],
          raised,
        )
        expect(yield* rejects).toEqual(before)
        const seen = yield* printed(sql, "SELECT DISTINCT first_seen_at AS at FROM sync.rejects")
        expect(seen).toEqual([{ at: at(T1) }])
      }),
  )

  it.scopedLive("replays the given ids, else the open rejects, and with --all the unlisted ones", () =>
    Effect.gen(function* () {
      const { sql, load, replay, rejects, stored } = yield* setup
      yield* load(["a", "b", "c", "d"].map(id => [odd(id), T1] as const))
      const numbers = (yield* rejects).map(({ number }) => Number(number))
      yield* Effect.promise(
        () => sql`UPDATE sync.rejects SET unlisted_at = now() WHERE record_id IN ('b', 'c')`,
      )
      const ids = Effect.map(stored, rows => rows.map(({ id }) => id).join(""))
      expect(streamOf((yield* replay({ ids: [numbers[1]!] }))!, "transactions").inserted).toBe(1)
      expect(yield* ids).toBe("b")
      expect(streamOf((yield* replay())!, "transactions").inserted).toBe(2)
      expect(yield* ids).toBe("abd")
      expect(yield* replay()).toBeUndefined()
      expect(streamOf((yield* replay({ all: true }))!, "transactions").inserted).toBe(1)
      expect(yield* ids).toBe("abcd")
      const error = yield* Effect.flip(replay({ ids: [numbers[1]!] }))
      expect(error).toMatchObject({ _tag: "ConfigurationError" })
      expect(error.message).toContain(String(numbers[1]))
    }),
  )

  slow(() => {
    it.scopedLive(
      "works batch by batch on thousands of rejects, many of them large, and loses none because of another",
      () =>
        Effect.gen(function* () {
          const { load, replay, rejects, stored } = yield* setup
          const large = { additional_data: { note: "x".repeat(3_000_000) } }
          const records = Array.from({ length: 1_203 }, (_, n) =>
            odd(`t${n}`, n % 400 === 7 ? { amount: "x" } : n % 100 === 3 ? large : {}),
          )
          yield* load(records.map(one => [one, T1] as const))
          const booked = streamOf((yield* replay())!, "transactions")
          expect(booked).toMatchObject({ extracted: 1_203, inserted: 1_200, rejected: 3 })
          expect(booked.pages).toBeGreaterThan(3)
          expect(yield* stored).toHaveLength(1_200)
          expect((yield* rejects).map(({ id }) => id).sort()).toEqual(["t407", "t7", "t807"])
        }),
    )
  })

  it.scopedLive("stores the children and snapshots of the new rows", () =>
    Effect.gen(function* () {
      const { sql, load, replay } = yield* setup
      const wallet = { ...fixtureOf(wallets).record, scope: "odd" }
      yield* load([[wallet, T1]], yesterdays(wallets))
      yield* replay({ streams: [wallets] })
      const sink = yield* testWarehouse()
      const fresh = yield* loading(sink, wallets)
      yield* fresh.load([wallet, T1])
      for (const table of ["wallets", "wallet_accounts", "wallet_balance_snapshots"]) {
        const rows = yield* dump(sql, table, ["run_id"])
        expect(rows.length).toBeGreaterThan(0)
        expect(rows).toEqual(yield* dump(sink, table, ["run_id"]))
      }
    }),
  )

  it.scopedLive("does nothing while another run holds the lease", () =>
    Effect.gen(function* () {
      const { sql, load, replay, rejects, stored } = yield* setup
      yield* load([[odd("a"), T1]])
      yield* loading(sql, transactions)
      expect(yield* Effect.flip(replay())).toMatchObject({ _tag: "LeaseError", reason: "held" })
      expect([(yield* rejects).length, (yield* stored).length]).toEqual([1, 0])
    }),
  )

  it.scopedLive("makes nothing fresher: the last run of a stream is its last sync", () =>
    Effect.gen(function* () {
      const { sql, load, replay } = yield* setup
      yield* load([[odd("a"), T1]])
      yield* Effect.promise(
        () => sql`UPDATE sync.stream_runs SET status = 'failed', finished_at = now() WHERE mode = 'full'`,
      )
      expect((yield* replay())!.status).toBe("complete")
      const [status] = yield* statusOf(sql, [transactions])
      expect(status).toMatchObject({ lastRunStatus: "failed", lastCompleteAt: null, rejects: 0, rows: 1 })
      const [fresh] = yield* printed(sql, "SELECT last_run_status, last_complete_at FROM analytics.freshness")
      expect(fresh).toEqual({ last_run_status: "failed", last_complete_at: null })
    }),
  )

  it.scopedLive("leaves a text that is no longer JSON unchanged", () =>
    Effect.gen(function* () {
      const { sql, load, replay, rejects } = yield* setup
      yield* load([
        [odd("a"), T1],
        [odd("b"), T1],
      ])
      yield* Effect.promise(() => sql`UPDATE sync.rejects SET raw = 'gone {' WHERE record_id = 'a'`)
      expect(streamOf((yield* replay())!, "transactions")).toMatchObject({ inserted: 1, rejected: 1 })
      const [left] = yield* rejects
      expect(left!.reason).toContain("is odd")
      const whole = yield* rejectNumbered(sql, Number(left!.number))
      expect(whole).toMatchObject({ recordId: "a", field: "scope", raw: "gone {", unlistedAt: null })
    }),
  )
})

const RUNS = 12
/** In `npm test`. */
const QUICK_RUNS = 3

describe("whenever rejects are replayed", () => {
  /** Last day on which a record changed. */
  const CHANGED_DAYS = 2
  /** One read of a record: `source` is the day on which it changed, or null where it does not say. */
  interface Read {
    readonly id: string
    readonly isOdd: boolean
    readonly isReplay: boolean
    readonly source: number | null
  }
  const reads = fc.array(
    fc.record<Read>({
      id: fc.constantFrom("a", "b"),
      isOdd: fc.boolean(),
      isReplay: fc.boolean(),
      source: fc.option(fc.integer({ min: 0, max: CHANGED_DAYS }), { freq: 2 }),
    }),
    { minLength: 1, maxLength: 10 },
  )
  const shuffled = reads.chain(list =>
    fc.tuple(
      fc.constant(list),
      fc.shuffledSubarray(
        list.map((_, n) => n),
        { minLength: list.length, maxLength: list.length },
      ),
    ),
  )
  const day = (n: number) => new Date(Date.UTC(2026, 0, 1 + n)).toISOString()
  /** Each read is another version; later ones in the list were read later, and all after the changes. */
  const versionOf = ({ id, isOdd, source }: Read, n: number) =>
    [
      record(id, {
        event_description: `version ${n}`,
        scope: isOdd ? "odd" : "even",
        updated_at: source === null ? null : day(source),
      }),
      day(CHANGED_DAYS + n),
    ] as const

  /** Numbers of the version that is stored of each record, and of those that wait to be replayed. */
  const expected = (list: ReadonlyArray<Read>, order: ReadonlyArray<number>): ReadonlyMap<string, number> => {
    const rows = new Map<string, number>()
    const open = new Map<string, ReadonlyArray<number>>()
    const write = (n: number, isReplayed: boolean) => {
      const { id, source } = list[n]!
      const stored = rows.get(id)
      const before = stored === undefined ? null : list[stored]!.source
      const isLater = stored === undefined || n > stored
      const isNewer = source !== null && before !== null && source !== before ? source > before : isLater
      if (isNewer && (isLater || !isReplayed)) rows.set(id, n)
    }
    const replay = () => {
      for (const waiting of open.values())
        for (const n of [...waiting].sort((one, other) => one - other)) write(n, true)
      open.clear()
    }
    for (const n of order) {
      const { id, isOdd, isReplay } = list[n]!
      if (!isOdd) write(n, false)
      const others = (open.get(id) ?? []).filter(other => other > n)
      open.set(id, isOdd ? [...others, n] : others)
      if (isReplay) replay()
    }
    replay()
    return rows
  }

  const holds = (runs: number) =>
    it(
      "keeps the later change of two versions with times of change, else the later read, and replaces nothing read later",
      () =>
        fc.assert(
          fc.asyncProperty(shuffled, ([list, order]) =>
            Effect.gen(function* () {
              const { sql, load, replay, rejects } = yield* setup
              for (const n of order) {
                yield* load([versionOf(list[n]!, n)])
                if (list[n]!.isReplay) yield* replay()
              }
              yield* replay()
              expect(yield* rejects).toEqual([])
              const rows = yield* printed(
                sql,
                "SELECT transaction_id AS id, event_description AS text FROM warehouse.transactions ORDER BY 1",
              )
              const stored = [...expected(list, order)].sort()
              expect(rows).toEqual(stored.map(([id, n]) => ({ id, text: `version ${n}` })))
            }).pipe(Effect.scoped, Effect.runPromise),
          ),
          fuzz(runs),
        ),
      fuzzMillis(runs),
    )

  holds(QUICK_RUNS)
  slow(() => holds(RUNS))
})
