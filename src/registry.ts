import { Effect } from "effect"
import { ConfigurationError } from "./core/errors.ts"
import { isList, type Stream } from "./core/stream.ts"
import { streamModules } from "./streamModules.ts"

/** All streams, parents before those that come after them. */
export const allStreams: Effect.Effect<ReadonlyArray<Stream>> = Effect.map(
  Effect.promise(streamModules),
  modules => parentsFirst(modules.map(module => module.default)),
)

const parentsFirst = (streams: ReadonlyArray<Stream>): ReadonlyArray<Stream> => {
  const placed = new Set<Stream>()
  const place = (stream: Stream): void => {
    for (const parent of stream.after) place(streams.find(({ name }) => name === parent)!)
    placed.add(stream)
  }
  for (const stream of streams) place(stream)
  return [...placed]
}

/** The streams of these names, or all where none is given; an unknown name is a wrong argument. */
export const streamsNamed = (
  names: ReadonlyArray<string>,
): Effect.Effect<ReadonlyArray<Stream>, ConfigurationError> =>
  Effect.flatMap(allStreams, streams => {
    const known = streams.map(({ name }) => name)
    const unknown = names.find(name => !known.includes(name))
    return unknown === undefined
      ? Effect.succeed(names.length === 0 ? streams : streams.filter(({ name }) => names.includes(name)))
      : Effect.fail(
          new ConfigurationError({
            message: `There is no stream ${unknown}; there are ${known.join(", ")}.`,
          }),
        )
  })

/** Names of the streams that read a list, whose path can be configured. */
export const listStreamNames: Effect.Effect<ReadonlyArray<string>> = Effect.map(allStreams, streams =>
  streams.filter(isList).map(({ name }) => name),
)
