/**
 * Customers and the answers about them, as many as one likes: who is to be asked in a run, and in which order. The
 * same rule as the queue's in Postgres, written down once more: a test holds the two to each other.
 */

const NEVER = -1

export type Answers = "ready" | "not ready" | "failing"

export interface Population {
  /** Customers so far, by number, in the order in which they were first seen. */
  readonly size: number
  /** So many more are seen for the first time. */
  readonly arrive: (count: number) => void
  /** The API's answer about a customer's readiness, and whether it can be asked. */
  readonly set: (customer: number, answers: Answers) => void
  readonly answersOf: (customer: number) => Answers
  /** A customer's record was written since the latest answer. */
  readonly change: (customer: number) => void
  readonly remove: (customer: number) => void
  /** The customers that a run at `hour` asks about, in order, and the number of due ones. */
  readonly queue: (hour: number, callsMax: number) => Queue
  /** Books what they answered, at `hour`; a later one than any before. */
  readonly answer: (customers: Iterable<number>, hour: number) => void
}

export interface Queue {
  readonly asked: Uint32Array
  readonly due: number
  readonly neverAsked: number
  /** Age of the oldest answer that is not ready, and of the oldest that is, in hours; 0 where there is none. */
  readonly oldestNotReady: number
  readonly oldestReady: number
}

const READY = 1
const FAILING = 2
const WAS_READY = 4
const HAS_CHANGED = 8
const IS_REMOVED = 16

/** `recheck` is the age in hours from which a ready answer is asked again. */
export const population = (sizeMax: number, recheck: number): Population => {
  let size = 0
  const state = new Uint8Array(sizeMax)
  /** Which of `hours` the latest answer is of: as many different ones as there were runs. */
  const answered = new Int16Array(sizeMax).fill(NEVER)
  const hours: Array<number> = []
  return {
    get size() {
      return size
    },
    arrive: count => {
      size += count
    },
    set: (customer, answers) => {
      const kept = state[customer]! & ~(READY | FAILING)
      state[customer] = kept | (answers === "ready" ? READY : answers === "failing" ? FAILING : 0)
    },
    answersOf: customer => {
      const flags = state[customer]!
      return (flags & READY) !== 0 ? "ready" : (flags & FAILING) !== 0 ? "failing" : "not ready"
    },
    change: customer => {
      if (answered[customer] !== NEVER) state[customer]! |= HAS_CHANGED
    },
    remove: customer => {
      state[customer]! |= IS_REMOVED
    },
    queue: (hour, callsMax) => {
      const isOld = Uint8Array.from(hours, answeredAt => (answeredAt < hour - recheck ? 1 : 0))
      const isDue = (customer: number): boolean => {
        const flags = state[customer]!
        const run = answered[customer]!
        if (run === NEVER || (flags & (WAS_READY | HAS_CHANGED)) !== WAS_READY)
          return (flags & IS_REMOVED) === 0
        return isOld[run] === 1 && (flags & IS_REMOVED) === 0
      }
      // Never asked, then by the run of the answer: counted first, so that a million need no sorting.
      const buckets = hours.length + 1
      const counts = new Uint32Array(buckets)
      const standing = [new Uint32Array(buckets), new Uint32Array(buckets)] as const
      for (let customer = 0; customer < size; customer++) {
        const bucket = answered[customer]! + 1
        const flags = state[customer]!
        if ((flags & IS_REMOVED) === 0) standing[(flags & WAS_READY) === 0 ? 0 : 1][bucket]!++
        if (isDue(customer)) counts[bucket]!++
      }
      const ages = standing.map(number => {
        const run = number.findIndex((count, bucket) => bucket > 0 && count > 0) - 1
        return run < 0 ? 0 : hour - hours[run]!
      })
      const due = counts.reduce((sum, count) => sum + count, 0)
      const asked = new Uint32Array(Math.min(due, callsMax))
      const next = new Float64Array(buckets)
      for (let bucket = 1; bucket < buckets; bucket++) next[bucket] = next[bucket - 1]! + counts[bucket - 1]!
      const last = next.findLastIndex(place => place < asked.length)
      for (let customer = 0; customer < size; customer++) {
        const bucket = answered[customer]! + 1
        if (bucket > last || !isDue(customer)) continue
        const place = next[bucket]!++
        if (place < asked.length) asked[place] = customer
      }
      return { asked, due, neverAsked: counts[0]!, oldestNotReady: ages[0]!, oldestReady: ages[1]! }
    },
    answer: (customers, hour) => {
      const run = hours.push(hour) - 1
      for (const customer of customers) {
        answered[customer] = run
        const flags = state[customer]! & ~HAS_CHANGED
        // A check that failed leaves the last answer, but is asked again as one that is not ready.
        state[customer] = (flags & READY) !== 0 ? flags | WAS_READY : flags & ~WAS_READY
      }
    },
  }
}
