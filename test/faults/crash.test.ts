import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import {
  type Crashable,
  crashable,
  crashWorld,
  expectWhole,
  expireLeases,
  isSoaking,
  referenceOf,
} from "../support/crash.ts"
import type { CommitFault } from "../support/postgresSession.ts"
import { printed } from "../support/warehouse.ts"

/** `kill -9` at the moments that matter: just before Postgres hears of a commit, and just after it has done it. */

const KILLED = 137

/** Which commit points are tried where there is no time for all. */
const FIRST = { before: 4, after: 9 }
const STEP = 90

/** Further commit points than a run of this world has, with those of the heartbeats of a slow machine. */
const POINTS_MAX = 500

/** A run that is killed at its n-th commit point, and what its ledger says at once; whether it came so far. */
const killedAt = (whole: Crashable, n: number, when: CommitFault["when"]) =>
  Effect.gen(function* () {
    const again = yield* whole.refetched()
    const { code, stderr } = yield* whole.strike(n, when)
    expect([0, KILLED], `${when} ${n}: ${stderr}`).toContain(code)
    expect(again(), `fetched again by the run killed ${when} ${n}`).toEqual([])
    if (code === KILLED) yield* expireLeases(whole)
    return code === KILLED
  })

/** The run without any disturbance at the end. */
const mended = (whole: Crashable, reference: Parameters<typeof expectWhole>[1], about: string) =>
  Effect.gen(function* () {
    const again = yield* whole.refetched()
    const { code, stderr } = yield* whole.sync()
    expect(code, `${about}: ${stderr}`).toBe(0)
    expect(again(), about).toEqual([])
    yield* expectWhole(whole.sql, reference, about)
  })

describe("kill -9 at commit points", () => {
  it.scopedLive(
    "one after the other, run for run: the warehouse is that of an undisturbed run",
    () =>
      Effect.gen(function* () {
        const sandbox = yield* crashWorld
        const whole = yield* crashable(sandbox)
        const points: ReadonlyArray<readonly [number, CommitFault["when"]]> = [
          [3, "after"],
          [6, "before"],
          [21, "after"],
          [24, "before"],
          [30, "after"],
        ]
        let kills = 0
        for (const [n, when] of points) if (yield* killedAt(whole, n, when)) kills += 1
        expect(kills).toBeGreaterThan(3)
        yield* mended(whole, yield* referenceOf(sandbox), "after all kills")
        const runs = yield* printed(whole.sql, "SELECT status, count(*) FROM sync.runs GROUP BY 1 ORDER BY 1")
        const dead = runs.find(({ status }) => status === "dead")
        expect(Number(dead?.count)).toBeGreaterThan(2)
      }),
    600_000,
  )

  it(
    `${isSoaking ? "each" : "some"} by itself, before and after`,
    () =>
      Effect.runPromise(
        Effect.gen(function* () {
          const sandbox = yield* crashWorld
          const reference = yield* referenceOf(sandbox)
          for (const when of ["before", "after"] as const)
            for (let n = isSoaking ? 1 : FIRST[when]; n <= POINTS_MAX; n += isSoaking ? 1 : STEP) {
              const isKilled = yield* Effect.scoped(
                Effect.gen(function* () {
                  const whole = yield* crashable(sandbox)
                  const killed = yield* killedAt(whole, n, when)
                  yield* mended(whole, reference, `${when} ${n}`)
                  return killed
                }),
              )
              if (!isKilled) break
              expect(n, "a run ends some time").toBeLessThan(POINTS_MAX)
            }
        }).pipe(Effect.scoped),
      ),
    3_600_000,
  )
})
