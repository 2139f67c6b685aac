import { describe, inject } from "vitest"

declare module "vitest" {
  interface ProvidedContext {
    /** The suite that runs, as its configuration names it. */
    readonly suite: "quick" | "slow"
  }
}

/**
 * Tests that repeat with other data what `npm test` proves with one case, or that take several seconds by their nature.
 * `npm run test:slow` runs these tests; `npm test` leaves them out.
 */
export const slow = (tests: () => void): void => {
  if (inject("suite") === "slow") describe("slow", tests)
}

/** The same, where only some cases of many are slow: those for which the condition does not hold. */
export const slowUnless = (isQuick: boolean, tests: () => void): void => (isQuick ? tests() : slow(tests))
