import type { Order, SandboxOptions } from "./options.ts"

/** Changes since the start, as sparse maps over pure functions of seed and index. Memory grows with their number. */

export type Place = "front" | "back"

/** A customer's readiness for a wallet, and the details that are missing. */
export interface Readiness {
  readonly ready: boolean
  readonly missing: ReadonlyArray<string>
}

export interface Touch {
  /** Starts at 1; each version differs from the one before. */
  readonly version: number
  readonly updatedAt: number
}

interface ListChanges {
  readonly front: Array<number>
  readonly back: Array<number>
  readonly createdAt: Map<number, number>
  readonly touches: Map<number, Touch>
  readonly patches: Map<number, Readonly<Record<string, unknown>>>
  readonly texts: Map<number, string>
  /** Records that are not listed. Those that are also `hidden` are still answered by id. */
  readonly removed: Set<number>
  readonly hidden: Set<number>
}

const TICK_MILLIS = 1_000

export interface Changes {
  /** Number of records of a list at the start. */
  readonly base: (list: string) => number
  /** Number of records that ever existed; indices below it exist. */
  readonly size: (list: string) => number
  readonly of: (list: string) => ListChanges
  readonly readiness: ReadonlyMap<number, Readiness>
  readonly now: () => number
  /** Grows with each change; a cache is valid while it stays the same. */
  readonly revision: () => number

  readonly insert: (list: string, count: number, at: Place) => void
  /**
   * Makes a newer version of a record (the next, or the given one), updated now or at `updatedAt`: a customer or
   * checkout changes, a payout goes PENDING → SUCCESS → RETURNED, a transaction settles, a wallet's balance grows.
   */
  readonly touch: (list: string, index: number, version?: number, updatedAt?: string) => void
  /** Overwrites fields of a served record; `undefined` removes one. `truth` does not see it. */
  readonly patch: (list: string, index: number, fields: Readonly<Record<string, unknown>>) => void
  /** Serves a record as any text, also JSON that `patch` cannot produce. `truth` does not see it. */
  readonly replace: (list: string, index: number, text: string) => void
  /** Removes a record from its list; its by-id endpoint answers 404. */
  readonly remove: (list: string, index: number) => void
  /** Removes a record from its list, but answers it by id: a list that does not show everything. */
  readonly hide: (list: string, index: number) => void
  readonly restore: (list: string, index: number) => void
  /** Sets the readiness of a customer, also in the customer's record. */
  readonly setReadiness: (customer: number, readiness: Readiness) => void
}

const newestEnd: Readonly<Record<Order, Place | "either">> = {
  "oldest-first": "back",
  "newest-first": "front",
  "updated-first": "front",
  "updated-last": "back",
  shuffled: "either",
}

const noChanges = (): ListChanges => ({
  front: [],
  back: [],
  createdAt: new Map(),
  touches: new Map(),
  patches: new Map(),
  texts: new Map(),
  removed: new Set(),
  hidden: new Set(),
})

const makeEdits = (
  of: (list: string) => ListChanges,
  tick: () => number,
): Pick<Changes, "patch" | "replace" | "remove" | "hide" | "restore"> => {
  const remove: Changes["remove"] = (list, index) => {
    tick()
    of(list).removed.add(index)
    of(list).hidden.delete(index)
  }
  return {
    patch: (list, index, fields) => {
      tick()
      of(list).patches.set(index, { ...of(list).patches.get(index), ...fields })
    },
    replace: (list, index, text) => {
      tick()
      of(list).texts.set(index, text)
    },
    remove,
    hide: (list, index) => {
      remove(list, index)
      of(list).hidden.add(index)
    },
    restore: (list, index) => {
      tick()
      of(list).removed.delete(index)
      of(list).hidden.delete(index)
    },
  }
}

export const makeChanges = (
  options: SandboxOptions,
  base: ReadonlyMap<string, number>,
  startMillis: number,
  untilMillis: number,
): Changes => {
  const lists = new Map([...base.keys()].map(name => [name, noChanges()]))
  const of = (list: string): ListChanges => {
    const changes = lists.get(list)
    if (changes === undefined)
      throw new Error(`The sandbox has no list ${list}; it has ${[...lists.keys()].join(", ")}.`)
    return changes
  }
  const readiness = new Map<number, Readiness>()
  let ticks = 0
  const now = () => untilMillis + ticks * TICK_MILLIS
  const tick = () => {
    ticks += 1
    return now()
  }
  const size = (list: string) => base.get(list)! + of(list).createdAt.size

  const insert: Changes["insert"] = (list, count, at) => {
    const { front, back, createdAt } = of(list)
    const end = newestEnd[options.order]
    for (let n = 0; n < count; n++) {
      const index = size(list)
      const time = tick()
      // A record at the old end of a sorted list is a late arrival: it is older than all others.
      createdAt.set(index, end === "either" || end === at ? time : startMillis - ticks * TICK_MILLIS)
      if (at === "front") front.unshift(index)
      else back.push(index)
    }
  }
  const touch: Changes["touch"] = (list, index, version, updatedAt) => {
    const { touches } = of(list)
    const time = tick()
    touches.set(index, {
      version: version ?? (touches.get(index)?.version ?? 0) + 1,
      updatedAt: updatedAt === undefined ? time : Date.parse(updatedAt),
    })
  }
  const setReadiness: Changes["setReadiness"] = (customer, state) => {
    touch("customers", customer)
    readiness.set(customer, state)
  }
  return {
    base: list => base.get(list)!,
    size,
    of,
    readiness,
    now,
    revision: () => ticks,
    insert,
    touch,
    ...makeEdits(of, tick),
    setReadiness,
  }
}
