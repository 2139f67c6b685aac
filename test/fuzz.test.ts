import { setTimeout } from "node:timers/promises"
import { describe, expect, it } from "@effect/vitest"
import * as fc from "fast-check"
import { fuzz } from "./support/fuzz.ts"

/** Tests the parameters of generated tests, because a failure that is not printed cannot be mended. */

const LIMIT_MILLIS = 2_000

/** Fails for each list. Making fifty numbers as small as they can be takes longer than the limit. */
const failing = fc.asyncProperty(fc.array(fc.nat(), { minLength: 50 }), async numbers => {
  await setTimeout(LIMIT_MILLIS / 10)
  expect(numbers).toEqual([])
})

describe("a generated test", () => {
  it("prints its counter-example before its limit", async () => {
    const begun = performance.now()
    await expect(fc.assert(failing, fuzz(5, LIMIT_MILLIS))).rejects.toThrow(/seed: .*\nCounterexample: /)
    expect(performance.now() - begun).toBeLessThan(LIMIT_MILLIS)
  })

  it("fails if it does not finish in time, although nothing failed", async () => {
    const never = fc.asyncProperty(fc.nat(), () => new Promise<void>(() => undefined))
    await expect(fc.assert(never, fuzz(5, LIMIT_MILLIS))).rejects.toThrow(/interrupted/i)
  })
})
