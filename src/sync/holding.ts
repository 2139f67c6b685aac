import { hostname } from "node:os"
import { Clock, Deferred, Duration, Effect, Queue, type Scope } from "effect"
import type postgres from "postgres"
import { type LeaseError, WarehouseError } from "../core/errors.ts"
import { type Grant, monotonicMillis } from "../paycombat/client/rateLimiter.ts"
import { heartbeatOf } from "../postgres/connect.ts"
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

/** The leases of a run, from the acquisition to the release. One heartbeat renews all of them. */

/** Fractions of a lease's time after which the heartbeat renews it. */
const HEARTBEATS_PER_LEASE = 3
/** Longest time that one renewal may take, as a fraction of a lease's time. It leaves time for another one. */
const RENEWAL_PER_LEASE = 0.25
/** Lease times without a renewal after which a run ends. Its requests stop after the first one. */
const UNRENEWED_LEASES_MAX = 3
/** Shortest time between two heartbeats, also after one that failed, in milliseconds. */
const HEARTBEATS_APART_MILLIS = 1_000
/** Interval between two attempts to take a lease that another run holds. */
const TAKE_AGAIN = "1 second"
/** Interval between two checks of a request that waits for the renewal of its account's lease. */
const CHECK_AGAIN = "100 millis"

const NO_ANSWER = new WarehouseError({
  message:
    "Postgres did not answer to the renewal of a lease: see that it is up, and reachable from this host.",
})

export const holder = `${hostname()}:${process.pid}`

interface Terms {
  readonly runId: string
  readonly leaseSeconds: number
}

export interface Holding {
  /** Takes the leases that are free or expired. Answers an error for each other one. `heirOf`: see `AcquireRequest`. */
  readonly take: (
    names: ReadonlyArray<Name>,
    heirOf?: string | null,
  ) => Effect.Effect<AcquireResult, WarehouseError>
  /** Takes a lease as soon as its holder releases it. Fails with `LeaseError` if that takes longer than the limit. */
  readonly takeWithin: (
    name: Name,
    limit: Duration.DurationInput,
  ) => Effect.Effect<Acquired, LeaseError | WarehouseError>
  /** Never succeeds. Fails once another run took over the lease or its account, or Postgres is away. */
  readonly lost: (lease: Lease) => Effect.Effect<never, LeaseError | WarehouseError>
  /** True if Postgres has not answered to renewals for so long that the run ends. */
  readonly isAway: Effect.Effect<boolean>
  readonly grantOf: (lease: Acquired) => Grant
  /** Releases the leases of an account, or of one of its streams, before the scope does. */
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

/** Time since an instant: the longer by the two clocks. One stops with the machine, the other can be set back. */
const elapsedMillis = (since: Instant, now: Instant): number =>
  Math.max(now.monotonic - since.monotonic, now.wall - since.wall)

interface Entry {
  readonly lease: Lease
  readonly end: Deferred.Deferred<never, LeaseError | WarehouseError>
  /** Time at which its acquisition or latest renewal was sent. Counted from the answer, it would last longer here. */
  since: Instant
  /** Monotonic time until which the API asked for no requests, in milliseconds; an account's lease only. */
  pausedUntil: number
}

interface State extends Terms {
  readonly sql: postgres.Sql
  readonly heartbeat: ReturnType<typeof heartbeatOf>
  /** Has the heartbeat beat before its time. */
  readonly wake: Queue.Queue<void>
  readonly entries: Map<string, Entry>
  /** Time at which the first of the latest failed renewals was sent; null after one that succeeded. */
  failingSince: Instant | null
}

const keyOf = ({ account, stream }: Name): string => JSON.stringify([account, stream])
const isAccount = ({ stream }: Name): boolean => stream === ACCOUNT
const millisOf = ({ leaseSeconds }: Terms): number => leaseSeconds * 1000

const isAwayAt = (state: State, now: Instant): boolean =>
  state.failingSince !== null &&
  elapsedMillis(state.failingSince, now) >= UNRENEWED_LEASES_MAX * millisOf(state)

const keptAt = (now: number, entries: Iterable<Entry>) =>
  Array.from(entries, ({ lease, pausedUntil }) => ({ ...lease, pauseMillis: Math.max(0, pausedUntil - now) }))

const renewOnce = (state: State, at: Instant) =>
  Effect.gen(function* () {
    const { heartbeat, entries } = state
    const { renewed, lost: lostNames } = yield* renew(
      heartbeat.sql(),
      keptAt(at.monotonic, entries.values()),
    ).pipe(
      Effect.timeoutFail({ duration: millisOf(state) * RENEWAL_PER_LEASE, onTimeout: () => NO_ANSWER }),
      // The next renewal must not wait behind this one.
      Effect.tapError(error => Effect.sync(() => error === NO_ANSWER && heartbeat.replace())),
    )
    state.failingSince = null
    for (const name of renewed) {
      const entry = entries.get(keyOf(name))
      if (entry !== undefined) entry.since = at
    }
    // The new holder of an account may take any of its streams.
    const isLost = ({ lease }: Entry) =>
      lostNames.some(
        name => name.account === lease.account && (isAccount(name) || name.stream === lease.stream),
      )
    for (const entry of [...entries.values()].filter(isLost)) {
      entry.since = LONG_AGO
      yield* Deferred.fail(entry.end, lost(entry.lease))
    }
  })

const renewAll = (state: State): Effect.Effect<void> =>
  Effect.flatMap(instant, at =>
    Effect.catchTag(renewOnce(state, at), "WarehouseError", error =>
      Effect.gen(function* () {
        state.failingSince ??= at
        if (isAwayAt(state, yield* instant))
          for (const { end } of state.entries.values()) yield* Deferred.fail(end, error)
        yield* Queue.offer(state.wake, undefined)
      }),
    ),
  )

const beat = (state: State): Effect.Effect<never> => {
  const beatMillis = millisOf(state) / HEARTBEATS_PER_LEASE
  const apartMillis = Math.min(HEARTBEATS_APART_MILLIS, beatMillis)
  return Queue.take(state.wake).pipe(
    Effect.timeout(beatMillis - apartMillis),
    Effect.ignore,
    Effect.zipRight(Effect.suspend(() => (state.entries.size === 0 ? Effect.void : renewAll(state)))),
    Effect.zipRight(Effect.sleep(apartMillis)),
    Effect.forever,
  )
}

const claim = (
  { sql, runId, leaseSeconds, entries }: State,
  streams: ReadonlyArray<Name>,
  heirOf: string | null | undefined,
): Effect.Effect<AcquireResult, WarehouseError> =>
  Effect.gen(function* () {
    const since = yield* instant
    const request = { streams, runId, holder, leaseSeconds, heirOf: heirOf ?? undefined }
    const result = yield* acquire(sql, request)
    for (const lease of result.leases) {
      const end = yield* Deferred.make<never, LeaseError | WarehouseError>()
      entries.set(keyOf(lease), { lease, end, since, pausedUntil: Number.NEGATIVE_INFINITY })
    }
    return result
  })

/** Takes leases. An interrupted acquisition may be committed: it has a few seconds, and is then released. */
const takeFrom =
  (state: State): Holding["take"] =>
  (names, heirOf) =>
    Effect.gen(function* () {
      const answer = yield* Deferred.make<AcquireResult, WarehouseError>()
      yield* inTime(Deferred.complete(answer, claim(state, names, heirOf)))
      return yield* Deferred.await(answer)
    })

const takeWithinFrom =
  (take: Holding["take"]): Holding["takeWithin"] =>
  (name, limit) =>
    Effect.gen(function* () {
      const until = (yield* monotonicMillis) + Duration.toMillis(limit)
      while (true) {
        const { leases, refused } = yield* take([name])
        if (leases[0] !== undefined) return leases[0]
        if (refused[0] !== undefined && (yield* monotonicMillis) >= until) return yield* refused[0]
        yield* Effect.sleep(TAKE_AGAIN)
      }
    })

const releaseFrom = (state: State, isReleased: (lease: Lease) => boolean): Effect.Effect<void> =>
  Effect.suspend(() => {
    const released = [...state.entries.values()].filter(({ lease }) => isReleased(lease))
    for (const entry of released) {
      entry.since = LONG_AGO
      state.entries.delete(keyOf(entry.lease))
    }
    if (released.length === 0) return Effect.void
    return inTime(
      Effect.flatMap(monotonicMillis, now => Effect.ignore(release(state.sql, keptAt(now, released)))),
      { isAway: Effect.map(instant, now => isAwayAt(state, now)) },
    )
  })

const grantFrom = (state: State, lease: Acquired): Grant => {
  const entry = state.entries.get(keyOf(lease))
  return {
    idleMillis: lease.idleMillis,
    pauseMillis: lease.pauseMillis,
    isValid: Effect.map(instant, now => elapsedMillis(entry?.since ?? LONG_AGO, now) < millisOf(state)),
    renewed: Effect.zipRight(Queue.offer(state.wake, undefined), Effect.sleep(CHECK_AGAIN)),
    paused: millis =>
      Effect.gen(function* () {
        if (entry === undefined) return
        entry.pausedUntil = Math.max(entry.pausedUntil, (yield* monotonicMillis) + millis)
        yield* Queue.offer(state.wake, undefined)
      }),
  }
}

/** Makes a holding without leases, and starts its heartbeat. Its leases are released with the scope. */
export const makeHolding = (sql: postgres.Sql, terms: Terms): Effect.Effect<Holding, never, Scope.Scope> =>
  Effect.gen(function* () {
    const state: State = {
      ...terms,
      sql,
      heartbeat: heartbeatOf(sql),
      wake: yield* Queue.sliding<void>(1),
      entries: new Map(),
      failingSince: null,
    }
    const take = takeFrom(state)
    yield* Effect.addFinalizer(() => releaseFrom(state, () => true))
    yield* Effect.forkScoped(beat(state))
    return {
      take,
      takeWithin: takeWithinFrom(take),
      isAway: Effect.map(instant, now => isAwayAt(state, now)),
      lost: lease => {
        const entry = state.entries.get(keyOf(lease))
        return entry === undefined ? Effect.never : Deferred.await(entry.end)
      },
      grantOf: lease => grantFrom(state, lease),
      releaseLeases: (account, stream) =>
        releaseFrom(
          state,
          lease => lease.account === account && (stream === undefined || lease.stream === stream),
        ),
    }
  })
