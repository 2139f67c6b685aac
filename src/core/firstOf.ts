import { Effect } from "effect"

/**
 * Answers as the effect that ends first does, with its success or failure, and stops the others. Effect's own `raceFirst`,
 * when it is interrupted, leaves its fibers at work: they would write while their end is booked, and after it.
 */
export const firstOf = <A, E, R>(all: ReadonlyArray<Effect.Effect<A, E, R>>): Effect.Effect<A, E, R> =>
  Effect.flatten(Effect.raceAll(all.map(Effect.exit)))
