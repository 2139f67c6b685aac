import { Effect, type Scope } from "effect"

/** Waits for a permit of a semaphore. Returns the effect that releases it; so does the end of the scope. Releases once. */
export const placeIn = (
  semaphore: Effect.Semaphore,
): Effect.Effect<Effect.Effect<void>, never, Scope.Scope> =>
  Effect.suspend(() => {
    let isTaken = false
    const leave = Effect.suspend(() => {
      const taken = isTaken ? 1 : 0
      isTaken = false
      return semaphore.release(taken)
    })
    return Effect.uninterruptibleMask(restore =>
      Effect.zipRight(
        restore(semaphore.take(1)),
        Effect.suspend(() => {
          isTaken = true
          return Effect.as(
            Effect.addFinalizer(() => leave),
            leave,
          )
        }),
      ),
    )
  })
