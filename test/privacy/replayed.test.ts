import { describe, expect, it } from "@effect/vitest"
import { Effect, Redacted } from "effect"
import { DROP, type Privacy } from "../../src/core/privacy.ts"
import { redacting } from "../../src/core/stream.ts"
import { allStreams } from "../../src/registry.ts"
import { replayWith } from "../../src/sync/maintenance.ts"
import { everything, findings, KEY, plantBadRecords } from "../support/people.ts"
import { onWarehouse } from "../support/upkeep.ts"
import { bench, streamOf } from "../support/warehouse.ts"

/** Rejects that are replayed between a change of mode and the sync that carries it out. */

const HASH: Privacy = { mode: "hash", key: Redacted.make(KEY) }

describe("a reject that is replayed in a mode that the stored rows are not in yet", () => {
  it.scopedLive.each([
    ["hash", HASH],
    ["drop", DROP],
  ] as const)("and stays one has nothing in clear after the next sync: %s", ([, privacy]) =>
    Effect.gen(function* () {
      const { sync, sql, sandbox } = yield* bench()
      plantBadRecords(sandbox)
      const before = yield* sync()
      expect(findings(yield* everything(sql)).length).toBeGreaterThan(0)
      const streams = (yield* allStreams).map(stream => redacting(stream, privacy))
      yield* onWarehouse(sql)(replayWith({ streams, accounts: [], ids: [], all: false, leaseSeconds: 30 }))
      const after = yield* sync({ privacy })
      expect(findings(yield* everything(sql))).toEqual([])
      for (const name of ["transactions", "payouts", "checkouts"])
        expect(streamOf(after, name).rejected).toBe(streamOf(before, name).rejected)
      // Two were rejects for personal values that Postgres cannot hold, and that are not stored any more.
      expect(streamOf(after, "customers").rejected).toBe(streamOf(before, "customers").rejected - 2)
    }),
  )
})
