import type { SandboxOptions } from "./options.ts"
import type { Owners } from "./owners.ts"
import type { Ids } from "./random.ts"
import type { World } from "./world.ts"

/** Makes the records of one list: each is a pure function of the world and the record's index. */
export interface ListGenerator {
  readonly kind: "list"
  /** Where the list is, unless an option says otherwise. */
  readonly listPath: string
  /** Where a record is asked for by id, with `{id}` for the id, unless an option says otherwise; null where it cannot be. */
  readonly detailPath: string | null
  /** Records at the start. */
  readonly count: (options: SandboxOptions, owners: Owners) => number
  readonly ids: (world: World) => Ids
  /** A record as its by-id endpoint answers it: JSON text. */
  readonly text: (world: World, index: number) => string
  /** A record as its list shows it; as by id where absent. */
  readonly listed?: (world: World, index: number) => string
}

/** Answers a look-up about each record of a list. */
export interface LookupGenerator {
  readonly kind: "lookup"
  /** With `{id}` for the id that is asked about. */
  readonly path: string
  /** The list whose records are asked about: 404 for any other id. Any id has an answer where absent. */
  readonly of?: string
  /** The answer about an id as it stands in a path, and about a record of `of` by its index: JSON text. */
  readonly answer: (world: World, id: string, index: number) => string
}

export type Generator = ListGenerator | LookupGenerator

/** Generators by the stream's name. */
export type Generators = ReadonlyMap<string, Generator>

/** The lists among them. */
export const listsOf = (generators: Generators): ReadonlyMap<string, ListGenerator> =>
  new Map([...generators].flatMap(([name, one]) => (one.kind === "list" ? [[name, one] as const] : [])))
