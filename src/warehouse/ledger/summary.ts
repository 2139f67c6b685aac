import type postgres from "postgres"
import type { Counts } from "../../core/counts.ts"
import type { Verdict } from "../../core/verdict.ts"
import type { Status } from "../../core/words.ts"
import type { SqlEffect } from "../../postgres/shape.ts"
import { read } from "../../postgres/statements.ts"

/** Summary of a run from the ledger, with the same words and figures for a person, for `--json`, and for a host application. */
export interface RunSummary {
  readonly runId: string
  readonly status: Status
  readonly startedAt: string
  readonly finishedAt: string | null
  readonly streams: ReadonlyArray<StreamSummary>
}

/** A sync that ended, with the present verdict on the figures of each of its accounts. */
export interface SyncSummary extends RunSummary {
  readonly verdicts: ReadonlyArray<Verdict>
}

/** Result of one stream's run; `rejected` counts records, `itemRejected` the items of stored records that count as rejects. */
export interface StreamSummary extends Counts {
  readonly account: string
  readonly stream: string
  readonly mode: string
  readonly status: Status
  readonly startedAt: string
  readonly finishedAt: string | null
  readonly pages: number
  readonly removed: number
  readonly leftOver: number
  /** Records that the list did not show, and whose removal is not proven. */
  readonly unconfirmed: number
  readonly requests: number
  readonly retries: number
  readonly error: string | null
  readonly note: string | null
  /** Sign that the list moved while it was read; null if it stood still. */
  readonly movement: string | null
  /** Length of the list as the API stated it last; null if it did not, or if the run is no complete full pass. */
  readonly stated: number | null
  /** Different records on the pages of a complete full pass, in all of its runs; null for other runs. */
  readonly listed: number | null
}

/** Reads a run and its streams from the ledger. */
export const summaryOf = (sql: postgres.Sql, runId: string): SqlEffect<RunSummary> =>
  read(async () => {
    const [run] = await sql<Array<Omit<RunSummary, "streams">>>`
      SELECT run_id AS "runId", status, started_at AS "startedAt", finished_at AS "finishedAt"
      FROM sync.runs WHERE run_id = ${runId}`
    const streams = await sql<Array<StreamSummary>>`
      SELECT account, stream, mode, status, started_at AS "startedAt", finished_at AS "finishedAt",
        pages::float8, extracted::float8, inserted::float8, updated::float8, unchanged::float8, stale::float8,
        rejected::float8, field_rejected::float8 AS "fieldRejected", item_rejected::float8 AS "itemRejected", erased::float8, removed::float8,
        left_over::float8 AS "leftOver", unanswered::float8,
        unconfirmed::float8, requests::float8, retries::float8, error, note, movement,
        stated::float8, listed::float8
      FROM sync.stream_runs WHERE run_id = ${runId} ORDER BY account, mode, stream`
    return { ...run!, streams }
  })
