import { describe, expect, it } from "vitest"
import { ago, limitsOf } from "../../src/core/verdict.ts"

describe("the limits of freshness", () => {
  it("are twice the schedule's interval, at least an hour, or the given age", () => {
    expect(limitsOf({ incremental: 900, full: 86_400 })).toEqual({
      maxAgeSeconds: 3_600,
      fullMaxAgeSeconds: 172_800,
    })
    expect(limitsOf({ incremental: 3_600, full: 86_400 }).maxAgeSeconds).toBe(7_200)
    expect(limitsOf({ incremental: 900, full: 7 * 86_400 }).fullMaxAgeSeconds).toBe(14 * 86_400)
    expect(limitsOf({ incremental: 900, full: 86_400 }, 300).maxAgeSeconds).toBe(300)
    expect(limitsOf({ incremental: 900, full: 86_400 }, 400_000)).toEqual({
      maxAgeSeconds: 400_000,
      fullMaxAgeSeconds: 400_000,
    })
  })
})

describe("a duration", () => {
  it("is written in the largest fitting unit", () => {
    expect([0, 59, 60, 119, 120, 3_599, 3_600, 7_200, 86_400, 200_000].map(ago)).toEqual([
      "0 s",
      "59 s",
      "1 min",
      "1 min",
      "2 min",
      "59 min",
      "60 min",
      "2 h",
      "24 h",
      "2 d",
    ])
  })
})
