import { randomUUID } from "node:crypto"
import { hostname } from "node:os"
import type * as HttpClient from "@effect/platform/HttpClient"
import { Cause, Deferred, Duration, Effect, Exit, Schedule } from "effect"
import type postgres from "postgres"
import { booked, booking, giveBack } from "./Booking.ts"
import type { AccountSettings, RunSettings } from "./Config.ts"
import { endingOf, noteOf, worst } from "./Ending.ts"
import type { AccountError, EndpointError, LeaseError, WarehouseError } from "./Errors.ts"
import { type Limits, limitInWords } from "./Health.ts"
import { runListStream } from "./ListRun.ts"
import { runLookupStream } from "./LookupRun.ts"
import { countRun } from "./Metrics.ts"
import { Progress, type StreamProgress } from "./Progress.ts"
import { type Client, make as makeClient, Usage } from "./paycombat/Client.ts"
import { isList, isLookup, redacting, type Stream } from "./Stream.ts"
import { VERSION } from "./version.ts"
import { retryTransient, Warehouse, whileOpen } from "./warehouse/Database.ts"
import { acquire, type Held, renew } from "./warehouse/Lease.ts"
import { finishRun, finishStream, startRun, startStream } from "./warehouse/Ledger.ts"
import { confirmPrivacy, settlePrivacy } from "./warehouse/privacy.ts"
import { pruneLedger } from "./warehouse/pruning.ts"
import { readingTime } from "./warehouse/readingTime.ts"
import { type SyncSummary, summaryOf } from "./warehouse/Summary.ts"
import { storeLimits } from "./warehouse/settings.ts"
import { verdictsOf } from "./warehouse/verdict.ts"

/** One run: a lease per account and stream, streams after their parents, every outcome booked. */

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

/** Fractions of a lease's time after which it is renewed by the heartbeat. */
const HEARTBEATS_PER_LEASE = 3

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

/** Keeps a lease for as long as it runs; fails when another run has taken it, or Postgres is away for a lease's time. */
export const heartbeat = (sql: postgres.Sql, held: Held): Effect.Effect<never, LeaseError | WarehouseError> =>
  renew(sql, held).pipe(
    Effect.retry({
      while: error => error._tag === "WarehouseError",
      schedule: Schedule.spaced("1 second"),
      times: held.leaseSeconds,
    }),
    Effect.delay(Duration.seconds(held.leaseSeconds / HEARTBEATS_PER_LEASE)),
    Effect.forever,
  )

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
  stop: Stop,
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
      heartbeat(context.sql, context.held),
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

/** Takes the leases of an account's streams; the ones that another run holds are named, not waited for. */
const takeLeases = (sql: postgres.Sql, options: RunOptions, runId: string, holder: string) =>
  Effect.acquireRelease(
    acquire(sql, {
      streams: options.accounts.flatMap(account =>
        options.streams.map(stream => ({ account: account.name, stream: stream.name })),
      ),
      runId,
      holder,
      leaseSeconds: options.leaseSeconds,
    }),
    giveBack(sql),
  )

/** Runs the streams of one account, each after its parents have ended, however they ended. */
const runAccount = (
  sql: postgres.Sql,
  settings: StreamContext["settings"],
  account: AccountSettings,
  streams: ReadonlyArray<{ readonly stream: Stream; readonly held: Held }>,
) =>
  Effect.gen(function* () {
    const client = yield* makeClient(account, yield* readingTime(sql))
    const ended = new Map<string, Deferred.Deferred<void>>()
    const stop: Stop = yield* Deferred.make<never, AccountError>()
    const progress = yield* Progress
    for (const { stream } of streams) {
      ended.set(stream.name, yield* Deferred.make<void>())
      yield* progress.tell(notYet(account, stream))
    }
    yield* Effect.forEach(
      streams,
      ({ stream, held }) =>
        firstOf([
          Effect.forEach(stream.after, parent => ended.get(parent) ?? Effect.void, { discard: true }),
          // A lease that is lost meanwhile is for the stream's first commit to find out.
          Effect.zipRight(Effect.ignore(heartbeat(sql, held)), Effect.never),
        ]).pipe(
          Effect.zipRight(runStream({ sql, client, account, settings, held }, stream, stop)),
          Effect.ensuring(Deferred.succeed(ended.get(stream.name)!, undefined)),
        ),
      { concurrency: "unbounded", discard: true },
    )
  })

/** Stores the limits of freshness, and logs a change: views judge by them. */
export const keepLimits = (
  sql: postgres.Sql,
  { accounts, limits }: Pick<RunOptions, "accounts" | "limits">,
): Effect.Effect<void, WarehouseError> =>
  Effect.gen(function* () {
    if (limits === undefined) return
    const names = accounts.map(({ name }) => name)
    const changed = yield* storeLimits(sql, names, limits)
    if (changed.length > 0)
      yield* Effect.logInfo(
        `limits of freshness of ${changed.join(", ")} are now ${limitInWords(limits.maxAgeSeconds)}, and` +
          ` ${limitInWords(limits.fullMaxAgeSeconds)} for whole passes`,
      )
  })

/** Prunes the ledger. A run that is done stays done where that fails. */
const tidied = (sql: postgres.Sql): Effect.Effect<void> =>
  pruneLedger(sql).pipe(
    Effect.catchAll(({ message }) => Effect.logWarning(`the ledger was not pruned: ${message}`)),
    Effect.asVoid,
  )

/**
 * Syncs the streams of the accounts once, and answers what the ledger says about it. Fails only where nothing
 * could be done: `LeaseError` when every lease is held by another run, `WarehouseError` when Postgres is away.
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
    const { held, refused } = yield* takeLeases(sql, options, runId, `${hostname()}:${process.pid}`)
    const [first] = refused
    if (held.length === 0 && first !== undefined) return yield* first
    yield* Effect.annotateCurrentSpan("run", runId)
    yield* startRun(sql, { runId, host: hostname(), processId: process.pid, version: VERSION })
    yield* keepLimits(sql, options)
    for (const { message } of refused) yield* Effect.logWarning(message)
    yield* Effect.forEach(
      options.accounts,
      account =>
        runAccount(
          sql,
          options,
          account,
          // In the order of the streams: parents first.
          options.streams.flatMap(stream =>
            held
              .filter(lease => lease.account === account.name && lease.stream === stream.name)
              .map(lease => ({ stream, held: lease })),
          ),
        ),
      { concurrency: "unbounded", discard: true },
    ).pipe(
      Effect.onExit(exit =>
        summaryOf(sql, runId).pipe(
          Effect.flatMap(({ streams }) => {
            const statuses = streams.map(({ status }) => status)
            const failed = refused.length > 0 || (Exit.isFailure(exit) && !Cause.isInterrupted(exit.cause))
            return finishRun(sql, runId, worst([...statuses, ...(failed ? ["failed"] : [])]))
          }),
          Effect.zipRight(Effect.flatMap(summaryOf(sql, runId), summary => countRun(summary, held))),
          booking,
        ),
      ),
    )
    const accounts = options.accounts.map(({ name }) => name)
    const verdicts = yield* retryTransient(verdictsOf(sql, { accounts }))
    return {
      ...(yield* summaryOf(sql, runId)),
      verdicts: verdicts.filter(({ account }) => accounts.includes(account)),
    }
  }).pipe(Effect.scoped, Effect.annotateLogs("run", runId), Effect.withSpan("sync"))
