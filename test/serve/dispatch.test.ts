import { describe, expect, it } from "@effect/vitest"
import { Cause, Effect, Exit, Fiber, Queue, Stream, TestClock } from "effect"
import { dispatch, type RunResult } from "../../src/serve/dispatch.ts"
import type { Kind, Tick } from "../../src/status/scheduler.ts"

/** Tests which ticks become runs, under a test clock. Every run takes a minute. */

const MINUTE = "1 minute"

interface Playing {
  readonly first?: Kind
  /** Results of the runs in their order; `done` for further runs. */
  readonly outcomes?: ReadonlyArray<RunResult>
}

const play = ({ first, outcomes = [] }: Playing = {}) =>
  Effect.gen(function* () {
    const ticks = yield* Queue.unbounded<Tick>()
    const events: Array<string> = []
    const dueTimes: Array<number | null> = []
    let runs = 0
    let under = 0
    let ticked = 0
    const fiber = yield* Effect.forkScoped(
      dispatch({
        ticks: Stream.fromQueue(ticks),
        first: first ?? null,
        run: (kind, dueAt) =>
          Effect.gen(function* () {
            events.push(`${kind} begins`)
            dueTimes.push(dueAt?.getTime() ?? null)
            expect(++under).toBe(1)
            yield* Effect.sleep(MINUTE)
            under--
            events.push(`${kind} ends`)
            return outcomes[runs++] ?? "done"
          }),
        late: ({ kind }, fate) => Effect.sync(() => events.push(`${kind} ${fate}`)),
      }),
    )
    const tick = (...kinds: ReadonlyArray<Kind>) =>
      Effect.zipRight(
        Queue.offerAll(
          ticks,
          kinds.map(kind => ({ kind, at: new Date(++ticked) })),
        ),
        TestClock.adjust("1 second"),
      )
    return { tick, events, dueTimes, fiber, pass: TestClock.adjust }
  })

describe("a tick", () => {
  it.scoped("makes one run, and without a tick there is no run", () =>
    Effect.gen(function* () {
      const { tick, pass, events } = yield* play()
      yield* pass("1 day")
      expect(events).toEqual([])
      yield* tick("incremental")
      yield* pass("2 minutes")
      yield* tick("full")
      yield* pass("2 minutes")
      expect(events).toEqual(["incremental begins", "incremental ends", "full begins", "full ends"])
    }),
  )

  it.scoped("together with one of the other schedule makes one run, the full pass", () =>
    Effect.gen(function* () {
      const { tick, pass, events } = yield* play()
      yield* tick("incremental", "full")
      yield* pass("5 minutes")
      expect(events).toEqual(["full begins", "full ends"])
    }),
  )

  it.scoped("during a run is dropped and reported", () =>
    Effect.gen(function* () {
      const { tick, pass, events } = yield* play()
      yield* tick("incremental")
      yield* tick("incremental")
      yield* tick("incremental")
      yield* pass("5 minutes")
      expect(events).toEqual([
        "incremental begins",
        "incremental dropped",
        "incremental dropped",
        "incremental ends",
      ])
    }),
  )

  it.scoped("for a full pass during an incremental run is put off until right after it", () =>
    Effect.gen(function* () {
      const { tick, pass, events, dueTimes } = yield* play()
      yield* tick("incremental")
      yield* tick("full")
      yield* tick("incremental")
      yield* pass("61 seconds")
      expect(events).toEqual([
        "incremental begins",
        "full put off",
        "incremental dropped",
        "incremental ends",
        "full begins",
      ])
      yield* tick("full")
      yield* pass("5 minutes")
      expect(events.slice(5)).toEqual(["full dropped", "full ends"])
      expect(dueTimes).toEqual([1, 2])
    }),
  )

  it.scoped("for a full pass that could do nothing is repeated at the next tick of either kind", () =>
    Effect.gen(function* () {
      const { tick, pass, events, dueTimes } = yield* play({
        outcomes: ["nothing", "nothing", "done", "done"],
      })
      for (const _ of Array(4)) {
        yield* tick(events.length === 0 ? "full" : "incremental")
        yield* pass("5 minutes")
      }
      expect(events.filter(event => event.endsWith("begins"))).toEqual([
        "full begins",
        "full begins",
        "full begins",
        "incremental begins",
      ])
      expect(dueTimes).toEqual([1, 1, 1, 4])
    }),
  )

  it.scoped("is not needed for the run at the start", () =>
    Effect.gen(function* () {
      const { pass, events, dueTimes } = yield* play({ first: "incremental" })
      yield* pass("1 second")
      expect([events, dueTimes]).toEqual([["incremental begins"], [null]])
    }),
  )
})

describe("a dispatcher whose ticks end", () => {
  it.scoped.each([
    ["without a word", Stream.empty],
    ["in a failure of their own", Stream.die(new Error("no more timers"))],
  ] as const)("%s dies, and stops the run under way: it would never be told to run again", ([, ticks]) =>
    Effect.gen(function* () {
      const events: Array<string> = []
      const run = Effect.sync(() => events.push("begins")).pipe(
        Effect.zipRight(Effect.never),
        Effect.onInterrupt(() => Effect.sync(() => events.push("is stopped"))),
      )
      const fiber = yield* Effect.fork(
        dispatch({
          ticks: Stream.concat(Stream.drain(Stream.fromEffect(Effect.sleep("1 second"))), ticks),
          first: "incremental",
          run: () => run,
          late: () => Effect.void,
        }),
      )
      yield* TestClock.adjust("2 seconds")
      const exit = yield* Fiber.await(fiber)
      expect(Exit.isFailure(exit) && Cause.isDie(exit.cause)).toBe(true)
      expect(events).toEqual(["begins", "is stopped"])
    }),
  )
})

describe("an interrupted dispatcher", () => {
  it.scoped("stops the current run, and starts no other", () =>
    Effect.gen(function* () {
      const { tick, pass, events, fiber } = yield* play()
      yield* tick("incremental")
      yield* tick("full")
      yield* Fiber.interrupt(fiber)
      yield* pass("1 hour")
      expect(events).toEqual(["incremental begins", "full put off"])
    }),
  )
})
