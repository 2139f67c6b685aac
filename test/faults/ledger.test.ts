import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { allStreams } from "../../src/registry.ts"
import { pruneLedger } from "../../src/warehouse/ledger/pruning.ts"
import { statusOf } from "../../src/warehouse/read/status.ts"
import { bookTicks } from "../support/ledger.ts"
import { printed, testWarehouse } from "../support/warehouse.ts"

const YEARS = 3
/** Bound for an account with two lists and one look-up. Another stream costs as much as one of these. */
const BYTES_MAX = 4e6

const FRESHNESS = `SELECT account, stream, last_complete_at, last_run_status, last_ended_status, last_error, last_full_at,
  left_over, open_rejects FROM analytics.freshness ORDER BY 1, 2`

describe("a ledger of three years of quarter-hour ticks", () => {
  it.scopedLive(
    "becomes a few megabytes, a bounded number of rows at a time, with the same answers",
    () =>
      Effect.gen(function* () {
        const sql = yield* testWarehouse()
        yield* bookTicks(sql, YEARS * 365)
        // Rows alone: how much of a table's files is free again depends on what else runs on the server.
        const bytes = Effect.promise(async () => {
          const [size] = await sql<Array<{ bytes: number }>>`
            SELECT ((SELECT sum(pg_column_size(run)) FROM sync.runs AS run)
              + (SELECT sum(pg_column_size(run)) FROM sync.stream_runs AS run))::float8 AS bytes`
          return size!.bytes
        })
        const streams = yield* allStreams
        const sizeBefore = yield* bytes
        const before = { freshness: yield* printed(sql, FRESHNESS), status: yield* statusOf(sql, streams) }
        let rounds = 0
        for (let isAtIt = true; isAtIt; rounds++) {
          const { folded, dropped, runs } = yield* pruneLedger(sql)
          expect(Math.max(folded, dropped, runs)).toBeLessThanOrEqual(50_000)
          isAtIt = folded + dropped > 0
        }
        const sizeAfter = yield* bytes
        console.log(
          `${Math.round(sizeBefore / 1e6)} MB became ${(sizeAfter / 1e6).toFixed(1)} MB in ${rounds} rounds`,
        )
        expect(sizeBefore).toBeGreaterThan(10 * BYTES_MAX)
        expect(sizeAfter).toBeLessThan(BYTES_MAX)
        expect(yield* printed(sql, FRESHNESS)).toEqual(before.freshness)
        expect(yield* statusOf(sql, streams)).toEqual(before.status)
        const [counted] = yield* printed(
          sql,
          "SELECT count(*) AS rows, sum(run_count) FILTER (WHERE inserted = 0) AS quiet FROM sync.stream_runs",
        )
        // Every quiet tick is still counted; one in eight changed something.
        expect(Number(counted!.quiet)).toBe((YEARS * 365 * 96 * 3 * 7) / 8)
      }),
    240_000,
  )
})
