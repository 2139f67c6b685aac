import { Effect } from "effect"
import { allStreams } from "../../src/registry.ts"
import { foundGenerators, listsOf } from "../../src/sandbox/sandbox.ts"

/** The names of all streams, sorted. */
export const STREAM_NAMES: ReadonlyArray<string> = (await Effect.runPromise(allStreams))
  .map(({ name }) => name)
  .sort()

const lists = listsOf((await Effect.runPromise(foundGenerators)).generators)

/** Where the sandbox has each of its lists, unless it is told otherwise. */
export const LIST_PATHS: Readonly<Record<string, string>> = Object.fromEntries(
  [...lists].map(([name, list]) => [name, list.listPath]),
)

/** Where the sandbox has a list, unless it is told otherwise. */
export const listPath = (name: string): string => lists.get(name)!.listPath
