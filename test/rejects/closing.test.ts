import { randomUUID } from "node:crypto"
import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import type { Json, JsonObject } from "../../src/core/json.ts"
import { acquire, release } from "../../src/warehouse/ledger/lease.ts"
import { closePass, openPass } from "../../src/warehouse/ledger/passes.ts"
import { startRun, startStream } from "../../src/warehouse/ledger/runs.ts"
import { loadBatch } from "../../src/warehouse/load/loader.ts"
import { statusOf } from "../../src/warehouse/read/status.ts"
import { fixtureOf } from "../support/conformance.ts"
import { bench, listStream, loading, printed, streamOf, testWarehouse } from "../support/warehouse.ts"

const transactions = await Effect.runPromise(listStream("transactions"))
const payment = fixtureOf(transactions).record

const bad = (id: string | null, note = "x"): JsonObject => ({
  ...payment,
  transaction_id: id,
  amount: `not ${note}`,
})

const T1 = "2026-01-01T00:00:00.000Z"
const T2 = "2026-01-02T00:00:00.000Z"

const setup = Effect.gen(function* () {
  const sql = yield* testWarehouse()
  return {
    sql,
    /** A complete pass that shows these records, and how it closed. */
    pass: (records: ReadonlyArray<Json>, readAt: string, provesRemoval = true) =>
      Effect.gen(function* () {
        const pass = yield* loading(sql, transactions)
        yield* pass.load(...records.map(record => [record, readAt] as const))
        return (yield* pass.close(provesRemoval)).openRejects
      }),
    /** Records of the rejects that are open. */
    open: Effect.map(
      printed(sql, "SELECT record_id AS id FROM sync.rejects WHERE unlisted_at IS NULL ORDER BY record_id"),
      rows => rows.map(({ id }) => id),
    ),
  }
})

describe("a reject that complete passes no longer show", () => {
  it.scopedLive(
    "is closed by the third that stood still, with an id and without one, and is open again when it returns",
    () =>
      Effect.gen(function* () {
        const { sql, pass, open } = yield* setup
        expect(yield* pass([bad("a"), bad("b"), bad(null)], T1)).toBe(3)
        for (let n = 0; n < 2; n++) expect(yield* pass([bad("a")], T2)).toBe(3)
        expect(yield* pass([bad("a")], T2)).toBe(1)
        expect(yield* open).toEqual(["a"])
        const closed = yield* printed(sql, "SELECT raw FROM sync.rejects WHERE unlisted_at IS NOT NULL")
        expect(closed).toHaveLength(2)
        expect(yield* pass([bad(null), bad("a")], T2)).toBe(2)
        expect(yield* open).toEqual(["a", null])
      }),
  )

  it.scopedLive("is not closed by passes over a list that is not verified, or that moved", () =>
    Effect.gen(function* () {
      const { sql, pass } = yield* setup
      yield* pass([bad("a"), bad(null)], T1)
      for (let n = 0; n < 4; n++) {
        expect(yield* pass([], T2, false)).toBe(2)
        const moving = yield* loading(sql, transactions)
        expect(
          yield* closePass(sql, moving.lease, transactions, {
            passId: moving.passId,
            provesRemoval: true,
            movement: "The list moved.",
          }),
        ).toMatchObject({ openRejects: 2 })
        yield* release(sql, [moving.lease])
      }
      for (let n = 0; n < 2; n++) expect(yield* pass([], T2)).toBe(2)
      expect(yield* pass([], T2)).toBe(0)
    }),
  )

  it.scopedLive("starts the count again when a pass has shown it", () =>
    Effect.gen(function* () {
      const { pass } = yield* setup
      yield* pass([bad("a")], T1)
      for (let n = 0; n < 2; n++) expect(yield* pass([], T2)).toBe(1)
      expect(yield* pass([bad("a")], T2)).toBe(1)
      for (let n = 0; n < 2; n++) expect(yield* pass([], T2)).toBe(1)
      expect(yield* pass([], T2)).toBe(0)
    }),
  )

  it.scopedLive("belongs to the pass that showed it, whatever the clocks say", () =>
    Effect.gen(function* () {
      const { pass, open } = yield* setup
      yield* pass([bad("late"), bad("early")], "2099-01-01T00:00:00.000Z")
      // The clock of these passes is a century behind, and they show only one of them.
      for (let n = 0; n < 3; n++) yield* pass([bad("late")], "1999-01-01T00:00:00.000Z")
      expect(yield* open).toEqual(["late"])
    }),
  )

  it.scopedLive(
    "stays open if the pass was interrupted after it had shown it, and resumed by another run",
    () =>
      Effect.gen(function* () {
        const { sql, pass, open } = yield* setup
        yield* pass([bad("old")], T1)
        const first = yield* loading(sql, transactions)
        yield* first.load([bad("a"), T1])
        yield* release(sql, [first.lease])
        const runId = randomUUID()
        const { leases } = yield* acquire(sql, {
          streams: [{ account: "default", stream: "transactions" }],
          runId,
          holder: "test",
          leaseSeconds: 30,
        })
        yield* startRun(sql, { runId, host: "test", processId: 1, version: "0" })
        yield* startStream(sql, leases[0]!, "full")
        const resumed = yield* openPass(sql, leases[0]!, {
          newPassId: randomUUID(),
          canResume: true,
          decodePosition: position => position,
        })
        expect(resumed.passId).toBe(first.passId)
        const progress = { passId: resumed.passId, position: null, pages: 1, requests: 0, retries: 0 }
        yield* loadBatch(
          sql,
          leases[0]!,
          transactions,
          [{ record: bad("b"), readAt: new Date(T2) }],
          progress,
        )
        yield* closePass(sql, leases[0]!, transactions, { ...resumed, provesRemoval: true })
        yield* release(sql, leases)
        // Two more passes that show the same: only what this one hid is closed.
        for (let n = 0; n < 2; n++) yield* pass([bad("a"), bad("b")], T2)
        expect(yield* open).toEqual(["a", "b"])
      }),
  )

  it.scopedLive("stays open if a later run has read it", () =>
    Effect.gen(function* () {
      const { sql, pass, open } = yield* setup
      yield* pass([bad("a")], T1)
      const began = yield* loading(sql, transactions)
      // Such as one that reads only what is new in the list, and has no pass of its own.
      const [other] = yield* Effect.promise(
        () => sql<Array<{ id: string }>>`
          INSERT INTO sync.stream_runs (run_id, account, stream, mode, status, started_at)
          VALUES (gen_random_uuid(), 'default', 'transactions', 'full', 'complete', clock_timestamp())
          RETURNING run_id AS id`,
      )
      yield* Effect.promise(() => sql`UPDATE sync.rejects SET run_id = ${other!.id}`)
      expect(yield* began.close()).toMatchObject({ openRejects: 1 })
      expect(yield* open).toEqual(["a"])
    }),
  )

  it.scopedLive("leaves those of other streams and accounts alone", () =>
    Effect.gen(function* () {
      const { sql, pass } = yield* setup
      yield* Effect.promise(
        () => sql`
          INSERT INTO sync.rejects (account, stream, run_id, reason, raw, content_hash, read_at, first_seen_at)
          VALUES ('default', 'payouts', ${randomUUID()}, 'r', 'x', 'h', now(), now()),
            ('other', 'transactions', ${randomUUID()}, 'r', 'x', 'h', now(), now())`,
      )
      expect(yield* pass([], T1)).toBe(0)
      expect(yield* printed(sql, "SELECT 1 AS one FROM sync.rejects WHERE unlisted_at IS NULL")).toHaveLength(
        2,
      )
    }),
  )
})

describe("a run whose list no longer shows a bad record", () => {
  it.scopedLive("keeps it open as long as its by-id endpoint answers, and closes it when that says 404", () =>
    Effect.gen(function* () {
      const { sql, sandbox, sync } = yield* bench({
        detailPaths: { transactions: "/finmo/transaction/find-transaction/{id}" },
      })
      const status = Effect.map(statusOf(sql, [transactions]), ([entry]) => entry!.rejects)
      const run = Effect.map(
        sync({ only: ["transactions"] }),
        summary => streamOf(summary, "transactions").status,
      )
      sandbox.patch("transactions", 3, { amount: "lots" })
      yield* run
      sandbox.hide("transactions", 3)
      for (let n = 0; n < 4; n++) expect([yield* run, yield* status]).toEqual(["complete_with_rejects", 1])
      sandbox.remove("transactions", 3)
      expect([yield* run, yield* status]).toEqual(["complete", 0])
    }),
  )

  it.scopedLive("is complete without rejects once it is proven to be gone, until it shows it again", () =>
    Effect.gen(function* () {
      const { sql, sandbox, sync } = yield* bench({ detailPaths: { transactions: null } })
      const status = Effect.map(statusOf(sql, [transactions]), ([entry]) => entry!.rejects)
      const run = Effect.map(
        sync({ only: ["transactions"] }),
        summary => streamOf(summary, "transactions").status,
      )
      sandbox.patch("transactions", 3, { amount: "lots" })
      expect([yield* run, yield* status]).toEqual(["complete_with_rejects", 1])
      sandbox.remove("transactions", 3)
      for (let n = 0; n < 2; n++) expect([yield* run, yield* status]).toEqual(["complete_with_rejects", 1])
      expect([yield* run, yield* status]).toEqual(["complete", 0])
      sandbox.restore("transactions", 3)
      expect([yield* run, yield* status]).toEqual(["complete_with_rejects", 1])
      sandbox.patch("transactions", 3, { amount: 7 })
      expect([yield* run, yield* status]).toEqual(["complete", 0])
    }),
  )
})
