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
import { dispatch, type RunResult } from "./dispatch.ts"
import { listen } from "./http.ts"
import { makeServeState, type ServeState } from "./state.ts"

/** Keeps a process up: a run at each tick, and its state over HTTP. */

export interface ServeOptions extends RunOptions {
  readonly schedule: ScheduleSettings
  readonly http: HttpSettings
  /** Age in seconds beyond which figures are stale. Default: twice the schedule's interval, at least an hour. */
  readonly maxAgeSeconds?: number
}

/** Most ticks that wait for an account's dispatcher. The oldest are dropped first. */
const TICKS_KEPT = 16

/** Share of the calls before the next tick that look-ups may use. The lists need the rest. */
const LOOKUP_SHARE = 0.8

/** Number of look-ups that fit before the next tick: rate × seconds × `LOOKUP_SHARE`, at least one. */
export const lookupBudget = (ratePerSecond: number, secondsToTick: number): number =>
  Math.max(1, Math.floor(ratePerSecond * secondsToTick * LOOKUP_SHARE))

const summaryLine = ({ status, startedAt, finishedAt, streams }: RunSummary): string => {
  const seconds = (
    (new Date(finishedAt ?? startedAt).getTime() - new Date(startedAt).getTime()) /
    1000
  ).toFixed(1)
  const sum = (value: (stream: RunSummary["streams"][number]) => number) =>
    streams.reduce((total, stream) => total + value(stream), 0)
  const failed = streams
    .filter(stream => stream.status === "failed")
    .map(({ account, stream }) => `${account}/${stream}`)
  return (
    `run ${status} after ${seconds} s: ${sum(stream => stream.extracted)} read, ` +
    `${sum(stream => stream.inserted + stream.updated)} new or changed, ${sum(stream => stream.requests)} requests` +
    (failed.length === 0 ? "" : `; failed: ${failed.join(", ")}`)
  )
}

/** True if every list of the account was read completely since then. A first pass may outlast a full tick. */
const isReadWhole = ({ streams }: ServeOptions, account: string, since: Date) =>
  Effect.gen(function* () {
    const { sql } = yield* Warehouse
    const statuses = yield* statusOf(sql, streams, 0)
    return streams.filter(isList).every(stream => {
      const at = statuses.find(one => one.account === account && one.stream === stream.name)?.lastFullAt
      return at != null && new Date(at) > since
    })
  })

/** Runs one account once at a tick. Failures are logged, and the process continues with the next tick. */
const runAt =
  (options: ServeOptions, account: AccountSettings, schedule: Schedule, state: ServeState) =>
  (kind: Kind, dueAt: Date | null): Effect.Effect<RunResult, never, Warehouse | HttpClient.HttpClient> =>
    Effect.gen(function* () {
      if (kind === "full" && dueAt !== null && (yield* isReadWhole(options, account.name, dueAt))) {
        yield* Effect.logInfo("every list was read completely since the full pass was due: nothing to do")
        return "done" as const
      }
      const secondsToTick = (schedule.next("incremental").getTime() - Date.now()) / 1000
      const lookupCalls = lookupBudget(account.ratePerSecond, secondsToTick)
      const log = yield* Progress
      const progress = Progress.of({
        tell: report => Effect.zipRight(state.progressed(report), log.tell(report)),
      })
      const summary = yield* runOnce({
        ...options,
        accounts: [account],
        full: kind === "full",
        lookupCalls,
      }).pipe(Effect.provideService(Progress, progress))
      const logSummary = summary.status === "failed" ? Effect.logWarning : Effect.logInfo
      yield* logSummary(summaryLine(summary)).pipe(Effect.annotateLogs("run", summary.runId))
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
      (run): Effect.Effect<RunResult, never, Warehouse | HttpClient.HttpClient> =>
        state
          .began(account.name, kind)
          .pipe(Effect.zipRight(run), Effect.ensuring(state.ended(account.name))),
    )

/** Finds the accounts with a stream whose last complete run is older than the time between two ticks. */
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
 * Stays up until it is interrupted; the current run then ends as interrupted. Fails at the start if schedule, address
 * or database is wrong, and later only if an embedded database moved. A slow account costs the others no tick.
 */
export const serveWith = (
  options: ServeOptions,
): Effect.Effect<never, ConfigurationError | WarehouseError, Warehouse | HttpClient.HttpClient> =>
  Effect.gen(function* () {
    const { ownerUrl, moved = Effect.never } = yield* Warehouse
    const schedule = yield* makeSchedule(options.schedule)
    // Uses its own connections, so that the page never waits for a run and a run never waits for the page.
    const sql = yield* connect(ownerUrl)
    const accounts = options.accounts.map(({ name }) => name)
    yield* Metrics.begin(accounts)
    const state = yield* makeServeState(sql, {
      accounts,
      streams: options.streams,
      schedule,
      limits: limitsBy(schedule, options.maxAgeSeconds),
      ...(options.maxAgeSeconds === undefined ? {} : { maxAgeSeconds: options.maxAgeSeconds }),
    })
    yield* keepLimits(sql, options)
    const listening = yield* Scope.make()
    yield* Effect.addFinalizer(exit => Scope.close(listening, exit))
    const url = yield* Scope.extend(listen(options.http, state.read), listening)
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
        run: runAt(options, account, schedule, state),
        late: ({ kind }, fate) =>
          fate === "dropped"
            ? Effect.zipRight(
                state.dropped(account.name, kind),
                Effect.logInfo(`${kind} tick dropped: a run is under way`),
              )
            : Effect.logInfo("a run is under way: the full pass comes right after it"),
      }).pipe(Effect.annotateLogs("account", account.name)),
    )
    // The dispatchers never end. If one dies, the process ends with an error, because it would stay up without syncing.
    const loop = yield* Effect.forkScoped(
      Effect.zipRight(
        Effect.all([state.refreshing, moved, ...dispatchers], { concurrency: "unbounded", discard: true }),
        Effect.never,
      ),
    )
    return yield* Fiber.join(loop).pipe(
      Effect.onInterrupt(() =>
        state.stopping.pipe(
          Effect.zipRight(Effect.logInfo("stopping")),
          Effect.zipRight(
            Effect.all([Scope.close(listening, Exit.void), Fiber.interrupt(loop)], { concurrency: 2 }),
          ),
        ),
      ),
    )
  }).pipe(Effect.scoped)
