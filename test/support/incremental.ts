import { expect } from "@effect/vitest"
import { Effect } from "effect"
import { DEFAULT_LIST_PATHS, type SandboxOptions, type StreamName } from "../../src/sandbox/Sandbox.ts"
import { bench, dump, streamOf, syncOnce, testWarehouse } from "./warehouse.ts"

/** What tests of runs that read of a list only what is new are made of. */

export const TRANSACTION = "/api/v1/transaction/find-transaction/{id}"

/** 30 pages of transactions, few of which are unsettled. */
const LISTS: Partial<SandboxOptions> = {
  transactions: 300,
  payouts: 40,
  checkouts: 60,
  days: 180,
  order: "newest-first",
  detailPaths: { transactions: TRANSACTION },
}

/** A list that was read whole once, and runs over it from then on. */
export const setup = (stream: StreamName, options: Partial<SandboxOptions> = {}) =>
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
