import type { Effect } from "effect"
import type postgres from "postgres"
import type { WarehouseError } from "../../core/errors.ts"
import type { Verdict } from "../../core/verdict.ts"
import type { Status } from "../../core/words.ts"
import { read } from "../../postgres/statements.ts"

/** What the ledger says about a run: the same words and figures for a person, for `--json`, and for a host application. */
export interface RunSummary {
  readonly runId: string
  readonly status: Status
  readonly startedAt: string
  readonly finishedAt: string | null
  readonly streams: ReadonlyArray<StreamSummary>
}

/** A sync that ended, and the verdict on the figures of each of its accounts since. */
export interface SyncSummary extends RunSummary {
  readonly verdicts: ReadonlyArray<Verdict>
}

export interface StreamSummary {
  readonly account: string
  readonly stream: string
  readonly mode: string
  readonly status: Status
  readonly startedAt: string
  readonly finishedAt: string | null
  readonly pages: number
  readonly extracted: number
  readonly inserted: number
  readonly updated: number
  readonly unchanged: number
  readonly stale: number
  readonly rejected: number
  /** Fields that could not be read and are null in the rows that the run stored; their records are not rejected. */
  readonly fieldRejected: number
  /** Items of lists in those rows that could not be read: a row of their own is missing or empty. They count as rejects. */
  readonly itemRejected: number
  /** Records of persons whose data was erased for good: not stored again. */
  readonly erased: number
  readonly removed: number
  readonly leftOver: number
  /** Look-ups that got no answer; they are asked again, and are no rejects. */
  readonly unanswered: number
  /** Records that the list did not show and that are not booked as removed: their removal is not proven. */
  readonly unconfirmed: number
  readonly requests: number
  readonly retries: number
  readonly error: string | null
  readonly note: string | null
  /** What showed that the list moved while it was read; null where it stood still. */
  readonly movement: string | null
  /** Length of the list as the API stated it last; null where it states none, or the run is no complete full pass. */
  readonly stated: number | null
  /** Different records that the pages of a complete full pass held, in all the runs that made it; null for other runs. */
  readonly listed: number | null
}

/** Reads a run and its streams from the ledger. */
export const summaryOf = (sql: postgres.Sql, runId: string): Effect.Effect<RunSummary, WarehouseError> =>
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
