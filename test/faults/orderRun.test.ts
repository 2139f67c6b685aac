import { describe, expect, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { stringifyJson } from "../../src/core/json.ts"
import { withField } from "../support/conformance.ts"
import { json, streamOf, syncedBench } from "../support/warehouse.ts"

/** Longer than a run waits for pages to load together: each slow page is a batch of its own. */
const SLOW_MILLIS = 2_600
/** From the third page's request until its batch is surely prepared; too short would test nothing, not fail. */
const HOLD_MILLIS = 2 * SLOW_MILLIS

describe("a record that changes and changes back between two pages of a run", () => {
  it.scopedLive(
    "is stored as it was last read, although the next batch is prepared before the change is written",
    () =>
      Effect.gen(function* () {
        const { sql, sandbox, sync, value } = yield* syncedBench(
          { transactions: 30 },
          { only: ["transactions"] },
        )
        const id = sandbox.idOf("transactions", 3)
        const before = json(sandbox.truth.text("transactions", 3))
        const between = withField(before, ["event_description"], "in between")
        // Listed three times, once on each page: as stored, changed, and as stored again.
        sandbox.replace("transactions", 13, stringifyJson(between))
        sandbox.replace("transactions", 23, stringifyJson(before))

        // Each commit for this stream renews the lease first, and waits here.
        let release = () => {}
        const released = new Promise<void>(resolve => {
          release = resolve
        })
        let isHeld: Promise<unknown> = Promise.resolve()
        const hold = () =>
          sql.begin(async tx => {
            await tx`SELECT FROM sync.leases WHERE stream = 'transactions' FOR UPDATE`
            await released
          })
        const slow = new Set(["2", "3"])
        sandbox.setFault(({ path, query }) => {
          const page = query.get("page") ?? ""
          // Only the list that is being read, and each page once: discovery asks for page 2 as well.
          if (!path.includes("transaction") || query.get("limit") !== "10" || !slow.has(page))
            return undefined
          slow.delete(page)
          if (page === "2") isHeld = hold()
          else setTimeout(release, HOLD_MILLIS)
          return { delayMillis: SLOW_MILLIS }
        })
        const run = yield* Effect.fork(sync({ only: ["transactions"] }))
        const booked = streamOf(yield* Fiber.join(run), "transactions")
        release()
        yield* Effect.promise(() => isHeld)
        // The time of change is the same in all three: the version that did not stay is a reject.
        expect([booked.status, booked.error]).toEqual(["complete_with_rejects", null])
        expect(
          yield* value(`SELECT event_description FROM warehouse.transactions WHERE transaction_id = '${id}'`),
        ).toBe(String((before as { event_description: string }).event_description))
        // The change was written, and taken back.
        expect(booked).toMatchObject({ updated: 2 })
      }),
  )
})
