import { Deferred, Duration, Effect, Option } from "effect"
import type postgres from "postgres"
import type { AccountSettings } from "../config/config.ts"
import type { AccountError, LeaseError } from "../core/errors.ts"
import { firstOf } from "../core/firstOf.ts"
import type { Stream } from "../core/stream.ts"
import { Progress } from "../observe/progress.ts"
import { make as makeClient } from "../paycombat/client/client.ts"
import { allStreams } from "../registry.ts"
import type { Acquired, Lease } from "../warehouse/ledger/lease.ts"
import { readingTime } from "../warehouse/ledger/readingTime.ts"
import type { RunOptions } from "./context.ts"
import type { Holding } from "./holding.ts"
import { notYet, runStream, type Stop } from "./streamRun.ts"
import { makeUrgent } from "./urgentRun.ts"

/** The run of one account under its lease: its streams, parents first, and the urgent work that it is handed. */

/** How long a stream waits for work that asks no API and holds its lease: `erase`, `rebuild`, `rejects replay`. */
const STREAM_WAIT = "1 minute"

/** One account of a run, under its lease. */
export interface AccountRun {
  readonly account: AccountSettings
  readonly accountLease: Acquired
  readonly holding: Holding
  /** Leases of streams that this run worked under. It grows as streams begin. */
  readonly worked: Array<Lease>
  /** Accounts and streams that were left out, since another run held them. */
  readonly refused: Array<LeaseError>
}

/** Runs the streams of one account, each after its parents have ended, however they ended, and its urgent work beside them. */
export const runAccount = (sql: postgres.Sql, options: RunOptions, run: AccountRun) =>
  Effect.gen(function* () {
    const { account, accountLease, holding } = run
    const grant = holding.grantOf(accountLease)
    const client = yield* makeClient(account, { startedAt: yield* readingTime(sql), grant })
    const progress = yield* Progress
    const stop: Stop = yield* Deferred.make<never, AccountError>()
    const ended = new Map<string, Deferred.Deferred<void>>()
    for (const stream of options.streams) {
      ended.set(stream.name, yield* Deferred.make<void>())
      yield* progress.tell(notYet(account, stream))
    }
    const streams = [...options.streams, ...(yield* Effect.orDie(allStreams))]
    const budget = { calls: options.lookupCalls ?? Number.POSITIVE_INFINITY }
    const nameOf = (stream: Stream) => ({ account: account.name, stream: stream.name })
    const taken = yield* holding.take(options.streams.map(nameOf), accountLease.formerRunId)
    for (const { message } of taken.refused) yield* Effect.logInfo(`waiting: ${message}`)
    const leases = new Map<string, Lease>(taken.leases.map(lease => [lease.stream, lease]))
    const beside = new Map<string, Set<string>>()
    const besideOf = (stream: string) => {
      const ids = beside.get(stream) ?? new Set<string>()
      beside.set(stream, ids)
      return ids
    }
    /** The stream's lease. Waits where work that asks no API holds it, for as long as the account is ours. */
    const leaseOf = (stream: Stream) => {
      const free = taken.leases.find(lease => lease.stream === stream.name)
      if (free !== undefined) return Effect.succeed(free)
      const limit = options.wait === true ? Duration.infinity : STREAM_WAIT
      return firstOf([holding.takeWithin(nameOf(stream), limit), holding.lost(accountLease)])
    }
    const runOne = (stream: Stream) =>
      Effect.gen(function* () {
        const lease = yield* leaseOf(stream)
        run.worked.push(lease)
        leases.set(stream.name, lease)
        yield* Effect.forEach(stream.after, parent => ended.get(parent) ?? Effect.void, { discard: true })
        const beside = besideOf(stream.name)
        const context = { sql, client, account, settings: options, lease, beside, streams, budget }
        yield* runStream(context, stream, { stop, holding })
      }).pipe(
        Effect.catchTag("LeaseError", error => {
          run.refused.push(error)
          const failed = { ...notYet(account, stream), status: "failed", message: error.message } as const
          return Effect.zipRight(Effect.logWarning(error.message), progress.tell(failed))
        }),
        Effect.ensuring(Deferred.succeed(ended.get(stream.name)!, undefined)),
      )
    const urgent = makeUrgent({
      sql,
      client,
      account,
      privacy: options.privacy,
      accountLease,
      lost: holding.lost(accountLease),
      besideOf,
      streams,
      withStream: (name, use) =>
        Effect.gen(function* () {
          const own = leases.get(name)
          if (own !== undefined) return Option.some(yield* use(own))
          // The run is about to take it: taking it twice would give it a new fence.
          if (ended.has(name)) return Option.none()
          const wanted = { account: account.name, stream: name }
          const [taken] = (yield* holding.take([wanted], accountLease.formerRunId)).leases
          if (taken === undefined) return Option.none()
          return Option.some(yield* Effect.ensuring(use(taken), holding.releaseLeases(account.name, name)))
        }),
    })
    yield* urgent.during(Effect.forEach(options.streams, runOne, { concurrency: "unbounded", discard: true }))
  })
