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
import { reasonsOf } from "./boardVerdict.ts"
import { setGauges } from "./gauges.ts"
import type { Board, Running, StreamEntry } from "./snapshot.ts"

/** However many look, the database is asked no more often than this. */
const FRESH_MILLIS = 1_500
/** A database that takes longer does not answer. Postgres ends a statement a little sooner, and says why. */
const ANSWER_LIMIT = "5 seconds"
const STATEMENT_MILLIS = 4_500
/** Whether tables and views are the program's is looked up so often. */
const MIGRATIONS_MILLIS = 60_000
/** Rows of larger tables are estimated: a page that is looked at must not keep the database busy. */
const COUNTED_BYTES_MAX = 2 ** 24
const RUNS_SHOWN = 10
/** With several accounts there are more of them at each tick. */
const RUNS_SHOWN_EACH = 4
/** For who is told by metrics alone. */
const REFRESHED_EVERY = "15 seconds"

export interface BoardOptions {
  readonly accounts: ReadonlyArray<string>
  readonly streams: ReadonlyArray<Stream>
  readonly schedule: Pick<Schedule, "next">
  readonly limits: Limits
  /** Age in seconds beyond which figures are stale, where it is given; else what is stored of the account. */
  readonly maxAgeSeconds?: number
}

export interface KeptBoard {
  /** As it is now; what the database knows, at most a second or two old. */
  readonly read: Effect.Effect<Board>
  /** Keeps the gauges up to date though nobody reads. Never ends: what goes wrong is logged, and tried again. */
  readonly refreshing: Effect.Effect<never>
  readonly began: (account: string, kind: Kind) => Effect.Effect<void>
  readonly ended: (account: string) => Effect.Effect<void>
  readonly dropped: (account: string, kind: Kind) => Effect.Effect<void>
  readonly stopping: Effect.Effect<void>
  readonly tell: (progress: StreamProgress) => Effect.Effect<void>
}

/** What the database last said, and when by which clock. */
interface Seen {
  readonly statuses: ReadonlyArray<StreamStatus>
  readonly verdicts: ReadonlyArray<Verdict>
  readonly runs: ReadonlyArray<RecentRun>
  readonly at: Date
  readonly hereMillis: number
}

/** Whether no more than that passed since. What is still to come was before the clock was set back, nobody knows how long. */
const isWithin = (limitMillis: number, millis: number, since: number) =>
  millis >= since && millis - since < limitMillis

const iso = (millis: number) => new Date(millis).toISOString()

/** Keeps the board of a process, and asks `sql` when somebody wants to see it. */
export const makeBoard = (
  sql: postgres.Sql,
  { accounts, streams, schedule, limits, maxAgeSeconds }: BoardOptions,
): Effect.Effect<KeptBoard, never, Scope.Scope> =>
  Effect.gen(function* () {
    const scope = yield* Effect.scope
    const startedAt = yield* Clock.currentTimeMillis
    const progress = new Map<string, ReadonlyMap<string, StreamProgress>>()
    const running = new Map<string, Pick<Running, "kind" | "since">>()
    const dropped = new Map(accounts.map(account => [account, 0]))
    const runsShown = Math.max(RUNS_SHOWN, RUNS_SHOWN_EACH * accounts.length)
    let isStopping = false
    let pending = { checkedAt: Number.NEGATIVE_INFINITY, problem: null as string | null }
    let seen: Seen | null = null
    let databaseProblem: string | null = "Not looked at yet."
    let isKnown = false
    let lookedAt = Number.NEGATIVE_INFINITY
    let endedRuns = 0

    const checkMigrations = (tx: postgres.Sql) =>
      Effect.gen(function* () {
        const millis = yield* Clock.currentTimeMillis
        if (isWithin(MIGRATIONS_MILLIS, millis, pending.checkedAt)) return
        const { migrations, views } = yield* pendingMigrations(tx)
        const isCurrent = migrations.length + views.length === 0
        pending = {
          checkedAt: millis,
          problem: isCurrent
            ? null
            : "The database is not this program's version: run `paycombat-sync migrate`.",
        }
      })

    const look: Effect.Effect<void, WarehouseError | ConfigurationError> = readingWithin(
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
          seen = read
          databaseProblem = pending.problem
          isKnown = true
        }),
      ),
    )

    const refreshed = look.pipe(
      Effect.timeoutFail({
        duration: ANSWER_LIMIT,
        onTimeout: () =>
          new WarehouseError({ message: `The database did not answer within ${ANSWER_LIMIT}.` }),
      }),
      Effect.catchAllDefect(defect =>
        Effect.zipRight(
          Effect.logError("unexpected failure while looking at the database", defect),
          new WarehouseError({ message: "The database was not understood: see the log." }),
        ),
      ),
      Effect.catchAll(({ message }) =>
        Effect.sync(() => {
          databaseProblem = message
          isKnown = false
        }),
      ),
    )

    const refresh = Effect.gen(function* () {
      const before = endedRuns
      yield* refreshed
      // What was seen while a run ended may be of before it did.
      if (endedRuns === before) lookedAt = yield* Clock.currentTimeMillis
    })

    const entriesAt = ({ statuses, verdicts }: Seen, now: Date): ReadonlyArray<StreamEntry> =>
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

    const whole = (millis: number): Board => {
      // A clock that is set back makes nothing younger.
      const passed = seen === null ? 0 : Math.max(0, millis - seen.hereMillis)
      const now = seen === null ? new Date(millis) : new Date(seen.at.getTime() + passed)
      return {
        version: VERSION,
        now: now.toISOString(),
        figuresAt: seen?.at.toISOString() ?? null,
        startedAt: iso(startedAt),
        isStopping,
        databaseProblem,
        accounts,
        verdicts: seen?.verdicts ?? [],
        streams: seen === null ? [] : entriesAt(seen, now),
        runs: seen?.runs ?? [],
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
      isWithin(FRESH_MILLIS, millis, lookedAt) ? Effect.void : refresh,
    ).pipe(
      oneAtATime.withPermits(1),
      Effect.zipRight(Clock.currentTimeMillis),
      Effect.map(whole),
      Effect.tap(board => setGauges(board, reasonsOf(board).length === 0, isKnown)),
    )
    // In a fiber of its own: who goes away must not take the answer from the others.
    const read = Effect.flatMap(Effect.forkIn(current, scope), fiber => fiber.await).pipe(Effect.flatten)

    const refreshing = read.pipe(
      Effect.catchAllDefect(defect =>
        // A figure that stands still must not look like a good one.
        Effect.zipRight(
          Metric.set(Metrics.ready, 0),
          Effect.logError("the status cannot be told; it is tried again", defect),
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
          lookedAt = Number.NEGATIVE_INFINITY
        }),
      dropped: (account, kind) =>
        Effect.zipRight(
          Effect.sync(() => void dropped.set(account, (dropped.get(account) ?? 0) + 1)),
          Metric.increment(Metrics.labelled(Metrics.droppedTicks, { account, schedule: kind })),
        ),
      stopping: Effect.sync(() => {
        isStopping = true
      }),
      tell: told =>
        Effect.sync(() => {
          const streams = progress.get(told.account)
          progress.set(told.account, new Map(streams).set(told.stream, told))
        }),
    }
  })
