import { Effect, Stream } from "effect"
import { createTask, parse, type ScheduledTask, validateDetailed } from "node-cron"
import type { ScheduleSettings } from "../config/config.ts"
import { ConfigurationError } from "../core/errors.ts"

/** node-cron as a stream of ticks, and nothing else of it: what is done at a tick is not its business. */

/** What a tick asks for: what is new, or every list from its beginning to its end. */
export type Kind = "incremental" | "full"

export const KINDS: ReadonlyArray<Kind> = ["incremental", "full"]

export interface Tick {
  readonly kind: Kind
  /** When it was due, which may be before it came. */
  readonly at: Date
}

export interface Schedule {
  /** Every tick from now on. One that could not come when it was due comes late, and stands for those before it. */
  readonly ticks: Stream.Stream<Tick>
  /** When the next one is due. */
  readonly next: (kind: Kind) => Date
  /** The longest time between two of the ticks to come, in seconds, on clocks that nobody sets forward or back. */
  readonly intervalSeconds: (kind: Kind) => number
}

/** A process that was busy, or a machine that slept, makes up for the latest tick it missed, however late. */
const LATE_MAX_MILLIS = 7 * 24 * 3_600_000
/**
 * Timers stand still while a machine sleeps, and know nothing of a clock that is set: so often the clock is looked at,
 * and so late may a tick be.
 */
const WATCH_EVERY_MILLIS = 30_000
const LATE_TOLERATED_MILLIS = 5_000
/** Ticks that are looked at to learn how far apart they are: more than a week of hourly ones at night only. */
const INTERVALS_SAMPLED = 64
/** Ticks that wait to be taken at most; the oldest go. */
const TICKS_KEPT = 16

const VARIABLE: Readonly<Record<Kind, string>> = {
  incremental: "PAYCOMBAT_SCHEDULE",
  full: "PAYCOMBAT_FULL_SCHEDULE",
}

const offsetMinutes = (timezone: string, month: number): number => {
  const date = new Date(Date.UTC(2026, month, 1))
  const local = new Date(date.toLocaleString("en-US", { timeZone: timezone }))
  const utc = new Date(date.toLocaleString("en-US", { timeZone: "UTC" }))
  return (local.getTime() - utc.getTime()) / 60_000
}

/**
 * node-cron leaves out the hour that a clock set back repeats. A pattern that is about every hour of every day
 * means the same in UTC, where no clock is set back.
 */
export const zoneOf = (pattern: string, timezone: string): string => {
  const { hour, dayOfMonth, month, dayOfWeek } = parse(pattern)
  const isEveryHour =
    hour.length === 24 && dayOfMonth.length === 31 && month.length === 12 && dayOfWeek.length === 7
  return isEveryHour && [0, 6].every(month => offsetMinutes(timezone, month) % 60 === 0) ? "UTC" : timezone
}

const nextRuns = (task: ScheduledTask, count: number) => task.getNextRuns(count)

/** What is wrong with a pattern, if anything. */
const mistakesIn = (pattern: string): ReadonlyArray<string> => {
  const { errors } = validateDetailed(pattern)
  if (errors.length > 0) return errors.map(({ message }) => message)
  const task = createTask(pattern, () => {})
  try {
    return nextRuns(task, 1).length === 0 ? ["it is never due"] : []
  } catch {
    return ["it is never due"]
  } finally {
    void task.destroy()
  }
}

const checked = (kind: Kind, pattern: string): Effect.Effect<void, ConfigurationError> =>
  Effect.suspend(() => {
    const mistakes = mistakesIn(pattern)
    if (mistakes.length === 0) return Effect.void
    return Effect.fail(
      new ConfigurationError({
        message:
          `${VARIABLE[kind]} must be a cron expression such as */15 * * * * (minute, hour, day, month, weekday;` +
          ` a sixth field before them is for seconds): ${mistakes.join("; ")}.`,
      }),
    )
  })

/** Starts a task and watches it; every due time comes once, late or not. */
const started = (kind: Kind, pattern: string, timezone: string, tell: (tick: Tick) => void) => {
  const options = { timezone, missedExecutionTolerance: LATE_MAX_MILLIS, suppressMissedWarning: true }
  let expected: Date
  let latest: Date | undefined
  const told = (at: Date) => {
    tell({ kind, at })
    latest = at
    expected = nextRuns(task, 1)[0]!
  }
  const task = createTask(pattern, ({ date }) => told(date), options)
  expected = nextRuns(task, 1)[0]!
  task.start()
  const restart = () => {
    task.stop()
    task.start()
  }
  const watch = setInterval(() => {
    const next = nextRuns(task, 1)[0]!
    // The clock was set back, and the task waits for a time that is far off now. Set back by less than from one tick to
    // the next, it comes to the tick that was told last: that one is not told again.
    if (next < expected && next.getTime() !== latest?.getTime()) {
      expected = next
      return restart()
    }
    if (Date.now() - expected.getTime() <= LATE_TOLERATED_MILLIS) return
    told(expected)
    // Its timer still waits for the time that the machine slept.
    restart()
  }, WATCH_EVERY_MILLIS)
  return async () => {
    clearInterval(watch)
    await task.destroy()
  }
}

/** The two schedules of these settings; `ConfigurationError` where one is not a cron expression. */
export const makeSchedule = (settings: ScheduleSettings): Effect.Effect<Schedule, ConfigurationError> =>
  Effect.gen(function* () {
    yield* Effect.forEach(KINDS, kind => checked(kind, settings[kind]), { discard: true })
    const zones = {
      incremental: zoneOf(settings.incremental, settings.timezone),
      full: zoneOf(settings.full, settings.timezone),
    }
    /** Never started: for looking ahead only. */
    const ahead = (kind: Kind, count: number, timezone = zones[kind]): ReadonlyArray<Date> => {
      const task = createTask(settings[kind], () => {}, { timezone })
      const dates = nextRuns(task, count)
      void task.destroy()
      return dates
    }
    const ticksOf = (kind: Kind) =>
      Stream.asyncPush<Tick>(
        emit =>
          Effect.acquireRelease(
            Effect.sync(() => started(kind, settings[kind], zones[kind], tick => emit.single(tick))),
            stop => Effect.promise(stop),
          ),
        { bufferSize: TICKS_KEPT, strategy: "sliding" },
      )
    return {
      ticks: Stream.mergeAll(KINDS.map(ticksOf), { concurrency: "unbounded" }),
      next: kind => ahead(kind, 1)[0]!,
      intervalSeconds: kind => {
        // Where the tick falls into the hour that is left out in spring, a week would count as two all year long.
        const dates = ahead(kind, INTERVALS_SAMPLED, "UTC")
        return Math.max(...dates.slice(1).map((date, i) => (date.getTime() - dates[i]!.getTime()) / 1000))
      },
    }
  })
