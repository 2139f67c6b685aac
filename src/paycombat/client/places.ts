import { Effect, type Scope } from "effect"

/**
 * Waits for one of a semaphore's permits, and returns the effect that releases it. The end of the scope releases it,
 * too; it is released only once.
 */
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
