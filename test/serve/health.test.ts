import { describe, expect, it } from "vitest"
import { ago, limitsOf, problemOf } from "../../src/Health.ts"
import type { StreamStatus } from "../../src/warehouse/Status.ts"

const NOW = new Date("2026-03-10T12:00:00Z")
const minutesAgo = (minutes: number) => new Date(NOW.getTime() - minutes * 60_000).toISOString()
const LIMITS = limitsOf({ incremental: 900, full: 86_400 })

const status = (given: Partial<StreamStatus> = {}): StreamStatus => ({
  account: "default",
  stream: "payouts",
  lastRunStatus: "complete",
  lastRunMode: "incremental",
  lastRunAt: minutesAgo(11),
  lastEnded: { status: "complete", at: minutesAgo(10), error: null },
  lastCompleteAt: minutesAgo(10),
  lastFullAt: minutesAgo(600),
  rows: 1,
  isEstimate: false,
  rejects: 0,
  removed: 0,
  leftOver: 0,
  unmapped: 0,
  path: "/list",
  isVerified: true,
  heldBy: null,
  heldSince: null,
  isDead: false,
  error: null,
  note: null,
  ...given,
})

const kindOf = (given: Partial<StreamStatus>, limits = LIMITS) =>
  problemOf(status(given), limits, NOW)?.kind ?? null
const failed = { status: "failed", at: minutesAgo(5), error: "The API is away" } as const

describe("figures", () => {
  it("can be trusted after a complete run, with rejects or without, also while the next is under way", () => {
    expect(kindOf({})).toBeNull()
    expect(kindOf({ lastRunStatus: "complete_with_rejects", rejects: 3 })).toBeNull()
    expect(kindOf({ lastRunStatus: "running", heldBy: "host:1" })).toBeNull()
    expect(
      kindOf({
        lastRunStatus: "interrupted",
        lastEnded: { status: "interrupted", at: minutesAgo(1), error: null },
      }),
    ).toBeNull()
    // What is no list is never read whole.
    expect(kindOf({ stream: "wallet_readiness", lastRunMode: "lookup", lastFullAt: null })).toBeNull()
  })

  it("cannot after a failed run, be the next under way or not: until one is complete", () => {
    expect(kindOf({ lastRunStatus: "failed", lastEnded: failed })).toBe("failed")
    expect(kindOf({ lastRunStatus: "running", heldBy: "host:1", lastEnded: failed })).toBe("failed")
    expect(problemOf(status({ lastEnded: failed }), LIMITS, NOW)?.message).toBe(
      "failed: The API is away. The figures are 10 min old.",
    )
  })

  it("cannot after a run that died, nor before the first is complete", () => {
    expect(kindOf({ lastRunStatus: "running", isDead: true })).toBe("dead")
    expect(
      kindOf({
        lastEnded: null,
        lastCompleteAt: null,
        lastFullAt: null,
        lastRunStatus: "running",
        heldBy: "h:1",
      }),
    ).toBe("never")
  })

  it("are not said to be as old as they may be where they are older", () => {
    const limits = limitsOf({ incremental: 75 * 60, full: 86_400 })
    expect(problemOf(status({ lastCompleteAt: minutesAgo(160) }), limits, NOW)?.message).toContain(
      "2 h ago, which is more than 2h 30m:",
    )
  })

  it("are stale after twice the schedule's interval, but not within an hour; or when somebody says so", () => {
    expect(kindOf({ lastCompleteAt: minutesAgo(59) })).toBeNull()
    expect(kindOf({ lastCompleteAt: minutesAgo(61) })).toBe("stale")
    const hourly = limitsOf({ incremental: 3_600, full: 86_400 })
    expect(kindOf({ lastCompleteAt: minutesAgo(119) }, hourly)).toBeNull()
    expect(kindOf({ lastCompleteAt: minutesAgo(121) }, hourly)).toBe("stale")
    expect(kindOf({ lastCompleteAt: minutesAgo(6) }, limitsOf({ incremental: 900, full: 86_400 }, 300))).toBe(
      "stale",
    )
    expect(
      kindOf({ lastCompleteAt: minutesAgo(1_500) }, limitsOf({ incremental: 900, full: 86_400 }, 93_600)),
    ).toBeNull()
  })

  it("lack what only a whole pass finds when the latest is older than two days", () => {
    expect(kindOf({ lastFullAt: minutesAgo(47 * 60) })).toBeNull()
    expect(kindOf({ lastFullAt: minutesAgo(49 * 60) })).toBe("full_stale")
    expect(
      kindOf({ lastFullAt: minutesAgo(49 * 60) }, limitsOf({ incremental: 900, full: 7 * 86_400 })),
    ).toBeNull()
  })
})

describe("a duration", () => {
  it("is said as a person says it", () => {
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
