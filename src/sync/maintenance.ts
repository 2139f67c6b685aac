import { randomUUID } from "node:crypto"
import { hostname } from "node:os"
import { Cause, Effect, Exit } from "effect"
import type postgres from "postgres"
import type { LeaseError, WarehouseError } from "../core/errors.ts"
import type { Stream } from "../core/stream.ts"
import { VERSION } from "../core/version.ts"
import { Progress, type StreamProgress } from "../observe/progress.ts"
import { Warehouse, whileOpen } from "../postgres/connect.ts"
import type { Lease } from "../warehouse/ledger/lease.ts"
import { finishRun, finishStream, type Mode, startRun, startStream } from "../warehouse/ledger/runs.ts"
import { type RunSummary, summaryOf } from "../warehouse/ledger/summary.ts"
import { finalize, withFinalizer } from "./finalize.ts"
import { type Holding, makeHolding } from "./holding.ts"
import { outcomeOf, worstStatus } from "./outcome.ts"

/** Runs that work on stored records and ask the API nothing: under the leases of their streams, booked like a sync. */

/** What work on what is stored is narrowed to: names of accounts and streams, all where none is named. */
export interface Scope {
  readonly accounts?: ReadonlyArray<string>
  readonly streams?: ReadonlyArray<string>
}

/** One stream of one account, and how many records there are to work on. */
export interface Task<S extends Stream = Stream> {
  readonly account: string
  readonly stream: S
  readonly total: number
}

/** What became of a task; `error` where it did not do all that it was to do. */
interface Outcome {
  readonly rejected: number
  readonly error: string | null
}

type Tell = (change: Partial<StreamProgress>) => Effect.Effect<void>

type Work<S extends Stream> = (
  task: Task<S>,
  lease: Lease,
  tell: Tell,
) => Effect.Effect<Outcome, LeaseError | WarehouseError>

const runTask = <S extends Stream>(
  mode: Mode,
  task: Task<S>,
  lease: Lease,
  holding: Holding,
  work: Work<S>,
) =>
  Effect.gen(function* () {
    const { sql } = yield* Warehouse
    const progress = yield* Progress
    const { account, stream, total } = task
    let told: StreamProgress = {
      account,
      stream: stream.name,
      status: "running",
      pages: 0,
      extracted: 0,
      total,
      inserted: 0,
      updated: 0,
      rejected: 0,
      unanswered: 0,
      message: null,
    }
    const tell: Tell = change =>
      Effect.suspend(() => {
        told = { ...told, ...change }
        return progress.tell(told)
      })
    const run = Effect.zipRight(tell({}), work(task, lease, tell)).pipe(
      Effect.map(outcome => ({ ...outcome, removed: 0, leftOver: 0, note: null })),
      Effect.tapDefect(cause => Effect.logError("unexpected failure", cause)),
    )
    yield* withFinalizer(startStream(sql, lease, mode), run, exit => {
      const ending = outcomeOf(exit)
      const failed = Exit.isSuccess(exit) ? exit.value.error : null
      const status = failed === null ? ending.status : "failed"
      const stopped = status === "interrupted" ? "Told to stop; what was done stays." : ending.error
      const error = failed ?? stopped
      return finishStream(sql, lease, { ...ending, status, error, requests: 0, retries: 0 }).pipe(
        finalize(holding.isAway),
        Effect.zipRight(tell({ status, message: error })),
      )
    })
  }).pipe(Effect.annotateLogs({ account: task.account, stream: task.stream.name }))

/** Does tasks one after the other, each under its lease; fails only where another run holds every one of them. */
export const runMaintenance = <S extends Stream>(
  mode: Mode,
  tasks: ReadonlyArray<Task<S>>,
  leaseSeconds: number,
  work: Work<S>,
): Effect.Effect<RunSummary, LeaseError | WarehouseError, Warehouse> =>
  Effect.flatMap(Warehouse, ({ sql }) =>
    whileOpen(sql, runOn(sql, mode, tasks, leaseSeconds, work, randomUUID())),
  )

const runOn = <S extends Stream>(
  sql: postgres.Sql,
  mode: Mode,
  tasks: ReadonlyArray<Task<S>>,
  leaseSeconds: number,
  work: Work<S>,
  runId: string,
): Effect.Effect<RunSummary, LeaseError | WarehouseError, Warehouse> =>
  Effect.gen(function* () {
    const holding = yield* makeHolding(sql, { runId, leaseSeconds })
    const { leases, refused } = yield* holding.take(
      tasks.map(({ account, stream }) => ({ account, stream: stream.name })),
    )
    const [first] = refused
    if (leases.length === 0 && first !== undefined) return yield* first
    yield* startRun(sql, { runId, host: hostname(), processId: process.pid, version: VERSION })
    for (const { message } of refused) yield* Effect.logWarning(message)
    yield* Effect.forEach(tasks, task => {
      const lease = leases.find(
        ({ account, stream }) => account === task.account && stream === task.stream.name,
      )
      return lease === undefined ? Effect.void : runTask(mode, task, lease, holding, work)
    }).pipe(
      Effect.onExit(exit =>
        summaryOf(sql, runId).pipe(
          Effect.flatMap(({ streams }) => {
            const statuses = streams.map(({ status }) => status)
            const failed = refused.length > 0 || (Exit.isFailure(exit) && !Cause.isInterrupted(exit.cause))
            return finishRun(sql, runId, worstStatus([...statuses, ...(failed ? ["failed"] : [])]))
          }),
          finalize(holding.isAway),
        ),
      ),
    )
    return yield* summaryOf(sql, runId)
  }).pipe(Effect.scoped, Effect.annotateLogs("run", runId), Effect.withSpan(mode))
