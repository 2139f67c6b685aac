import { describe, expect, it } from "@effect/vitest"
import { ConfigProvider, Effect } from "effect"
import { runSettings, serveSettings } from "../src/app.ts"

/** Tests the largest age of the latest full pass, by the schedule of the environment. */

const DAY = 86_400

const within = <A, E>(environment: Readonly<Record<string, string>>, effect: Effect.Effect<A, E>) =>
  Effect.withConfigProvider(
    effect,
    ConfigProvider.fromMap(new Map(Object.entries({ PAYCOMBAT_TOKEN: "x", ...environment }))),
  )

describe("a full pass", () => {
  it.effect.each([
    ["every night, which is the default", {}, DAY],
    ["every week", { PAYCOMBAT_FULL_SCHEDULE: "0 2 * * 0" }, 7 * DAY],
    ["on working days", { PAYCOMBAT_FULL_SCHEDULE: "0 2 * * 1-5" }, 3 * DAY],
    ["every month", { PAYCOMBAT_FULL_SCHEDULE: "0 2 1 * *" }, 31 * DAY],
    [
      "every week in an hour that one night of the year lacks",
      { PAYCOMBAT_FULL_SCHEDULE: "0 2 * * 0", PAYCOMBAT_TIMEZONE: "Europe/Berlin" },
      7 * DAY,
    ],
    ["every six hours", { PAYCOMBAT_FULL_SCHEDULE: "0 */6 * * *" }, DAY / 4],
  ] as const)(
    "%s, is due for a run without ticks after the longest time between two",
    ([, environment, seconds]) =>
      Effect.gen(function* () {
        const settings = yield* within(environment, runSettings())
        expect(settings.fullPassMaxAgeSeconds).toBe(seconds)
      }),
  )

  it.effect("comes by the ticks of `serve` first, even if a day has 25 hours", () =>
    Effect.gen(function* () {
      const settings = yield* within({ PAYCOMBAT_TIMEZONE: "Europe/Berlin" }, serveSettings())
      expect(settings.fullPassMaxAgeSeconds).toBe(25 * 3_600)
    }),
  )

  it.effect("with a malformed schedule fails with one line that names its variable, also for `sync`", () =>
    Effect.gen(function* () {
      const { message } = yield* Effect.flip(within({ PAYCOMBAT_FULL_SCHEDULE: "weekly" }, runSettings()))
      expect(message).toMatch(/^PAYCOMBAT_FULL_SCHEDULE must be a cron expression[^\n]*$/)
    }),
  )
})
