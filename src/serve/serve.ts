import type * as HttpClient from "@effect/platform/HttpClient"
import { Effect, Exit, Fiber, Scope, Stream } from "effect"
import type { AccountSettings, HttpSettings, ScheduleSettings } from "../config/config.ts"
import type { ConfigurationError, WarehouseError } from "../core/errors.ts"
import { isList } from "../core/stream.ts"
import { ageSeconds } from "../core/verdict.ts"
import * as Metrics from "../observe/metrics.ts"
import { Progress } from "../observe/progress.ts"
import { connect, Warehouse } from "../postgres/connect.ts"
import { type Kind, makeSchedule, type Schedule } from "../status/scheduler.ts"
import { limitsBy } from "../status/schedules.ts"
import type { RunOptions } from "../sync/context.ts"
import { keepLimits } from "../sync/limits.ts"
import { runOnce } from "../sync/run.ts"
import type { RunSummary } from "../warehouse/ledger/summary.ts"
import { databaseNow, statusOf } from "../warehouse/read/status.ts"
import { type KeptBoard, makeBoard } from "./board.ts"
import { type Done, dispatch } from "./dispatch.ts"
import { listen } from "./http.ts"

/** A process that stays up: a run at each tick, and its state over HTTP. */

export interface ServeOptions extends RunOptions {
  readonly schedule: ScheduleSettings
  readonly http: HttpSettings
  /** Age in seconds beyond which figures are stale; twice the schedule's interval, at least an hour, where absent. */
  readonly maxAgeSeconds?: number
}

/** Ticks that wait for an account to look at them at most; the oldest go. */
const TICKS_KEPT = 16

/** What a run's look-ups may take of the calls that fit before the next tick: the lists need some, too. */
const LOOKUP_SHARE = 0.8

/** Look-ups that fit before the next tick: rate × seconds to it × `LOOKUP_SHARE`, at least one. */
export const lookupBudget = (ratePerSecond: number, secondsToTick: number): number =>
  Math.max(1, Math.floor(ratePerSecond * secondsToTick * LOOKUP_SHARE))

const summedUp = ({ status, startedAt, finishedAt, streams }: RunSummary): string => {
  const took = ((new Date(finishedAt ?? startedAt).getTime() - new Date(startedAt).getTime()) / 1000).toFixed(
    1,
  )
  const sum = (value: (stream: RunSummary["streams"][number]) => number) =>
    streams.reduce((total, stream) => total + value(stream), 0)
  const failed = streams
    .filter(stream => stream.status === "failed")
    .map(({ account, stream }) => `${account}/${stream}`)
  return (
    `run ${status} after ${took} s: ${sum(stream => stream.extracted)} read, ` +
    `${sum(stream => stream.inserted + stream.updated)} new or changed, ${sum(stream => stream.requests)} requests` +
    (failed.length === 0 ? "" : `; failed: ${failed.join(", ")}`)
  )
}

/** Whether every list of the account was read whole since then: a first pass may take longer than to the next full tick. */
const isReadWhole = ({ streams }: ServeOptions, account: string, since: Date) =>
  Effect.gen(function* () {
    const { sql } = yield* Warehouse
    const statuses = yield* statusOf(sql, streams, 0)
    return streams.filter(isList).every(stream => {
      const at = statuses.find(one => one.account === account && one.stream === stream.name)?.lastFullAt
      return at != null && new Date(at) > since
    })
  })

/** One run of one account at a tick. Whatever comes of it, the process goes on to the next. */
const runAt =
  (options: ServeOptions, account: AccountSettings, schedule: Schedule, board: KeptBoard) =>
  (kind: Kind, dueAt: Date | null): Effect.Effect<Done, never, Warehouse | HttpClient.HttpClient> =>
    Effect.gen(function* () {
      if (kind === "full" && dueAt !== null && (yield* isReadWhole(options, account.name, dueAt))) {
        yield* Effect.logInfo("every list was read whole since the full pass was due: there is nothing to do")
        return "done" as const
      }
      const secondsToTick = (schedule.next("incremental").getTime() - Date.now()) / 1000
      const lookupCalls = lookupBudget(account.ratePerSecond, secondsToTick)
      const logged = yield* Progress
      const progress = Progress.of({
        tell: told => Effect.zipRight(board.tell(told), logged.tell(told)),
      })
      const summary = yield* runOnce({
        ...options,
        accounts: [account],
        full: kind === "full",
        lookupCalls,
      }).pipe(Effect.provideService(Progress, progress))
      const log = summary.status === "failed" ? Effect.logWarning : Effect.logInfo
      yield* log(summedUp(summary)).pipe(Effect.annotateLogs("run", summary.runId))
      return "done" as const
    }).pipe(
      Effect.catchTags({
        LeaseError: ({ message }) =>
          Effect.as(Effect.logInfo(`nothing to do: ${message}`), "nothing" as const),
        WarehouseError: ({ message }) => Effect.as(Effect.logError(`no run: ${message}`), "nothing" as const),
      }),
      Effect.catchAllDefect(defect =>
        Effect.as(Effect.logError("unexpected failure", defect), "done" as const),
      ),
      (run): Effect.Effect<Done, never, Warehouse | HttpClient.HttpClient> =>
        board
          .began(account.name, kind)
          .pipe(Effect.zipRight(run), Effect.ensuring(board.ended(account.name))),
    )

/** The accounts of which a stream was not read to its end for longer than from one tick to the next. */
const overdue = ({ accounts, streams }: ServeOptions, intervalSeconds: number) =>
  Effect.gen(function* () {
    const { sql } = yield* Warehouse
    const statuses = yield* statusOf(sql, streams, 0)
    const now = yield* databaseNow(sql)
    return accounts.filter(account =>
      streams.some(stream => {
        const status = statuses.find(one => one.account === account.name && one.stream === stream.name)
        const age = ageSeconds(status?.lastCompleteAt ?? null, now)
        return age === null || age > intervalSeconds
      }),
    )
  })

/**
 * Stays up until it is interrupted; then it stops listening, and the run under way ends as an interrupted one. Fails
 * only at its start, where the schedule or the address is wrong, or the database away; and where an embedded database is
 * to be found elsewhere from now on. Accounts share the schedule and nothing else: each has its runs, and one that is
 * slow or fails costs the others no tick.
 */
export const serveWith = (
  options: ServeOptions,
): Effect.Effect<never, ConfigurationError | WarehouseError, Warehouse | HttpClient.HttpClient> =>
  Effect.gen(function* () {
    const { ownerUrl, moved = Effect.never } = yield* Warehouse
    const schedule = yield* makeSchedule(options.schedule)
    // Connections of its own: who looks at the page waits for no run, and no run for them.
    const sql = yield* connect(ownerUrl)
    const accounts = options.accounts.map(({ name }) => name)
    yield* Metrics.begin(accounts)
    const board = yield* makeBoard(sql, {
      accounts,
      streams: options.streams,
      schedule,
      limits: limitsBy(schedule, options.maxAgeSeconds),
      ...(options.maxAgeSeconds === undefined ? {} : { maxAgeSeconds: options.maxAgeSeconds }),
    })
    yield* keepLimits(sql, options)
    const listening = yield* Scope.make()
    yield* Effect.addFinalizer(exit => Scope.close(listening, exit))
    const url = yield* Scope.extend(listen(options.http, board.read), listening)
    const first = yield* overdue(options, schedule.intervalSeconds("incremental"))
    yield* Effect.logInfo(
      `listening on ${url}; next run ${first.length === 0 ? schedule.next("incremental").toISOString() : "now"},` +
        ` next full pass ${schedule.next("full").toISOString()}`,
    )
    const ticks = yield* Stream.broadcast(schedule.ticks, options.accounts.length, {
      capacity: TICKS_KEPT,
      strategy: "sliding",
    })
    const dispatchers = options.accounts.map((account, position) =>
      dispatch({
        ticks: ticks[position]!,
        first: first.includes(account) ? "incremental" : null,
        run: runAt(options, account, schedule, board),
        late: ({ kind }, fate) =>
          fate === "dropped"
            ? Effect.zipRight(
                board.dropped(account.name, kind),
                Effect.logInfo(`${kind} tick dropped: a run is under way`),
              )
            : Effect.logInfo("a run is under way: the full pass comes right after it"),
      }).pipe(Effect.annotateLogs("account", account.name)),
    )
    // None of them ever ends. Where one dies, all of it does, with an error: a process that is up and deaf helps nobody.
    const loop = yield* Effect.forkScoped(
      Effect.zipRight(
        Effect.all([board.refreshing, moved, ...dispatchers], { concurrency: "unbounded", discard: true }),
        Effect.never,
      ),
    )
    return yield* Fiber.join(loop).pipe(
      Effect.onInterrupt(() =>
        board.stopping.pipe(
          Effect.zipRight(Effect.logInfo("stopping")),
          Effect.zipRight(
            Effect.all([Scope.close(listening, Exit.void), Fiber.interrupt(loop)], { concurrency: 2 }),
          ),
        ),
      ),
    )
  }).pipe(Effect.scoped)
