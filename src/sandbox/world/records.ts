import { type Generators, type ListGenerator, listsOf } from "./generator.ts"
import type { Ids } from "./random.ts"
import type { World } from "./world.ts"

/** The records of every list as JSON text, with the changes of tests. */
export interface Records {
  readonly lists: ReadonlyArray<string>
  readonly idsOf: (list: string) => Ids
  readonly text: (list: string, index: number) => string
  readonly listed: (list: string, index: number) => string
  /** The index of an existing record, listed or hidden. */
  readonly find: (list: string, id: string) => number | undefined
}

export const recordsOf = (world: World, generators: Generators): Records => {
  const lists = listsOf(generators)
  const ids = new Map([...lists].map(([name, list]) => [name, list.ids(world)]))
  const idsOf = (list: string): Ids => ids.get(list)!
  const patched = (list: string, index: number, textOf: ListGenerator["text"]): string => {
    const { texts, patches } = world.changes.of(list)
    const given = texts.get(index)
    if (given !== undefined) return given
    const text = textOf(world, index)
    const fields = patches.get(index)
    return fields === undefined ? text : JSON.stringify({ ...JSON.parse(text), ...fields })
  }
  return {
    lists: [...lists.keys()],
    idsOf,
    text: (list, index) => patched(list, index, lists.get(list)!.text),
    listed: (list, index) => patched(list, index, lists.get(list)!.listed ?? lists.get(list)!.text),
    find: (list, id) => {
      const index = idsOf(list).indexOf(id)
      if (index === undefined || index >= world.changes.size(list)) return undefined
      const { removed, hidden } = world.changes.of(list)
      return removed.has(index) && !hidden.has(index) ? undefined : index
    },
  }
}
