import { hostname } from "node:os"
import { Clock, Deferred, Duration, Effect, Queue, type Scope } from "effect"
import type postgres from "postgres"
import { type LeaseError, WarehouseError } from "../core/errors.ts"
import { type Grant, monotonicMillis } from "../paycombat/client/rateLimiter.ts"

import { heartbeatOf } from "../postgres/heartbeat.ts"
import {
  ACCOUNT,
  type Acquired,
  type AcquireResult,
  acquire,
  type Lease,
  lost,
  type Name,
  release,
  renew,
} from "../warehouse/ledger/lease.ts"
import { inTime } from "./finalize.ts"

/** The leases of a run, from taking them to giving them back: one heartbeat keeps all of them meanwhile. */

/** Fractions of a lease's time after which the heartbeat renews it. */
const HEARTBEATS_PER_LEASE = 3
/** Longest time that one renewal may take, as a fraction of a lease's time: there is time for another one after it. */
const RENEWAL_PER_LEASE = 0.25
/**
 * Leases' times without a renewal after which a run ends. Its requests stop after the first: until it ends, it can go on
 * where Postgres comes back and no other run took over.
 */
const UNRENEWED_LEASES_MAX = 3
/** Shortest time between two heartbeats, and before one that failed is tried again, in milliseconds. */
const HEARTBEATS_APART_MILLIS = 1_000
/** How often a lease that another holds is asked for. */
const ASK_AGAIN = "1 second"
/** How often a request that waits for the renewal of its account's lease looks again. */
const LOOK_AGAIN = "100 millis"

const NO_ANSWER = new WarehouseError({
  message:
    "Postgres did not answer to the renewal of a lease: see that it is up, and reachable from this host.",
})

/** Host and process that a lease names as its holder. */
export const holder = `${hostname()}:${process.pid}`

export interface Terms {
  readonly runId: string
  readonly leaseSeconds: number
}

export interface Holding {
  /** Takes the leases that are free or expired, and names the holders of the others. `heirOf`: see `AcquireRequest`. */
  readonly take: (
    names: ReadonlyArray<Name>,
    heirOf?: string | null,
  ) => Effect.Effect<AcquireResult, WarehouseError>
  /** Takes a lease as soon as its holder gives it back; fails with `LeaseError` if it does not within the limit. */
  readonly takeWithin: (
    name: Name,
    limit: Duration.DurationInput,
  ) => Effect.Effect<Acquired, LeaseError | WarehouseError>
  /**
   * Fails once another run has taken this lease, or its account, over, or Postgres was away for a lease's time. Never
   * succeeds.
   */
  readonly lost: (lease: Lease) => Effect.Effect<never, LeaseError | WarehouseError>
  /** True where Postgres has not answered to renewals for so long that a run ends by it. */
  readonly isAway: Effect.Effect<boolean>
  /** Permission to ask the API, valid for as long as this account's lease is. */
  readonly grantOf: (lease: Acquired) => Grant
  /** Gives the leases of an account, or the one of a stream, back before the scope does. */
  readonly releaseLeases: (account: string, stream?: string) => Effect.Effect<void>
}

interface Instant {
  readonly monotonic: number
  readonly wall: number
}

const LONG_AGO: Instant = { monotonic: Number.NEGATIVE_INFINITY, wall: Number.NEGATIVE_INFINITY }

const instant = Effect.map(
  Effect.all([monotonicMillis, Clock.currentTimeMillis]),
  ([monotonic, wall]): Instant => ({ monotonic, wall }),
)

/**
 * The longer of the times that the two clocks tell. Linux' monotonic clock stands still while a machine is suspended; the
 * wall clock can be set back.
 */
const elapsedMillis = (since: Instant, now: Instant): number =>
  Math.max(now.monotonic - since.monotonic, now.wall - since.wall)

/** A lease that is kept. */
interface Entry {
  readonly lease: Lease
  readonly end: Deferred.Deferred<never, LeaseError | WarehouseError>
  /** When the claim or renewal was sent that it rests on: counted from the answer, it would last longer here than there. */
  since: Instant
  /** Monotonic time until which the API asked for no requests, in milliseconds; an account's lease only. */
  pausedUntil: number
}

const keyOf = ({ account, stream }: Name): string => JSON.stringify([account, stream])
const isAccount = ({ stream }: Name): boolean => stream === ACCOUNT

/** Makes a holding without leases, and starts its heartbeat. Its leases are given back with the scope. */
export const makeHolding = (
  sql: postgres.Sql,
  { runId, leaseSeconds }: Terms,
): Effect.Effect<Holding, never, Scope.Scope> =>
  Effect.gen(function* () {
    const leaseMillis = leaseSeconds * 1000
    const beatMillis = leaseMillis / HEARTBEATS_PER_LEASE
    const apartMillis = Math.min(HEARTBEATS_APART_MILLIS, beatMillis)
    const entries = new Map<string, Entry>()
    const wake = yield* Queue.sliding<void>(1)
    const heartbeat = heartbeatOf(sql)
    let failingSince: Instant | null = null

    const keptAt = (now: number, all: Iterable<Entry>) =>
      Array.from(all, ({ lease, pausedUntil }) => ({ ...lease, pauseMillis: Math.max(0, pausedUntil - now) }))

    const end = ({ lease, end }: Entry, failure: LeaseError | WarehouseError = lost(lease)) =>
      Deferred.fail(end, failure)

    const isAwayAt = (now: Instant) =>
      failingSince !== null && elapsedMillis(failingSince, now) >= UNRENEWED_LEASES_MAX * leaseMillis
    const isAway = Effect.map(instant, isAwayAt)

    const renewAll = Effect.flatMap(instant, at => renewedAt(at))
    const renewedAt = (at: Instant) =>
      Effect.gen(function* () {
        const { renewed, lost } = yield* renew(heartbeat.sql(), keptAt(at.monotonic, entries.values())).pipe(
          Effect.timeoutFail({ duration: leaseMillis * RENEWAL_PER_LEASE, onTimeout: () => NO_ANSWER }),
          // What is sent next must not wait behind it.
          Effect.tapError(error => Effect.sync(() => error === NO_ANSWER && heartbeat.replace())),
        )
        failingSince = null
        for (const name of renewed) {
          const entry = entries.get(keyOf(name))
          if (entry !== undefined) entry.since = at
        }
        // The new holder of an account may take any of its streams.
        const gone = (entry: Entry) =>
          lost.some(
            name =>
              name.account === entry.lease.account && (isAccount(name) || name.stream === entry.lease.stream),
          )
        for (const entry of [...entries.values()].filter(gone)) {
          entry.since = LONG_AGO
          yield* end(entry)
        }
      }).pipe(
        Effect.catchTag("WarehouseError", error =>
          Effect.gen(function* () {
            const now = yield* instant
            failingSince ??= at
            if (isAwayAt(now)) for (const entry of entries.values()) yield* end(entry, error)
            yield* Queue.offer(wake, undefined)
          }),
        ),
      )

    const beating = Queue.take(wake).pipe(
      Effect.timeout(beatMillis - apartMillis),
      Effect.ignore,
      Effect.zipRight(Effect.suspend(() => (entries.size === 0 ? Effect.void : renewAll))),
      Effect.zipRight(Effect.sleep(apartMillis)),
      Effect.forever,
    )

    const claimed = (names: ReadonlyArray<Name>, heirOf?: string | null) =>
      Effect.gen(function* () {
        const since = yield* instant
        const claim = { streams: names, runId, holder, leaseSeconds, heirOf: heirOf ?? undefined }
        const taken = yield* acquire(sql, claim)
        for (const lease of taken.leases) {
          const end = yield* Deferred.make<never, LeaseError | WarehouseError>()
          entries.set(keyOf(lease), { lease, end, since, pausedUntil: Number.NEGATIVE_INFINITY })
        }
        return taken
      })

    // A claim that is interrupted may be committed: it gets a few seconds to be heard of, so that it can be given back.
    const take: Holding["take"] = (names, heirOf) =>
      Effect.gen(function* () {
        const answer = yield* Deferred.make<AcquireResult, WarehouseError>()
        yield* inTime(Deferred.complete(answer, claimed(names, heirOf)))
        return yield* Deferred.await(answer)
      })

    const takeWithin: Holding["takeWithin"] = (name, limit) =>
      Effect.gen(function* () {
        const until = (yield* monotonicMillis) + Duration.toMillis(limit)
        while (true) {
          const { leases, refused } = yield* take([name])
          if (leases[0] !== undefined) return leases[0]
          if (refused[0] !== undefined && (yield* monotonicMillis) >= until) return yield* refused[0]
          yield* Effect.sleep(ASK_AGAIN)
        }
      })

    const releaseLeases = (isGiven: (lease: Lease) => boolean) =>
      Effect.suspend(() => {
        const given = [...entries.values()].filter(({ lease }) => isGiven(lease))
        for (const entry of given) {
          entry.since = LONG_AGO
          entries.delete(keyOf(entry.lease))
        }
        if (given.length === 0) return Effect.void
        const released = Effect.flatMap(monotonicMillis, now => release(sql, keptAt(now, given)))
        return inTime(Effect.ignore(released), { isAway })
      })

    yield* Effect.addFinalizer(() => releaseLeases(() => true))
    yield* Effect.forkScoped(beating)
    return {
      take,
      takeWithin,
      isAway,
      lost: lease => {
        const entry = entries.get(keyOf(lease))
        return entry === undefined ? Effect.never : Deferred.await(entry.end)
      },
      grantOf: lease => {
        const entry = entries.get(keyOf(lease))
        return {
          idleMillis: lease.idleMillis,
          pauseMillis: lease.pauseMillis,
          isValid: Effect.map(instant, now => elapsedMillis(entry?.since ?? LONG_AGO, now) < leaseMillis),
          renewed: Effect.zipRight(Queue.offer(wake, undefined), Effect.sleep(LOOK_AGAIN)),
          paused: millis =>
            Effect.gen(function* () {
              if (entry === undefined) return
              entry.pausedUntil = Math.max(entry.pausedUntil, (yield* monotonicMillis) + millis)
              yield* Queue.offer(wake, undefined)
            }),
        }
      },
      releaseLeases: (account, stream) =>
        releaseLeases(
          lease => lease.account === account && (stream === undefined || lease.stream === stream),
        ),
    }
  })
