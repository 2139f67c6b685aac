import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { setup, TRANSACTION } from "./support/incremental.ts"
import { slow } from "./support/slow.ts"

/** Runs that read of a list only what is new: they end as a pass over the whole list would, and ask for less. */

describe("a list that is newest-first", () => {
  it.scopedLive("is read until two pages hold nothing new, with the same result as a full pass", () =>
    Effect.gen(function* () {
      const { sandbox, sync, first, listed, both, learned } = yield* setup("transactions")
      expect((yield* learned).order).toBe("created")
      // Nothing new: the page that verifies the contract, the two that show nothing new, and the one before the
      // first, of which there is none.
      const asks = yield* Effect.map(sync(), booked => booked.requests - 4)
      expect(yield* listed).toBe(4)
      expect(asks).toBeLessThan(27)
      sandbox.insert("transactions", 25, "front")
      const booked = yield* sync()
      expect(booked).toMatchObject({ status: "complete", mode: "incremental", inserted: 25, removed: 0 })
      // Three pages with something new on them, then two without.
      expect(yield* listed).toBe(7)
      expect(booked.requests).toBeLessThan(first.requests)
      const [stored, expected] = yield* both
      expect(stored).toEqual(expected)
    }),
  )

  it.scopedLive("with changes in the middle: open records are read again by id", () =>
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

  it.scopedLive("and a change of a settled record comes with the next full pass", () =>
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

  slow(() => {
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
          // One that is not answered is not done.
          const refused = yield* value(
            "SELECT min(payout_id) FROM warehouse.payouts WHERE status = 'PENDING'",
          )
          sandbox.setFault(({ path }) => (path.endsWith(`/payout/${refused}`) ? { status: 400 } : undefined))
          const partly = yield* sync()
          expect(partly).toMatchObject({ mode: "incremental", updated: 2, leftOver: 1 })
          expect(partly.note).toBe(
            "1 of 3 payouts that may still change got no answer by id: they are asked again in their turn.",
          )
          sandbox.setFault(null)
          expect(yield* sync()).toMatchObject({ updated: 1, leftOver: 0, note: null })
          expect(yield* open).toBe("0")
        }),
    )
  })

  slow(() => {
    it.scopedLive(
      "asks again about checkouts that are not expired, and then about those that never are",
      () =>
        Effect.gen(function* () {
          const { sandbox, sync, both, first } = yield* setup("checkouts")
          const change = (index: number, description: string) =>
            sandbox.patch("checkouts", index, {
              expire_at: index === 7 ? "2999-01-01T00:00:00.000Z" : null,
              description,
            })
          const endless = [10, 11, 12, 13, 14]
          for (let index = 0; index < 60; index++)
            sandbox.patch("checkouts", index, { expire_at: "2025-01-01T00:00:00.000Z" })
          for (const index of [7, ...endless]) change(index, "open")
          yield* sync(true)
          for (const index of endless) change(index, "changed")
          // Half of the six pages' requests each time: the one that will expire, and some of the others.
          const updated: Array<number> = []
          for (let run = 0; run < 3; run++) {
            change(7, `changed ${run}`)
            const booked = yield* sync()
            expect(booked).toMatchObject({ mode: "incremental", status: "complete", leftOver: 3 })
            expect(booked.note).toContain("3 of 6 checkouts that may still change are left over")
            expect(booked.requests).toBeLessThan(first.requests)
            updated.push(booked.updated)
          }
          expect(updated).toEqual([3, 3, 2])
          const [stored, expected] = yield* both
          expect(stored).toEqual(expected)
        }),
    )
  })

  it.scopedLive("that shows new records, but no changes: customers are read in full", () =>
    Effect.gen(function* () {
      const { sync } = yield* setup("customers", { customers: 60 })
      const booked = yield* sync()
      expect(booked.mode).toBe("full")
      expect(booked.note).toContain("not what has changed")
    }),
  )
})

describe("a list whose pages are numbered differently from now on", () => {
  it.scopedLive.each([
    ["from 0", 1, 0],
    ["from 1", 0, 1],
  ] as const)("%s is reported, and the records of the page before come with the next run", ([, from, to]) =>
    Effect.gen(function* () {
      const { sandbox, sync, both } = yield* setup("checkouts", { firstPage: from })
      expect((yield* sync()).mode).toBe("incremental")
      sandbox.insert("checkouts", 3, "front")
      sandbox.reshape({ firstPage: to })
      const booked = yield* sync()
      expect(booked).toMatchObject({ mode: "incremental", status: "failed" })
      expect(booked.error).toContain("run again to discover it anew")
      expect(yield* sync()).toMatchObject({ mode: "full", status: "complete", removed: 0 })
      const [stored, expected] = yield* both
      expect(stored).toEqual(expected)
      expect((yield* sync()).mode).toBe("incremental")
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
      expect(yield* listed).toBe(5)
      const [stored, expected] = yield* both
      expect(stored).toEqual(expected)
    }),
  )

  slow(() => {
    it.scopedLive("is read further if records that were rows have become rejects", () =>
      Effect.gen(function* () {
        const { sandbox, sync } = yield* setup("customers", { customers: 100, order: "updated-first" })
        sandbox.touch("customers", 50)
        for (let index = 10; index < 35; index++)
          sandbox.patch("customers", index, { description: "\u0000", updated_at: "2025-12-01T00:00:00.000Z" })
        expect(yield* sync()).toMatchObject({ mode: "incremental", updated: 1, rejected: 25 })
      }),
    )
  })
})
