import { expect } from "@effect/vitest"
import { Effect } from "effect"
import type postgres from "postgres"
import type { SandboxOptions } from "../../src/sandbox/sandbox.ts"
import { wholeOf } from "./apiFaults.ts"
import { listPath } from "./lists.ts"
import { type SyncOptions, streamOf, syncedBench, syncOnce, testWarehouse } from "./warehouse.ts"

/** Parts of tests of incremental runs. */

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

/** Every row except histories of earlier states, which cannot be read again. */
export const tablesOf = (sql: postgres.Sql) =>
  Effect.map(wholeOf(sql), tables => {
    const histories = ["payout_status_history", "transaction_settlement_history", "settlement_states"]
    return Object.fromEntries([...tables].filter(([table]) => !histories.includes(table)))
  })

/** A list that was read whole once, and runs over it from then on. */
export const setup = (stream: string, options: Partial<SandboxOptions> = {}) =>
  Effect.gen(function* () {
    const only = [stream]
    const given = yield* syncedBench({ ...LISTS, ...options }, { only })
    const { sandbox, sql } = given
    const run = (settings: SyncOptions) =>
      Effect.suspend(() => {
        sandbox.resetRequests()
        return Effect.map(given.sync({ only, ...settings }), summary => streamOf(summary, stream))
      })
    const sync = (full = false, settings: SyncOptions = {}) => run({ full, ...settings })
    const [passed] = yield* given.rows("SELECT mode, status, note, requests FROM sync.stream_runs")
    expect(passed).toMatchObject({ mode: "full", status: "complete", note: null })
    const first = { requests: Number(passed!.requests) }
    return {
      ...given,
      sync,
      /** A run where a full pass is due after so many seconds. */
      syncBy: (fullPassMaxAgeSeconds: number) => run({ fullPassMaxAgeSeconds }),
      /** Makes every run of the ledger so much older. */
      age: (time: { readonly days?: number; hours?: number; minutes?: number; seconds?: number }) =>
        Effect.promise(async () => {
          const { days = 0, hours = 0, minutes = 0, seconds = 0 } = time
          const by = sql`make_interval(days => ${days}, hours => ${hours}, mins => ${minutes}, secs => ${seconds})`
          await sql`UPDATE sync.runs SET started_at = started_at - ${by}`
          await sql`UPDATE sync.stream_runs SET started_at = started_at - ${by}`
        }),
      first,
      /** Pages that were asked of the list. */
      listed: Effect.sync(() => sandbox.requests.byPath.get(listPath(stream)) ?? 0),
      /** The stored rows, and those of a new warehouse after a pass over the whole list. */
      both: Effect.gen(function* () {
        const other = yield* testWarehouse()
        yield* syncOnce(other, sandbox, { only, account: { pageSize: 100 } })
        return [yield* tablesOf(sql), yield* tablesOf(other)] as const
      }),
      learned: Effect.map(
        given.value(`SELECT contract ->> 'learned' FROM sync.contracts WHERE stream = '${stream}'`),
        text => JSON.parse(text ?? "null"),
      ),
    }
  })
