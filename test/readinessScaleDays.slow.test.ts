import { describe, expect, it } from "@effect/vitest"
import { Clock, Duration, Effect, Fiber, Schedule, Stream, TestClock } from "effect"
import { dispatch } from "../src/serve/dispatch.ts"
import { lookupBudget } from "../src/serve/serve.ts"
import { type Population, population, type Queue } from "./support/readiness.ts"
import { slow } from "./support/slow.ts"

/** Days of `serve` with a million customers, within a second of the test's clock: who is asked when. */

const CUSTOMERS = 1_000_000
const RECHECK_HOURS = 24
/** Limit of real time: the simulation only computes. */
const SIMULATION_LIMIT_MS = 300_000

interface Days {
  readonly ratePerSecond: number
  readonly intervalMinutes: number
  readonly hours: number
  /** New customers before each run. */
  readonly arrivals: (hour: number) => number
  readonly isReady: (customer: number) => boolean
}

interface Run extends Queue {
  readonly hour: number
}

/** The loop of `serve`, its bound on look-ups and the order of the queue; only the API and the tables are not there. */
const simulate = ({ ratePerSecond, intervalMinutes, hours, arrivals, isReady }: Days) =>
  Effect.gen(function* () {
    const all: Population = population(CUSTOMERS * 2, RECHECK_HOURS)
    const runs: Array<Run> = []
    const grow = (count: number) => {
      const from = all.size
      all.arrive(count)
      for (let customer = from; customer < all.size; customer++)
        if (isReady(customer)) all.set(customer, "ready")
    }
    grow(CUSTOMERS)
    const hourNow = Effect.map(Clock.currentTimeMillis, millis => millis / 3_600_000)
    const interval = Duration.minutes(intervalMinutes)
    const run = Effect.gen(function* () {
      const hour = yield* hourNow
      grow(arrivals(hour))
      const secondsToTick = intervalMinutes * 60 - ((hour * 3600) % (intervalMinutes * 60))
      const queue = all.queue(hour, lookupBudget(ratePerSecond, secondsToTick))
      runs.push({ ...queue, hour })
      yield* Effect.sleep(Duration.seconds(queue.asked.length / ratePerSecond))
      all.answer(queue.asked, yield* hourNow)
      return "done" as const
    })
    const late: Array<string> = []
    const loop = yield* dispatch({
      ticks: Stream.fromSchedule(Schedule.spaced(interval)).pipe(
        Stream.mapEffect(() => Effect.map(Clock.currentTimeMillis, at => new Date(at))),
        Stream.map(at => ({ kind: "incremental" as const, at })),
      ),
      first: "incremental",
      run: () => run,
      late: (_, fate) => Effect.sync(() => late.push(fate)),
    }).pipe(Effect.fork)
    for (let tick = 0; tick < (hours * 60) / intervalMinutes; tick++) yield* TestClock.adjust(interval)
    yield* Fiber.interrupt(loop)
    // The bound leaves each run done before the next tick.
    expect(late).toEqual([])
    expect(runs.length).toBeGreaterThanOrEqual((hours * 60) / intervalMinutes)
    return { runs, all }
  })

const oldest = (runs: ReadonlyArray<Run>, of: "oldestNotReady" | "oldestReady") =>
  Math.max(...runs.map(run => run[of]))

/** Look-ups of an hour, as `docs/readiness.md` counts them. */
const perHour = (ratePerSecond: number) => ratePerSecond * 3600 * 0.8

slow(() => {
  describe("with a million customers, more than a run can ask about", {
    timeout: SIMULATION_LIMIT_MS,
  }, () => {
    it.effect(
      "and no ready one: each is asked about once per round, and the round has the computed length",
      () =>
        Effect.gen(function* () {
          const HOURS = 60
          const interval = 0.25
          const arrivals = 100
          const { runs } = yield* simulate({
            ratePerSecond: 10,
            intervalMinutes: interval * 60,
            hours: HOURS,
            arrivals: () => arrivals,
            isReady: () => false,
          })
          const calls = perHour(10)
          const round = CUSTOMERS / (calls - arrivals / interval)
          expect(Math.round(round)).toBe(35)
          for (const { asked } of runs.slice(1))
            expect(asked.length).toBeGreaterThanOrEqual(calls * interval - 1)
          // The first round is the never asked ones'; what a run leaves is less each time.
          const first = runs.filter(({ hour }) => hour < round - 2 * interval)
          for (const [n, run] of first.slice(1).entries())
            expect(run.neverAsked).toBeLessThan(first[n]!.neverAsked)
          const later = runs.filter(({ hour }) => hour > round + 2 * interval)
          // From then on a new customer is asked in the next run,
          for (const { neverAsked } of later) expect(neverAsked).toBeLessThanOrEqual(arrivals)
          // and no answer grows older than a round, which new customers make longer.
          const grown = 1 + ((HOURS / interval) * arrivals) / CUSTOMERS
          expect(oldest(later, "oldestNotReady")).toBeLessThanOrEqual(round * grown + 2 * interval)
          expect(oldest(later, "oldestNotReady")).toBeGreaterThan(round * 0.95)
        }),
    )

    it.effect("and most of them ready: these follow the recheck time, and the others share the rest", () =>
      Effect.gen(function* () {
        const arrivals = 500
        const { runs } = yield* simulate({
          ratePerSecond: 20,
          intervalMinutes: 60,
          hours: 96,
          arrivals: () => arrivals,
          isReady: customer => customer % 10 !== 0,
        })
        const round = (CUSTOMERS + 96 * arrivals) / (perHour(20) - arrivals)
        expect(Math.round(round)).toBe(18)
        const later = runs.filter(({ hour }) => hour > round + 2)
        // They fall due in the order in which they were asked about, many at once. At worst that takes a round,
        // whichever are ready; usually much less.
        expect(oldest(later, "oldestNotReady")).toBeLessThanOrEqual(round + 2)
        const ages = later.map(run => run.oldestNotReady)
        expect(ages.reduce((sum, age) => sum + age, 0) / ages.length).toBeLessThan(round / 2)
        expect(oldest(later, "oldestReady")).toBeGreaterThan(RECHECK_HOURS)
        expect(oldest(later, "oldestReady")).toBeLessThanOrEqual(RECHECK_HOURS + 2)
      }),
    )

    it.effect("and more new ones than calls: the older answers wait until the rush ends", () =>
      Effect.gen(function* () {
        const calls = perHour(50)
        const rush = { from: 10, to: 14 }
        const { runs } = yield* simulate({
          ratePerSecond: 50,
          intervalMinutes: 60,
          hours: 36,
          arrivals: hour => (hour >= rush.from && hour < rush.to ? calls * 1.2 : 0),
          isReady: () => false,
        })
        const backlog = (rush.to - rush.from) * calls * 0.2
        const round = (CUSTOMERS + (rush.to - rush.from) * calls * 1.2) / calls
        const during = runs.filter(({ hour }) => hour > rush.from + 1 && hour < rush.to)
        for (const { asked, neverAsked } of during) expect(neverAsked).toBeGreaterThanOrEqual(asked.length)
        // Customers are asked about in the order in which they were first seen: none waits longer than the backlog
        // takes.
        const over = runs.filter(({ hour }) => hour > rush.to + backlog / calls + 1)
        for (const { neverAsked } of over) expect(neverAsked).toBe(0)
        expect(oldest(runs, "oldestNotReady")).toBeLessThanOrEqual(round + (rush.to - rush.from) + 2)
        const settled = runs.filter(({ hour }) => hour > rush.to + round + 2)
        expect(settled.length).toBeGreaterThan(3)
        expect(oldest(settled, "oldestNotReady")).toBeLessThanOrEqual(round + 2)
      }),
    )
  })
})
