import { Clock, Duration, Effect } from "effect"
import type postgres from "postgres"
import { expect } from "vitest"
import type { FaultHook, FaultName, Sandbox } from "../../src/sandbox/sandbox.ts"
import { FAULTS, start } from "../../src/sandbox/sandbox.ts"
import { dump, INCIDENTAL, SMALL, syncOnce, testWarehouse, warehouseTables } from "./warehouse.ts"

/** An API that fails: runs in hurried time, and what must be so once it has stopped failing. */

/** How much faster than the wall clock a hurried run's time goes: back-off and time-outs, not the API. */
const HURRY = 40

/** A clock whose time goes so much faster: a wait of a quarter of a minute is over before a test grows impatient. */
const hurriedClock = Effect.map(Clock.clockWith(Effect.succeed), live => {
  const startMillis = live.unsafeCurrentTimeMillis()
  const startNanos = live.unsafeCurrentTimeNanos()
  const millis = () => startMillis + (live.unsafeCurrentTimeMillis() - startMillis) * HURRY
  const nanos = () => startNanos + (live.unsafeCurrentTimeNanos() - startNanos) * BigInt(HURRY)
  const hurried: Clock.Clock = Object.assign(Object.create(live), {
    sleep: (duration: Duration.Duration) => live.sleep(Duration.times(duration, 1 / HURRY)),
    unsafeCurrentTimeMillis: millis,
    unsafeCurrentTimeNanos: nanos,
    currentTimeMillis: Effect.sync(millis),
    currentTimeNanos: Effect.sync(nanos),
  })
  return hurried
})

/** Runs with a clock that hurries. */
export const hurried = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.flatMap(hurriedClock, clock => Effect.withClock(effect, clock))

/** A minute of real time per attempt: whatever is answered at all is answered in it, on the busiest machine. */
export const PATIENT = { timeout: Duration.seconds(60 * HURRY) }
/** Three seconds, where attempts are waited out: what is answered needs less, at one of its attempts at least. */
export const IMPATIENT = { timeout: Duration.seconds(3 * HURRY) }

/** Thirty seconds of real time: Postgres does not hurry. */
export const REAL_LEASE = { leaseSeconds: 30 * HURRY }

/** The named fault wherever the condition holds. */
export const where =
  (name: FaultName, condition: (request: Parameters<FaultHook>[0]) => boolean): FaultHook =>
  request =>
    condition(request) ? FAULTS[name] : undefined

export type Whole = ReadonlyMap<string, ReadonlyArray<string>>

/** Every row of every table, without times and runs. */
export const wholeOf = (sql: postgres.Sql): Effect.Effect<Whole> =>
  Effect.gen(function* () {
    const tables = yield* warehouseTables(sql)
    const dumps = yield* Effect.forEach(tables, table => dump(sql, table, INCIDENTAL))
    return new Map(tables.map((table, i) => [table, dumps[i]!]))
  })

/** The result of an undisturbed run. */
export const undisturbed = (sandbox: Sandbox, only?: ReadonlyArray<string>) =>
  Effect.gen(function* () {
    const sql = yield* testWarehouse()
    const run = yield* syncOnce(sql, sandbox, only === undefined ? {} : { only })
    expect(run.streams.map(({ error }) => error)).toEqual(run.streams.map(() => null))
    return yield* wholeOf(sql)
  }).pipe(Effect.scoped)

/** The warehouse is that of an undisturbed run. */
export const expectSame = (sql: postgres.Sql, reference: Whole, about: string) =>
  Effect.map(wholeOf(sql), found => {
    for (const [table, rows] of reference) {
      const others = new Set(rows)
      const more = found.get(table)!.filter(row => !others.has(row))
      expect([about, table, found.get(table)!.length, more.slice(0, 3)]).toEqual([
        about,
        table,
        rows.length,
        [],
      ])
    }
  })

/** How long it took, and how much more memory it had at most. */
export const measured = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.gen(function* () {
    const began = performance.now()
    const before = process.memoryUsage.rss()
    let most = before
    const watch = setInterval(() => {
      most = Math.max(most, process.memoryUsage.rss())
    }, 10)
    const value = yield* Effect.ensuring(
      effect,
      Effect.sync(() => clearInterval(watch)),
    )
    return { value, millis: performance.now() - began, bytes: most - before }
  })

/** Longest real time of a run in hurried time, whatever the API does: on a slow machine, too. */
export const RUN_MILLIS_MAX = 120_000

/** The data that all these tests read: the undisturbed warehouse is made once per file. */
let known: Promise<Whole> | undefined
export const reference = Effect.promise(() => {
  known ??= Effect.runPromise(Effect.scoped(Effect.flatMap(start(SMALL), sandbox => undisturbed(sandbox))))
  return known
})
