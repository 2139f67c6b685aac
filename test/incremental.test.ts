import { describe, expect, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { DEFAULT_LIST_PATHS, type SandboxOptions, type StreamName } from "../src/sandbox/Sandbox.ts"
import { bench, dump, streamOf, syncOnce, testWarehouse } from "./support/warehouse.ts"

/** Runs that read of a list only what is new: they end as a pass over the whole list would, and ask for less. */

const TRANSACTION = "/api/v1/transaction/find-transaction/{id}"

/** 30 pages of transactions, few of which are unsettled. */
const LISTS: Partial<SandboxOptions> = {
  transactions: 300,
  payouts: 40,
  checkouts: 60,
  days: 180,
  order: "newest-first",
  detailPaths: { transactions: TRANSACTION },
}

const setup = (stream: StreamName, options: Partial<SandboxOptions> = {}) =>
  Effect.gen(function* () {
    const given = yield* bench({ ...LISTS, ...options })
    const { sandbox, sql } = given
    const only = [stream]
    const sync = (full = false) =>
      Effect.suspend(() => {
        sandbox.resetRequests()
        return Effect.map(given.sync({ only, full }), summary => streamOf(summary, stream))
      })
    const first = yield* sync()
    expect(first).toMatchObject({ status: "complete", mode: "full", note: null })
    return {
      ...given,
      sync,
      first,
      /** Pages that were asked of the list. */
      listed: Effect.sync(() => sandbox.requests.byPath.get(DEFAULT_LIST_PATHS[stream]) ?? 0),
      /** What is stored, and what a new warehouse would hold after a pass over the whole list. */
      both: Effect.gen(function* () {
        const other = yield* testWarehouse()
        yield* syncOnce(other, sandbox, { only })
        return [yield* dump(sql, stream), yield* dump(other, stream)] as const
      }),
      learned: Effect.map(
        given.value(`SELECT contract ->> 'learned' FROM sync.contracts WHERE stream = '${stream}'`),
        text => JSON.parse(text ?? "null"),
      ),
    }
  })

describe("a list that is newest-first", () => {
  it.scopedLive(
    "is read until nothing is new on two pages, and then holds what a whole pass would bring",
    () =>
      Effect.gen(function* () {
        const { sandbox, sync, first, listed, both, learned } = yield* setup("transactions")
        expect((yield* learned).order).toBe("created")
        // Nothing new: the page that verifies the contract, and the two that show nothing new.
        const asks = yield* Effect.map(sync(), booked => booked.requests - 3)
        expect(yield* listed).toBe(3)
        expect(asks).toBeLessThan(27)
        sandbox.insert("transactions", 25, "front")
        const booked = yield* sync()
        expect(booked).toMatchObject({ status: "complete", mode: "incremental", inserted: 25, removed: 0 })
        // Three pages with something new on them, then two without.
        expect(yield* listed).toBe(6)
        expect(booked.requests).toBeLessThan(first.requests)
        const [stored, expected] = yield* both
        expect(stored).toEqual(expected)
      }),
  )

  it.scopedLive("with changes in the middle: what may still change is asked again by id", () =>
    Effect.gen(function* () {
      const { sandbox, sync, listed, both, rows } = yield* setup("transactions", { maxPageSize: 5 })
      const open = yield* rows(
        "SELECT transaction_id AS id FROM warehouse.transactions WHERE NOT is_settled ORDER BY created_at",
      )
      expect(open.length).toBeGreaterThan(3)
      expect(open.length).toBeLessThan(30)
      for (const { id } of open.slice(0, 2))
        sandbox.patch("transactions", sandbox.indexOf("transactions", id!)!, {
          is_settled: true,
          updated_at: "2025-10-01T01:00:00.000Z",
        })
      const booked = yield* sync()
      expect(booked).toMatchObject({ mode: "incremental", status: "complete", updated: 2, note: null })
      expect(yield* listed).toBeLessThanOrEqual(4)
      expect(sandbox.requests.byPath.get(TRANSACTION)).toBe(open.length + 1)
      const [stored, expected] = yield* both
      expect(stored).toEqual(expected)
    }),
  )

  it.scopedLive("and what changes although it was settled comes with the next pass over the whole list", () =>
    Effect.gen(function* () {
      const { sandbox, sync, both } = yield* setup("transactions")
      sandbox.patch("transactions", 3, { event_description: "corrected" })
      expect(yield* sync()).toMatchObject({ mode: "incremental", updated: 0 })
      const [before, expected] = yield* both
      expect(before).not.toEqual(expected)
      expect(yield* sync(true)).toMatchObject({ mode: "full", updated: 1, note: null })
      const [after] = yield* both
      expect(after).toEqual(expected)
    }),
  )

  it.scopedLive("and without a by-id endpoint says that changes come with the full pass", () =>
    Effect.gen(function* () {
      const { sandbox, sync, both } = yield* setup("transactions", { detailPaths: { transactions: null } })
      sandbox.insert("transactions", 5, "front")
      const booked = yield* sync()
      expect(booked).toMatchObject({ mode: "incremental", inserted: 5 })
      expect(booked.note).toContain("no by-id endpoint is proven")
      expect(booked.leftOver).toBeGreaterThan(0)
      const [stored, expected] = yield* both
      expect(stored).toEqual(expected)
    }),
  )

  it.scopedLive(
    "asks about no more open records than half the list has pages, and about the others next",
    () =>
      Effect.gen(function* () {
        const { sandbox, sync, value } = yield* setup("payouts", {
          transactions: 1_000,
          payouts: 120,
          detailPaths: { payouts: "/api/v1/payout/{id}" },
        })
        for (let index = 0; index < 15; index++) sandbox.patch("payouts", index, { status: "PENDING" })
        yield* sync(true)
        for (let index = 0; index < 15; index++)
          sandbox.patch("payouts", index, { status: "SUCCESS", last_action: "paid" })
        const open = value("SELECT count(*) FROM warehouse.payouts WHERE status = 'PENDING'")
        const booked = yield* sync()
        expect(booked).toMatchObject({ mode: "incremental", updated: 6, leftOver: 9 })
        expect(booked.note).toContain("9 of 15 payouts")
        expect(yield* sync()).toMatchObject({ updated: 6, leftOver: 3 })
        expect(yield* sync()).toMatchObject({ updated: 3, leftOver: 0, note: null })
        expect(yield* open).toBe("0")
      }),
  )

  it.scopedLive("asks again about checkouts that are not expired", () =>
    Effect.gen(function* () {
      const { sandbox, sync, both } = yield* setup("checkouts")
      sandbox.patch("checkouts", 7, { expire_at: "2999-01-01T00:00:00.000Z" })
      yield* sync(true)
      sandbox.patch("checkouts", 7, { expire_at: "2999-01-01T00:00:00.000Z", description: "changed" })
      // Half of the six pages' requests each time.
      let updated = 0
      for (let run = 0; run < 6; run++) {
        const booked = yield* sync()
        expect(booked.mode).toBe("incremental")
        updated += booked.updated
      }
      expect(updated).toBe(1)
      const [stored, expected] = yield* both
      expect(stored).toEqual(expected)
    }),
  )

  it.scopedLive("and tells only what was made, not what changed: customers are read whole", () =>
    Effect.gen(function* () {
      const { sync } = yield* setup("customers", { customers: 60 })
      const booked = yield* sync()
      expect(booked.mode).toBe("full")
      expect(booked.note).toContain("not what has changed")
    }),
  )
})

describe("a list that has the latest change first", () => {
  it.scopedLive("brings every change without a look-up", () =>
    Effect.gen(function* () {
      const { sandbox, sync, listed, both, learned } = yield* setup("customers", {
        customers: 100,
        order: "updated-first",
      })
      expect((yield* learned).order).toBe("updated")
      sandbox.insert("customers", 2, "front")
      for (const index of [5, 50, 90]) sandbox.touch("customers", index)
      const booked = yield* sync()
      expect(booked).toMatchObject({ mode: "incremental", inserted: 2, updated: 3, note: null })
      expect(booked.requests).toBe(yield* listed)
      expect(yield* listed).toBe(4)
      const [stored, expected] = yield* both
      expect(stored).toEqual(expected)
    }),
  )
})

describe("a list that can be asked for what is new", () => {
  it.scopedLive.each(["seconds", "milliseconds"] as const)(
    "by its making, in %s: is asked for that, and open records by id",
    unit =>
      Effect.gen(function* () {
        const { sandbox, sync, first, both, learned, rows } = yield* setup("transactions", {
          order: "oldest-first",
          timeFilter: { unit, by: "created_at" },
        })
        expect((yield* learned).filter).toMatchObject({ unit, by: "created" })
        const [open] = yield* rows(
          "SELECT transaction_id AS id FROM warehouse.transactions WHERE NOT is_settled ORDER BY created_at",
        )
        sandbox.patch("transactions", sandbox.indexOf("transactions", open!.id!)!, { is_settled: true })
        for (let run = 0; run < 3; run++) {
          sandbox.insert("transactions", 12, "back")
          const booked = yield* sync()
          expect(booked).toMatchObject({ mode: "incremental", inserted: 12, updated: run === 0 ? 1 : 0 })
          expect(booked.requests).toBeLessThan(first.requests)
        }
        const [stored, expected] = yield* both
        expect(stored).toEqual(expected)
      }),
  )

  it.scopedLive("by the latest change: every change comes", () =>
    Effect.gen(function* () {
      const { sandbox, sync, both, learned } = yield* setup("customers", {
        customers: 150,
        order: "shuffled",
        timeFilter: { unit: "seconds", by: "updated_at" },
      })
      // Where nothing has changed after it was made, the two times cannot be told apart.
      sandbox.touch("customers", 4)
      yield* sync(true)
      expect((yield* learned).filter).toMatchObject({ by: "updated" })
      sandbox.insert("customers", 2, "back")
      for (const index of [5, 50, 120]) sandbox.touch("customers", index)
      expect(yield* sync()).toMatchObject({ mode: "incremental", inserted: 2, updated: 3, note: null })
      const [stored, expected] = yield* both
      expect(stored).toEqual(expected)
    }),
  )

  it.scopedLive("and that does not heed the question any more is read whole", () =>
    Effect.gen(function* () {
      const { sandbox, sync, both } = yield* setup("transactions", {
        order: "oldest-first",
        timeFilter: { unit: "seconds", by: "created_at" },
      })
      sandbox.insert("transactions", 3, "back")
      sandbox.setFault(({ query }) =>
        query.has("start_time") ? { body: { status: true, data: [] } } : undefined,
      )
      const booked = yield* sync()
      expect(booked).toMatchObject({ mode: "full", inserted: 3 })
      expect(booked.note).toContain("does not hold any more")
      const [stored, expected] = yield* both
      expect(stored).toEqual(expected)
    }),
  )
})

describe("a list is read whole", () => {
  it.scopedLive("where nothing is proven, and says so", () =>
    Effect.gen(function* () {
      const { sandbox, sync, both } = yield* setup("transactions", { order: "shuffled" })
      sandbox.insert("transactions", 4, "front")
      sandbox.touch("transactions", 100)
      const booked = yield* sync()
      expect(booked).toMatchObject({ mode: "full", status: "complete", inserted: 4 })
      expect(booked.note).toContain("neither an order of the list nor a filter by time is proven")
      const [stored, expected] = yield* both
      expect(stored).toEqual(expected)
    }),
  )

  it.scopedLive("at once where a page contradicts the order", () =>
    Effect.gen(function* () {
      const { sandbox, sync, both, learned } = yield* setup("transactions")
      // A record that stands where its time does not belong: the list has another order than it seemed.
      sandbox.patch("transactions", 297, { created_at: "2025-05-01T00:00:00.000Z" })
      sandbox.patch("transactions", 3, { event_description: "corrected" })
      const booked = yield* sync()
      // The patched one is among what was read before, and the other far back in the list.
      expect(booked).toMatchObject({ mode: "full", updated: 2 })
      expect(booked.note).toContain("does not hold any more")
      expect((yield* learned).order).toBe(undefined)
      const [stored, expected] = yield* both
      expect(stored).toEqual(expected)
    }),
  )

  it.scopedLive("when it was not for a day", () =>
    Effect.gen(function* () {
      const { sandbox, sync, sql } = yield* setup("transactions")
      const age = (hours: number) =>
        Effect.promise(
          () => sql`UPDATE sync.stream_runs SET started_at = started_at - make_interval(hours => ${hours})`,
        )
      yield* age(23)
      expect((yield* sync()).mode).toBe("incremental")
      yield* age(2)
      sandbox.patch("transactions", 3, { event_description: "corrected" })
      const booked = yield* sync()
      expect(booked).toMatchObject({ mode: "full", updated: 1 })
      expect(booked.note).toContain("older than a day")
      expect((yield* sync()).mode).toBe("incremental")
    }),
  )

  it.scopedLive("where a pass over the whole list was broken off", () =>
    Effect.gen(function* () {
      const { sandbox, sync } = yield* setup("transactions")
      sandbox.setFault(({ query }) => (query.get("page") === "9" ? { status: 403, body: {} } : undefined))
      expect((yield* sync(true)).status).toBe("failed")
      sandbox.setFault(null)
      expect(yield* sync()).toMatchObject({ mode: "full", status: "complete" })
      expect((yield* sync()).mode).toBe("incremental")
    }),
  )
})

describe("an incremental run", () => {
  it.scopedLive("that was broken off leaves no gap: the next one does not take its pages for known", () =>
    Effect.gen(function* () {
      const { sandbox, sync, both, value } = yield* setup("transactions")
      sandbox.insert("transactions", 85, "front")
      sandbox.setFault(({ query }) => (query.get("page") === "5" ? { hang: true } : undefined))
      const broken = yield* Effect.fork(sync())
      const stored = value("SELECT count(*) FROM warehouse.transactions")
      yield* stored.pipe(Effect.delay("50 millis"), Effect.repeat({ until: count => count === "340" }))
      yield* Fiber.interrupt(broken)
      sandbox.setFault(null)
      const booked = yield* sync()
      expect(booked).toMatchObject({ mode: "incremental", status: "complete", inserted: 45 })
      const [held, expected] = yield* both
      expect(held).toEqual(expected)
    }),
  )

  it.scopedLive("reads on where a page holds nothing but rejects that are new", () =>
    Effect.gen(function* () {
      const { sandbox, sync } = yield* setup("transactions")
      sandbox.insert("transactions", 35, "front")
      for (let index = 310; index < 335; index++)
        sandbox.patch("transactions", index, { is_settled: "maybe" })
      expect(yield* sync()).toMatchObject({
        mode: "incremental",
        status: "complete_with_rejects",
        inserted: 10,
        rejected: 25,
      })
    }),
  )

  it.scopedLive("proves no removal, and does not come between two passes that do", () =>
    Effect.gen(function* () {
      const { sandbox, sync, value } = yield* setup("transactions", { detailPaths: { transactions: null } })
      const removed = value("SELECT count(*) FROM warehouse.transactions WHERE removed_at IS NOT NULL")
      sandbox.remove("transactions", 298)
      for (let n = 0; n < 2; n++) expect(yield* sync()).toMatchObject({ mode: "incremental", removed: 0 })
      expect(yield* sync(true)).toMatchObject({ mode: "full", removed: 0 })
      expect((yield* sync()).mode).toBe("incremental")
      expect(yield* removed).toBe("0")
      expect(yield* sync(true)).toMatchObject({ mode: "full", removed: 1 })
      expect(yield* value("SELECT count(*) FROM sync.seen_keys")).toBe("0")
    }),
  )

  it.scopedLive("leaves rejects further back in the list open", () =>
    Effect.gen(function* () {
      const { sandbox, sync } = yield* setup("transactions")
      sandbox.patch("transactions", 3, { is_settled: "maybe" })
      expect(yield* sync(true)).toMatchObject({ status: "complete_with_rejects", rejected: 1 })
      expect(yield* sync()).toMatchObject({ mode: "incremental", status: "complete_with_rejects" })
      sandbox.patch("transactions", 3, { is_settled: true })
      expect(yield* sync(true)).toMatchObject({ status: "complete" })
    }),
  )
})
