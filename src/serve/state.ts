import { Clock, Effect, Metric, type Scope } from "effect"
import type postgres from "postgres"
import type { ConfigurationError } from "../core/errors.ts"
import { WarehouseError } from "../core/errors.ts"
import type { Stream } from "../core/stream.ts"
import { ageSeconds, findingsOf, type Limits, problemOf, type Verdict } from "../core/verdict.ts"
import { VERSION } from "../core/version.ts"
import * as Metrics from "../observe/metrics.ts"
import type { StreamProgress } from "../observe/progress.ts"
import { readingWithin } from "../postgres/readOnly.ts"
import type { Kind, Schedule } from "../status/scheduler.ts"
import {
  databaseNow,
  type RecentRun,
  recentRuns,
  type StreamStatus,
  statusOf,
} from "../warehouse/read/status.ts"
import { verdictsOf } from "../warehouse/read/verdict.ts"
import { pendingMigrations } from "../warehouse/schema/migrator.ts"
import { setGauges } from "./gauges.ts"
import { type Running, reasonsOf, type Snapshot, type StreamEntry } from "./snapshot.ts"

/** Age up to which a snapshot is reused. It limits the load on the database, however many clients ask. */
const FRESH_MILLIS = 1_500
/**
 * Time after which the database counts as not answering. Postgres ends a statement a little earlier, and reports why.
 */
const ANSWER_LIMIT = "5 seconds"
const STATEMENT_MILLIS = 4_500
/** Interval between two checks that tables and views are at the program's version. */
const MIGRATIONS_MILLIS = 60_000
/**
 * Size up to which rows are counted. The rows of larger tables are estimated, so that a watched page does not load the
 * database.
 */
const COUNTED_BYTES_MAX = 2 ** 24
const RUNS_SHOWN = 10
/** Runs shown per account, because several accounts run at each tick. */
const RUNS_SHOWN_EACH = 4
/** Refresh interval for clients that only read metrics. */
const REFRESHED_EVERY = "15 seconds"

export interface ServeStateOptions {
  readonly accounts: ReadonlyArray<string>
  readonly streams: ReadonlyArray<Stream>
  readonly schedule: Pick<Schedule, "next">
  readonly limits: Limits
  /** Age in seconds beyond which figures are stale. If absent, the stored limit of each account applies. */
  readonly maxAgeSeconds?: number
}

export interface ServeState {
  /** Returns the current snapshot. Its database part is at most a second or two old. */
  readonly read: Effect.Effect<Snapshot>
  /** Keeps the gauges up to date without any reader. Never ends: failures are logged and tried again. */
  readonly refreshing: Effect.Effect<never>
  readonly began: (account: string, kind: Kind) => Effect.Effect<void>
  readonly ended: (account: string) => Effect.Effect<void>
  readonly dropped: (account: string, kind: Kind) => Effect.Effect<void>
  readonly stopping: Effect.Effect<void>
  readonly progressed: (progress: StreamProgress) => Effect.Effect<void>
}

/** The database's last answer, with its time by Postgres' clock and by this process' clock. */
interface LastAnswer {
  readonly statuses: ReadonlyArray<StreamStatus>
  readonly verdicts: ReadonlyArray<Verdict>
  readonly runs: ReadonlyArray<RecentRun>
  readonly at: Date
  readonly hereMillis: number
}

/** True if `since` is less than `limit` ms ago. A `since` in the future (the clock was set back) counts as too old. */
const isYounger = (limitMillis: number, millis: number, since: number) =>
  millis >= since && millis - since < limitMillis

const iso = (millis: number) => new Date(millis).toISOString()

/** Creates the state of a `serve` process. It reads from `sql` when a snapshot is requested. */
export const makeServeState = (
  sql: postgres.Sql,
  { accounts, streams, schedule, limits, maxAgeSeconds }: ServeStateOptions,
): Effect.Effect<ServeState, never, Scope.Scope> =>
  Effect.gen(function* () {
    const scope = yield* Effect.scope
    const startedAt = yield* Clock.currentTimeMillis
    const progress = new Map<string, ReadonlyMap<string, StreamProgress>>()
    const running = new Map<string, Pick<Running, "kind" | "since">>()
    const dropped = new Map(accounts.map(account => [account, 0]))
    const runsShown = Math.max(RUNS_SHOWN, RUNS_SHOWN_EACH * accounts.length)
    let isStopping = false
    let pending = { checkedAt: Number.NEGATIVE_INFINITY, problem: null as string | null }
    let answer: LastAnswer | null = null
    let databaseProblem: string | null = "The database was not read yet."
    let isCurrent = false
    let readAt = Number.NEGATIVE_INFINITY
    let endedRuns = 0

    const checkMigrations = (tx: postgres.Sql) =>
      Effect.gen(function* () {
        const millis = yield* Clock.currentTimeMillis
        if (isYounger(MIGRATIONS_MILLIS, millis, pending.checkedAt)) return
        const { migrations, views } = yield* pendingMigrations(tx)
        const isMigrated = migrations.length + views.length === 0
        pending = {
          checkedAt: millis,
          problem: isMigrated
            ? null
            : "The database is not this program's version: run `paycombat-sync migrate`.",
        }
      })

    const readDatabase: Effect.Effect<void, WarehouseError | ConfigurationError> = readingWithin(
      sql,
      STATEMENT_MILLIS,
      tx =>
        Effect.gen(function* () {
          yield* checkMigrations(tx)
          const statuses = yield* statusOf(tx, streams, COUNTED_BYTES_MAX)
          const all = yield* verdictsOf(tx, {
            accounts,
            streams: streams.map(({ name }) => name),
            limits: maxAgeSeconds === undefined ? {} : { maxAgeSeconds },
          })
          const verdicts = all.filter(({ account }) => accounts.includes(account))
          const runs = yield* recentRuns(tx, runsShown)
          const at = yield* databaseNow(tx)
          return { statuses, verdicts, runs, at, hereMillis: yield* Clock.currentTimeMillis }
        }),
    ).pipe(
      Effect.flatMap(read =>
        Effect.sync(() => {
          answer = read
          databaseProblem = pending.problem
          isCurrent = true
        }),
      ),
    )

    const readOrProblem = readDatabase.pipe(
      Effect.timeoutFail({
        duration: ANSWER_LIMIT,
        onTimeout: () =>
          new WarehouseError({ message: `The database did not answer within ${ANSWER_LIMIT}.` }),
      }),
      Effect.catchAllDefect(defect =>
        Effect.zipRight(
          Effect.logError("unexpected failure while reading the database", defect),
          new WarehouseError({ message: "The database's answer could not be read: see the log." }),
        ),
      ),
      Effect.catchAll(({ message }) =>
        Effect.sync(() => {
          databaseProblem = message
          isCurrent = false
        }),
      ),
    )

    const refresh = Effect.gen(function* () {
      const before = endedRuns
      yield* readOrProblem
      // An answer may be older than a run that ended meanwhile.
      if (endedRuns === before) readAt = yield* Clock.currentTimeMillis
    })

    const entriesAt = ({ statuses, verdicts }: LastAnswer, now: Date): ReadonlyArray<StreamEntry> =>
      accounts.flatMap(account =>
        streams.map(({ name: stream }) => {
          const status = statuses.find(one => one.account === account && one.stream === stream) ?? null
          const findings = verdicts.find(one => one.account === account)?.findings ?? []
          return {
            account,
            stream,
            status,
            ageSeconds: status === null ? null : ageSeconds(status.lastCompleteAt, now),
            problem: problemOf(findingsOf(findings, stream)),
          }
        }),
      )

    const snapshotAt = (millis: number): Snapshot => {
      // A clock that was set back must not make figures younger.
      const passed = answer === null ? 0 : Math.max(0, millis - answer.hereMillis)
      const now = answer === null ? new Date(millis) : new Date(answer.at.getTime() + passed)
      return {
        version: VERSION,
        now: now.toISOString(),
        figuresAt: answer?.at.toISOString() ?? null,
        startedAt: iso(startedAt),
        isStopping,
        databaseProblem,
        accounts,
        verdicts: answer?.verdicts ?? [],
        streams: answer === null ? [] : entriesAt(answer, now),
        runs: answer?.runs ?? [],
        running: accounts.flatMap(account => {
          const run = running.get(account)
          return run === undefined
            ? []
            : [{ account, ...run, streams: [...(progress.get(account)?.values() ?? [])] }]
        }),
        next: {
          incremental: schedule.next("incremental").toISOString(),
          full: schedule.next("full").toISOString(),
        },
        droppedTicks: Object.fromEntries(dropped),
        limits,
      }
    }

    const oneAtATime = yield* Effect.makeSemaphore(1)
    const current = Effect.flatMap(Clock.currentTimeMillis, millis =>
      isYounger(FRESH_MILLIS, millis, readAt) ? Effect.void : refresh,
    ).pipe(
      oneAtATime.withPermits(1),
      Effect.zipRight(Clock.currentTimeMillis),
      Effect.map(snapshotAt),
      Effect.tap(snapshot => setGauges(snapshot, reasonsOf(snapshot).length === 0, isCurrent)),
    )
    // Read in a separate fiber: a client that disconnects must not cancel the answer for the others.
    const read = Effect.flatMap(Effect.forkIn(current, scope), fiber => fiber.await).pipe(Effect.flatten)

    const refreshing = read.pipe(
      Effect.catchAllDefect(defect =>
        // A gauge that is no longer refreshed must not readDatabase good.
        Effect.zipRight(
          Metric.set(Metrics.ready, 0),
          Effect.logError("the status could not be read; it will be tried again", defect),
        ),
      ),
      Effect.delay(REFRESHED_EVERY),
      Effect.forever,
    )
    return {
      read,
      refreshing,
      began: (account, kind) =>
        Effect.map(Clock.currentTimeMillis, millis => {
          progress.delete(account)
          running.set(account, { kind, since: iso(millis) })
        }),
      ended: account =>
        Effect.sync(() => {
          running.delete(account)
          endedRuns += 1
          readAt = Number.NEGATIVE_INFINITY
        }),
      dropped: (account, kind) =>
        Effect.zipRight(
          Effect.sync(() => void dropped.set(account, (dropped.get(account) ?? 0) + 1)),
          Metric.increment(Metrics.labelled(Metrics.droppedTicks, { account, schedule: kind })),
        ),
      stopping: Effect.sync(() => {
        isStopping = true
      }),
      progressed: report =>
        Effect.sync(() => {
          const streams = progress.get(report.account)
          progress.set(report.account, new Map(streams).set(report.stream, report))
        }),
    }
  })
