import { Effect } from "effect"

/**
 * Returns the result of the effect that ends first, success or failure, and interrupts the others. Effect's own
 * `raceFirst` leaves its fibers running when it is interrupted. They would write during and after the finalizers.
 */
export const firstOf = <A, E, R>(all: ReadonlyArray<Effect.Effect<A, E, R>>): Effect.Effect<A, E, R> =>
  Effect.flatten(Effect.raceAll(all.map(Effect.exit)))

/** Creates a semaphore of so many permits for each object, and forgets it with its object. */
export const turns = <A extends object>(permits: number): ((of: A) => Effect.Semaphore) => {
  const made = new WeakMap<A, Effect.Semaphore>()
  return of => {
    const turn = made.get(of) ?? Effect.unsafeMakeSemaphore(permits)
    made.set(of, turn)
    return turn
  }
}
