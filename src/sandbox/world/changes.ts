import type { Order, SandboxOptions, StreamName } from "./options.ts"
import { STREAMS } from "./options.ts"

/**
 * What happened to the simulated data since the start: sparse maps over records that are otherwise pure
 * functions of seed and index. Memory grows with the number of changes, not of records.
 */

export type Place = "front" | "back"

/** Whether a customer may have a wallet, and which details are missing for it. */
export interface Readiness {
  readonly ready: boolean
  readonly missing: ReadonlyArray<string>
}

export interface Touch {
  /** From 1; each version differs from the one before. */
  readonly version: number
  readonly updatedAt: number
}

interface StreamChanges {
  /** Inserted indices, in list order. */
  readonly front: Array<number>
  readonly back: Array<number>
  readonly createdAt: Map<number, number>
  readonly touches: Map<number, Touch>
  readonly patches: Map<number, Readonly<Record<string, unknown>>>
  readonly texts: Map<number, string>
  /** Not listed; those that are also `hidden` are still answered by id. */
  readonly removed: Set<number>
  readonly hidden: Set<number>
}

/** Simulated time that passes with each change. */
const TICK_MILLIS = 1_000

export interface Changes {
  /** How many records the list had at the start. */
  readonly base: (stream: StreamName) => number
  /** How many records were ever made: indices below it exist. */
  readonly size: (stream: StreamName) => number
  readonly of: (stream: StreamName) => StreamChanges
  readonly readiness: ReadonlyMap<number, Readiness>
  /** The simulated time now, in milliseconds. */
  readonly now: () => number
  /** Grows with each change: what is cached by it is still true. */
  readonly revision: () => number

  /** Lists `count` further records at one end of the list as it is served. */
  readonly insert: (stream: StreamName, count: number, at: Place) => void
  /** Makes a newer version of a record: the next, or the one named. `updatedAt` is now where not given. */
  readonly touch: (stream: StreamName, index: number, version?: number, updatedAt?: string) => void
  /** Overwrites fields of a record as served; `undefined` leaves a field out. */
  readonly patch: (stream: StreamName, index: number, fields: Readonly<Record<string, unknown>>) => void
  /** Serves a record as this text, whatever it is. */
  readonly replace: (stream: StreamName, index: number, text: string) => void
  readonly remove: (stream: StreamName, index: number) => void
  /** No longer lists a record, but still answers it by id. */
  readonly hide: (stream: StreamName, index: number) => void
  readonly restore: (stream: StreamName, index: number) => void
  readonly setReadiness: (customer: number, readiness: Readiness) => void
}

/** The end of the list where a record made now belongs. */
const newestEnd: Readonly<Record<Order, Place | "either">> = {
  "oldest-first": "back",
  "newest-first": "front",
  "updated-first": "front",
  "updated-last": "back",
  shuffled: "either",
}

const noChanges = (): StreamChanges => ({
  front: [],
  back: [],
  createdAt: new Map(),
  touches: new Map(),
  patches: new Map(),
  texts: new Map(),
  removed: new Set(),
  hidden: new Set(),
})

export const makeChanges = (
  options: SandboxOptions,
  base: Readonly<Record<StreamName, number>>,
  startMillis: number,
  untilMillis: number,
): Changes => {
  const streams = Object.fromEntries(STREAMS.map(name => [name, noChanges()])) as Record<
    StreamName,
    StreamChanges
  >
  const readiness = new Map<number, Readiness>()
  let ticks = 0
  const now = () => untilMillis + ticks * TICK_MILLIS
  const tick = () => {
    ticks += 1
    return now()
  }
  const size = (stream: StreamName) => base[stream] + streams[stream].createdAt.size

  const insert: Changes["insert"] = (stream, count, at) => {
    const { front, back, createdAt } = streams[stream]
    const end = newestEnd[options.order]
    for (let n = 0; n < count; n++) {
      const index = size(stream)
      const time = tick()
      // A record at the old end of a sorted list is a late arrival: made before all others.
      createdAt.set(index, end === "either" || end === at ? time : startMillis - ticks * TICK_MILLIS)
      if (at === "front") front.unshift(index)
      else back.push(index)
    }
  }
  const touch: Changes["touch"] = (stream, index, version, updatedAt) => {
    const { touches } = streams[stream]
    const time = tick()
    touches.set(index, {
      version: version ?? (touches.get(index)?.version ?? 0) + 1,
      updatedAt: updatedAt === undefined ? time : Date.parse(updatedAt),
    })
  }
  const patch: Changes["patch"] = (stream, index, fields) => {
    tick()
    streams[stream].patches.set(index, { ...streams[stream].patches.get(index), ...fields })
  }
  const replace: Changes["replace"] = (stream, index, text) => {
    tick()
    streams[stream].texts.set(index, text)
  }
  const remove: Changes["remove"] = (stream, index) => {
    tick()
    streams[stream].removed.add(index)
    streams[stream].hidden.delete(index)
  }
  const hide: Changes["hide"] = (stream, index) => {
    remove(stream, index)
    streams[stream].hidden.add(index)
  }
  const restore: Changes["restore"] = (stream, index) => {
    tick()
    streams[stream].removed.delete(index)
    streams[stream].hidden.delete(index)
  }
  const setReadiness: Changes["setReadiness"] = (customer, state) => {
    touch("customers", customer)
    readiness.set(customer, state)
  }
  return {
    base: stream => base[stream],
    size,
    of: stream => streams[stream],
    readiness,
    now,
    revision: () => ticks,
    insert,
    touch,
    patch,
    replace,
    remove,
    hide,
    restore,
    setReadiness,
  }
}
