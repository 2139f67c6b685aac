import { describe, expect, it } from "@effect/vitest"
import { Cause, Duration, Effect, Exit, Fiber, Redacted } from "effect"
import { connect } from "../../src/postgres/connect.ts"
import { openPool } from "../../src/postgres/pool.ts"
import { allStreams } from "../../src/registry.ts"
import { start } from "../../src/sandbox/sandbox.ts"
import { erasePerson } from "../../src/warehouse/maintain/erase.ts"
import { testDatabase } from "../support/postgres.ts"
import { postgresProxy } from "../support/postgresProxy.ts"
import { MIGRATED, printed, SMALL, syncOnce } from "../support/warehouse.ts"

/** Connections to Postgres that fall silent: nothing passes any more, in either direction, and nothing is closed. */

/** A statement, a commit and the pins each wait 10 s and two looks, on a slow machine. */
const SEEN_WITHIN_MILLIS = 60_000
/** Longest time of a run after a signal: 10 s for its batch, three times 3 s for its finalizers, 5 s to close. */
const STOPPED_WITHIN_MILLIS = 40_000
/** Three leases' times of 5 s, 10 s for its batch, three times 3 s for its books, and one try at the verdict. */
const ENDED_WITHIN_MILLIS = 90_000
const LEASE_SECONDS = 5
/** Errors of a transaction that was given up. */
const LOSSES = ["ETIMEDOUT", "CONNECTION_CLOSED", "ECONNRESET"]
/** Renewals of a shorter one could be late on a slow machine. */
const LONG_LEASE_SECONDS = 20

const silenced = (options = {}) =>
  Effect.gen(function* () {
    const { ownerUrl } = yield* testDatabase({ template: MIGRATED })
    const proxy = yield* postgresProxy(ownerUrl)
    const through = new URL(Redacted.value(proxy.through(ownerUrl)))
    through.searchParams.set("connect_timeout", "8")
    const sandbox = yield* start({ ...SMALL, ...options })
    const direct = yield* connect(ownerUrl)
    const sql = yield* connect(Redacted.make(through.href))
    return { proxy, sandbox, direct, sql, url: through.href }
  })

const elapsed = <A, E, R>(work: Effect.Effect<A, E, R>) =>
  Effect.map(Effect.timed(Effect.exit(work)), ([duration, exit]) => ({
    exit,
    millis: Duration.toMillis(duration),
  }))

describe.concurrent("a connection that falls silent", () => {
  for (const [place, statement] of [
    ["at its beginning", /^\s*begin/i],
    ["at a statement", /pg_sleep\(0\)/],
    ["at its savepoint", /^\s*savepoint/i],
    ["at its end", /^\s*commit/i],
  ] as const)
    it.scopedLive(
      `${place}: its transaction fails, and later ones get another connection`,
      () =>
        Effect.gen(function* () {
          const { proxy, url } = yield* silenced()
          const sql = yield* Effect.acquireRelease(
            Effect.sync(() => openPool(url, { max: 2, prepare: false, fetch_types: false })),
            pool => Effect.promise(() => pool.end({ timeout: 0 })),
          )
          yield* Effect.promise(() => sql`SELECT 1`)
          const silent = yield* Effect.fork(proxy.silenceAt(statement, "present"))
          yield* Effect.yieldNow()
          const work = Effect.tryPromise({
            try: () => sql.begin(tx => tx.savepoint(inner => inner`SELECT pg_sleep(0)`)),
            catch: error => (error as { readonly code?: string }).code,
          })
          const { exit, millis } = yield* elapsed(work)
          yield* Fiber.join(silent)
          // Ending the session may close the connection before this side gives it up.
          expect(LOSSES).toContain(Exit.isFailure(exit) && Cause.squash(exit.cause))
          expect(millis).toBeLessThan(SEEN_WITHIN_MILLIS)
          expect(yield* Effect.promise(() => sql`SELECT 1 AS one`)).toEqual([{ one: 1 }])
        }),
      120_000,
    )

  it.scopedLive("is told apart from one with a long statement, lock or wait", () =>
    Effect.gen(function* () {
      const { direct, url } = yield* silenced()
      const sql = yield* Effect.acquireRelease(
        Effect.sync(() => openPool(url, { max: 2, prepare: false, fetch_types: false })),
        pool => Effect.promise(() => pool.end({ timeout: 0 })),
      )
      yield* Effect.promise(() => direct`CREATE TABLE public.locked (id int)`)
      const locking = yield* Effect.fork(
        Effect.promise(() => direct.begin(tx => tx.unsafe("LOCK public.locked; SELECT pg_sleep(18)"))),
      )
      yield* Effect.sleep("1 second")
      const done = yield* Effect.promise(() =>
        Promise.all([
          sql`SELECT 1 FROM public.locked`,
          sql`SELECT pg_sleep(18)`,
          // It waits for one of the two connections.
          sql`SELECT 1`,
        ]),
      )
      expect(done.map(rows => rows.length)).toEqual([0, 1, 1])
      yield* Fiber.join(locking)
    }),
  )
})

describe.concurrent("a run whose Postgres falls silent in the middle of a commit", () => {
  for (const [place, statement] of [
    ["a batch", /INSERT INTO "warehouse"\."transactions"/],
    ["a batch of look-ups", /INSERT INTO "?warehouse"?\."?wallet_readiness"?/],
    ["the beginning of a stream", /INSERT INTO sync\.stream_runs/],
    ["the end of a stream", /UPDATE sync\.stream_runs[^;]*finished_at/],
  ] as const) {
    it.scopedLive(
      `at ${place}: goes on with other connections where Postgres answers these`,
      () =>
        Effect.gen(function* () {
          const { proxy, sandbox, sql, direct } = yield* silenced()
          const silent = yield* Effect.fork(proxy.silenceAt(statement, "present"))
          yield* Effect.yieldNow()
          const summary = yield* syncOnce(sql, sandbox, { leaseSeconds: LONG_LEASE_SECONDS })
          yield* Fiber.join(silent)
          expect(summary.streams.map(({ error }) => error).filter(error => error !== null)).toEqual([])
          expect(summary.status).toBe("complete")
          const rows = yield* printed(direct, "SELECT count(*) AS n FROM warehouse.transactions")
          expect(rows).toEqual([{ n: "120" }])
        }),
      200_000,
    )

    it.scopedLive(
      `at ${place}: ends within seconds when it is told to stop`,
      () =>
        Effect.gen(function* () {
          const { proxy, sandbox, sql } = yield* silenced()
          const silent = yield* Effect.fork(proxy.silenceAt(statement, "all"))
          yield* Effect.yieldNow()
          const run = yield* Effect.fork(syncOnce(sql, sandbox, { leaseSeconds: 60 }))
          yield* Fiber.join(silent)
          const { exit, millis } = yield* elapsed(Effect.flatten(Fiber.interrupt(run)))
          expect(millis).toBeLessThan(STOPPED_WITHIN_MILLIS)
          expect(Exit.isInterrupted(exit)).toBe(true)
        }),
      200_000,
    )
  }

  it.scopedLive(
    "ends with an error by itself if Postgres stays silent",
    () =>
      Effect.gen(function* () {
        const { proxy, sandbox, sql } = yield* silenced()
        const silent = yield* Effect.fork(proxy.silenceAt(/INSERT INTO "warehouse"\."transactions"/, "all"))
        yield* Effect.yieldNow()
        const run = yield* Effect.fork(syncOnce(sql, sandbox, { leaseSeconds: LEASE_SECONDS }))
        yield* Fiber.join(silent)
        const { exit, millis } = yield* elapsed(Fiber.join(run))
        expect(Exit.isFailure(exit)).toBe(true)
        expect(millis).toBeLessThan(ENDED_WITHIN_MILLIS)
      }),
    300_000,
  )
})

describe("an erasure whose Postgres falls silent", () => {
  for (const [place, statement] of [
    ["when its leases are taken", /INSERT INTO sync\.leases/],
    ["in the middle", /INSERT INTO sync\.erasures/],
  ] as const)
    it.scopedLive(
      `${place}: ends within seconds when it is told to stop`,
      () =>
        Effect.gen(function* () {
          const { proxy, sandbox, sql } = yield* silenced()
          const silent = yield* Effect.fork(proxy.silenceAt(statement, "all"))
          yield* Effect.yieldNow()
          const streams = yield* Effect.orDie(allStreams)
          const [id] = [...sandbox.truth.ids("customers")]
          const erasing = yield* Effect.fork(erasePerson(sql, streams, "default", id!, "test"))
          yield* Fiber.join(silent)
          const { millis } = yield* elapsed(Fiber.interrupt(erasing))
          expect(millis).toBeLessThan(STOPPED_WITHIN_MILLIS)
        }),
      120_000,
    )
})
