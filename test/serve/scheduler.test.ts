import { describe, expect, it } from "@effect/vitest"
import { Effect, Fiber, Stream } from "effect"
import { afterEach, beforeEach, vi } from "vitest"
import type { ScheduleSettings } from "../../src/config/config.ts"
import { makeSchedule, zoneOf } from "../../src/status/scheduler.ts"

/** Tests ticks under clocks that the test sets. */

const settings = (given: Partial<ScheduleSettings> = {}): ScheduleSettings => ({
  incremental: "*/15 * * * *",
  full: "0 2 * * *",
  timezone: "UTC",
  ...given,
})

const minutes = (count: number) => count * 60_000
const hours = (count: number) => count * 3_600_000

/** Records all ticks from now on as `kind time`. Stops with the test. */
const listening = async (given: Partial<ScheduleSettings>) => {
  const schedule = await Effect.runPromise(makeSchedule(settings(given)))
  const seen: Array<string> = []
  const fiber = Effect.runFork(
    Stream.runForEach(schedule.ticks, ({ kind, at }) =>
      Effect.sync(() => seen.push(`${kind} ${at.toISOString()}`)),
    ),
  )
  await vi.advanceTimersByTimeAsync(0)
  return { schedule, seen, stop: () => Effect.runPromise(Fiber.interrupt(fiber)) }
}

describe("a cron expression", () => {
  it.effect("that is malformed fails with one line that names its variable", () =>
    Effect.gen(function* () {
      for (const [given, variable] of [
        [{ incremental: "every hour" }, "PAYCOMBAT_SCHEDULE"],
        [{ incremental: "61 * * * *" }, "PAYCOMBAT_SCHEDULE"],
        [{ full: "0 0 31 2 *" }, "PAYCOMBAT_FULL_SCHEDULE"],
      ] as const) {
        const { _tag, message } = yield* Effect.flip(makeSchedule(settings(given)))
        expect(_tag).toBe("ConfigurationError")
        expect(message).toContain(variable)
        expect(message).not.toContain("\n")
      }
    }),
  )

  it("for every hour of every day is evaluated in UTC, where no clock is set back", () => {
    expect(zoneOf("*/15 * * * *", "Europe/Berlin")).toBe("UTC")
    expect(zoneOf("*/10 * * * * *", "America/New_York")).toBe("UTC")
    expect(zoneOf("0 2 * * *", "Europe/Berlin")).toBe("Europe/Berlin")
    expect(zoneOf("0 * * * 1-5", "Europe/Berlin")).toBe("Europe/Berlin")
    // In that zone the full hour differs from UTC's.
    expect(zoneOf("0 * * * *", "Asia/Kolkata")).toBe("Asia/Kolkata")
  })
})

describe("ticks", () => {
  beforeEach(() => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "setInterval", "clearInterval", "Date"] })
    vi.setSystemTime("2026-03-10T01:50:00.000Z")
  })
  afterEach(() => {
    vi.useRealTimers()
  })

  it("come when they are due, for both schedules, until the stream ends", async () => {
    const { schedule, seen, stop } = await listening({})
    expect(schedule.next("incremental").toISOString()).toBe("2026-03-10T02:00:00.000Z")
    expect(schedule.next("full").toISOString()).toBe("2026-03-10T02:00:00.000Z")
    expect([schedule.intervalSeconds("incremental"), schedule.intervalSeconds("full")]).toEqual([900, 86_400])
    await vi.advanceTimersByTimeAsync(minutes(9))
    expect(seen).toEqual([])
    await vi.advanceTimersByTimeAsync(minutes(17))
    expect(seen.sort()).toEqual([
      "full 2026-03-10T02:00:00.000Z",
      "incremental 2026-03-10T02:00:00.000Z",
      "incremental 2026-03-10T02:15:00.000Z",
    ])
    await stop()
    expect(vi.getTimerCount()).toBe(0)
    await vi.advanceTimersByTimeAsync(hours(1))
    expect(seen).toHaveLength(3)
  })

  it("follow the time zone, and the longest interval is known", async () => {
    const { schedule, seen, stop } = await listening({ full: "30 20 * * 1", timezone: "America/New_York" })
    expect(schedule.next("full").toISOString()).toBe("2026-03-17T00:30:00.000Z")
    expect(schedule.intervalSeconds("full")).toBeGreaterThanOrEqual(7 * 86_400)
    await vi.advanceTimersByTimeAsync(hours(7 * 24))
    expect(seen.filter(tick => tick.startsWith("full"))).toEqual(["full 2026-03-17T00:30:00.000Z"])
    await stop()
  })

  it("continue through the hour that a clock set back repeats", async () => {
    vi.setSystemTime("2026-10-24T23:50:00.000Z")
    const { seen, stop } = await listening({ timezone: "Europe/Berlin" })
    await vi.advanceTimersByTimeAsync(hours(2))
    expect(seen.filter(tick => tick.startsWith("incremental"))).toHaveLength(8)
    await stop()
  })

  it("missed during sleep are made up for once, soon after the wake-up, and the next are on time", async () => {
    const { seen, stop } = await listening({})
    // The clock advances, but the timers do not.
    vi.setSystemTime("2026-03-10T09:20:00.000Z")
    await vi.advanceTimersByTimeAsync(31_000)
    expect(seen.sort()).toEqual(["full 2026-03-10T02:00:00.000Z", "incremental 2026-03-10T02:00:00.000Z"])
    await vi.advanceTimersByTimeAsync(minutes(11))
    expect(seen.slice(2)).toEqual(["incremental 2026-03-10T09:30:00.000Z"])
    await vi.advanceTimersByTimeAsync(minutes(30))
    expect(seen.slice(3)).toEqual([
      "incremental 2026-03-10T09:45:00.000Z",
      "incremental 2026-03-10T10:00:00.000Z",
    ])
    await stop()
  })

  it("are not repeated when the clock is set back", async () => {
    const { seen, stop } = await listening({})
    await vi.advanceTimersByTimeAsync(minutes(11))
    expect(seen).toHaveLength(2)
    vi.setSystemTime("2026-03-10T01:40:00.000Z")
    await vi.advanceTimersByTimeAsync(minutes(16))
    expect(seen.slice(2)).toEqual(["incremental 2026-03-10T01:45:00.000Z"])
    await vi.advanceTimersByTimeAsync(hours(1))
    // The full tick is the same one as before. The incremental tick has another due time.
    expect(seen.slice(3)).toEqual([
      "incremental 2026-03-10T02:00:00.000Z",
      "incremental 2026-03-10T02:15:00.000Z",
      "incremental 2026-03-10T02:30:00.000Z",
      "incremental 2026-03-10T02:45:00.000Z",
    ])
    await stop()
  })

  it("continue soon after the clock was set back by any amount", async () => {
    vi.setSystemTime("2030-01-01T00:01:00.000Z")
    const { seen, stop } = await listening({})
    await vi.advanceTimersByTimeAsync(minutes(15))
    expect(seen).toEqual(["incremental 2030-01-01T00:15:00.000Z"])
    vi.setSystemTime("2026-03-10T01:58:00.000Z")
    await vi.advanceTimersByTimeAsync(minutes(33))
    expect(seen.slice(1).sort()).toEqual([
      "full 2026-03-10T02:00:00.000Z",
      "incremental 2026-03-10T02:00:00.000Z",
      "incremental 2026-03-10T02:15:00.000Z",
      "incremental 2026-03-10T02:30:00.000Z",
    ])
    await stop()
  })

  it("are not repeated when the clock is set back a little right after them, at any moment of the clock check", async () => {
    for (const [back, after] of [
      [500, 0],
      [2_000, 100],
      [20_000, 1_000],
      [59_000, 29_000],
      [minutes(14), 3_000],
    ] as const)
      for (const offset of [0, 7_500, 15_000, 29_900]) {
        vi.setSystemTime(Date.parse("2026-03-10T01:50:00.000Z") + offset)
        const { seen, stop } = await listening({})
        await vi.advanceTimersByTimeAsync(minutes(10) - offset + after)
        expect(seen).toHaveLength(2)
        vi.setSystemTime(Date.now() - back)
        await vi.advanceTimersByTimeAsync(minutes(30))
        const expected = ["full 02:00", "incremental 02:00", "incremental 02:15"]
        if (back <= after) expected.push("incremental 02:30")
        expect(seen.map(tick => tick.replace(/2026-03-10T(..:..):.*/, "$1")).sort()).toEqual(expected)
        await stop()
      }
  })
})
