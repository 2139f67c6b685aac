import { describe, expect, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { setup } from "./support/incremental.ts"
import { slow } from "./support/slow.ts"
import { bench, unhurried } from "./support/warehouse.ts"

/** When a list is read whole after all, and what a run that does not must leave alone. */

describe("a list is read whole", () => {
  it.scopedLive("if nothing can be saved, and the note says so", () =>
    Effect.gen(function* () {
      const { sync } = yield* bench({ order: "newest-first" })
      const only = ["checkouts", "wallets"]
      const account = { pageSize: 20 }
      for (const { note } of (yield* sync({ only, account })).streams) expect(note).toBe(null)
      const { streams } = yield* sync({ only, account })
      expect(streams.map(({ note }) => note)).toEqual([
        "Read whole: the list has fewer than 3 pages.",
        "Read whole: what changes in this list shows in no time.",
      ])
    }),
  )

  it.scopedLive("if nothing is proven, and the note says so", () =>
    Effect.gen(function* () {
      const { sandbox, sync, both } = yield* setup("transactions", { order: "shuffled" })
      sandbox.insert("transactions", 4, "front")
      sandbox.touch("transactions", 100)
      const booked = yield* sync()
      expect(booked).toMatchObject({ mode: "full", status: "complete", inserted: 4 })
      expect(booked.note).toContain("no order of the list is proven")
      const [stored, expected] = yield* both
      expect(stored).toEqual(expected)
    }),
  )

  slow(() => {
    it.scopedLive("and the note says so beside its other sentences", () =>
      Effect.gen(function* () {
        const { sync } = yield* bench({ order: "shuffled", totals: "total", totalSkew: 5 })
        const only = ["transactions"]
        const total =
          "The API states 125 transactions, its pages hold 120: a total that counts others, or a list that cannot be read whole."
        const notes = Effect.map(sync({ only, account: { pageSize: 20 } }), ({ streams }) =>
          streams.map(({ note }) => note),
        )
        expect(yield* notes).toEqual([total])
        expect(yield* notes).toEqual([`${total} Read whole: no order of the list is proven.`])
      }),
    )
  })

  it.scopedLive("at once if a page contradicts the order", () =>
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

  slow(() => {
    it.scopedLive("if the latest full pass is older than a day, or than the full schedule allows", () =>
      Effect.gen(function* () {
        const { sandbox, sync, syncBy, age } = yield* setup("transactions")
        yield* age({ hours: 23 })
        expect((yield* sync()).mode).toBe("incremental")
        yield* age({ hours: 2 })
        sandbox.patch("transactions", 3, { event_description: "corrected" })
        const booked = yield* sync()
        expect(booked).toMatchObject({ mode: "full", updated: 1 })
        expect(booked.note).toContain("older than 1d")
        expect((yield* sync()).mode).toBe("incremental")

        const weekly = syncBy(7 * 86_400)
        yield* age({ days: 1, hours: 1 })
        expect((yield* weekly).mode).toBe("incremental")
        yield* age({ days: 5, hours: 22 })
        expect((yield* weekly).mode).toBe("incremental")
        // One that the clock starts a moment early is not put off to the next day, or week.
        yield* age({ minutes: 59, seconds: 45 })
        const full = yield* weekly
        expect([full.mode, full.note]).toEqual(["full", "Read whole: the latest full pass is older than 7d."])
        expect((yield* weekly).mode).toBe("incremental")
        yield* age({ minutes: 50 })
        expect((yield* syncBy(3_600)).mode).toBe("incremental")
        yield* age({ minutes: 10 })
        expect((yield* syncBy(3_600)).note).toContain("older than 1h")
      }),
    )
  })

  slow(() => {
    it.scopedLive("by the start of runs, not by the time that the stream waited in them", () =>
      Effect.gen(function* () {
        const { sync, sql, age } = yield* setup("transactions")
        yield* age({ days: 1 })
        yield* Effect.promise(
          () => sql`UPDATE sync.stream_runs SET started_at = started_at + interval '1 hour'`,
        )
        expect((yield* sync()).mode).toBe("full")
      }),
    )
  })

  it.scopedLive("if a pass over the whole list was interrupted", () =>
    Effect.gen(function* () {
      const { sandbox, sync } = yield* setup("transactions")
      sandbox.setFault(({ query }) => (query.get("page") === "9" ? { status: 403, body: {} } : undefined))
      expect((yield* sync(true)).status).toBe("failed")
      sandbox.setFault(null)
      expect(yield* sync()).toMatchObject({
        mode: "full",
        status: "complete",
        note: "Read whole: the latest pass was broken off.",
      })
      expect((yield* sync()).mode).toBe("incremental")
    }),
  )
})

describe("an incremental run", () => {
  it.scopedLive("that was interrupted leaves no gap: its pages do not count as known in the next run", () =>
    Effect.gen(function* () {
      const { sandbox, sync, both, value } = yield* setup("transactions")
      sandbox.insert("transactions", 85, "front")
      sandbox.setFault(({ query }) => (query.get("page") === "5" ? { hang: true } : undefined))
      const broken = yield* Effect.fork(unhurried(sync()))
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

  slow(() => {
    it.scopedLive("continues after a page that holds only new rejects", () =>
      Effect.gen(function* () {
        const { sandbox, sync } = yield* setup("transactions")
        sandbox.insert("transactions", 35, "front")
        for (let index = 310; index < 335; index++)
          sandbox.patch("transactions", index, { is_settled: "maybe" })
        expect(yield* sync(false, { rejectsMax: 1 })).toMatchObject({
          mode: "incremental",
          status: "complete_with_rejects",
          inserted: 10,
          rejected: 25,
        })
      }),
    )
  })

  it.scopedLive("proves no removal, and does not interrupt the passes that do", () =>
    Effect.gen(function* () {
      const { sandbox, sync, value } = yield* setup("transactions", { detailPaths: { transactions: null } })
      const removed = value("SELECT count(*) FROM warehouse.transactions WHERE removed_at IS NOT NULL")
      sandbox.remove("transactions", 298)
      for (let n = 0; n < 2; n++) expect(yield* sync()).toMatchObject({ mode: "incremental", removed: 0 })
      for (let n = 0; n < 2; n++) {
        expect(yield* sync(true)).toMatchObject({ mode: "full", removed: 0, unconfirmed: 1 })
        expect(yield* sync()).toMatchObject({ mode: "incremental", unconfirmed: 1 })
        expect(yield* removed).toBe("0")
      }
      expect(yield* sync(true)).toMatchObject({ mode: "full", removed: 1, unconfirmed: 0 })
      expect(yield* value("SELECT count(*) FROM sync.seen_keys")).toBe("0")
    }),
  )

  slow(() => {
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
})
