import type { SandboxOptions } from "./options.ts"
import type { Owners } from "./owners.ts"
import type { Ids } from "./random.ts"
import type { World } from "./world.ts"

/** Generates the records of one list. Each record is a pure function of the world and its index. */
export interface ListGenerator {
  readonly kind: "list"
  /** Path of the list, unless an option sets another. */
  readonly listPath: string
  /** Path of a record by id, with `{id}` for the id, unless an option sets another; null if there is none. */
  readonly detailPath: string | null
  readonly count: (options: SandboxOptions, owners: Owners) => number
  readonly ids: (world: World) => Ids
  /** A record as its by-id endpoint answers it: JSON text. */
  readonly text: (world: World, index: number) => string
  /** A record as its list shows it; if absent, as by id. */
  readonly listed?: (world: World, index: number) => string
}

export interface LookupGenerator {
  readonly kind: "lookup"
  /** Path with `{id}` for the id that is asked about. */
  readonly path: string
  /** The list whose records are asked about; any other id gets 404. If absent, every id has an answer. */
  readonly of?: string
  /** The answer about an id as it is in the path, and about a record of `of` by its index: JSON text. */
  readonly answer: (world: World, id: string, index: number) => string
}

export type Generator = ListGenerator | LookupGenerator

export type Generators = ReadonlyMap<string, Generator>

export const listsOf = (generators: Generators): ReadonlyMap<string, ListGenerator> =>
  new Map([...generators].flatMap(([name, one]) => (one.kind === "list" ? [[name, one] as const] : [])))
