import { describe, expect, it } from "@effect/vitest"
import { Effect, Either } from "effect"
import * as fc from "fast-check"
import type postgres from "postgres"
import type { JsonObject } from "../../src/core/json.ts"
import type { Stream } from "../../src/core/stream.ts"
import { rebuildWith } from "../../src/sync/maintenance.ts"
import { finishStream } from "../../src/warehouse/ledger/runs.ts"
import { fixtureOf } from "../support/conformance.ts"
import { fuzz, fuzzMillis } from "../support/fuzz.ts"
import { onWarehouse } from "../support/upkeep.ts"
import { listStream, loading, testWarehouse } from "../support/warehouse.ts"
import { lines } from "./rows.ts"

/** The settlements that transactions belonged to, and settlements that changed after they were done. */

interface Given {
  readonly id: string
  readonly settlement: string | null
  readonly isSettled: boolean
  readonly amount?: string
  readonly name?: string
}

const recordOf = (stream: Stream, { id, settlement, isSettled, amount = "10", name }: Given): JsonObject => ({
  ...fixtureOf(stream).record,
  transaction_id: id,
  settlement_id: settlement,
  is_settled: isSettled,
  amount,
  event_type: "PAYIN",
  event_name: name ?? "PAYIN_COMPLETED",
  updated_at: null,
})

const ENDED = { removed: 0, leftOver: 0, requests: 0, retries: 0, error: null, note: null }

/** A run that reads these pages, each an hour after the one before it, on the day of its number. */
const read = (
  sql: postgres.Sql,
  stream: Stream,
  run: number,
  pages: ReadonlyArray<ReadonlyArray<Given>>,
  status: "complete" | "failed" = "complete",
) =>
  Effect.gen(function* () {
    const { load, close, lease } = yield* loading(sql, stream)
    for (const [hour, page] of pages.entries())
      yield* load(...page.map(given => [recordOf(stream, given), `2026-03-0${run}T0${hour}:00:00Z`] as const))
    yield* close(false)
    yield* finishStream(sql, lease, { ...ENDED, status })
    return lease.runId
  })

const settled = (id: string, settlement: string | null, more: Partial<Given> = {}): Given => ({
  id,
  settlement,
  isSettled: true,
  ...more,
})
const unsettled = (id: string, settlement: string | null): Given => ({ id, settlement, isSettled: false })

const periods = (sql: postgres.Sql) =>
  Effect.promise(async () => {
    const rows = await sql<Array<Record<string, string | null>>>`
      SELECT transaction_id || ' ' || coalesce(settlement_id, '-') || ' ' || is_settled || ' ' || extract(day FROM valid_from AT TIME ZONE 'UTC')
        || '-' || coalesce(extract(day FROM valid_to AT TIME ZONE 'UTC')::text, '') AS period, run_id::text
      FROM warehouse.transaction_settlement_history ORDER BY transaction_id, valid_from`
    return rows.map(({ period, run_id }) => [period, run_id])
  })
const changedSinceDone = (sql: postgres.Sql) =>
  lines(sql, "settlement_id, status, changed_since_done", "settlement ORDER BY 1")

describe("the history of settlements", () => {
  it.scopedLive("begins with the second state of a transaction, and keeps each one with its run", () =>
    Effect.gen(function* () {
      const sql = yield* testWarehouse()
      const stream = yield* listStream("transactions")
      const all = [settled("a", "s1"), unsettled("b", "s1"), unsettled("c", null)]
      const first = yield* read(sql, stream, 1, [all])
      expect(yield* periods(sql)).toEqual([])
      // A field that is not of the settlement changed.
      yield* read(sql, stream, 2, [[{ ...all[1]!, amount: "11" }]])
      expect(yield* periods(sql)).toEqual([])
      const third = yield* read(sql, stream, 3, [[settled("a", "s4"), all[1]!, unsettled("c", "s4")]])
      const fourth = yield* read(sql, stream, 4, [[unsettled("a", "s4"), all[1]!, unsettled("c", "s4")]])
      const expected = [
        ["a s1 true 1-3", first],
        ["a s4 true 3-4", third],
        ["a s4 false 4-", fourth],
        ["c - false 1-3", first],
        ["c s4 false 3-", third],
      ]
      expect(yield* periods(sql)).toEqual(expected)
      const columns =
        "settlement_id, transaction_id, from_settlement_id, to_settlement_id, was_settled, is_settled"
      const change = lines(
        sql,
        `${columns}, to_char(seen_at AT TIME ZONE 'UTC', 'DD') AS day`,
        "settlement_change ORDER BY seen_at, 2, 1",
      )
      expect(yield* change).toEqual([
        "s1 | a | s1 | s4 | true | true | 03",
        "s4 | a | s1 | s4 | true | true | 03",
        "s4 | c | - | s4 | false | false | 03",
        "s4 | a | s4 | s4 | true | false | 04",
      ])
      // Neither a reading that is older than the row nor a rebuild is news.
      yield* read(sql, stream, 2, [[settled("a", "s9")]])
      const renamed: Stream = {
        ...stream,
        version: stream.version + 1,
        decode: record =>
          Either.map(stream.decode(record), decoded => ({
            ...decoded,
            row: { ...decoded.row, settlement_id: "S" },
          })),
      }
      yield* onWarehouse(sql)(rebuildWith({ accounts: [], streams: [renamed], leaseSeconds: 30 }))
      expect((yield* periods(sql)).map(([period]) => period)).toEqual([
        "a s1 true 1-3",
        "a s4 true 3-4",
        "a S false 4-",
        "c - false 1-3",
        "c S false 3-",
      ])
    }),
  )

  const done = [settled("a", "s1"), settled("b", "s1", { name: "PAYIN_FAILED" })]
  it.scopedLive.each<{
    readonly what: string
    readonly pages: ReadonlyArray<ReadonlyArray<Given>>
    readonly found: ReadonlyArray<string>
  }>([
    { what: "nothing", pages: [done], found: ["s1 | Done | false"] },
    {
      what: "a transaction that left",
      pages: [[settled("a", "s2")]],
      found: ["s1 | Done | true", "s2 | Done | false"],
    },
    {
      what: "a transaction that is no longer settled",
      pages: [[unsettled("a", "s1")]],
      found: ["s1 | In Progress | true"],
    },
    {
      what: "a transaction that was never seen before",
      pages: [[settled("c", "s1")]],
      found: ["s1 | Done | true"],
    },
    { what: "another amount", pages: [[settled("a", "s1", { amount: "12" })]], found: ["s1 | Done | true"] },
    {
      what: "a settlement that came in two pages",
      pages: [[settled("d", "s3")], [settled("e", "s3")]],
      found: ["s1 | Done | false", "s3 | Done | false"],
    },
  ])("tells of a settlement that was done and then saw $what", ({ pages, found }) =>
    Effect.gen(function* () {
      const sql = yield* testWarehouse()
      const stream = yield* listStream("transactions")
      // A run that broke off has seen a part of the settlement, which looks done.
      yield* read(sql, stream, 1, [[done[1]!], [done[0]!]], "failed")
      yield* read(sql, stream, 2, [done])
      yield* read(sql, stream, 3, pages)
      expect(yield* changedSinceDone(sql)).toEqual(found)
    }),
  )

  it.scopedLive("keeps the rule of a kind of event that no transaction has any more", () =>
    Effect.gen(function* () {
      const sql = yield* testWarehouse()
      const stream = yield* listStream("transactions")
      // The only failed payment moved nothing, so that the settlement was done. Then it became another kind.
      const failed = { id: "b", settlement: "s1", isSettled: false, name: "PAYIN_FAILED" }
      yield* read(sql, stream, 1, [[settled("a", "s1"), failed]])
      yield* read(sql, stream, 2, [[settled("b", "s1")]])
      expect(yield* changedSinceDone(sql)).toEqual(["s1 | Done | true"])
    }),
  )

  it.scopedLive("follows the rules of direction: a state that a new rule calls done was done", () =>
    Effect.gen(function* () {
      const sql = yield* testWarehouse()
      const stream = yield* listStream("transactions")
      const odd = (isSettled: boolean) => ({ id: "b", settlement: "s1", isSettled, name: "PAYIN_ODD" })
      yield* read(sql, stream, 1, [[settled("a", "s1"), odd(false)]])
      yield* read(sql, stream, 2, [[settled("a", "s1"), odd(true)]])
      expect(yield* changedSinceDone(sql)).toEqual(["s1 | Done | false"])
      yield* Effect.promise(
        () =>
          sql`INSERT INTO warehouse.event_directions (event_type, event_name, direction) VALUES ('PAYIN', 'PAYIN_ODD', 0)`,
      )
      expect(yield* changedSinceDone(sql)).toEqual(["s1 | Done | true"])
    }),
  )
})

/** A run of the model: the pages that it reads, and if it reads all of them. */
const transaction = fc.record({
  id: fc.constantFrom("a", "b", "c", "d"),
  settlement: fc.constantFrom(null, "s1", "s2"),
  isSettled: fc.boolean(),
  amount: fc.constantFrom("10", "12"),
  name: fc.constantFrom("PAYIN_COMPLETED", "PAYIN_FAILED"),
})
const page = fc.uniqueArray(transaction, { selector: ({ id }) => id, minLength: 1, maxLength: 3 })
const runs = fc.array(
  fc.record({
    pages: fc.array(page, { minLength: 1, maxLength: 3 }),
    status: fc.constantFrom("complete" as const, "failed" as const),
  }),
  { minLength: 2, maxLength: 6 },
)
const RUNS = 8

/** The lines of a settlement, in one text, and if it is done. */
const stateOf = (rows: ReadonlyMap<string, Given>, settlement: string) => {
  const own = [...rows.values()].filter(row => row.settlement === settlement)
  return {
    text: JSON.stringify(own.toSorted((one, other) => (one.id < other.id ? -1 : 1))),
    isEmpty: own.length === 0,
    isDone: own.every(row => row.isSettled || row.name === "PAYIN_FAILED"),
  }
}

describe("settlements that changed after they were done", () => {
  it(
    "are those of a model that looks at every state between complete runs",
    () =>
      fc.assert(
        fc.asyncProperty(runs, given =>
          Effect.gen(function* () {
            const sql = yield* testWarehouse()
            const stream = yield* listStream("transactions")
            const rows = new Map<string, Given>()
            const left = new Map<string, ReturnType<typeof stateOf>>()
            const changed = new Set<string>()
            for (const [n, { pages, status }] of given.entries()) {
              for (const rowsOfPage of pages) {
                for (const row of rowsOfPage) rows.set(row.id, row)
                for (const [settlement, state] of left)
                  if (!state.isEmpty && state.isDone && stateOf(rows, settlement).text !== state.text)
                    changed.add(settlement)
              }
              yield* read(sql, stream, n + 1, pages, status)
              if (status === "complete") for (const s of ["s1", "s2"]) left.set(s, stateOf(rows, s))
            }
            const found = yield* lines(sql, "settlement_id, changed_since_done", "settlement ORDER BY 1")
            const isThere = (settlement: string) => !stateOf(rows, settlement).isEmpty
            expect(found).toEqual(["s1", "s2"].filter(isThere).map(s => `${s} | ${changed.has(s)}`))
          }).pipe(Effect.scoped, Effect.runPromise),
        ),
        fuzz(RUNS),
      ),
    fuzzMillis(RUNS),
  )
})
