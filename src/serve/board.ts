import { Clock, Effect, Metric, type Scope } from "effect"
import type postgres from "postgres"
import type { ConfigurationError } from "../Errors.ts"
import { WarehouseError } from "../Errors.ts"
import { ageSeconds, type Limits, neverRan, type Problem, problemOf } from "../Health.ts"
import * as Metrics from "../Metrics.ts"
import type { StreamProgress } from "../Progress.ts"
import { KINDS, type Kind, type Schedule } from "../Scheduler.ts"
import type { Stream } from "../Stream.ts"
import { VERSION } from "../version.ts"
import { pendingMigrations } from "../warehouse/migrator.ts"
import { databaseNow, type RecentRun, recentRuns, type StreamStatus, statusOf } from "../warehouse/Status.ts"

/** What `serve` knows, in one piece: the page, `/readyz`, `/status.json` and `/metrics` all say the same. */
export interface Board {
  readonly version: string
  /** By Postgres' clock where it answers. */
  readonly now: string
  readonly startedAt: string
  readonly isStopping: boolean
  /** Why the database cannot be used; null where it can. The rest is then what was known before. */
  readonly databaseProblem: string | null
  readonly streams: ReadonlyArray<StreamEntry>
  readonly runs: ReadonlyArray<RecentRun>
  /** The run under way in this process, and how far its streams are. */
  readonly running: {
    readonly kind: Kind
    readonly since: string
    readonly streams: ReadonlyArray<StreamProgress>
  } | null
  readonly next: Readonly<Record<Kind, string>>
  readonly droppedTicks: number
  readonly limits: Limits
}

/** A stream that is to be synced; `status` is null before its first run. */
export interface StreamEntry {
  readonly account: string
  readonly stream: string
  readonly status: StreamStatus | null
  /** Seconds since the latest complete run ended. */
  readonly ageSeconds: number | null
  readonly problem: Problem | null
}

/** However many look, the database is asked no more often than this. */
const FRESH_MILLIS = 1_500
/** A database that takes longer does not answer. */
const ANSWER_LIMIT = "5 seconds"
/** Whether tables and views are the program's is looked up so often. */
const MIGRATIONS_MILLIS = 60_000
/** Rows of larger tables are estimated: a page that is looked at must not keep the database busy. */
const COUNTED_BYTES_MAX = 2 ** 24
const RUNS_SHOWN = 10
/** For who is told by metrics alone. */
const REFRESHED_EVERY = "15 seconds"

const NEVER = neverRan(
  "was never read: the first run is to come, or see the log for what is in its way.",
  null,
)

export interface BoardOptions {
  readonly accounts: ReadonlyArray<string>
  readonly streams: ReadonlyArray<Stream>
  readonly schedule: Pick<Schedule, "next">
  readonly limits: Limits
}

export interface KeptBoard {
  /** As it is now; at most a second or two old. */
  readonly read: Effect.Effect<Board>
  readonly began: (kind: Kind) => Effect.Effect<void>
  readonly ended: Effect.Effect<void>
  readonly dropped: (kind: Kind) => Effect.Effect<void>
  readonly stopping: Effect.Effect<void>
  readonly tell: (progress: StreamProgress) => Effect.Effect<void>
}

type Read = Pick<Board, "now" | "databaseProblem" | "streams" | "runs">

const iso = (millis: number) => new Date(millis).toISOString()

/** Why the board says that nobody should rely on it; empty where it is ready. */
export const reasonsOf = (board: Board): ReadonlyArray<string> => [
  ...(board.isStopping ? ["The process is stopping."] : []),
  ...(board.databaseProblem === null ? [] : [board.databaseProblem]),
  ...board.streams.flatMap(({ account, stream, problem }) =>
    problem === null ? [] : [`${account}/${stream}: ${problem.message}`],
  ),
]

const flag = (metric: typeof Metrics.ready, isSet: boolean) => Metric.set(metric, isSet ? 1 : 0)

/** What is true of the moment goes to the gauges, for whoever collects them. */
const gauge = (board: Board): Effect.Effect<void> =>
  Effect.gen(function* () {
    yield* flag(Metrics.ready, reasonsOf(board).length === 0)
    yield* flag(Metrics.databaseUp, board.databaseProblem === null)
    yield* flag(Metrics.running, board.running !== null)
    yield* Metric.set(Metrics.problems, board.streams.filter(({ problem }) => problem !== null).length)
    for (const kind of KINDS)
      yield* Metric.set(
        Metrics.labelled(Metrics.nextTick, { schedule: kind }),
        new Date(board.next[kind]).getTime() / 1000,
      )
    for (const { account, stream, status, ageSeconds } of board.streams) {
      const labels = { account, stream }
      yield* flag(Metrics.labelled(Metrics.leaseHeld, labels), (status?.heldBy ?? null) !== null)
      yield* Metric.set(Metrics.labelled(Metrics.openRejects, labels), status?.rejects ?? 0)
      yield* Metric.set(Metrics.labelled(Metrics.leftOver, labels), status?.leftOver ?? 0)
      if (ageSeconds !== null) yield* Metric.set(Metrics.labelled(Metrics.lag, labels), ageSeconds)
    }
  })

/** Keeps the board of a process, and asks `sql` when somebody wants to see it. */
export const makeBoard = (
  sql: postgres.Sql,
  { accounts, streams, schedule, limits }: BoardOptions,
): Effect.Effect<KeptBoard, never, Scope.Scope> =>
  Effect.gen(function* () {
    const scope = yield* Effect.scope
    const startedAt = yield* Clock.currentTimeMillis
    const progress = new Map<string, StreamProgress>()
    let running: { kind: Kind; since: string } | null = null
    let droppedTicks = 0
    let isStopping = false
    let pending = { checkedAt: Number.NEGATIVE_INFINITY, problem: null as string | null }
    let last: Read = { now: iso(startedAt), databaseProblem: "Not looked at yet.", streams: [], runs: [] }
    let readAt = Number.NEGATIVE_INFINITY

    const entry = (statuses: ReadonlyArray<StreamStatus>, now: Date) => (account: string, stream: string) => {
      const status = statuses.find(one => one.account === account && one.stream === stream) ?? null
      const age = status === null ? null : ageSeconds(status.lastCompleteAt, now)
      return {
        account,
        stream,
        status,
        ageSeconds: age,
        problem: status === null ? NEVER : problemOf(status, limits, now),
      }
    }

    const checkMigrations = Effect.gen(function* () {
      const millis = yield* Clock.currentTimeMillis
      if (millis - pending.checkedAt < MIGRATIONS_MILLIS) return
      const { migrations, views } = yield* pendingMigrations(sql)
      const isCurrent = migrations.length + views.length === 0
      pending = {
        checkedAt: millis,
        problem: isCurrent
          ? null
          : "The database is not this program's version: run `paycombat-sync migrate`.",
      }
    })

    const look: Effect.Effect<Read, WarehouseError | ConfigurationError> = Effect.gen(function* () {
      yield* checkMigrations
      const now = yield* databaseNow(sql)
      const [statuses, runs] = yield* Effect.all(
        [statusOf(sql, streams, COUNTED_BYTES_MAX), recentRuns(sql, RUNS_SHOWN)],
        { concurrency: 2 },
      )
      const entryOf = entry(statuses, now)
      return {
        now: now.toISOString(),
        databaseProblem: pending.problem,
        streams: accounts.flatMap(account => streams.map(({ name }) => entryOf(account, name))),
        runs,
      }
    })

    const refresh = look.pipe(
      Effect.timeoutFail({
        duration: ANSWER_LIMIT,
        onTimeout: () =>
          new WarehouseError({ message: `The database did not answer within ${ANSWER_LIMIT}.` }),
      }),
      Effect.catchAll(({ message }) =>
        Effect.map(Clock.currentTimeMillis, millis => ({
          ...last,
          now: iso(millis),
          databaseProblem: message,
        })),
      ),
      Effect.tap(read =>
        Effect.map(Clock.currentTimeMillis, millis => {
          last = read
          readAt = millis
        }),
      ),
    )

    const whole = (): Board => ({
      version: VERSION,
      startedAt: iso(startedAt),
      isStopping,
      ...last,
      running: running === null ? null : { ...running, streams: [...progress.values()] },
      next: {
        incremental: schedule.next("incremental").toISOString(),
        full: schedule.next("full").toISOString(),
      },
      droppedTicks,
      limits,
    })

    const oneAtATime = yield* Effect.makeSemaphore(1)
    const current = Effect.flatMap(Clock.currentTimeMillis, millis =>
      millis - readAt < FRESH_MILLIS ? Effect.void : refresh,
    ).pipe(oneAtATime.withPermits(1), Effect.map(whole), Effect.tap(gauge))
    // In a fiber of its own: who goes away must not take the answer from the others.
    const read = Effect.flatMap(Effect.forkIn(current, scope), fiber => fiber.await).pipe(Effect.flatten)

    yield* read.pipe(Effect.delay(REFRESHED_EVERY), Effect.forever, Effect.forkScoped)
    return {
      read,
      began: kind =>
        Effect.map(Clock.currentTimeMillis, millis => {
          progress.clear()
          running = { kind, since: iso(millis) }
        }),
      ended: Effect.sync(() => {
        running = null
        readAt = Number.NEGATIVE_INFINITY
      }),
      dropped: kind =>
        Effect.zipRight(
          Effect.sync(() => droppedTicks++),
          Metric.increment(Metrics.labelled(Metrics.droppedTicks, { schedule: kind })),
        ),
      stopping: Effect.sync(() => {
        isStopping = true
      }),
      tell: told => Effect.sync(() => void progress.set(JSON.stringify([told.account, told.stream]), told)),
    }
  })
