import { describe, expect, it } from "@effect/vitest"
import { Deferred, Effect, Fiber, Metric, Redacted, TestClock } from "effect"
import postgres from "postgres"
import { limitsOf } from "../../src/core/verdict.ts"
import * as Metrics from "../../src/observe/metrics.ts"
import { connect } from "../../src/postgres/connect.ts"
import { readingWithin } from "../../src/postgres/readOnly.ts"
import { query } from "../../src/postgres/statements.ts"
import { allStreams } from "../../src/registry.ts"
import { exposition } from "../../src/serve/prometheus.ts"
import { makeServeState } from "../../src/serve/state.ts"
import { runSql, testDatabase } from "../support/postgres.ts"
import { holdUp, MIGRATED, untilWaiting } from "../support/warehouse.ts"
import { parsePrometheus, valueOf } from "./prometheusText.ts"

/** Tests the state of `serve` while the warehouse does not answer, or answers too late. */

const PAYOUTS = { account: "away", stream: "payouts" }

/** A payout stream of the account `away` with a complete run that ended just now, and one reject. */
const READ_JUST_NOW = [
  `INSERT INTO sync.runs (run_id, host, process_id, version, started_at, status, finished_at)
   VALUES ('00000000-0000-4000-8000-000000000001', 'host', 1, '0', now(), 'complete', now())`,
  `INSERT INTO sync.stream_runs (run_id, account, stream, mode, status, started_at, finished_at)
   VALUES ('00000000-0000-4000-8000-000000000001', 'away', 'payouts', 'full', 'complete', now(), now())`,
]

const parts = (next: () => Date = () => new Date(0)) =>
  Effect.gen(function* () {
    const { ownerUrl } = yield* testDatabase({ template: MIGRATED })
    for (const statement of READ_JUST_NOW) yield* Effect.promise(() => runSql(ownerUrl, statement))
    const sql = yield* connect(ownerUrl)
    const streams = (yield* allStreams).filter(({ name }) => name === PAYOUTS.stream)
    const state = yield* makeServeState(sql, {
      accounts: [PAYOUTS.account],
      streams,
      schedule: { next },
      limits: limitsOf({ incremental: 900, full: 86_400 }),
    })
    const metric = (name: string) => valueOf(parsePrometheus(exposition()), name, PAYOUTS)
    const metricOf = (name: string) => {
      const read = parsePrometheus(exposition())
      return valueOf(read, name, name === "verdict" ? { account: PAYOUTS.account } : undefined)
    }
    const problems = () => valueOf(parsePrometheus(exposition()), "problems")
    return { state, sql, ownerUrl, metric, metricOf, problems }
  })

describe("while the database is away", () => {
  it.scoped("ages grow by the clock, and values that only the database knows are left out", () =>
    Effect.gen(function* () {
      const { state, sql, metric, metricOf, problems } = yield* parts()
      const before = yield* state.read
      expect([before.databaseProblem, before.streams[0]!.problem]).toEqual([null, null])
      expect([metric("open_rejects"), metric("lease_held"), metric("left_over"), problems()]).toEqual([
        0, 0, 0, 0,
      ])
      expect(metric("lag_seconds")).toBeLessThan(60)

      yield* Effect.promise(() => sql.end())
      yield* TestClock.adjust("10 minutes")
      const away = yield* state.read
      expect(away.databaseProblem).not.toBeNull()
      expect(away.figuresAt).toBe(before.figuresAt)
      expect(away.streams[0]!.ageSeconds).toBeCloseTo(before.streams[0]!.ageSeconds! + 600, 3)
      expect(metric("lag_seconds")).toBeGreaterThanOrEqual(600)
      expect([metric("open_rejects"), metric("lease_held"), metric("left_over")]).toEqual([
        undefined,
        undefined,
        undefined,
      ])

      yield* TestClock.adjust("2 hours")
      const stale = yield* state.read
      // The verdict stays as it was, except that the database does not answer.
      expect(stale.streams[0]!.ageSeconds).toBeGreaterThan(7_800)
      expect([metricOf("verdict"), metricOf("ready")]).toEqual([2, 0])
      expect(new Date(stale.now).getTime() - new Date(before.now).getTime()).toBe(130 * 60_000)
    }),
  )

  it.scoped("the state reads the database again after the clock was set back", () =>
    Effect.gen(function* () {
      const { state, sql } = yield* parts()
      yield* TestClock.adjust("2 hours")
      expect((yield* state.read).databaseProblem).toBeNull()
      yield* Effect.promise(() => sql.end())
      yield* TestClock.setTime(3_600_000)
      expect((yield* state.read).databaseProblem).not.toBeNull()
    }),
  )

  it.scoped("the state has no figures of a warehouse that never answered", () =>
    Effect.gen(function* () {
      const { state, sql, problems } = yield* parts()
      yield* Effect.promise(() => sql.end())
      const { databaseProblem, figuresAt, streams } = yield* state.read
      expect(databaseProblem).not.toBeNull()
      expect([figuresAt, streams, problems()]).toEqual([null, [], undefined])
    }),
  )
})

describe("equations of ledger_check", () => {
  it.scoped("the metrics count the equations that differ", () =>
    Effect.gen(function* () {
      const { state, ownerUrl } = yield* parts()
      const failing = () =>
        valueOf(parsePrometheus(exposition()), "failing_checks", { account: PAYOUTS.account })
      yield* state.read
      expect(failing()).toBe(0)
      yield* Effect.promise(() =>
        runSql(
          ownerUrl,
          `INSERT INTO sync.ledger_checks (account, check_name, currency, difference, row_count, differs_count, state, explanation, is_waiting, checked_at)
           VALUES ('away', 'payouts', 'EUR', 5, 3, 1, 'differs', 'One of three.', false, now())`,
        ),
      )
      yield* TestClock.adjust("1 minute")
      const { verdicts } = yield* state.read
      expect(failing()).toBe(1)
      expect(verdicts[0]!.sentence).toContain("payouts (payouts differs)")
    }),
  )
})

describe("tables and views of another version", () => {
  it.scoped("are noticed within two minutes, even if the clock is set", () =>
    Effect.gen(function* () {
      const { state, ownerUrl } = yield* parts()
      yield* TestClock.adjust("2 hours")
      expect((yield* state.read).databaseProblem).toBeNull()
      yield* Effect.promise(() => runSql(ownerUrl, "DROP VIEW analytics.settlement CASCADE"))
      yield* TestClock.adjust("5 seconds")
      expect((yield* state.read).databaseProblem).toBeNull()
      yield* TestClock.setTime(3_600_000)
      expect((yield* state.read).databaseProblem).toContain("migrate")
    }),
  )
})

describe("a run that ends while the state reads the database", () => {
  it.scopedLive(
    "makes the next reader read the database again, so that the run no longer shows as running",
    () =>
      Effect.gen(function* () {
        const { state, sql, ownerUrl } = yield* parts()
        // Runs are read after the streams.
        const letGo = yield* holdUp(sql, "sync.runs", "ACCESS EXCLUSIVE")
        const looking = yield* Effect.fork(state.read)
        yield* untilWaiting(sql)
        yield* Effect.promise(() => runSql(ownerUrl, "UPDATE sync.stream_runs SET status = 'interrupted'"))
        yield* state.ended(PAYOUTS.account)
        yield* letGo
        yield* Fiber.join(looking)
        expect((yield* state.read).streams[0]!.status).toMatchObject({ lastRunStatus: "interrupted" })
      }),
  )
})

describe("a database that does not answer in time", () => {
  it.scopedLive("does not keep queries whose readers timed out", () =>
    Effect.gen(function* () {
      const { state, ownerUrl } = yield* parts()
      const other = postgres(Redacted.value(ownerUrl), { max: 2, onnotice: () => {} })
      yield* Effect.addFinalizer(() => Effect.promise(() => other.end()))
      const waiting = Effect.promise(
        () => other`
          SELECT query FROM pg_stat_activity
          WHERE datname = current_database() AND application_name = 'paycombat-sync' AND wait_event_type = 'Lock'`,
      )
      const locked = yield* Effect.promise(async () => {
        const connection = await other.reserve()
        await connection`BEGIN`
        await connection`LOCK TABLE sync.stream_runs`
        return connection
      })
      const looking = yield* Effect.fork(state.read)
      yield* Effect.repeat(waiting, { until: rows => rows.length > 0 })
      // A reader times out soon after Postgres ends the statement. On a slow machine it may time out first.
      expect((yield* Fiber.join(looking)).databaseProblem).toMatch(/statement timeout|did not answer within/)
      // The lock is still held, so nothing else would end the query.
      yield* Effect.repeat(waiting, { until: rows => rows.length === 0 })
      yield* Effect.promise(() => locked`ROLLBACK`)
      locked.release()
      yield* Effect.repeat(state.read, { until: ({ databaseProblem }) => databaseProblem === null })
    }),
  )
})

describe("a read with a time limit", () => {
  it.scopedLive("sends no further statement after its caller was interrupted", () =>
    Effect.gen(function* () {
      const { ownerUrl } = yield* testDatabase({ template: MIGRATED })
      const sql = yield* connect(ownerUrl)
      yield* Effect.promise(() => sql`CREATE SEQUENCE public.asked`)
      const begun = yield* Deferred.make<void>()
      const goesOn = yield* Deferred.make<void>()
      const after = yield* Deferred.make<ReadonlyArray<string>>()
      const read = readingWithin(sql, 60_000, tx =>
        query(async () => {
          await tx`SELECT 1`
          Deferred.unsafeDone(begun, Effect.void)
          await Effect.runPromise(Deferred.await(goesOn))
          const came: Array<string> = []
          for (const ask of [
            () => tx`SELECT nextval('public.asked')`,
            () => tx.unsafe("SELECT nextval('public.asked')"),
          ])
            came.push(
              await Promise.resolve()
                .then(ask)
                .then(
                  () => "asked",
                  () => "not asked",
                ),
            )
          Deferred.unsafeDone(after, Effect.succeed(came))
        }),
      )
      const reading = yield* Effect.fork(read)
      yield* Deferred.await(begun)
      yield* Fiber.interrupt(reading)
      yield* Deferred.succeed(goesOn, undefined)
      expect(yield* Deferred.await(after)).toEqual(["not asked", "not asked"])
      expect(yield* Effect.promise(() => sql`SELECT is_called FROM public.asked`)).toEqual([
        { is_called: false },
      ])
    }),
  )
})

describe("a defect in the state", () => {
  it.scoped("does not stop the refreshes, and resets the gauge `ready`", () =>
    Effect.gen(function* () {
      let looks = 0
      const { state, sql } = yield* parts(() => {
        if (++looks === 1) throw new Error("not now")
        return new Date(0)
      })
      yield* Effect.promise(() => sql.end())
      const ready = () => valueOf(parsePrometheus(exposition()), "ready")
      yield* Metric.set(Metrics.ready, 1)
      const fiber = yield* Effect.forkScoped(state.refreshing)
      const passing = Effect.zipRight(
        TestClock.adjust("15 seconds"),
        Effect.promise(() => new Promise(resolve => setTimeout(resolve, 50))),
      )
      yield* Effect.repeat(passing, { until: () => looks >= 1 })
      // The test clock stands still, so the next refresh, which would also reset the gauge, does not come.
      const moment = Effect.promise(() => new Promise(resolve => setTimeout(resolve, 10)))
      yield* Effect.repeat(moment, { until: () => ready() === 0 })
      expect(looks).toBe(1)
      yield* Effect.repeat(passing, { until: () => looks >= 3 })
      expect(fiber.unsafePoll()).toBeNull()
    }),
  )
})
