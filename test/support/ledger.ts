import { randomUUID } from "node:crypto"
import { Effect } from "effect"
import fc from "fast-check"
import type postgres from "postgres"

/** Ledgers of runs that were never made: what a warehouse has after months or years. */

export interface BookedRun {
  readonly ageHours: number
  readonly stream: string
  readonly mode: string
  readonly status: string
  readonly inserted: number
  /** Full runs that go on with one pass have its number; each other full run is a pass of its own. */
  readonly pass: number | null
}

/** Ages that crowd runs into a few days: some to be folded, some to be dropped. Few are recent: nothing rests on the others then. */
const ageHours = fc.oneof(
  { weight: 1, arbitrary: fc.double({ min: 0, max: 60, noNaN: true }) },
  { weight: 60, arbitrary: fc.double({ min: 96, max: 140, noNaN: true }) },
  { weight: 30, arbitrary: fc.double({ min: 95 * 24, max: 97 * 24, noNaN: true }) },
)

/** Runs of one account, most of which changed nothing. */
export const ledgers: fc.Arbitrary<ReadonlyArray<BookedRun>> = fc.array(
  fc.record({
    ageHours,
    stream: fc.constantFrom("payouts", "wallets"),
    mode: fc.constantFrom("full", "incremental"),
    status: fc.constantFrom("complete", "failed"),
    inserted: fc.constantFrom(0, 0, 0, 0, 0, 3),
    pass: fc.oneof(
      { weight: 9, arbitrary: fc.constant(null) },
      { weight: 1, arbitrary: fc.integer({ min: 0, max: 3 }) },
    ),
  }),
  { minLength: 20, maxLength: 120, size: "max" },
)

/** Books such runs, with the run of each. */
export const book = (sql: postgres.Sql, runs: ReadonlyArray<BookedRun>, account = "default") =>
  Effect.promise(async () => {
    const passes = [0, 1, 2, 3].map(() => randomUUID())
    const rows = runs.map(({ pass, ...run }, n) => ({
      ...run,
      // No two runs of a stream start at the same moment.
      ageHours: run.ageHours + n / 3_600,
      run_id: randomUUID(),
      pass_id: run.mode !== "full" ? null : pass === null ? randomUUID() : passes[pass],
    }))
    const text = JSON.stringify(rows)
    await sql`
      WITH booked AS (
        SELECT * FROM jsonb_to_recordset(${text}::text::jsonb)
          AS r (run_id uuid, pass_id uuid, "ageHours" float8, stream text, mode text, status text, inserted bigint)
      ), run AS (
        INSERT INTO sync.runs (run_id, started_at, finished_at, status, host, process_id, version)
        SELECT run_id, now() - make_interval(secs => "ageHours" * 3600), now(), status, 'host', 1, 'test' FROM booked
      )
      INSERT INTO sync.stream_runs
        (run_id, account, stream, pass_id, mode, status, started_at, finished_at, inserted, extracted, requests, left_over)
      SELECT run_id, ${account}, stream, pass_id, mode, status, now() - make_interval(secs => "ageHours" * 3600),
        now() - make_interval(secs => "ageHours" * 3600 - 60), inserted, inserted + 7, 2, 1
      FROM booked`
  })

/**
 * Books ticks of every quarter of an hour up to now: two lists, of which each tick reads what is new and one a night
 * all, and look-ups. One tick in eight changes something.
 */
export const bookTicks = (sql: postgres.Sql, days: number) =>
  Effect.promise(() =>
    sql.unsafe(
      `WITH tick AS MATERIALIZED (
         SELECT gen_random_uuid() AS run_id, n, now() - n * interval '15 minutes' AS at
         FROM generate_series(1, ${days} * 96) AS n
       ), run AS (
         INSERT INTO sync.runs (run_id, started_at, finished_at, status, host, process_id, version)
         SELECT run_id, at, at + interval '5 seconds', 'complete', 'host-of-a-container', 4711, '0.1.0' FROM tick
       )
       INSERT INTO sync.stream_runs (run_id, account, stream, pass_id, mode, status, started_at, finished_at,
         pages, extracted, inserted, unchanged, requests)
       SELECT run_id, 'default', stream, CASE WHEN mode = 'full' THEN gen_random_uuid() END, mode, 'complete',
         at, at + interval '5 seconds', 2, 20, CASE WHEN n % 8 = 0 THEN 1 ELSE 0 END, 19, 3
       FROM tick CROSS JOIN LATERAL (VALUES
         ('payouts', CASE WHEN n % 96 = 0 THEN 'full' ELSE 'incremental' END),
         ('transactions', CASE WHEN n % 96 = 0 THEN 'full' ELSE 'incremental' END),
         ('wallet_readiness', 'lookup')) AS s (stream, mode)`,
    ),
  )
