import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import * as fc from "fast-check"
import type { JsonObject } from "../../src/core/json.ts"
import { prepareBatch, writeBatch, writeBeside } from "../../src/warehouse/load/loader.ts"
import type { PreparedBatch } from "../../src/warehouse/load/prepare.ts"
import { fixtureOf } from "../support/conformance.ts"
import { fuzz, fuzzMillis } from "../support/fuzz.ts"
import { listStream, loading, printed, testWarehouse } from "../support/warehouse.ts"

/**
 * A record that a pass reads again and again, and that is read by id meanwhile, as urgent work. It says no time of change,
 * so that only the times of reading tell which reading is the newest.
 */

const customers = await Effect.runPromise(listStream("customers"))
const { updated_at: _, ...timeless } = fixtureOf(customers).record as JsonObject
const ID = String(timeless.customer_id)

const RUNS = 40

/** Readings of the pass and by id, each `true` for a record that is as it was stored first; and in which order steps come. */
const worlds = fc.record({
  listed: fc.array(fc.boolean(), { minLength: 1, maxLength: 3 }),
  byId: fc.array(fc.boolean(), { minLength: 1, maxLength: 2 }),
  choices: fc.array(fc.nat(), { minLength: 30, maxLength: 30 }),
})

describe("a record that is read by id beside a pass", () => {
  it.scopedLive(
    "is stored as it was read last, in any order of preparing and writing",
    () =>
      Effect.gen(function* () {
        const sql = yield* testWarehouse()
        const { lease, passId, load } = yield* loading(sql, customers)
        let now = Date.UTC(2026, 0, 1)
        const readAt = () => {
          now += 1_000
          return new Date(now)
        }
        const recordOf = (isFirst: boolean) => ({ ...timeless, description: isFirst ? "first" : "other" })
        const progress = { passId, position: null, pages: 1, requests: 0, retries: 0 }

        const play = (world: typeof worlds extends fc.Arbitrary<infer W> ? W : never) =>
          Effect.gen(function* () {
            yield* Effect.promise(() => sql`DELETE FROM warehouse.customers`)
            yield* load([recordOf(true), readAt().toISOString()])
            let newest = true
            const beside = new Set<string>()
            const inFlight = new Set<PreparedBatch>()
            const read: Array<{ record: JsonObject; readAt: Date }> = []
            const prepared: Array<PreparedBatch> = []
            let [readCount, preparedCount, writtenCount] = [0, 0, 0]
            let [byIdCount, byIdStep] = [0, 0]
            let byIdRead: { record: JsonObject; readAt: Date } | undefined
            let byIdPrepared: PreparedBatch | undefined
            const reading = (isFirst: boolean) => {
              newest = isFirst
              return { record: recordOf(isFirst), readAt: readAt() }
            }
            const steps: ReadonlyArray<readonly [() => boolean, () => Effect.Effect<unknown, unknown>]> = [
              [
                () => readCount < world.listed.length,
                () => Effect.sync(() => read.push(reading(world.listed[readCount++]!))),
              ],
              [
                () => preparedCount < readCount,
                () =>
                  prepareBatch(sql, lease, customers, [read[preparedCount++]!], inFlight, beside).pipe(
                    Effect.tap(batch => {
                      inFlight.add(batch)
                      prepared.push(batch)
                    }),
                  ),
              ],
              [
                () => writtenCount < preparedCount,
                () =>
                  Effect.suspend(() => {
                    const batch = prepared[writtenCount++]!
                    inFlight.delete(batch)
                    return writeBatch(sql, lease, customers, batch, progress)
                  }),
              ],
              [
                () => byIdCount < world.byId.length,
                () => {
                  byIdStep++
                  if (byIdStep === 1) return Effect.sync(() => beside.add(ID))
                  if (byIdStep === 2) return Effect.sync(() => (byIdRead = reading(world.byId[byIdCount]!)))
                  if (byIdStep === 3)
                    return prepareBatch(sql, lease, customers, [byIdRead!], [], beside).pipe(
                      Effect.tap(batch => {
                        byIdPrepared = batch
                      }),
                    )
                  byIdStep = 0
                  byIdCount++
                  return Effect.ensuring(
                    writeBeside(sql, lease, customers, byIdPrepared!, async () => {}),
                    Effect.sync(() => beside.delete(ID)),
                  )
                },
              ],
            ]
            for (const choice of world.choices) {
              const open = steps.filter(([isOpen]) => isOpen())
              if (open.length === 0) break
              yield* open[choice % open.length]![1]()
            }
            // The steps that the choices left open, in order.
            for (
              let next = steps.find(([isOpen]) => isOpen());
              next;
              next = steps.find(([isOpen]) => isOpen())
            )
              yield* next[1]()
            const [row] = yield* printed(sql, "SELECT description FROM warehouse.customers")
            return [row!.description, newest ? "first" : "other"] as const
          })
        yield* Effect.promise(() =>
          fc.assert(
            fc.asyncProperty(worlds, async world => {
              const [stored, newest] = await Effect.runPromise(play(world))
              expect(stored).toBe(newest)
            }),
            fuzz(RUNS),
          ),
        )
      }),
    fuzzMillis(RUNS) + 60_000,
  )
})
