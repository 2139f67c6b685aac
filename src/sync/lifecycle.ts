import { hostname } from "node:os"
import { Cause, Effect, Exit, type Scope } from "effect"
import type postgres from "postgres"
import type { LeaseError, WarehouseError } from "../core/errors.ts"
import { firstOf } from "../core/fibers.ts"
import { VERSION } from "../core/version.ts"
import { changesOf, noProgress, type TellChange } from "../observe/progress.ts"
import type { Acquired, Lease, Name } from "../warehouse/ledger/lease.ts"
import { finishRun, finishStream, type Mode, startRun, startStream } from "../warehouse/ledger/runs.ts"
import { type RunSummary, summaryOf } from "../warehouse/ledger/summary.ts"
import type { StreamFailure, StreamResult } from "./context.ts"
import { finalize, withFinalizer } from "./finalize.ts"
import { type Holding, makeHolding } from "./holding.ts"
import { outcomeOf, worstStatus } from "./outcome.ts"

/** The lifecycle of a run and of a stream's run: take the leases, book the start, work, book the end, however it ended. */

interface RunRequest {
  readonly runId: string
  readonly leaseSeconds: number
  readonly leases: ReadonlyArray<Name>
  readonly isWaiting?: boolean
}

export interface Run {
  readonly runId: string
  readonly holding: Holding
  readonly leases: ReadonlyArray<Acquired>
  /** An error for each lease that another run holds and that this run does without. Such a run ends as failed. */
  readonly refused: Array<LeaseError>
  /** Books the start. Repeating it does nothing. */
  readonly start: Effect.Effect<void, WarehouseError>
  /** Does the work, and books the end if the start was booked. `report` gets the figures of the run that ended. */
  readonly finishAfter: <E, R>(
    work: Effect.Effect<unknown, E, R>,
    report?: (summary: RunSummary) => Effect.Effect<void>,
  ) => Effect.Effect<void, E, R>
}

/** Takes the leases of a run. Fails with `LeaseError` if other runs hold all of them and this one does not wait. */
export const openRun = (
  sql: postgres.Sql,
  { runId, leaseSeconds, leases: names, isWaiting = false }: RunRequest,
): Effect.Effect<Run, LeaseError | WarehouseError, Scope.Scope> =>
  Effect.gen(function* () {
    const holding = yield* makeHolding(sql, { runId, leaseSeconds })
    const { leases, refused } = yield* holding.take(names)
    const [first] = refused
    if (leases.length === 0 && first !== undefined && !isWaiting) return yield* first
    for (const { message } of refused)
      yield* isWaiting ? Effect.logInfo(`waiting: ${message}`) : Effect.logWarning(message)
    let isStarted = false
    const start = startRun(sql, { runId, host: hostname(), processId: process.pid, version: VERSION })
    const run: Omit<Run, "finishAfter"> = {
      runId,
      holding,
      leases,
      refused: isWaiting ? [] : [...refused],
      start: yield* Effect.cached(
        Effect.tap(start, () => {
          isStarted = true
        }),
      ),
    }
    return {
      ...run,
      finishAfter: (work, report = () => Effect.void) =>
        Effect.asVoid(
          Effect.onExit(work, exit => Effect.when(finish(sql, run, exit, report), () => isStarted)),
        ),
    }
  })

const finish = (
  sql: postgres.Sql,
  { runId, holding, refused }: Pick<Run, "runId" | "holding" | "refused">,
  exit: Exit.Exit<unknown, unknown>,
  report: (summary: RunSummary) => Effect.Effect<void>,
): Effect.Effect<void> =>
  Effect.gen(function* () {
    const { streams } = yield* summaryOf(sql, runId)
    const isFailed = refused.length > 0 || (Exit.isFailure(exit) && !Cause.isInterrupted(exit.cause))
    const statuses = [...streams.map(({ status }) => status), ...(isFailed ? ["failed"] : [])]
    yield* finishRun(sql, runId, worstStatus(statuses))
    yield* report(yield* summaryOf(sql, runId))
  }).pipe(finalize(holding.isAway))

interface StreamRun {
  readonly lease: Lease
  readonly mode: Mode
  readonly holding: Holding
  /** Number of all records, if it is known before the work. */
  readonly total?: number
  /** Requests of the work to the API. It grows meanwhile. */
  readonly usage?: { readonly requests: number; readonly retries: number }
}

/** Runs one stream under its lease, and books its start and its end. A stream that fails stops no other. */
export const runUnderLease = <R>(
  sql: postgres.Sql,
  { lease, mode, holding, total, usage = { requests: 0, retries: 0 } }: StreamRun,
  work: (tell: TellChange) => Effect.Effect<StreamResult, StreamFailure, R>,
): Effect.Effect<void, WarehouseError, R> =>
  Effect.gen(function* () {
    const { account, stream } = lease
    const tell = yield* changesOf({ ...noProgress(account, stream, "running"), total })
    const lost = holding.lost(lease)
    // A stream that waited for others may find Postgres away: its start would be repeated for half a minute.
    const refuseAway = Effect.whenEffect(
      Effect.catchTag(lost, "LeaseError", () => Effect.void),
      holding.isAway,
    )
    const start = Effect.zipRight(refuseAway, startStream(sql, lease, mode))
    const all = Effect.zipRight(tell({}), firstOf<StreamResult, StreamFailure, R>([work(tell), lost])).pipe(
      Effect.tapDefect(cause => Effect.logError("unexpected failure", cause)),
    )
    yield* withFinalizer(start, all, exit => {
      const outcome = outcomeOf(exit, mode)
      return finishStream(sql, lease, { ...outcome, ...usage }).pipe(
        finalize(holding.isAway),
        Effect.zipRight(tell({ status: outcome.status, message: outcome.error ?? outcome.note })),
      )
    })
  }).pipe(Effect.annotateLogs({ account: lease.account, stream: lease.stream }))
