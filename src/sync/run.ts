import { randomUUID } from "node:crypto"
import { hostname } from "node:os"
import type * as HttpClient from "@effect/platform/HttpClient"
import { Cause, Duration, Effect, Exit, Schedule } from "effect"
import type postgres from "postgres"
import type { AccountSettings } from "../config/config.ts"
import type { LeaseError, WarehouseError } from "../core/errors.ts"
import { turns } from "../core/turns.ts"
import { VERSION } from "../core/version.ts"
import { countRun } from "../observe/metrics.ts"
import { Warehouse, whileOpen } from "../postgres/connect.ts"
import { query, read } from "../postgres/statements.ts"
import { ACCOUNT, type Acquired, type Lease, type Name } from "../warehouse/ledger/lease.ts"
import { pruneLedger } from "../warehouse/ledger/pruning.ts"
import { finishRun, startRun } from "../warehouse/ledger/runs.ts"
import { type SyncSummary, summaryOf } from "../warehouse/ledger/summary.ts"
import { dueWork } from "../warehouse/ledger/urgent.ts"
import { keepWaiting } from "../warehouse/ledger/waiting.ts"
import { judge } from "../warehouse/read/verdict.ts"
import { runAccount } from "./accountRun.ts"
import type { RunOptions } from "./context.ts"
import { finalize } from "./finalize.ts"
import { makeHolding } from "./holding.ts"
import { keepLimits } from "./limits.ts"
import { worstStatus } from "./outcome.ts"

/** One run: the leases of its accounts, each account under its own, every outcome booked. */

/** Accounts that one process works on at once. More would wait for the connections of the pool, and hold them for each other. */
const ACCOUNTS_AT_ONCE = 8

/** The turns of accounts that use one pool, whichever run they belong to: `serve` has a run for each. */
const turnOf = turns<postgres.Sql>(ACCOUNTS_AT_ONCE)

/** Times that a run takes its account again for work that came while it gave the account back. */
const LATE_ROUNDS_MAX = 10
/** How often a run that waits for an account says that it is alive. */
const ALIVE_EVERY = "1 second"

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
    if (taken.leases.length === 0 && first !== undefined && !wait) return yield* first
    yield* Effect.annotateCurrentSpan("run", runId)
    for (const { message } of taken.refused)
      yield* wait ? Effect.logInfo(`waiting: ${message}`) : Effect.logWarning(message)
    const worked: Array<Lease> = []
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
    const runWith = (account: AccountSettings, accountLease: Acquired) =>
      Effect.gen(function* () {
        yield* begin
        yield* runAccount(sql, options, { account, accountLease, holding, worked, refused })
        // Work that was handed over while the lease was given back was handed to this run.
        for (let rounds = 0; rounds < LATE_ROUNDS_MAX; rounds++) {
          yield* holding.releaseLeases(account.name)
          if (yield* holding.isAway) return
          const late = yield* dueWork(sql, account.name, { limit: 1, isLast: false })
          if (late.length === 0) return
          const again = (yield* holding.take([{ account: account.name, stream: ACCOUNT }])).leases[0]
          if (again === undefined) return
          yield* runAccount(
            sql,
            { ...options, streams: [] },
            { account, accountLease: again, holding, worked, refused },
          )
        }
      }).pipe(turnOf(sql).withPermits(1))
    /** The lease of an account once its holder gives it back; this run may hold none meanwhile, and is alive all the same. */
    const waitFor = (name: Name) =>
      Effect.gen(function* () {
        const alive = Effect.ignore(keepWaiting(sql, runId, leaseSeconds))
        yield* Effect.forkScoped(Effect.repeat(alive, Schedule.spaced(ALIVE_EVERY)))
        const lease = yield* holding.takeWithin(name, Duration.infinity)
        yield* alive
        return lease
      }).pipe(Effect.scoped)
    const work = Effect.forEach(
      accounts,
      account => {
        const lease = taken.leases.find(lease => lease.account === account.name)
        if (lease !== undefined) return runWith(account, lease)
        const name = { account: account.name, stream: ACCOUNT }
        return wait ? Effect.flatMap(waitFor(name), lease => runWith(account, lease)) : Effect.void
      },
      { concurrency: "unbounded", discard: true },
    )
    const end = (exit: Exit.Exit<void, LeaseError | WarehouseError>) =>
      summaryOf(sql, runId).pipe(
        Effect.flatMap(({ streams }) => {
          const statuses = streams.map(({ status }) => status)
          const failed = refused.length > 0 || (Exit.isFailure(exit) && !Cause.isInterrupted(exit.cause))
          return finishRun(sql, runId, worstStatus([...statuses, ...(failed ? ["failed"] : [])]))
        }),
        Effect.zipRight(Effect.flatMap(summaryOf(sql, runId), summary => countRun(summary, worked))),
        finalize(holding.isAway),
      )
    yield* Effect.onExit(work, exit => Effect.when(end(exit), () => isBegun))
    const asked = accounts.map(({ name }) => name)
    const verb = (yield* holding.isAway) ? query : read
    const verdicts = yield* verb(() => judge(sql, { accounts: asked }))
    return {
      ...(yield* summaryOf(sql, runId)),
      verdicts: verdicts.filter(({ account }) => asked.includes(account)),
    }
  }).pipe(Effect.scoped, Effect.annotateLogs("run", runId), Effect.withSpan("sync"))
