import { Effect, Queue, Stream } from "effect"
import type { Kind, Tick } from "../status/scheduler.ts"

/** Ticks → runs, one at a time: of one account, who waits for no other. */

/** What came of a run: `nothing` where none of it could be done, because of the database or another run. */
export type Done = "done" | "nothing"

/** Two schedules that are due in the same moment make one run. */
const TOGETHER = "100 millis"

export interface Dispatching<R> {
  readonly ticks: Stream.Stream<Tick>
  /** What to begin with, before any tick; null for nothing. */
  readonly first: Kind | null
  /** `dueAt`: when the tick was due that asked for it, the latest where there are several; null for the first. */
  readonly run: (kind: Kind, dueAt: Date | null) => Effect.Effect<Done, never, R>
  /** A tick came while a run was under way: it is dropped, or, where it asks for more than that run, put off. */
  readonly late: (tick: Tick, fate: "dropped" | "put off") => Effect.Effect<void>
}

/**
 * Runs at each tick, never two runs at once. A tick that comes meanwhile is dropped: the next is near. A full one is
 * not, unless a full pass is under way: it comes right after the run. One of which nothing could be done comes with
 * the next tick of either kind. Dies where the ticks end: nobody would ever be told to run again.
 */
export const dispatch = <R>({ ticks, first, run, late }: Dispatching<R>): Effect.Effect<never, never, R> =>
  Effect.gen(function* () {
    const wake = yield* Queue.sliding<void>(1)
    const due = new Map<Kind, Date | null>()
    let running: Kind | null = null
    let owed: { readonly at: Date | null } | null = null
    const demand = (kind: Kind, at: Date | null) =>
      Effect.suspend(() => Queue.offer(wake, void due.set(kind, at)))
    const take = (): readonly [Kind, Date | null] => {
      const full = due.has("full") ? { at: due.get("full")! } : owed
      const taken =
        full === null ? (["incremental", due.get("incremental")!] as const) : (["full", full.at] as const)
      due.clear()
      owed = null
      return taken
    }
    const listen = ticks.pipe(
      Stream.runForEach(tick => {
        if (running === null) return demand(tick.kind, tick.at)
        if (tick.kind === "incremental" || running === "full") return late(tick, "dropped")
        return Effect.zipRight(late(tick, "put off"), demand("full", tick.at))
      }),
      Effect.zipRight(Effect.dieMessage("The schedule's ticks have ended: start the process again.")),
    )
    if (first !== null) yield* demand(first, null)
    const work = Queue.take(wake).pipe(
      Effect.zipRight(Effect.sleep(TOGETHER)),
      Effect.zipRight(
        Effect.suspend(() => {
          if (due.size === 0) return Effect.void
          const [kind, at] = take()
          running = kind
          return run(kind, at).pipe(
            Effect.tap(done =>
              Effect.sync(() => {
                if (kind === "full" && done === "nothing") owed = { at }
              }),
            ),
            Effect.ensuring(
              Effect.sync(() => {
                running = null
              }),
            ),
          )
        }),
      ),
      Effect.forever,
    )
    // Not a race: its fibers would be told to stop only when their parent is gone, too late to book how a run ended.
    return yield* Effect.zipRight(Effect.all([listen, work], { concurrency: 2, discard: true }), Effect.never)
  })
