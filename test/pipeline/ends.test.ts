import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { AFTER_ENDS, FAULTS, type FaultName } from "../../src/sandbox/sandbox.ts"
import { verdictsOf } from "../../src/warehouse/read/verdict.ts"
import { setup } from "../support/incremental.ts"
import { LIST_PATHS } from "../support/lists.ts"
import { slowUnless } from "../support/slow.ts"
import { bench, streamOf } from "../support/warehouse.ts"

const PAYOUTS = { only: ["payouts"] }
const CONFIGURED = { ...PAYOUTS, account: { paths: LIST_PATHS } }
const SAYING_NOTHING: ReadonlyArray<FaultName> = [
  "no-content",
  "no-data",
  "nothing-found",
  "empty",
  "empty-list",
]

describe("the end of a list", () => {
  for (const afterEnd of AFTER_ENDS.slice(3)) {
    slowUnless(["204", "416"].includes(afterEnd), () => {
      it.scopedLive(
        `is the end of a run when the API says ${afterEnd}, and is asked beyond in the next`,
        () =>
          Effect.gen(function* () {
            const { sandbox, sync, value } = yield* bench({ afterEnd })
            expect(streamOf(yield* sync(PAYOUTS), "payouts")).toMatchObject({
              status: "complete",
              inserted: 20,
            })
            sandbox.insert("payouts", 1, "back")
            expect(streamOf(yield* sync({ ...PAYOUTS, full: true }), "payouts").inserted).toBe(1)
            expect(yield* value("SELECT count(*) FROM warehouse.payouts")).toBe("21")
          }),
      )
    })
  }

  it.scopedLive("is believed although more records are stated, and the run says so", () =>
    Effect.gen(function* () {
      const { sync } = yield* bench({ afterEnd: "404", totals: "total", totalSkew: 1 })
      const { status, error, note } = streamOf(yield* sync(PAYOUTS), "payouts")
      expect([status, error]).toEqual(["complete", null])
      expect(note).toContain("states 21 payouts, its pages hold 20")
    }),
  )
})

describe("a page of records that lost their content", () => {
  it.scopedLive.each(["null", "{}", "[]"])("is not the end of its list: three items of %s", item =>
    Effect.gen(function* () {
      const { sandbox, sync } = yield* bench()
      sandbox.setFault(({ path }) =>
        path.includes("/payout") ? { body: `{"status":true,"data":[${item},${item},${item}]}` } : undefined,
      )
      expect(streamOf(yield* sync(CONFIGURED), "payouts").status).toBe("failed")
    }),
  )
})

describe("an answer that a list holds nothing, in any words", () => {
  for (const name of SAYING_NOTHING) {
    slowUnless(["no-content", "nothing-found"].includes(name), () => {
      it.scopedLive(`is believed if its path is configured and nothing is stored: ${name}`, () =>
        Effect.gen(function* () {
          const { sandbox, sync, value } = yield* bench()
          sandbox.setFault(({ path }) => (path.includes("/payout") ? FAULTS[name] : undefined))
          if (name === "nothing-found")
            expect(streamOf(yield* sync(PAYOUTS), "payouts").status).toBe("failed")
          const believed = streamOf(yield* sync(CONFIGURED), "payouts")
          expect([believed.status, believed.error]).toEqual(["complete", null])
          expect(believed.note).toContain("lists nothing")
          sandbox.setFault(null)
          expect(streamOf(yield* sync(CONFIGURED), "payouts").inserted).toBe(20)
          sandbox.setFault(({ path }) => (path.includes("/payout") ? FAULTS[name] : undefined))
          const refuted = streamOf(yield* sync(CONFIGURED), "payouts")
          expect(refuted.status).toBe("failed")
          expect(refuted.error).toContain("nothing was booked as removed")
          expect(yield* value("SELECT count(*) FROM warehouse.payouts WHERE removed_at IS NULL")).toBe("20")
        }),
      )
    })
  }

  const NOTHING = [
    { body: { status: true, data: {} } },
    { body: { status: true, data: null } },
    { body: {} },
    { body: { status: false, message: "No data found" } },
    { body: { status: true, data: [] } },
    { body: { status: true, data: [null] } },
    { body: { status: true, data: "No payouts found" } },
  ] as const
  for (const [index, nothing] of NOTHING.entries())
    slowUnless(index % 3 === 0, () => {
      it.scopedLive(`is not a lost path if it showed a record before: ${JSON.stringify(nothing.body)}`, () =>
        Effect.gen(function* () {
          const { sandbox, sync } = yield* bench({ payouts: 1 })
          yield* sync(PAYOUTS)
          sandbox.setFault(({ path }) => (path === LIST_PATHS.payouts ? nothing : undefined))
          for (let run = 0; run < 2; run++) {
            const { status, error } = streamOf(yield* sync(PAYOUTS), "payouts")
            expect(status).toBe("failed")
            expect(error).toContain("lists nothing, but the warehouse holds payouts")
          }
        }),
      )
    })

  it.scopedLive("is believed of a configured path that answers 404 in words, and not of a bare 404", () =>
    Effect.gen(function* () {
      const { sandbox, sync } = yield* bench()
      const answering = (message: string) =>
        Effect.gen(function* () {
          const body = { success: false, status_code: 404, error: { code: 404, name: "NOT_FOUND", message } }
          sandbox.setFault(({ path }) => (path.includes("/payout") ? { status: 404, body } : undefined))
          return streamOf(yield* sync(CONFIGURED), "payouts").status
        })
      expect(yield* answering("Not found")).toBe("failed")
      expect(yield* answering("No route found")).toBe("failed")
      expect(yield* answering("No payouts found")).toBe("complete")
    }),
  )

  it.scopedLive("is a failure if it names its error", () =>
    Effect.gen(function* () {
      const { sandbox, sync } = yield* bench()
      sandbox.setFault(({ path }) => (path.includes("/payout") ? FAULTS["failed-envelope"] : undefined))
      const { status, error } = streamOf(yield* sync(CONFIGURED), "payouts")
      expect(status).toBe("failed")
      expect(error).toContain("failed although HTTP says 200 (4001 INTERNAL)")
    }),
  )
})

describe("an empty page in the middle of a list", () => {
  const TRANSACTIONS = { only: ["transactions"] }

  it.scopedLive("fails the run if its records exist, and the next run brings them", () =>
    Effect.gen(function* () {
      const { sandbox, sync, value } = yield* bench({ totals: "total" })
      sandbox.setFault(({ path, query }) =>
        path.includes("/transaction") &&
        ["5", "6"].includes(query.get("page") ?? "") &&
        query.get("limit") === "10"
          ? { body: { status: true, data: [], total: 0 } }
          : undefined,
      )
      const { status, error } = streamOf(yield* sync(TRANSACTIONS), "transactions")
      expect(status).toBe("failed")
      expect(error).toContain(
        "page 5 holds no records again and again, although a record stands right behind page 4: run again later",
      )
      sandbox.setFault(null)
      expect(streamOf(yield* sync(TRANSACTIONS), "transactions").status).toBe("complete")
      expect(yield* value("SELECT count(*) FROM warehouse.transactions WHERE removed_at IS NULL")).toBe("120")
    }),
  )

  it.scopedLive("is harmless if its records were deleted, also on the first page", () =>
    Effect.gen(function* () {
      const { sandbox, sync, value } = yield* bench({ removedLeavesHoles: true })
      for (const places of [
        [30, 31, 32, 33, 34, 35, 36, 37, 38, 39],
        [0, 1, 2, 3, 4, 5, 6, 7, 8, 9],
      ]) {
        for (const place of places) sandbox.remove("transactions", place)
        const booked = streamOf(yield* sync({ ...CONFIGURED, ...TRANSACTIONS }), "transactions")
        expect([booked.status, booked.error]).toEqual(["complete", null])
      }
      sandbox.insert("transactions", 3, "back")
      expect(streamOf(yield* sync({ ...CONFIGURED, ...TRANSACTIONS }), "transactions").inserted).toBe(3)
      expect(yield* value("SELECT count(*) FROM warehouse.transactions")).toBe("113")
    }),
  )
})

describe("a first page that is empty after it has shown records in the same run", () => {
  for (const mode of ["incremental", "full"]) {
    it.scopedLive(`fails the run, which is ${mode}`, () =>
      Effect.gen(function* () {
        const { sandbox, sync, value } = yield* setup("transactions")
        let asked = 0
        sandbox.setFault(({ path, query }) =>
          path.includes("/transaction") &&
          query.get("page") === "1" &&
          query.get("limit") === "10" &&
          asked++ > 0
            ? FAULTS["empty-list"]
            : undefined,
        )
        const booked = yield* sync(mode === "full")
        expect(booked).toMatchObject({ mode, status: "failed", removed: 0 })
        expect(booked.error).toMatch(/page 1 holds no records again and again, although .*: run again later/)
        sandbox.setFault(null)
        expect(yield* sync()).toMatchObject({ status: "complete", removed: 0 })
        expect(yield* value("SELECT count(*) FROM warehouse.transactions WHERE removed_at IS NULL")).toBe(
          "300",
        )
      }),
    )
  }
})

describe("a record that is listed in the place of another", () => {
  it.scopedLive("in each of three passes is an exception, because the other one is never read", () =>
    Effect.gen(function* () {
      const { sandbox, sync, sql } = yield* bench({ payouts: 20 })
      const ids = [...sandbox.truth.ids("payouts")]
      let repeated: unknown
      const repeat = (body: string) => {
        const { data, ...envelope } = JSON.parse(body) as { data: Array<{ id: string }> }
        repeated = data.find(({ id }) => id === ids[0]) ?? repeated
        return JSON.stringify({
          ...envelope,
          data: data.map(record => (record.id === ids[15] ? repeated : record)),
        })
      }
      sandbox.setFault(({ path }) => (path === LIST_PATHS.payouts ? { transform: repeat } : undefined))
      const levels: Array<string | undefined> = []
      for (let pass = 0; pass < 3; pass++) {
        yield* sync({ ...PAYOUTS, full: true })
        const [verdict] = yield* verdictsOf(sql, { streams: PAYOUTS.only })
        levels.push(verdict!.findings.find(({ kind }) => kind === "movement")?.level)
      }
      expect(levels).toEqual(["good", "good", "attention"])
    }),
  )
})
