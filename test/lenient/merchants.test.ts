import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { KEEP } from "../../src/core/privacy.ts"
import { redacting } from "../../src/core/stream.ts"
import { allStreams } from "../../src/registry.ts"
import { FAULTS } from "../../src/sandbox/world/faults.ts"
import { MERCHANT_ID } from "../../src/sandbox/world/samples.ts"
import { replayWith } from "../../src/sync/maintenance.ts"
import { slow, slowUnless } from "../support/slow.ts"
import { onWarehouse } from "../support/upkeep.ts"
import { bench, statusesOf, streamOf } from "../support/warehouse.ts"

/** Tests records of other merchants: a single one costs only itself, and a list of others only is not loaded. */

const streams = await Effect.runPromise(allStreams)
const OTHER = "mer_other"
const PAYOUTS = { only: ["payouts"] } as const
const STORED = "SELECT count(*) FROM warehouse.payouts"
const REJECTS = "SELECT kind, record_id AS id, field, unlisted_at IS NULL AS open FROM sync.rejects"

/** A hundred payouts of which one is another merchant's, after a first pass that knew them all for the account's. */
const hundred = Effect.gen(function* () {
  const made = yield* bench({ payouts: 100 })
  yield* made.sync(PAYOUTS)
  made.sandbox.insert("payouts", 1, "back")
  made.sandbox.patch("payouts", 100, { merchant_id: OTHER })
  return { ...made, id: made.sandbox.idOf("payouts", 100) }
})

describe("one record of another merchant", () => {
  it.scopedLive("is a reject of its own kind, and the others are stored", () =>
    Effect.gen(function* () {
      const { sync, rows, value, id } = yield* hundred
      expect(streamOf(yield* sync({ ...PAYOUTS, full: true }), "payouts")).toMatchObject({
        status: "complete_with_rejects",
        rejected: 1,
        unchanged: 100,
        error: null,
      })
      expect(yield* value(STORED)).toBe("100")
      expect(yield* rows(REJECTS)).toEqual([{ kind: "merchant", id, field: "merchant_id", open: "true" }])
    }),
  )

  it.scopedLive("is let through by the setting: by the next run, or by a replay", () =>
    Effect.gen(function* () {
      const { sql, sync, rows, value } = yield* hundred
      yield* sync({ ...PAYOUTS, full: true })
      const replay = (merchants: ReadonlyArray<string>) =>
        onWarehouse(sql)(
          replayWith({
            streams: streams.map(stream => redacting(stream, KEEP)),
            all: false,
            ids: [],
            accounts: [],
            leaseSeconds: 30,
            merchantsOf: () => merchants,
          }),
        )
      expect((yield* replay([]))!.status).toBe("complete_with_rejects")
      expect(yield* value(STORED)).toBe("100")
      expect((yield* replay([OTHER]))!.status).toBe("complete")
      expect(yield* value(STORED)).toBe("101")
      expect(yield* rows(REJECTS)).toEqual([])
    }),
  )

  for (const [index, given] of ([[[OTHER]], [[MERCHANT_ID, OTHER]]] as const).entries())
    slowUnless(index === 0, () => {
      it.scopedLive.each([given])("is a row if %s is configured", ([merchants]) =>
        Effect.gen(function* () {
          const { sync, rows, value } = yield* hundred
          yield* sync({ ...PAYOUTS, full: true })
          const again = yield* sync({ ...PAYOUTS, full: true, account: { merchants } })
          expect(streamOf(again, "payouts")).toMatchObject({ status: "complete", inserted: 1, rejected: 0 })
          expect(yield* value(STORED)).toBe("101")
          expect(yield* rows(REJECTS)).toEqual([])
        }),
      )
    })

  slow(() => {
    it.scopedLive("may come first in the list, a page of its own", () =>
      Effect.gen(function* () {
        const { sandbox, sync, value } = yield* hundred
        sandbox.insert("payouts", 6, "front")
        for (let n = 101; n < 107; n++) sandbox.patch("payouts", n, { merchant_id: OTHER })
        expect(
          streamOf(yield* sync({ ...PAYOUTS, full: true, account: { pageSize: 5 } }), "payouts"),
        ).toMatchObject({
          status: "complete_with_rejects",
          rejected: 7,
        })
        expect(yield* value(STORED)).toBe("100")
      }),
    )
  })
})

describe("a first pass", () => {
  it.scopedLive("over several merchants fails and names them, until the setting names the account's", () =>
    Effect.gen(function* () {
      const { sandbox, sync, value, rows } = yield* bench({ payouts: 30 })
      sandbox.patch("payouts", 15, { merchant_id: OTHER })
      for (let n = 0; n < 2; n++) {
        const { status, error } = streamOf(yield* sync(PAYOUTS), "payouts")
        expect(status).toBe("failed")
        for (const word of [MERCHANT_ID, OTHER, "PAYCOMBAT_MERCHANTS", "Check the token"])
          expect(error).toContain(word)
      }
      const own = yield* sync({ ...PAYOUTS, account: { merchants: [MERCHANT_ID] } })
      expect(streamOf(own, "payouts")).toMatchObject({ status: "complete_with_rejects", rejected: 1 })
      expect(yield* value(STORED)).toBe("29")
      expect((yield* rows(REJECTS)).map(({ kind }) => kind)).toEqual(["merchant"])
      yield* sync({ ...PAYOUTS, account: { merchants: [MERCHANT_ID, OTHER] } })
      expect(yield* value(STORED)).toBe("30")
    }),
  )

  slow(() => {
    it.scopedLive("reads lists that name organizations if only merchants are configured", () =>
      Effect.gen(function* () {
        const { sandbox, sync } = yield* bench()
        sandbox.patch("payouts", 5, { merchant_id: OTHER })
        const statuses = statusesOf(yield* sync({ account: { merchants: [MERCHANT_ID, OTHER] } }))
        expect(new Set(Object.values(statuses))).toEqual(new Set(["complete"]))
      }),
    )
  })
})

describe("a list of other merchants only", () => {
  it.scopedLive("fails the stream with or without the setting, and stores and removes nothing", () =>
    Effect.gen(function* () {
      const { sandbox, sync, rows, value } = yield* bench()
      yield* sync(PAYOUTS)
      sandbox.setFault(({ path }) => (path.includes("/payout") ? FAULTS["other-merchant"] : undefined))
      for (const merchants of [[], [MERCHANT_ID]]) {
        const { status, error } = streamOf(
          yield* sync({ ...PAYOUTS, full: true, account: { merchants } }),
          "payouts",
        )
        expect(status).toBe("failed")
        expect(error).toContain("another merchant_id")
        expect(error).toContain("another-merchant")
      }
      expect(yield* rows(REJECTS)).toEqual([])
      expect(yield* value("SELECT count(*) FROM warehouse.payouts WHERE removed_at IS NOT NULL")).toBe("0")
    }),
  )
})
