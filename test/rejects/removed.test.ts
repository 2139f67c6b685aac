import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { replayWith } from "../../src/sync/maintenance.ts"
import { fixtureOf } from "../support/conformance.ts"
import { onWarehouse } from "../support/upkeep.ts"
import { listStream, loading, printed, testWarehouse } from "../support/warehouse.ts"

const transactions = await Effect.runPromise(listStream("transactions"))
const payment = fixtureOf(transactions).record

/** A program that cannot read the second version of the record. */
const yesterdays = {
  ...transactions,
  decode: (record: unknown) =>
    transactions.decode(
      JSON.stringify(record).includes("odd") ? { ...(record as object), amount: "odd" } : record,
    ),
}

describe("replaying a reject of a record that was booked as removed", () => {
  it.scopedLive("stores its latest version, and keeps it removed", () =>
    Effect.gen(function* () {
      const sql = yield* testWarehouse()
      const pass = (day: number, ...records: ReadonlyArray<{ transaction_id: string; scope?: string }>) =>
        Effect.gen(function* () {
          const given = yield* loading(sql, yesterdays)
          const readAt = new Date(Date.UTC(2026, 0, day)).toISOString()
          yield* given.load(...records.map(record => [{ ...payment, ...record }, readAt] as const))
          return yield* given.close()
        })
      const [a, b] = [{ transaction_id: "a" }, { transaction_id: "b" }]
      yield* pass(1, a, b)
      yield* pass(2, a, { ...b, scope: "odd" })
      for (const day of [3, 4]) yield* pass(day, a)
      expect((yield* pass(5, a)).removed).toBe(1)
      const stored = printed(
        sql,
        "SELECT transaction_id AS id, scope, removed_at FROM warehouse.transactions ORDER BY 1",
      )
      const [, before] = yield* stored
      const replayed = yield* onWarehouse(sql)(
        replayWith({ streams: [transactions], accounts: [], ids: [], all: true, leaseSeconds: 30 }),
      )
      expect(replayed?.streams[0]).toMatchObject({ extracted: 1, updated: 1 })
      expect((yield* stored)[1]).toEqual({ id: "b", scope: "odd", removed_at: before?.removed_at })
      expect(before?.removed_at).not.toBeNull()
    }),
  )
})
