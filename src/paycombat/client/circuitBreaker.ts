/** Attempts of one request before it counts as failed; with the waits between them, about 15 seconds. */
export const MAX_ATTEMPTS = 6
/** Failed calls in a row to a part of the API, after all their attempts, after which calls get one attempt. */
export const FAILED_CALLS_MAX = 2
/** Most parts that are told apart. There are as many as kinds of endpoints; configured paths need the bound. */
const PARTS_MAX = 100

export type CircuitBreaker = ReturnType<typeof makeCircuitBreaker>

/** Bounds the attempts at a part of the API (`/api/v1/payout`) that stays away: each would take all its time-outs. */
export const makeCircuitBreaker = () => {
  const failures = new Map<string, number>()
  return {
    attempts: (path: string): number =>
      (failures.get(partOf(path)) ?? 0) < FAILED_CALLS_MAX ? MAX_ATTEMPTS : 1,
    /** The part answered, with whatever content, so it is there. */
    answered: (path: string): void => {
      failures.delete(partOf(path))
    },
    failed: (path: string): void => {
      if (failures.size >= PARTS_MAX) failures.clear()
      failures.set(partOf(path), (failures.get(partOf(path)) ?? 0) + 1)
    },
  }
}

const partOf = (path: string): string => path.split(/[/?#]/).filter(Boolean).slice(0, 3).join("/")
