import { setTimeout } from "node:timers/promises"
import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { connect } from "../src/postgres/connect.ts"
import { documentOf, freshnessRule, viewsOf } from "../src/report/report.ts"
import { testDatabase } from "./support/postgres.ts"
import { postgresProxy } from "./support/postgresProxy.ts"
import { fill } from "./support/report.ts"
import { MIGRATED } from "./support/warehouse.ts"

/** A report that loses its connection while it processes rows that it already has. */

const ALL = { accounts: [], currencies: [] }

/** Customers without readiness: enough for several batches. */
const CUSTOMERS = 12_000

/** Time for the driver to notice the loss while no statement waits. */
const NOTICED_MILLIS = 300

const parts = Effect.gen(function* () {
  const { ownerUrl, readerUrl } = yield* testDatabase({ template: MIGRATED })
  yield* fill(yield* connect(ownerUrl), {
    accounts: ["default"],
    days: 2,
    currencies: ["EUR"],
    customers: CUSTOMERS,
  })
  const proxy = yield* postgresProxy(readerUrl)
  let isCut = false
  const cutOnce = async () => {
    if (isCut) return
    isCut = true
    expect(proxy.cut()).toBe(1)
    await setTimeout(NOTICED_MILLIS)
  }
  return { url: proxy.through(readerUrl), cutOnce }
})

const lost = {
  _tag: "Left",
  left: { _tag: "WarehouseError", message: expect.stringContaining("the connection was lost") },
}

describe("a report that loses its connection between two batches", () => {
  it.scopedLive("fails, and does not treat the rows read so far as the whole view", () =>
    Effect.gen(function* () {
      const { url, cutOnce } = yield* parts
      let rows = 0
      const ended = yield* Effect.either(
        viewsOf(url, ALL, async (view, _, batches) => {
          for await (const batch of batches) {
            if (view !== "kyc_gap") continue
            rows += batch.length
            await cutOnce()
          }
        }),
      )
      expect(rows).toBeGreaterThan(0)
      expect(ended).toMatchObject(lost)
    }),
  )

  it.scopedLive("fails, and does not treat the rows read so far as the whole list of a document", () =>
    Effect.gen(function* () {
      const { url, cutOnce } = yield* parts
      const told = { isDemo: false, rule: yield* freshnessRule() }
      let rows = 0
      const read = async (text: AsyncIterable<string>) => {
        for await (const _ of text) if (rows > 0) await cutOnce()
      }
      const ended = yield* Effect.either(
        documentOf(url, ALL, told, read, seen => {
          rows = seen
        }),
      )
      expect(rows).toBeGreaterThan(0)
      expect(ended).toMatchObject(lost)
    }),
  )
})
