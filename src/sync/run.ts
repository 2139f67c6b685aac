import { randomUUID } from "node:crypto"
import type * as HttpClient from "@effect/platform/HttpClient"
import { Duration, Effect, Schedule } from "effect"
import type postgres from "postgres"
import type { AccountSettings } from "../config/config.ts"
import type { LeaseError, WarehouseError } from "../core/errors.ts"
import { turns } from "../core/fibers.ts"
import { countRun } from "../observe/metrics.ts"
import { Warehouse, whileOpen } from "../postgres/connect.ts"
import { query, read } from "../postgres/statements.ts"
import { checkAfterRun } from "../warehouse/checks/ledgerChecks.ts"
import { ACCOUNT, type Acquired, type Lease, type Name } from "../warehouse/ledger/lease.ts"
import { pruneLedger } from "../warehouse/ledger/pruning.ts"
import { keepWaiting } from "../warehouse/ledger/runs.ts"
import { type SyncSummary, summaryOf } from "../warehouse/ledger/summary.ts"
import { dueWork } from "../warehouse/ledger/urgent.ts"
import { judge } from "../warehouse/read/verdict.ts"
import { runAccount } from "./accountRun.ts"
import type { RunOptions } from "./context.ts"
import { openRun, type Run } from "./lifecycle.ts"
import { keepLimits, keepReckoning } from "./limits.ts"

/** One sync: takes the leases of its accounts, runs each account, books the end, and reads the verdict. */

/** Accounts that one process works on at once. More of them would wait for connections of the pool, and hold others. */
const ACCOUNTS_AT_ONCE = 8

/** Turns of the accounts that use one pool, whichever run they belong to: `serve` has a run for each. */
const turnOf = turns<postgres.Sql>(ACCOUNTS_AT_ONCE)

/** Times that a run takes its account again for urgent work that came while the lease was released. */
const LATE_ROUNDS_MAX = 10
/** How often a run that waits for an account shows that it is alive. */
const ALIVE_EVERY = "1 second"

const prune = (sql: postgres.Sql): Effect.Effect<void> =>
  pruneLedger(sql).pipe(
    Effect.catchAll(({ message }) => Effect.logWarning(`the ledger was not pruned: ${message}`)),
    Effect.asVoid,
  )

/**
 * Syncs the streams of the accounts once, and answers the run as the ledger has it. Fails only if nothing could be
 * done: `LeaseError` if other runs hold every account, `WarehouseError` if Postgres is away.
 */
export const runOnce = (
  options: RunOptions,
): Effect.Effect<SyncSummary, LeaseError | WarehouseError, Warehouse | HttpClient.HttpClient> =>
  Effect.flatMap(Warehouse, ({ sql }) =>
    whileOpen(sql, Effect.zipLeft(runOn(sql, options, randomUUID()), prune(sql))),
  )

const runOn = (
  sql: postgres.Sql,
  options: RunOptions,
  runId: string,
): Effect.Effect<SyncSummary, LeaseError | WarehouseError, HttpClient.HttpClient> =>
  Effect.gen(function* () {
    yield* Effect.annotateCurrentSpan("run", runId)
    const accounts = options.accounts.map(({ name }) => name)
    const run = yield* openRun(sql, {
      runId,
      leaseSeconds: options.leaseSeconds,
      leases: accounts.map(leaseName),
      isWaiting: options.wait === true,
    })
    const worked: Array<Lease> = []
    const keepSettings = Effect.zipRight(keepLimits(sql, options), keepReckoning(sql, options))
    const start = Effect.zipRight(run.start, yield* Effect.cached(keepSettings))
    const work = Effect.forEach(
      options.accounts,
      account => runOne(sql, options, account, { ...run, start, worked }),
      { concurrency: "unbounded", discard: true },
    )
    yield* run.finishAfter(work, summary => countRun(summary, worked))
    const verb = (yield* run.holding.isAway) ? query : read
    const verdicts = yield* verb(() => judge(sql, { accounts }))
    return {
      ...(yield* summaryOf(sql, runId)),
      verdicts: verdicts.filter(({ account }) => accounts.includes(account)),
    }
  }).pipe(Effect.scoped, Effect.annotateLogs("run", runId), Effect.withSpan("sync"))

const leaseName = (account: string): Name => ({ account, stream: ACCOUNT })

interface Sync extends Pick<Run, "runId" | "holding" | "leases" | "refused" | "start"> {
  readonly worked: Array<Lease>
}

/** Runs one account under its lease. Without `wait`, an account that another run holds is left out. */
const runOne = (sql: postgres.Sql, options: RunOptions, account: AccountSettings, sync: Sync) =>
  Effect.gen(function* () {
    const free = sync.leases.find(lease => lease.account === account.name)
    if (free === undefined && options.wait !== true) return
    const lease = free ?? (yield* waitForAccount(sql, options, account, sync))
    const run = runUnderAccount(sql, options, account, lease, sync)
    const check = Effect.unlessEffect(checkAfterRun(sql, account.name), sync.holding.isAway)
    yield* turnOf(sql).withPermits(1)(Effect.zipRight(run, check))
  })

/** Waits for the lease of an account. The run may hold no lease meanwhile, and must not be booked as dead. */
const waitForAccount = (
  sql: postgres.Sql,
  { leaseSeconds }: RunOptions,
  { name }: AccountSettings,
  { runId, holding }: Sync,
): Effect.Effect<Acquired, LeaseError | WarehouseError> =>
  Effect.gen(function* () {
    const showAlive = Effect.ignore(keepWaiting(sql, runId, leaseSeconds))
    yield* Effect.forkScoped(Effect.repeat(showAlive, Schedule.spaced(ALIVE_EVERY)))
    const lease = yield* holding.takeWithin(leaseName(name), Duration.infinity)
    yield* showAlive
    return lease
  }).pipe(Effect.scoped)

/** Runs an account and releases its lease. Takes it again for urgent work that was handed over meanwhile. */
const runUnderAccount = (
  sql: postgres.Sql,
  options: RunOptions,
  account: AccountSettings,
  accountLease: Acquired,
  { start, holding, worked, refused }: Sync,
) =>
  Effect.gen(function* () {
    const shared = { account, holding, worked, refused }
    yield* start
    yield* runAccount(sql, options, { ...shared, accountLease })
    for (let rounds = 0; rounds < LATE_ROUNDS_MAX; rounds++) {
      yield* holding.releaseLeases(account.name)
      if (yield* holding.isAway) return
      const late = yield* dueWork(sql, account.name, { limit: 1, isLast: false })
      if (late.length === 0) return
      const again = (yield* holding.take([leaseName(account.name)])).leases[0]
      if (again === undefined) return
      yield* runAccount(sql, { ...options, streams: [] }, { ...shared, accountLease: again })
    }
  })
