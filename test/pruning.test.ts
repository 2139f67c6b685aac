import { randomUUID } from "node:crypto"
import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import fc from "fast-check"
import type postgres from "postgres"
import { allStreams } from "../src/registry.ts"
import { earlierPasses } from "../src/warehouse/ledger/earlierRuns.ts"
import { pruneLedger } from "../src/warehouse/ledger/pruning.ts"
import { statusOf } from "../src/warehouse/read/status.ts"
import { fuzz, fuzzMillis } from "./support/fuzz.ts"
import { book, bookTicks, ledgers } from "./support/ledger.ts"
import { bench, printed, testWarehouse } from "./support/warehouse.ts"

/** Everything that is asked of the ledger and does not grow older by itself. */
const answersOf = (sql: postgres.Sql) =>
  Effect.gen(function* () {
    const lease = { account: "default", runId: randomUUID(), fence: "0", leaseSeconds: 30 }
    return {
      freshness: yield* printed(
        sql,
        `SELECT account, stream, last_complete_at, last_run_status, last_run_started_at, last_ended_status, last_full_at,
           left_over, open_rejects FROM analytics.freshness ORDER BY 1, 2`,
      ),
      verdict: yield* printed(sql, "SELECT account, level, since FROM analytics.verdict ORDER BY 1"),
      status: yield* statusOf(sql, yield* allStreams),
      confirmed: yield* printed(
        sql,
        `SELECT DISTINCT ON (run.account) (SELECT min(part.started_at) FROM sync.stream_runs part
           WHERE part.account = run.account AND part.stream = run.stream AND part.pass_id = run.pass_id) AS confirmed_at
         FROM sync.stream_runs run
         WHERE run.stream = 'wallets' AND run.pass_id IS NOT NULL AND run.status IN ('complete', 'complete_with_rejects')
         ORDER BY run.account, run.finished_at DESC`,
      ),
      // The first since a stream went wrong, or well again.
      turns: yield* printed(
        sql,
        `WITH run AS (
           SELECT stream, started_at, status IN ('complete', 'complete_with_rejects') AS is_well FROM sync.stream_runs
           WHERE mode <> 'replay' AND status <> 'interrupted'
         )
         SELECT stream, is_well, min(started_at) AS since FROM run
         WHERE started_at > coalesce((SELECT max(o.started_at) FROM run AS o
           WHERE o.stream = run.stream AND o.is_well <> run.is_well), '-infinity')
         GROUP BY 1, 2 ORDER BY 1, 2`,
      ),
      passes: yield* Effect.forEach(["payouts", "wallets"], stream =>
        Effect.map(earlierPasses(sql, { ...lease, stream }, 86_400), ({ unfinished, ...facts }) => facts),
      ),
      changedUnfinished: yield* printed(
        sql,
        `SELECT run_id FROM sync.stream_runs AS s WHERE inserted > 0 AND mode IN ('full', 'incremental')
           AND started_at > coalesce((SELECT max(started_at) FROM sync.stream_runs AS c
             WHERE c.stream = s.stream AND c.mode IN ('full', 'incremental')
               AND c.status IN ('complete', 'complete_with_rejects')), '-infinity')
         ORDER BY 1`,
      ),
    }
  })

const sums =
  "SELECT sum(extracted) AS extracted, sum(requests) AS requests, sum(run_count) AS runs FROM sync.stream_runs"

const empty = (sql: postgres.Sql) =>
  Effect.promise(() => sql`TRUNCATE sync.runs, sync.stream_runs, sync.pruned, sync.rejects`)

describe("pruning the ledger", () => {
  it.scopedLive(
    "changes no answer of the ledger, whatever runs it holds",
    () =>
      Effect.gen(function* () {
        const sql = yield* testWarehouse()
        yield* Effect.promise(() =>
          fc.assert(
            fc.asyncProperty(ledgers, runs =>
              Effect.gen(function* () {
                yield* empty(sql)
                yield* book(sql, runs)
                const [before, sumsBefore] = [yield* answersOf(sql), yield* printed(sql, sums)]
                const { folded, dropped } = yield* pruneLedger(sql)
                const after = yield* answersOf(sql)
                for (const [name, answer] of Object.entries(before))
                  expect([name, after[name as keyof typeof after]]).toEqual([name, answer])
                if (dropped === 0) expect(yield* printed(sql, sums)).toEqual(sumsBefore)
                const left = yield* printed(sql, "SELECT count(*) AS n FROM sync.stream_runs")
                expect(left).toEqual([{ n: String(runs.length - folded - dropped) }])
                // A second pruning finds nothing, also on the next day.
                yield* Effect.promise(() => sql`UPDATE sync.pruned SET pruned_at = '-infinity'`)
                expect(yield* pruneLedger(sql)).toMatchObject({ folded: 0, dropped: 0, runs: 0 })
              }).pipe(Effect.runPromise),
            ),
            fuzz(12),
          ),
        )
      }),
    fuzzMillis(12),
  )

  it.scopedLive("folds the quiet runs of a day after two days, and drops the others after 90", () =>
    Effect.gen(function* () {
      const sql = yield* testWarehouse()
      yield* bookTicks(sql, 100)
      const before = (yield* printed(sql, sums))[0]!
      const { folded, dropped, runs } = yield* pruneLedger(sql)
      expect([folded > 20_000, dropped > 300, runs > 5_000]).toEqual([true, true, true])
      const perDay = yield* printed(
        sql,
        `SELECT max(n) AS most FROM (
           SELECT count(*) AS n FROM sync.stream_runs
           WHERE inserted = 0 AND started_at < date_trunc('day', now(), 'UTC') - interval '3 days'
           GROUP BY stream, mode, status, date_trunc('day', started_at, 'UTC')) AS day`,
      )
      expect(perDay).toEqual([{ most: "1" }])
      const [old] = yield* printed(
        sql,
        `SELECT count(*) FILTER (WHERE inserted > 0 AND started_at < now() - interval '91 days') AS changed,
           count(*) FILTER (WHERE started_at > now() - interval '2 days') AS recent,
           count(*) FILTER (WHERE run_count > 1) > 200 AS are_folded,
           (SELECT count(*) FROM sync.runs AS r WHERE r.started_at < now() - interval '3 days'
             AND NOT EXISTS (SELECT FROM sync.stream_runs AS s WHERE s.run_id = r.run_id)) AS without_streams
         FROM sync.stream_runs`,
      )
      // The first run of each of the three streams: since then they have been well.
      expect(old).toMatchObject({ changed: "3", are_folded: "true", without_streams: "0" })
      // Two whole days of three streams, and nothing of them is missing.
      expect(Number(old!.recent)).toBe(2 * 96 * 3 - 3)
      const after = (yield* printed(sql, sums))[0]!
      expect(Number(before.runs) - Number(after.runs)).toBe(dropped)
    }),
  )

  it.scopedLive("keeps the runs of open rejects, and drops closed rejects after 90 days", () =>
    Effect.gen(function* () {
      const sql = yield* testWarehouse()
      yield* book(
        sql,
        Array.from({ length: 20 }, (_, n) => ({
          ageHours: 24 * 100 + n / 10,
          stream: "payouts",
          mode: "incremental",
          status: "complete",
          inserted: n % 2,
          pass: null,
        })),
      )
      const names = yield* printed(
        sql,
        "SELECT run_id, inserted FROM sync.stream_runs ORDER BY started_at LIMIT 2",
      )
      yield* Effect.promise(() =>
        sql.unsafe(
          `INSERT INTO sync.rejects (account, stream, run_id, record_id, reason, raw, content_hash, read_at, first_seen_at, unlisted_at)
           SELECT 'default', 'payouts', v.run_id::uuid, v.id, 'x', '{}', v.id, now(), now(), v.closed
           FROM (VALUES ('${names[0]!.run_id}', 'open', NULL::timestamptz), ('${names[1]!.run_id}', 'open too', NULL),
             ('${randomUUID()}', 'closed', now() - interval '91 days'), ('${randomUUID()}', 'just closed', now() - interval '89 days')
           ) AS v (run_id, id, closed)`,
        ),
      )
      expect(yield* pruneLedger(sql)).toMatchObject({ rejects: 1 })
      expect(yield* printed(sql, "SELECT record_id FROM sync.rejects ORDER BY 1")).toEqual([
        { record_id: "just closed" },
        { record_id: "open" },
        { record_id: "open too" },
      ])
      for (const { run_id } of names)
        expect(
          yield* printed(
            sql,
            `SELECT count(*) AS n FROM sync.stream_runs JOIN sync.runs USING (run_id) WHERE run_id = '${run_id}'`,
          ),
        ).toEqual([{ n: "1" }])
    }),
  )

  it.scopedLive("keeps runs that evidence names, by the names of its columns", () =>
    Effect.gen(function* () {
      const sql = yield* testWarehouse()
      yield* book(
        sql,
        Array.from({ length: 12 }, (_, n) => ({
          ageHours: 24 * 100 + n / 10,
          stream: "payouts",
          mode: "lookup",
          status: "complete",
          inserted: n % 2,
          pass: null,
        })),
      )
      yield* Effect.promise(() =>
        sql.unsafe(
          `CREATE TABLE warehouse.payout_proof_history (account text, first_run_id uuid);
           INSERT INTO warehouse.payout_proof_history
           SELECT account, run_id FROM sync.stream_runs ORDER BY started_at LIMIT 4`,
        ),
      )
      yield* pruneLedger(sql)
      const named = "SELECT count(*) AS n FROM warehouse.payout_proof_history AS p"
      expect(
        yield* printed(
          sql,
          `${named} JOIN sync.stream_runs AS s ON s.run_id = p.first_run_id JOIN sync.runs USING (run_id)`,
        ),
      ).toEqual([{ n: "4" }])
    }),
  )

  it.scopedLive("drops the keys that dead runs left, and none that a run still needs", () =>
    Effect.gen(function* () {
      const sql = yield* testWarehouse()
      const [live, old, lost, run] = [randomUUID(), randomUUID(), randomUUID(), randomUUID()]
      yield* book(sql, [
        { ageHours: 1, stream: "payouts", mode: "full", status: "complete", inserted: 0, pass: null },
      ])
      yield* Effect.promise(() =>
        sql.unsafe(
          `INSERT INTO sync.checkpoints (account, stream, pass_id, started_at, updated_at)
           VALUES ('default', 'payouts', '${live}', now(), now()), ('gone', 'payouts', '${old}', now() - interval '3 days', now());
           INSERT INTO sync.seen_keys SELECT p::uuid, 'k' || n
           FROM unnest(ARRAY['${live}', '${old}', '${lost}']) AS p, generate_series(1, 10) AS n;
           INSERT INTO sync.leases (account, stream, run_id, holder, fence, acquired_at, expires_at)
           VALUES ('default', 'wallet_readiness', '${run}', 'h', 1, now(), now() + interval '30 seconds');
           INSERT INTO sync.due_keys SELECT r::uuid, 'default', 'wallet_readiness', n, 'k' || n
           FROM unnest(ARRAY['${run}', '${lost}']) AS r, generate_series(1, 5) AS n`,
        ),
      )
      expect(yield* pruneLedger(sql)).toMatchObject({ keys: 25 })
      expect(yield* printed(sql, "SELECT DISTINCT pass_id FROM sync.seen_keys")).toEqual([{ pass_id: live }])
      expect(yield* printed(sql, "SELECT DISTINCT run_id FROM sync.due_keys")).toEqual([{ run_id: run }])
    }),
  )

  it.scopedLive("happens at the end of a run, once a day, and not twice at once", () =>
    Effect.gen(function* () {
      const { sql, sync, value } = yield* bench()
      yield* bookTicks(sql, 5)
      yield* sync({ only: ["payouts"] })
      const left = Number(yield* value("SELECT count(*) FROM sync.stream_runs"))
      expect(left).toBeLessThan(4 * 96 * 3)
      expect(yield* pruneLedger(sql)).toEqual({ folded: 0, dropped: 0, runs: 0, rejects: 0, keys: 0 })
      yield* Effect.promise(() => sql`UPDATE sync.pruned SET pruned_at = '-infinity'`)
      yield* bookTicks(sql, 5)
      const both = yield* Effect.all([pruneLedger(sql), pruneLedger(sql)], { concurrency: 2 })
      expect(both.map(({ folded }) => folded > 0).sort()).toEqual([false, true])
    }),
  )
})
