import { Effect } from "effect"
import * as Config from "../config/config.ts"
import type { ConfigurationError } from "../core/errors.ts"
import { type Limits, limitsOf } from "../core/verdict.ts"
import type { Schedule } from "./scheduler.ts"

/** Reads the schedules of the environment, and derives the limits of freshness from them. */

/**
 * Time that `serve` leaves for its full tick before a run turns into a full pass by age. One hour, because a day may
 * have 25 hours. Under `serve` the age only matters if a tick did nothing or the process was down.
 */
const TICKS_FIRST_SECONDS = 3_600

/** Derives the limits of freshness from a schedule; see `limitsOf`. */
export const limitsBy = (
  { intervalSeconds }: Pick<Schedule, "intervalSeconds">,
  maxAgeSeconds?: number,
): Limits =>
  limitsOf({ incremental: intervalSeconds("incremental"), full: intervalSeconds("full") }, maxAgeSeconds)

/** Reads the schedules. The scheduler module is loaded only when it is needed. */
export const configuredSchedule: Effect.Effect<Schedule, ConfigurationError> = Effect.flatMap(
  Config.schedule,
  settings =>
    Effect.flatMap(
      Effect.promise(() => import("./scheduler.ts")),
      ({ makeSchedule }) => makeSchedule(settings),
    ),
)

/**
 * Limits of freshness for a verdict: from the schedules if one is set, and from `maxAgeSeconds` if given. The stored
 * limits apply where a limit is absent.
 */
export const limitsToJudgeBy = (maxAgeSeconds?: number): Effect.Effect<Partial<Limits>, ConfigurationError> =>
  Effect.flatMap(Config.isScheduleSet, isSet =>
    isSet
      ? Effect.map(configuredSchedule, schedule => limitsBy(schedule, maxAgeSeconds))
      : Effect.succeed(maxAgeSeconds === undefined ? {} : { maxAgeSeconds }),
  )

/**
 * Limits of freshness to store for the views: from the schedules if one is set, and from `maxAgeSeconds` if given. None
 * if the configuration sets nothing; the stored limits then stay.
 */
export const limitsToStore = (
  maxAgeSeconds?: number,
): Effect.Effect<{ readonly limits?: Limits }, ConfigurationError> =>
  Effect.flatMap(Config.isScheduleSet, isSet =>
    isSet || maxAgeSeconds !== undefined
      ? Effect.map(configuredSchedule, schedule => ({ limits: limitsBy(schedule, maxAgeSeconds) }))
      : Effect.succeed({}),
  )

/**
 * Longest time between two ticks of PAYCOMBAT_FULL_SCHEDULE, in seconds. A run that finds the latest full pass older
 * than this reads the lists in full, so that a `sync` from cron, which has no ticks, follows the schedule, too.
 */
export const fullPassMaxAge: Effect.Effect<number, ConfigurationError> = Effect.map(
  configuredSchedule,
  schedule => schedule.intervalSeconds("full"),
)

/** Returns the same limit for `serve`, plus `TICKS_FIRST_SECONDS`. */
export const fullPassMaxAgeBesideTicks: Effect.Effect<number, ConfigurationError> = Effect.map(
  fullPassMaxAge,
  seconds => seconds + TICKS_FIRST_SECONDS,
)
