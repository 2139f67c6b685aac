import { Deferred, Duration, Effect, Option } from "effect"
import type postgres from "postgres"
import type { AccountSettings } from "../config/config.ts"
import type { AccountError, LeaseError, WarehouseError } from "../core/errors.ts"
import { firstOf } from "../core/fibers.ts"
import { isList, type Stream } from "../core/stream.ts"
import { noProgress, Progress } from "../observe/progress.ts"
import { make as makeClient } from "../paycombat/client/client.ts"
import { allStreams } from "../registry.ts"
import type { Acquired, Lease } from "../warehouse/ledger/lease.ts"
import { readingTime } from "../warehouse/ledger/runs.ts"
import type { RunOptions } from "./context.ts"
import type { Holding } from "./holding.ts"
import { runStream } from "./streamRun.ts"
import { type UrgentContext, withUrgentWork } from "./urgentRun.ts"

/** The run of one account under its lease: its streams, parents first, and urgent work beside them. */

/** How long a stream waits for work that asks no API and holds its lease: `erase`, `rebuild`, `rejects replay`. */
const STREAM_WAIT = "1 minute"

interface AccountRun {
  readonly account: AccountSettings
  readonly accountLease: Acquired
  readonly holding: Holding
  /** Leases of streams that this run worked under. It grows as streams begin. */
  readonly worked: Array<Lease>
  /** Errors of accounts and streams that were left out, since another run held them. */
  readonly refused: Array<LeaseError>
}

const besideByStream = () => {
  const idsOf = new Map<string, Set<string>>()
  return (stream: string): Set<string> => {
    const ids = idsOf.get(stream) ?? new Set<string>()
    idsOf.set(stream, ids)
    return ids
  }
}

/** Takes the free leases of the account's streams, and shows all streams as waiting. Answers the state that they share. */
const share = (sql: postgres.Sql, options: RunOptions, run: AccountRun) =>
  Effect.gen(function* () {
    const { account, accountLease, holding } = run
    const grant = holding.grantOf(accountLease)
    const client = yield* makeClient(account, { startedAt: yield* readingTime(sql), grant })
    const { tell } = yield* Progress
    const ended = new Map<string, Deferred.Deferred<void>>()
    for (const { name } of options.streams) {
      ended.set(name, yield* Deferred.make<void>())
      yield* tell(noProgress(account.name, name, "waiting"))
    }
    const names = options.streams.map(({ name }) => ({ account: account.name, stream: name }))
    const { leases, refused } = yield* holding.take(names, accountLease.formerRunId)
    for (const { message } of refused) yield* Effect.logInfo(`waiting: ${message}`)
    return {
      ...run,
      ...{ sql, options, client, ended },
      streams: [...options.streams, ...(yield* Effect.orDie(allStreams))],
      stop: yield* Deferred.make<never, AccountError>(),
      leases: new Map<string, Lease>(leases.map(lease => [lease.stream, lease])),
      budget: { calls: options.lookupCalls ?? Number.POSITIVE_INFINITY },
      besideOf: besideByStream(),
    }
  })

type Shared = Effect.Effect.Success<ReturnType<typeof share>>

/** The stream's lease. Waits while work that asks no API holds it, for as long as the run holds the account. */
const leaseOf = (
  { account, accountLease, holding, options, leases }: Shared,
  { name }: Stream,
): Effect.Effect<Lease, LeaseError | WarehouseError> => {
  const free = leases.get(name)
  if (free !== undefined) return Effect.succeed(free)
  const limit = options.wait === true ? Duration.infinity : STREAM_WAIT
  const wait = holding.takeWithin({ account: account.name, stream: name }, limit)
  return firstOf([wait, holding.lost(accountLease)])
}

const runOne = (shared: Shared, stream: Stream): Effect.Effect<void, WarehouseError> =>
  Effect.gen(function* () {
    const { sql, client, account, options: settings, streams, budget, stop, holding } = shared
    const lease = yield* leaseOf(shared, stream)
    shared.worked.push(lease)
    shared.leases.set(stream.name, lease)
    yield* Effect.forEach(stream.after, parent => shared.ended.get(parent) ?? Effect.void, { discard: true })
    const beside = shared.besideOf(stream.name)
    const coreEnded = Effect.forEach(
      settings.streams.filter(one => isList(one) && !one.isOptional),
      ({ name }) => shared.ended.get(name) ?? Effect.void,
      { discard: true },
    )
    const context = { sql, client, account, settings, lease, beside, streams, budget, coreEnded }
    yield* runStream(context, stream, { stop, holding })
  }).pipe(
    Effect.catchTag("LeaseError", error =>
      Effect.gen(function* () {
        shared.refused.push(error)
        yield* Effect.logWarning(error.message)
        const { tell } = yield* Progress
        yield* tell({ ...noProgress(shared.account.name, stream.name, "failed"), message: error.message })
      }),
    ),
    Effect.ensuring(Deferred.succeed(shared.ended.get(stream.name)!, undefined)),
  )

const withStream =
  ({ account, accountLease, holding, ended, leases }: Shared): UrgentContext["withStream"] =>
  (name, use) =>
    Effect.gen(function* () {
      const own = leases.get(name)
      if (own !== undefined) return Option.some(yield* use(own))
      // The run is about to take it: taking it twice would give it a new fence.
      if (ended.has(name)) return Option.none()
      const names = [{ account: account.name, stream: name }]
      const [lease] = (yield* holding.take(names, accountLease.formerRunId)).leases
      if (lease === undefined) return Option.none()
      return Option.some(yield* Effect.ensuring(use(lease), holding.releaseLeases(account.name, name)))
    })

export const runAccount = (sql: postgres.Sql, options: RunOptions, run: AccountRun) =>
  Effect.gen(function* () {
    const shared = yield* share(sql, options, run)
    const { client, account, accountLease, streams, besideOf, holding } = shared
    const all = Effect.forEach(options.streams, stream => runOne(shared, stream), {
      concurrency: "unbounded",
      discard: true,
    })
    const urgent = {
      ...{ sql, client, account, accountLease, streams, besideOf },
      privacy: options.privacy,
      lost: holding.lost(accountLease),
      withStream: withStream(shared),
    }
    yield* withUrgentWork(urgent, all)
  })
