import { randomUUID } from "node:crypto"
import { Effect } from "effect"
import * as Config from "../config/config.ts"
import { ConfigurationError, type LeaseError, type WarehouseError } from "../core/errors.ts"
import { type Guarded, redacting, type Stream } from "../core/stream.ts"
import { figuresOf, type TellChange } from "../observe/progress.ts"
import { Warehouse, whileOpen } from "../postgres/connect.ts"
import { streamsNamed } from "../registry.ts"
import { checkAfterWork } from "../warehouse/checks/ledgerChecks.ts"
import type { Lease } from "../warehouse/ledger/lease.ts"
import type { Mode } from "../warehouse/ledger/runs.ts"
import { type RunSummary, summaryOf } from "../warehouse/ledger/summary.ts"
import {
  accountsStored,
  countStored,
  describeFailures,
  rebuildStream,
} from "../warehouse/maintain/rebuild.ts"
import {
  countChosen,
  type MerchantsOf,
  type ReplayScope,
  replayRejects,
} from "../warehouse/maintain/replay.ts"
import { syncedAccounts } from "../warehouse/read/rejectList.ts"
import type { StreamResult } from "./context.ts"
import { openRun, runUnderLease } from "./lifecycle.ts"
import { rejectOf, type Scope, syncedBefore } from "./rejects.ts"

/** Runs on stored records: rebuild and replay. They hold the leases of their streams, and ask the API nothing. */

interface Task<S extends Stream> {
  readonly account: string
  readonly stream: S
  readonly total: number
}

type Work<S extends Stream> = (
  stream: S,
  lease: Lease,
  tell: TellChange,
) => Effect.Effect<Pick<StreamResult, "rejected" | "error">, LeaseError | WarehouseError>

type Maintained = Effect.Effect<
  RunSummary | undefined,
  ConfigurationError | LeaseError | WarehouseError,
  Warehouse
>

/** Does tasks one after the other. Answers undefined if there is none. Fails if another run holds all of them. */
const runTasks = <S extends Stream>(
  mode: Mode,
  tasks: ReadonlyArray<Task<S>>,
  leaseSeconds: number,
  work: Work<S>,
): Maintained =>
  Effect.gen(function* () {
    if (tasks.length === 0) return undefined
    const { sql } = yield* Warehouse
    const runId = randomUUID()
    const leases = tasks.map(({ account, stream }) => ({ account, stream: stream.name }))
    const running = Effect.gen(function* () {
      const run = yield* openRun(sql, { runId, leaseSeconds, leases })
      const doTask = ({ account, stream, total }: Task<S>) => {
        const lease = run.leases.find(one => one.account === account && one.stream === stream.name)
        if (lease === undefined) return Effect.void
        return runUnderLease(sql, { lease, mode, holding: run.holding, total }, tell =>
          Effect.map(work(stream, lease, tell), result => ({
            ...result,
            removed: 0,
            leftOver: 0,
            note: null,
          })),
        )
      }
      yield* run.start
      yield* run.finishAfter(Effect.forEach(tasks, doTask, { discard: true }))
      yield* checkAfterWork(
        sql,
        tasks.map(({ account }) => account),
      )
      return yield* summaryOf(sql, runId)
    }).pipe(Effect.scoped, Effect.annotateLogs("run", runId), Effect.withSpan(mode))
    return yield* whileOpen(sql, running)
  })

interface RebuildSettings {
  readonly leaseSeconds: number
  /** Names of accounts; empty for all that the warehouse holds. */
  readonly accounts: ReadonlyArray<string>
  readonly streams: ReadonlyArray<Stream>
}

/** Rebuilds as `rebuildIn` does, with settings given in code. */
export const rebuildWith = (settings: RebuildSettings): Maintained =>
  Effect.gen(function* () {
    const { sql } = yield* Warehouse
    const stored = yield* accountsStored(sql, settings.streams)
    const unknown = settings.accounts.find(account => !stored.includes(account))
    if (unknown !== undefined) {
      const names = stored.length === 0 ? "it is empty" : `it holds ${stored.join(", ")}`
      return yield* new ConfigurationError({
        message: `The warehouse has nothing of an account ${unknown}: ${names}.`,
      })
    }
    const accounts = settings.accounts.length === 0 ? stored : settings.accounts
    const tasks = yield* Effect.forEach(
      accounts.flatMap(account => settings.streams.map(stream => ({ account, stream }))),
      ({ account, stream }) =>
        Effect.map(countStored(sql, account, stream), total => ({ account, stream, total })),
    )
    const filled = tasks.filter(({ total }) => total > 0)
    return yield* runTasks("rebuild", filled, settings.leaseSeconds, (stream, lease, tell) =>
      rebuildStream(sql, lease, stream, ({ counts }) => tell(figuresOf(counts))).pipe(
        Effect.map(rewritten => ({ rejected: 0, error: describeFailures(rewritten) })),
      ),
    )
  })

/**
 * Normalizes all stored records again, without an API call and a token. Undefined if nothing is stored. A row whose raw
 * record no longer decodes stays, and fails its stream's run. `LeaseError` means that nothing was done.
 */
export const rebuildIn = ({ accounts = [], streams = [] }: Scope) =>
  Effect.gen(function* () {
    const named = yield* streamsNamed(streams)
    const { leaseSeconds } = yield* Config.run
    return yield* rebuildWith({ leaseSeconds, accounts, streams: named })
  })

interface ReplaySettings extends Omit<ReplayScope, "streams"> {
  /** The configured merchants of an account; absent if no account has any. */
  readonly merchantsOf?: MerchantsOf
  readonly leaseSeconds: number
  readonly streams: ReadonlyArray<Guarded>
}

/** Replays as `replayIn` does, with settings given in code. */
export const replayWith = (settings: ReplaySettings): Maintained =>
  Effect.gen(function* () {
    const { sql } = yield* Warehouse
    const { leaseSeconds, merchantsOf = () => [] } = settings
    const scope: ReplayScope = { ...settings, streams: settings.streams.map(({ name }) => name) }
    for (const id of new Set(settings.ids)) yield* rejectOf(id)
    const tasks = (yield* countChosen(sql, scope)).flatMap(({ account, stream: name, count }) => {
      const stream = settings.streams.find(candidate => candidate.name === name)
      return stream === undefined ? [] : [{ account, stream, total: count }]
    })
    return yield* runTasks("replay", tasks, leaseSeconds, (stream, lease, tell) =>
      replayRejects(sql, lease, stream, scope, merchantsOf, counts => tell(figuresOf(counts))).pipe(
        Effect.map(({ rejected, itemRejected }) => ({ rejected: rejected + itemRejected })),
      ),
    )
  })

export interface ReplayOptions extends Scope {
  /** True to replay also rejects that are no longer listed. */
  readonly all?: boolean
  /** Numbers of rejects; empty for all open ones. */
  readonly ids?: ReadonlyArray<number>
}

/**
 * Decodes rejects again, and makes rows of those that decode now, as of the time they were read. Undefined if there is
 * none. Fails for a number that no reject has. `LeaseError` means that nothing was done.
 */
export const replayIn = ({ accounts = [], streams = [], all = false, ids = [] }: ReplayOptions) =>
  Effect.gen(function* () {
    const named = yield* streamsNamed(streams)
    const { leaseSeconds, privacy } = yield* Config.run
    yield* syncedBefore(accounts)
    const { sql } = yield* Warehouse
    const configured = new Map(
      yield* Effect.forEach(yield* syncedAccounts(sql), account =>
        Effect.map(Config.merchants(account), merchants => [account, merchants] as const),
      ),
    )
    return yield* replayWith({
      merchantsOf: account => configured.get(account) ?? [],
      leaseSeconds,
      accounts,
      streams: named.map(stream => redacting(stream, privacy)),
      all,
      ids,
    })
  })
