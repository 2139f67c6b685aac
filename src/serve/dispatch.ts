import { Effect, Queue, Stream } from "effect"
import type { Kind, Tick } from "../status/scheduler.ts"

/** Turns ticks into runs of one account, one at a time. No account waits for another. */

/** Result of a run. `nothing`: the database was away or another run held the account, so nothing was done. */
export type RunResult = "done" | "nothing"

/** Delay that lets two schedules due at the same moment make one run. */
const TOGETHER = "100 millis"

export interface DispatchOptions<R> {
  readonly ticks: Stream.Stream<Tick>
  /** Kind of the run at the start, before any tick; null for none. */
  readonly first: Kind | null
  /** Runs once. `dueAt` is the latest due time of the ticks, and null for the run at the start. */
  readonly run: (kind: Kind, dueAt: Date | null) => Effect.Effect<RunResult, never, R>
  /** Called for a tick during a run. It is dropped, or put off if it asks for more than that run. */
  readonly late: (tick: Tick, fate: "dropped" | "put off") => Effect.Effect<void>
}

/**
 * Runs at each tick, never two runs at once. A tick during a run is dropped; a full one during an incremental run
 * follows right after it. A full pass that could do nothing is tried again at the next tick. Dies if the ticks end.
 */
export const dispatch = <R>({
  ticks,
  first,
  run,
  late,
}: DispatchOptions<R>): Effect.Effect<never, never, R> =>
  Effect.gen(function* () {
    const wake = yield* Queue.sliding<void>(1)
    const due = new Map<Kind, Date | null>()
    let current: Kind | null = null
    let overdueFull: { readonly at: Date | null } | null = null
    const request = (kind: Kind, at: Date | null) =>
      Effect.suspend(() => Queue.offer(wake, void due.set(kind, at)))
    const take = (): readonly [Kind, Date | null] => {
      const full = due.has("full") ? { at: due.get("full")! } : overdueFull
      const choice =
        full === null ? (["incremental", due.get("incremental")!] as const) : (["full", full.at] as const)
      due.clear()
      overdueFull = null
      return choice
    }
    const listen = ticks.pipe(
      Stream.runForEach(tick => {
        if (current === null) return request(tick.kind, tick.at)
        if (tick.kind === "incremental" || current === "full") return late(tick, "dropped")
        return Effect.zipRight(late(tick, "put off"), request("full", tick.at))
      }),
      Effect.zipRight(Effect.dieMessage("The schedule's ticks have ended: start the process again.")),
    )
    if (first !== null) yield* request(first, null)
    const work = Queue.take(wake).pipe(
      Effect.zipRight(Effect.sleep(TOGETHER)),
      Effect.zipRight(
        Effect.suspend(() => {
          if (due.size === 0) return Effect.void
          const [kind, at] = take()
          current = kind
          return run(kind, at).pipe(
            Effect.tap(done =>
              Effect.sync(() => {
                if (kind === "full" && done === "nothing") overdueFull = { at }
              }),
            ),
            Effect.ensuring(
              Effect.sync(() => {
                current = null
              }),
            ),
          )
        }),
      ),
      Effect.forever,
    )
    // A race would interrupt its fibers only after their parent is gone, too late to record how a run ended.
    return yield* Effect.zipRight(Effect.all([listen, work], { concurrency: 2, discard: true }), Effect.never)
  })
