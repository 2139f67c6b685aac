import { Effect } from "effect"

/** Creates a semaphore of so many permits for each object, and forgets it with its object. */
export const turns = <A extends object>(permits: number): ((of: A) => Effect.Semaphore) => {
  const made = new WeakMap<A, Effect.Semaphore>()
  return of => {
    const turn = made.get(of) ?? Effect.unsafeMakeSemaphore(permits)
    made.set(of, turn)
    return turn
  }
}
