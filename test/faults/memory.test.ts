import { describe, expect, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { bench, streamOf } from "../support/warehouse.ts"

const TRANSACTIONS = 30_000
const PAGE_SIZE = 500

/**
 * Pages that may have been asked for while not one is stored: two batches of 2,000 records in the making and one being
 * written, as many gathered for the next, a few ahead of that, and those with which discovery proved the list.
 */
const PAGES_MAX = 28

/** Longer than pages wait for a batch to become full. */
const QUIET_MILLIS = 4_000

/** A slow machine takes its time over so many records. */
const LIMIT_MS = 240_000

describe("memory", { timeout: LIMIT_MS }, () => {
  it.scopedLive("holds a few batches and no more, however long Postgres takes", () =>
    Effect.gen(function* () {
      const { sql, sandbox, sync } = yield* bench({ transactions: TRANSACTIONS })
      const pagesAsked = () =>
        sandbox.requests.recent.filter(({ path }) => path.startsWith("/api/v1/transaction")).length
      let release = () => {}
      const isReleased = new Promise<void>(resolve => {
        release = resolve
      })
      const blocked = sql.begin(async tx => {
        await tx`LOCK TABLE warehouse.transactions IN SHARE ROW EXCLUSIVE MODE`
        await isReleased
      })
      yield* Effect.addFinalizer(() => Effect.sync(release))
      const run = yield* Effect.fork(sync({ only: ["transactions"], account: { pageSize: PAGE_SIZE } }))
      let before = -1
      // A few are asked for in any case: fewer, and the machine was at something else.
      while (pagesAsked() !== before || before <= 4) {
        before = pagesAsked()
        yield* Effect.sleep(QUIET_MILLIS)
      }
      expect(before).toBeLessThanOrEqual(PAGES_MAX)
      release()
      yield* Effect.promise(() => blocked)
      const summary = yield* Fiber.join(run)
      expect(streamOf(summary, "transactions")).toMatchObject({ status: "complete", inserted: TRANSACTIONS })
      expect(pagesAsked()).toBeGreaterThan(TRANSACTIONS / PAGE_SIZE)
    }),
  )
})
