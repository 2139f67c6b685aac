import { Effect, Stream } from "effect"
import { createTask, parse, type ScheduledTask, validateDetailed } from "node-cron"
import type { ScheduleSettings } from "../config/config.ts"
import { ConfigurationError } from "../core/errors.ts"

/** Wraps node-cron as a stream of ticks. The scheduler knows nothing of what runs at a tick. */

/** Kind of run that a tick asks for: new records only, or every list from start to end. */
export type Kind = "incremental" | "full"

export const KINDS: ReadonlyArray<Kind> = ["incremental", "full"]

export interface Tick {
  readonly kind: Kind
  /** Due time, which may be before the tick came. */
  readonly at: Date
}

export interface Schedule {
  /** Every tick from now on. A tick that could not come when due comes late, and replaces all earlier missed ones. */
  readonly ticks: Stream.Stream<Tick>
  /** Returns the due time of the next tick. */
  readonly next: (kind: Kind) => Date
  /** Returns the longest time between two future ticks in seconds, ignoring daylight saving time. */
  readonly intervalSeconds: (kind: Kind) => number
}

/** Oldest missed tick that is made up for after the process was busy or the machine slept. */
const LATE_MAX_MILLIS = 7 * 24 * 3_600_000
/**
 * Interval of the clock check, and so the longest delay of a tick after sleep. Timers stop while a machine sleeps, and
 * do not notice a clock that is set.
 */
const WATCH_EVERY_MILLIS = 30_000
const LATE_TOLERATED_MILLIS = 5_000
/** Ticks sampled to measure the time between ticks: more than a week of hourly ticks at night only. */
const INTERVALS_SAMPLED = 64
/** Most ticks that wait to be taken. The oldest are dropped first. */
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
 * Returns the zone to evaluate a pattern in. node-cron skips the hour that a clock set back repeats, so a pattern for
 * every hour of every day is evaluated in UTC, which has no such hour.
 */
export const zoneOf = (pattern: string, timezone: string): string => {
  const { hour, dayOfMonth, month, dayOfWeek } = parse(pattern)
  const isEveryHour =
    hour.length === 24 && dayOfMonth.length === 31 && month.length === 12 && dayOfWeek.length === 7
  return isEveryHour && [0, 6].every(month => offsetMinutes(timezone, month) % 60 === 0) ? "UTC" : timezone
}

const nextRuns = (task: ScheduledTask, count: number) => task.getNextRuns(count)

/** Lists the mistakes in a pattern. */
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

/** Starts a task and watches it. Every due time produces one tick, late or not. */
const startTask = (kind: Kind, pattern: string, timezone: string, emit: (tick: Tick) => void) => {
  const options = { timezone, missedExecutionTolerance: LATE_MAX_MILLIS, suppressMissedWarning: true }
  let expected: Date
  let latest: Date | undefined
  const emitAt = (at: Date) => {
    emit({ kind, at })
    latest = at
    expected = nextRuns(task, 1)[0]!
  }
  const task = createTask(pattern, ({ date }) => emitAt(date), options)
  expected = nextRuns(task, 1)[0]!
  task.start()
  const restart = () => {
    task.stop()
    task.start()
  }
  const watch = setInterval(() => {
    const next = nextRuns(task, 1)[0]!
    // The clock was set back, and the task waits for a time that is now far away. If it was set back by less than one
    // interval, the next due time is the tick emitted last, which must not be repeated.
    if (next < expected && next.getTime() !== latest?.getTime()) {
      expected = next
      return restart()
    }
    if (Date.now() - expected.getTime() <= LATE_TOLERATED_MILLIS) return
    emitAt(expected)
    // The timer still counts the time that the machine slept.
    restart()
  }, WATCH_EVERY_MILLIS)
  return async () => {
    clearInterval(watch)
    await task.destroy()
  }
}

/** Creates the two schedules. Fails with `ConfigurationError` if a pattern is not a cron expression. */
export const makeSchedule = (settings: ScheduleSettings): Effect.Effect<Schedule, ConfigurationError> =>
  Effect.gen(function* () {
    yield* Effect.forEach(KINDS, kind => checked(kind, settings[kind]), { discard: true })
    const zones = {
      incremental: zoneOf(settings.incremental, settings.timezone),
      full: zoneOf(settings.full, settings.timezone),
    }
    /** Computes due times with a task that is never started. */
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
            Effect.sync(() => startTask(kind, settings[kind], zones[kind], tick => emit.single(tick))),
            stop => Effect.promise(stop),
          ),
        { bufferSize: TICKS_KEPT, strategy: "sliding" },
      )
    return {
      ticks: Stream.mergeAll(KINDS.map(ticksOf), { concurrency: "unbounded" }),
      next: kind => ahead(kind, 1)[0]!,
      intervalSeconds: kind => {
        // In the zone itself, a weekly tick in the hour that is skipped in spring would count as two weeks all year
        // long.
        const dates = ahead(kind, INTERVALS_SAMPLED, "UTC")
        return Math.max(...dates.slice(1).map((date, i) => (date.getTime() - dates[i]!.getTime()) / 1000))
      },
    }
  })
