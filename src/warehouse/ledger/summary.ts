import type postgres from "postgres"
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
  /** Fields that could not be read, and are null in the rows that the run stored. Their records are not rejected. */
  readonly fieldRejected: number
  /** Items of lists in those rows that could not be read: their own row is missing or empty. They count as rejects. */
  readonly itemRejected: number
  /** Records of erased persons, which are not stored again. */
  readonly erased: number
  readonly removed: number
  readonly leftOver: number
  /** Look-ups that got no answer. The next run asks again; they are no rejects. */
  readonly unanswered: number
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
