import { Effect, Either } from "effect"
import { ConfigurationError } from "../core/errors.ts"
import type { Stream } from "../core/stream.ts"
import { allStreams } from "../registry.ts"
import { fixtureIn } from "./fixture.ts"
import { fixtureText, generatorModules } from "./generatorModules.ts"
import { sampleGenerator } from "./sample.ts"
import type { Generator } from "./world/generator.ts"

const sampled = (stream: Stream): Effect.Effect<Generator, ConfigurationError> =>
  Effect.flatMap(
    Effect.promise(() => fixtureText(stream.name)),
    text =>
      Either.match(fixtureIn(stream.name, text), {
        onLeft: message => new ConfigurationError({ message }),
        onRight: fixture => Effect.succeed(sampleGenerator(stream, fixture)),
      }),
  )

/** Finds the generator of each stream in `streams/`, or copies its fixture's record. Fails if it has neither. */
export const foundGenerators = Effect.gen(function* () {
  const modules = yield* Effect.promise(generatorModules)
  const own = modules.flatMap(({ stream, module }) =>
    module.default === undefined ? [] : [[stream, module.default] as const],
  )
  const names = new Set(own.map(([name]) => name))
  const others = (yield* allStreams).filter(({ name }) => !names.has(name))
  const made = yield* Effect.forEach(others, stream =>
    Effect.map(sampled(stream), generator => [stream.name, generator] as const),
  )
  return { generators: new Map([...own, ...made]), sampled: others.map(({ name }) => name) }
})
