import { randomUUID } from "node:crypto"
import { hostname } from "node:os"
import type * as HttpClient from "@effect/platform/HttpClient"
import { Cause, Deferred, Duration, Effect, Exit } from "effect"
import type postgres from "postgres"
import { booked, booking } from "./Booking.ts"
import type { AccountSettings, RunSettings } from "./Config.ts"
import { endingOf, noteOf, worst } from "./Ending.ts"
import type { AccountError, EndpointError, LeaseError, WarehouseError } from "./Errors.ts"
import type { Limits } from "./Health.ts"
import { type Holding, makeHolding } from "./Holding.ts"
import { keepLimits } from "./Limits.ts"
import { runListStream } from "./ListRun.ts"
import { runLookupStream } from "./LookupRun.ts"
import { countRun } from "./Metrics.ts"
import { Progress, type StreamProgress } from "./Progress.ts"
import { type Client, make as makeClient, Usage } from "./paycombat/Client.ts"
import { isList, isLookup, redacting, type Stream } from "./Stream.ts"
import { VERSION } from "./version.ts"
import { retryTransient, Warehouse, whileOpen } from "./warehouse/Database.ts"
import { ACCOUNT, type Acquired, type Held } from "./warehouse/Lease.ts"
import { finishRun, finishStream, startRun, startStream } from "./warehouse/Ledger.ts"
import { confirmPrivacy, settlePrivacy } from "./warehouse/privacy.ts"
import { pruneLedger } from "./warehouse/pruning.ts"
import { readingTime } from "./warehouse/readingTime.ts"
import { type SyncSummary, summaryOf } from "./warehouse/Summary.ts"
import { verdictsOf } from "./warehouse/verdict.ts"

/** One run: the leases of accounts and their streams, streams after their parents, every outcome booked. */

export interface RunOptions extends RunSettings {
  readonly accounts: ReadonlyArray<AccountSettings>
  readonly streams: ReadonlyArray<Stream>
  /** Whether every list is read whole, and passes that were broken off are begun anew. */
  readonly full: boolean
  /**
   * Age in seconds of the latest full pass from which on a list is read whole, though what is new in it would do: the
   * longest time between two ticks of the full schedule; a day where absent.
   */
  readonly fullPassMaxAgeSeconds?: number
  /** Limits of freshness to be stored for the accounts; what is stored stays where absent. */
  readonly limits?: Limits
  /** Waits for accounts and streams that another run holds, however long that takes. */
  readonly wait?: boolean
}

/** What the run of one stream works with. */
export interface StreamContext {
  readonly sql: postgres.Sql
  readonly client: Client
  readonly account: AccountSettings
  readonly settings: RunSettings & Pick<RunOptions, "full" | "fullPassMaxAgeSeconds">
  readonly held: Held
  readonly usage: { requests: number; retries: number }
  /** Nothing may be left out of this run because it is known: what is stored of it is in another mode of privacy. */
  readonly mustReadAll: boolean
  /** Tells how far the stream is; keeps what is not named. */
  readonly tell: (progress: Partial<StreamProgress>) => Effect.Effect<void>
}

/** What a stream's run came to, when it came to its end. */
export interface StreamResult {
  readonly rejected: number
  readonly removed: number
  readonly leftOver: number
  readonly note: string | null
}

export type StreamFailure = AccountError | EndpointError | LeaseError | WarehouseError

/** How long a stream waits for work that asks no API and holds its lease: `erase`, `rebuild`, `rejects replay`. */
const STREAM_WAIT = "1 minute"

const notYet = (account: AccountSettings, stream: Stream): StreamProgress => ({
  account: account.name,
  stream: stream.name,
  status: "waiting",
  pages: 0,
  extracted: 0,
  total: undefined,
  inserted: 0,
  updated: 0,
  rejected: 0,
  unanswered: 0,
  message: null,
})

/**
 * What ends first, however it does; the others are stopped. Effect's own `raceFirst`, told to stop, leaves its fibers at
 * work until whoever runs it is gone: they would go on writing while their end is booked, and after it.
 */
const firstOf = <A, E, R>(all: ReadonlyArray<Effect.Effect<A, E, R>>): Effect.Effect<A, E, R> =>
  Effect.flatten(Effect.raceAll(all.map(Effect.exit)))

/** Told by the first stream whose token was refused, to all streams of the account. */
type Stop = Deferred.Deferred<never, AccountError>

/** Runs a stream in the configured mode of privacy, after what is stored was brought into it as far as that can be. */
const privately = (
  { sql, held, settings: { privacy }, tell }: Pick<StreamContext, "sql" | "held" | "settings" | "tell">,
  stream: Stream,
  run: (guarded: Stream, mustReadAll: boolean) => Effect.Effect<StreamResult, StreamFailure>,
): Effect.Effect<StreamResult, StreamFailure> =>
  Effect.gen(function* () {
    const guarded = redacting(stream, privacy)
    const { mustReadAll, note } = yield* settlePrivacy(sql, held, guarded, privacy, tell)
    const result = yield* run(guarded, mustReadAll)
    const isConfirmed = mustReadAll && result.leftOver === 0
    const left = isConfirmed ? yield* confirmPrivacy(sql, held, guarded, privacy) : null
    return { ...result, note: noteOf(result.note, note, left) }
  })

/** Runs one stream under its lease. Its failures are booked, not passed on: a stream that fails stops no other. */
const runStream = (
  context: Omit<StreamContext, "usage" | "tell" | "mustReadAll">,
  stream: Stream,
  { stop, holding }: { readonly stop: Stop; readonly holding: Holding },
): Effect.Effect<void, WarehouseError> =>
  Effect.gen(function* () {
    const progress = yield* Progress
    const usage = { requests: 0, retries: 0 }
    let told: StreamProgress = { ...notYet(context.account, stream), status: "running" }
    const tell = (change: Partial<StreamProgress>) =>
      Effect.suspend(() => {
        told = { ...told, ...change }
        return progress.tell(told)
      })
    const work = privately({ ...context, tell }, stream, (guarded, mustReadAll) => {
      const whole: StreamContext = { ...context, usage, tell, mustReadAll }
      return isList(guarded)
        ? runListStream(whole, guarded)
        : isLookup(guarded)
          ? runLookupStream(whole, guarded)
          : Effect.dieMessage(`${stream.name} has no source`)
    })
    const start = startStream(context.sql, context.held, isList(stream) ? "full" : "lookup")
    const all = firstOf<StreamResult, StreamFailure, never>([
      Deferred.await(stop),
      work,
      holding.lost(context.held),
    ])
    const run = Effect.zipRight(tell({}), all).pipe(
      Effect.tapErrorTag("AccountError", error => Deferred.fail(stop, error)),
      Effect.provideService(Usage, usage),
      Effect.tapDefect(cause => Effect.logError("unexpected failure", cause)),
    )
    const ended = (exit: Exit.Exit<StreamResult, StreamFailure>) => {
      const ending = endingOf(exit)
      return finishStream(context.sql, context.held, { ...ending, ...usage }).pipe(
        booking,
        Effect.zipRight(tell({ status: ending.status, message: ending.error ?? ending.note })),
      )
    }
    yield* booked(start, run, ended)
  }).pipe(
    Effect.annotateLogs({ account: context.account.name, stream: stream.name }),
    Effect.tagMetrics("stream", stream.name),
    Effect.withSpan("stream", { attributes: { account: context.account.name, stream: stream.name } }),
  )

/** One account of a run, under its lease. */
interface AccountRun {
  readonly account: AccountSettings
  readonly lease: Acquired
  readonly holding: Holding
  /** Leases of streams that this run worked under. */
  readonly held: Array<Held>
  /** Accounts and streams that were left out, since another run held them. */
  readonly refused: Array<LeaseError>
}

/** Runs the streams of one account, each after its parents have ended, however they ended. */
const runAccount = (sql: postgres.Sql, options: RunOptions, run: AccountRun) =>
  Effect.gen(function* () {
    const { account, lease, holding } = run
    const grant = holding.grantOf(lease)
    const client = yield* makeClient(account, { startedAt: yield* readingTime(sql), grant })
    const progress = yield* Progress
    const stop: Stop = yield* Deferred.make<never, AccountError>()
    const ended = new Map<string, Deferred.Deferred<void>>()
    for (const stream of options.streams) {
      ended.set(stream.name, yield* Deferred.make<void>())
      yield* progress.tell(notYet(account, stream))
    }
    const nameOf = (stream: Stream) => ({ account: account.name, stream: stream.name })
    const taken = yield* holding.take(options.streams.map(nameOf), lease.formerRunId)
    for (const { message } of taken.refused) yield* Effect.logInfo(`waiting: ${message}`)
    /** The stream's lease. Waits where work that asks no API holds it, for as long as the account is ours. */
    const leaseOf = (stream: Stream) => {
      const free = taken.held.find(held => held.stream === stream.name)
      if (free !== undefined) return Effect.succeed(free)
      const limit = options.wait === true ? Duration.infinity : STREAM_WAIT
      return firstOf([holding.takeWithin(nameOf(stream), limit), holding.lost(lease)])
    }
    const runOne = (stream: Stream) =>
      Effect.gen(function* () {
        const held = yield* leaseOf(stream)
        run.held.push(held)
        yield* Effect.forEach(stream.after, parent => ended.get(parent) ?? Effect.void, { discard: true })
        yield* runStream({ sql, client, account, settings: options, held }, stream, { stop, holding })
      }).pipe(
        Effect.catchTag("LeaseError", error => {
          run.refused.push(error)
          const failed = { ...notYet(account, stream), status: "failed", message: error.message } as const
          return Effect.zipRight(Effect.logWarning(error.message), progress.tell(failed))
        }),
        Effect.ensuring(Deferred.succeed(ended.get(stream.name)!, undefined)),
      )
    yield* Effect.forEach(options.streams, runOne, { concurrency: "unbounded", discard: true })
  })

/** Prunes the ledger. A run that is done stays done where that fails. */
const tidied = (sql: postgres.Sql): Effect.Effect<void> =>
  pruneLedger(sql).pipe(
    Effect.catchAll(({ message }) => Effect.logWarning(`the ledger was not pruned: ${message}`)),
    Effect.asVoid,
  )

/**
 * Syncs the streams of the accounts once, and answers what the ledger says about it. Fails only where nothing could be
 * done: `LeaseError` when other runs hold every account, `WarehouseError` when Postgres is away.
 */
export const runOnce = (
  options: RunOptions,
): Effect.Effect<SyncSummary, LeaseError | WarehouseError, Warehouse | HttpClient.HttpClient> =>
  Effect.flatMap(Warehouse, ({ sql }) =>
    whileOpen(sql, Effect.zipLeft(runOn(sql, options, randomUUID()), tidied(sql))),
  )

const runOn = (
  sql: postgres.Sql,
  options: RunOptions,
  runId: string,
): Effect.Effect<SyncSummary, LeaseError | WarehouseError, HttpClient.HttpClient> =>
  Effect.gen(function* () {
    const { accounts, leaseSeconds, wait = false } = options
    const holding = yield* makeHolding(sql, { runId, leaseSeconds })
    const names = accounts.map(({ name }) => ({ account: name, stream: ACCOUNT }))
    const taken = yield* holding.take(names)
    const [first] = taken.refused
    if (taken.held.length === 0 && first !== undefined && !wait) return yield* first
    yield* Effect.annotateCurrentSpan("run", runId)
    for (const { message } of taken.refused)
      yield* wait ? Effect.logInfo(`waiting: ${message}`) : Effect.logWarning(message)
    const held: Array<Held> = []
    const refused: Array<LeaseError> = wait ? [] : [...taken.refused]
    let isBegun = false
    const begin = yield* Effect.cached(
      startRun(sql, { runId, host: hostname(), processId: process.pid, version: VERSION }).pipe(
        Effect.tap(() => {
          isBegun = true
        }),
        Effect.zipRight(keepLimits(sql, options)),
      ),
    )
    const runWith = (account: AccountSettings, lease: Acquired) =>
      Effect.gen(function* () {
        yield* begin
        yield* runAccount(sql, options, { account, lease, holding, held, refused })
        // Other runs need not wait for the accounts that this one is still at.
        if (accounts.length > 1) yield* holding.giveBack(account.name)
      })
    const work = Effect.forEach(
      accounts,
      account => {
        const lease = taken.held.find(lease => lease.account === account.name)
        if (lease !== undefined) return runWith(account, lease)
        const name = { account: account.name, stream: ACCOUNT }
        return wait
          ? Effect.flatMap(holding.takeWithin(name, Duration.infinity), lease => runWith(account, lease))
          : Effect.void
      },
      { concurrency: "unbounded", discard: true },
    )
    const end = (exit: Exit.Exit<void, LeaseError | WarehouseError>) =>
      summaryOf(sql, runId).pipe(
        Effect.flatMap(({ streams }) => {
          const statuses = streams.map(({ status }) => status)
          const failed = refused.length > 0 || (Exit.isFailure(exit) && !Cause.isInterrupted(exit.cause))
          return finishRun(sql, runId, worst([...statuses, ...(failed ? ["failed"] : [])]))
        }),
        Effect.zipRight(Effect.flatMap(summaryOf(sql, runId), summary => countRun(summary, held))),
        booking,
      )
    yield* Effect.onExit(work, exit => Effect.when(end(exit), () => isBegun))
    const asked = accounts.map(({ name }) => name)
    const verdicts = yield* retryTransient(verdictsOf(sql, { accounts: asked }))
    return {
      ...(yield* summaryOf(sql, runId)),
      verdicts: verdicts.filter(({ account }) => asked.includes(account)),
    }
  }).pipe(Effect.scoped, Effect.annotateLogs("run", runId), Effect.withSpan("sync"))
