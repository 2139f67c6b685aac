import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import {
  type Crashable,
  crashable,
  crashWorld,
  expectWhole,
  expireLeases,
  isSoaking,
  randomOf,
  referenceOf,
} from "../support/crash.ts"
import { printed } from "../support/warehouse.ts"

/** Runs that end at any moment: killed, or told to stop; and the one after them that mends it all. */

const SEEDS = isSoaking ? Array.from({ length: 30 }, (_, i) => i + 1) : [7]
const STOPS = isSoaking ? 8 : 4
/** For the batch in hand, and for what is to be booked. */
const STOP_LIMIT_MILLIS = 60_000
/** From so long on Postgres may have been too slow to take the end of a run, which is not waited for. */
const GIVEN_UP_MILLIS = 3_000
const TIME_LIMIT_MILLIS = 900_000
/** Stretches a run, so that there are moments to choose from. */
const SLOW_MILLIS = 150
/** From its first word, about what such a run takes. */
const RUN_MILLIS = 2_500

const CODES = { SIGKILL: 137, SIGTERM: 143, SIGINT: 130 } as const

/** Starts a run, ends it at a moment of the seed's, and says what it came to: killed, booked, or given up. */
const stopped = (whole: Crashable, random: () => number, about: string) =>
  Effect.scoped(
    Effect.gen(function* () {
      const chance = random()
      const signal = chance < 0.5 ? "SIGKILL" : chance < 0.75 ? "SIGTERM" : "SIGINT"
      const again = yield* whole.refetched(SLOW_MILLIS)
      const running = yield* whole.start(["sync"])
      yield* running.printed("started")
      yield* Effect.sleep(random() * RUN_MILLIS)
      const from = Date.now()
      const { code, stderr } = yield* running.stop(signal)
      const millis = Date.now() - from
      if (code !== 0) expect(code, `${about}: ${stderr}`).toBe(CODES[signal])
      expect(millis, `${about}: time to stop`).toBeLessThan(STOP_LIMIT_MILLIS)
      expect(again(), about).toEqual([])
      // Told to stop, it leaves nothing to be found out: neither a lease nor a run that seems to be at work.
      const held = "SELECT stream FROM sync.leases WHERE expires_at > clock_timestamp()"
      const latest = "SELECT status FROM sync.runs ORDER BY started_at DESC LIMIT 1"
      const leases = yield* printed(whole.sql, held)
      const [run] = yield* printed(whole.sql, latest)
      const isBooked = leases.length === 0 && ["interrupted", "complete"].includes(run!.status!)
      if (signal !== "SIGKILL" && millis < GIVEN_UP_MILLIS)
        expect(isBooked, `${about}: ${run!.status}, ${leases.length} leases held`).toBe(true)
      if (signal === "SIGKILL" || !isBooked) yield* expireLeases(whole)
      return signal === "SIGKILL" ? "killed" : isBooked ? "booked" : "given up"
    }),
  )

describe("a run that ends at any moment", () => {
  for (const seed of SEEDS)
    it.scopedLive(
      `${STOPS} times (seed ${seed}): the next run makes the warehouse that of an undisturbed run`,
      () =>
        Effect.gen(function* () {
          const sandbox = yield* crashWorld
          const whole = yield* crashable(sandbox)
          const random = randomOf(seed)
          const outcomes = new Set<string>()
          for (let n = 1; n <= STOPS; n++)
            outcomes.add(yield* stopped(whole, random, `seed ${seed}, stop ${n}`))
          // Not each of those that were told to stop found Postgres too slow.
          if (outcomes.has("given up")) expect([...outcomes]).toContain("booked")
          sandbox.setFault(null)
          const { code, stderr } = yield* whole.sync()
          expect(code, stderr).toBe(0)
          yield* expectWhole(whole.sql, yield* referenceOf(sandbox), `seed ${seed}`)
        }),
      TIME_LIMIT_MILLIS,
    )
})
