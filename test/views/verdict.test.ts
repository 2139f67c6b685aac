import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { verdictsOf } from "../../src/warehouse/read/verdict.ts"
import { testWarehouse } from "../support/warehouse.ts"
import { given } from "./rows.ts"

/** The verdict over accounts of very different sizes. */

const STREAM_RUNS = `
  INSERT INTO sync.stream_runs (run_id, account, stream, mode, status, started_at, finished_at)
  SELECT gen_random_uuid(), account, 'transactions', 'full', 'complete', now(), now() FROM unnest('{a,b}'::text[]) AS account`

const MANY_KINDS = `
  INSERT INTO warehouse.transactions (account, transaction_id, org_id, owner_id, amount, currency, event_type, event_name,
    is_settled, created_at, raw, content_hash, read_at, first_seen_at, run_id)
  SELECT account, 'kind ' || n, org_id, owner_id, amount, currency, 'PAYIN', n || '_COMPLETED',
    is_settled, created_at, raw, content_hash, read_at, first_seen_at, run_id
  FROM warehouse.transactions CROSS JOIN generate_series(1, 1100) AS n WHERE account = 'a'`

describe("transactions without a direction", () => {
  it.scopedLive("are found in each account, however many kinds of transactions another has", () =>
    Effect.gen(function* () {
      const sql = yield* testWarehouse()
      yield* given(
        sql,
        "transactions",
        { account: "a", transaction_id: "a" },
        { account: "b", transaction_id: "b", event_type: "ODD" },
      )
      yield* Effect.promise(() => sql.unsafe(`${STREAM_RUNS}; ${MANY_KINDS}`).simple())
      const verdicts = yield* verdictsOf(sql, { streams: ["transactions"] })
      expect(verdicts.map(({ account, findings }) => [account, findings.map(({ kind }) => kind)])).toEqual([
        ["a", ["assumed"]],
        ["b", ["unmapped"]],
      ])
    }),
  )
})

describe("the verdict on a long ledger", () => {
  it.scopedLive("looks for a stream's latest runs in the index, and reads no other stream's", () =>
    Effect.gen(function* () {
      const sql = yield* testWarehouse()
      yield* Effect.promise(() =>
        sql
          .unsafe(
            `INSERT INTO sync.stream_runs (run_id, account, stream, mode, status, started_at, finished_at)
             SELECT gen_random_uuid(), 'a', stream, 'incremental', 'complete', now() - n * interval '1 hour', now()
             FROM unnest('{payouts,wallets}'::text[]) AS stream, generate_series(1, 2000) AS n; ANALYZE sync.stream_runs`,
          )
          .simple(),
      )
      const plan = yield* Effect.promise(() => sql.unsafe("EXPLAIN SELECT * FROM analytics.verdict"))
      const lines = plan.map(row => String(Object.values(row)[0]))
      expect(lines.filter(line => /Filter: .*stream = stream\.stream/.test(line))).toEqual([])
      expect(lines.filter(line => /Index Cond: .*stream = stream\.stream/.test(line)).length).toBeGreaterThan(
        4,
      )
    }),
  )
})
