import { Effect } from "effect"

/** Makes a semaphore for each object that is asked for, of so many permits. It is forgotten with its object. */
export const turns = <A extends object>(permits: number): ((of: A) => Effect.Semaphore) => {
  const made = new WeakMap<A, Effect.Semaphore>()
  return of => {
    const turn = made.get(of) ?? Effect.unsafeMakeSemaphore(permits)
    made.set(of, turn)
    return turn
  }
}
