import { Effect } from "effect"
import * as Config from "../config/config.ts"
import type { ConfigurationError } from "../core/errors.ts"
import { type Limits, limitsOf } from "../core/verdict.ts"
import type { Schedule } from "./scheduler.ts"

/** The schedules of the environment, and how old the latest full pass may be by them. */

/**
 * `serve` has ticks for full passes, and they come first: also on the day that has 25 hours. There the age is for a
 * tick that came to nothing, or that was due while the process was down.
 */
const TICKS_FIRST_SECONDS = 3_600

/** How old figures may be by a schedule; see `limitsOf`. */
export const limitsBy = (
  { intervalSeconds }: Pick<Schedule, "intervalSeconds">,
  maxAgeSeconds?: number,
): Limits =>
  limitsOf({ incremental: intervalSeconds("incremental"), full: intervalSeconds("full") }, maxAgeSeconds)

/** What makes them is loaded when somebody needs it. */
export const configuredSchedule: Effect.Effect<Schedule, ConfigurationError> = Effect.flatMap(
  Config.schedule,
  settings =>
    Effect.flatMap(
      Effect.promise(() => import("./scheduler.ts")),
      ({ makeSchedule }) => makeSchedule(settings),
    ),
)

/**
 * The limits of freshness to judge by: from the schedules where one is set, and `maxAgeSeconds` where it is given.
 * What is absent is left to what the latest run stored.
 */
export const limitsToJudgeBy = (maxAgeSeconds?: number): Effect.Effect<Partial<Limits>, ConfigurationError> =>
  Effect.flatMap(Config.isScheduleSet, isSet =>
    isSet
      ? Effect.map(configuredSchedule, schedule => limitsBy(schedule, maxAgeSeconds))
      : Effect.succeed(maxAgeSeconds === undefined ? {} : { maxAgeSeconds }),
  )

/**
 * The limits of freshness that are stored for views: from the schedules where one is set, and `maxAgeSeconds` where it
 * is given. None where the configuration says nothing: what is stored then stays.
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
 * The longest time between two ticks of PAYCOMBAT_FULL_SCHEDULE, in seconds: a run that finds the latest full pass
 * that old reads whole what it would else read in part. So a `sync` from cron, which has no ticks, obeys it, too.
 */
export const fullPassMaxAge: Effect.Effect<number, ConfigurationError> = Effect.map(
  configuredSchedule,
  schedule => schedule.intervalSeconds("full"),
)

/** The same for `serve`. */
export const fullPassMaxAgeBesideTicks: Effect.Effect<number, ConfigurationError> = Effect.map(
  fullPassMaxAge,
  seconds => seconds + TICKS_FIRST_SECONDS,
)
