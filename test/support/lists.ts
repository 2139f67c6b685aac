import { Effect } from "effect"
import { allStreams } from "../../src/registry.ts"
import { foundGenerators, listsOf } from "../../src/sandbox/sandbox.ts"

/** The names of all streams, sorted. */
export const STREAM_NAMES: ReadonlyArray<string> = (await Effect.runPromise(allStreams))
  .map(({ name }) => name)
  .sort()

const lists = listsOf((await Effect.runPromise(foundGenerators)).generators)

/** Path of each list in the sandbox, by default. */
export const LIST_PATHS: Readonly<Record<string, string>> = Object.fromEntries(
  [...lists].map(([name, list]) => [name, list.listPath]),
)

/** Path of a list in the sandbox, by default. */
export const listPath = (name: string): string => lists.get(name)!.listPath
