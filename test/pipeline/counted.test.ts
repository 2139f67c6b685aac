import { describe, expect, it } from "@effect/vitest"
import { Effect, Fiber, Metric } from "effect"
import * as Metrics from "../../src/observe/metrics.ts"
import { listPath, STREAM_NAMES } from "../support/lists.ts"
import { bench, SMALL, unhurried } from "../support/warehouse.ts"

/** Tests the counts of a run, during the run and at its end. */

const OUTCOMES = ["inserted", "updated", "unchanged", "stale", "rejected", "unanswered", "erased"] as const
/** An account of its own, because this process counts others, too. */
const ACCOUNT = "counted"

const counted = (stream: string) =>
  Effect.map(
    Effect.forEach(OUTCOMES, outcome =>
      Metric.value(Metrics.labelled(Metrics.rows, { account: ACCOUNT, stream, outcome })),
    ),
    states => Object.fromEntries(OUTCOMES.map((outcome, i) => [outcome, states[i]!.count])),
  )

describe("records", () => {
  it.scopedLive("in the metrics match the counters of the ledger", () =>
    Effect.gen(function* () {
      const { sandbox, sync, rows } = yield* bench()
      const account = { name: ACCOUNT, pageSize: 20 }
      sandbox.patch("payouts", 3, { status: { of: "no text" } })
      sandbox.setFault(({ path, query }) =>
        path === listPath("transactions") && Number(query.get("page")) >= 3 ? { hang: true } : undefined,
      )
      const under = yield* Effect.fork(unhurried(sync({ account })))
      // All but the one list that does not come to its end.
      yield* rows("SELECT stream FROM sync.stream_runs WHERE status <> 'running'").pipe(
        Effect.delay("50 millis"),
        Effect.repeat({ until: ended => ended.length === STREAM_NAMES.length - 1 }),
      )
      yield* counted("transactions").pipe(
        Effect.delay("50 millis"),
        Effect.repeat({ until: ({ inserted }) => inserted! > 0 }),
      )
      yield* Fiber.interrupt(under)
      const isLedger = Effect.gen(function* () {
        const booked = yield* rows(
          `SELECT stream, ${OUTCOMES.map(outcome => `sum(${outcome}) AS ${outcome}`).join(", ")}
           FROM sync.stream_runs GROUP BY stream`,
        )
        expect(booked).toHaveLength(STREAM_NAMES.length)
        for (const { stream, ...sums } of booked)
          expect([stream, yield* counted(stream!)]).toEqual([
            stream,
            Object.fromEntries(OUTCOMES.map(outcome => [outcome, Number(sums[outcome])])),
          ])
      })
      yield* isLedger

      sandbox.setFault(null)
      sandbox.touch("payouts", 4)
      yield* sync({ account })
      yield* sync({ account, full: true })
      yield* isLedger
      expect(yield* counted("payouts")).toMatchObject({ inserted: SMALL.payouts! - 1, updated: 1 })
      expect((yield* counted("payouts")).rejected).toBeGreaterThan(0)
      expect((yield* counted("wallet_readiness")).inserted).toBe(SMALL.customers)
      const names = (yield* Metric.snapshot).flatMap(({ metricKey: { name, tags } }) =>
        name === `${Metrics.PREFIX}rows_total` &&
        tags.some(({ key, value }) => key === "account" && value === ACCOUNT)
          ? [tags.map(({ value }) => value).join("/")]
          : [],
      )
      // One series of each, whatever code counts.
      expect(names).toHaveLength(STREAM_NAMES.length * OUTCOMES.length)
    }),
  )
})
