import { Clock, Effect, Metric, type Scope } from "effect"
import type postgres from "postgres"
import { ageSeconds, findingsOf, type Limits, problemOf } from "../core/verdict.ts"
import { VERSION } from "../core/version.ts"
import * as Metrics from "../observe/metrics.ts"
import type { StreamProgress } from "../observe/progress.ts"
import type { Kind, Schedule } from "../status/scheduler.ts"
import {
  type DatabaseScope,
  type DatabaseState,
  isYounger,
  type LastAnswer,
  readDatabase,
  unread,
} from "./database.ts"
import { setGauges } from "./gauges.ts"
import { type Running, reasonsOf, type Snapshot, type StreamEntry } from "./snapshot.ts"

/** Age up to which a snapshot is reused. It limits the load on the database, however many clients ask. */
const FRESH_MILLIS = 1_500
/** Refresh interval for clients that only read metrics. */
const REFRESHED_EVERY = "15 seconds"

export interface ServeStateOptions extends DatabaseScope {
  readonly schedule: Pick<Schedule, "next">
  readonly limits: Limits
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

const iso = (millis: number) => new Date(millis).toISOString()

interface Activity {
  readonly running: Map<string, Pick<Running, "kind" | "since">>
  readonly progress: Map<string, ReadonlyMap<string, StreamProgress>>
  readonly dropped: Map<string, number>
  isStopping: boolean
}

const entriesAt = (
  { accounts, streams }: ServeStateOptions,
  { statuses, verdicts }: LastAnswer,
  now: Date,
): ReadonlyArray<StreamEntry> =>
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

const snapshotOf = (
  options: ServeStateOptions,
  { answer, problem }: DatabaseState,
  { running, progress, dropped, isStopping }: Activity,
  { startedAt, millis }: { readonly startedAt: number; readonly millis: number },
): Snapshot => {
  const { accounts, schedule, limits } = options
  // A clock that was set back must not make figures younger.
  const passed = answer === null ? 0 : Math.max(0, millis - answer.hereMillis)
  const now = answer === null ? new Date(millis) : new Date(answer.at.getTime() + passed)
  return {
    version: VERSION,
    now: now.toISOString(),
    figuresAt: answer?.at.toISOString() ?? null,
    startedAt: iso(startedAt),
    isStopping,
    databaseProblem: problem,
    accounts,
    verdicts: answer?.verdicts ?? [],
    streams: answer === null ? [] : entriesAt(options, answer, now),
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

/** Reads snapshots, and their database part again when it is too old or a run has ended. */
const makeReader = (sql: postgres.Sql, options: ServeStateOptions, activity: Activity) =>
  Effect.gen(function* () {
    const scope = yield* Effect.scope
    const startedAt = yield* Clock.currentTimeMillis
    const oneAtATime = yield* Effect.makeSemaphore(1)
    const database = unread()
    let readAt = Number.NEGATIVE_INFINITY
    let endedRuns = 0
    const refresh = Effect.gen(function* () {
      const before = endedRuns
      yield* readDatabase(sql, options, database)
      // An answer may be older than a run that ended meanwhile.
      if (endedRuns === before) readAt = yield* Clock.currentTimeMillis
    })
    const current = Effect.flatMap(Clock.currentTimeMillis, millis =>
      isYounger(FRESH_MILLIS, millis, readAt) ? Effect.void : refresh,
    ).pipe(
      oneAtATime.withPermits(1),
      Effect.zipRight(Clock.currentTimeMillis),
      Effect.map(millis => snapshotOf(options, database, activity, { startedAt, millis })),
      Effect.tap(snapshot => setGauges(snapshot, reasonsOf(snapshot).length === 0, database.isCurrent)),
    )
    return {
      // Read in a separate fiber: a client that disconnects must not cancel the answer for the others.
      read: Effect.flatMap(Effect.forkIn(current, scope), fiber => fiber.await).pipe(Effect.flatten),
      runEnded: () => {
        endedRuns += 1
        readAt = Number.NEGATIVE_INFINITY
      },
    }
  })

/** Creates the state of a `serve` process. It reads from `sql` when a snapshot is requested. */
export const makeServeState = (
  sql: postgres.Sql,
  options: ServeStateOptions,
): Effect.Effect<ServeState, never, Scope.Scope> =>
  Effect.gen(function* () {
    const activity: Activity = {
      running: new Map(),
      progress: new Map(),
      dropped: new Map(options.accounts.map(account => [account, 0])),
      isStopping: false,
    }
    const { running, progress, dropped } = activity
    const { read, runEnded } = yield* makeReader(sql, options, activity)
    const refreshing = read.pipe(
      Effect.catchAllDefect(defect =>
        // A gauge that is no longer refreshed must not show good.
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
          runEnded()
        }),
      dropped: (account, kind) =>
        Effect.zipRight(
          Effect.sync(() => void dropped.set(account, (dropped.get(account) ?? 0) + 1)),
          Metric.increment(Metrics.labelled(Metrics.droppedTicks, { account, schedule: kind })),
        ),
      stopping: Effect.sync(() => {
        activity.isStopping = true
      }),
      progressed: report =>
        Effect.sync(() => {
          const streams = progress.get(report.account)
          progress.set(report.account, new Map(streams).set(report.stream, report))
        }),
    }
  })
