import type { Effect } from "effect"
import type postgres from "postgres"
import type { WarehouseError } from "../Errors.ts"
import type { Stream } from "../Stream.ts"
import { shapeOf } from "./bulk.ts"
import { attempt } from "./Database.ts"

/** Whether the figures of one stream of an account can be trusted now. */
export interface StreamStatus {
  readonly account: string
  readonly stream: string
  readonly lastRunStatus: string
  readonly lastRunAt: string
  readonly lastCompleteAt: string | null
  readonly rows: number
  /** Records that could not become a row, and that the list still shows. */
  readonly rejects: number
  readonly removed: number
  /** Where discovery found the list; null where none was found yet, or the stream reads no list. */
  readonly path: string | null
  /** Whether a record of this stream was read there; null with the path. */
  readonly isVerified: boolean | null
  /** Who holds the lease now: host and process. */
  readonly heldBy: string | null
  /** What went wrong with the latest run, or what it has to say. */
  readonly error: string | null
}

/** Modes of runs that worked on what is stored: they say nothing about how fresh it is. */
const WITHOUT_API = "{replay,rebuild}"

type Latest = Omit<StreamStatus, "rows" | "removed">

const rowsOf = async (sql: postgres.Sql, account: string, stream: Stream | undefined) => {
  if (stream === undefined) return { rows: 0, removed: 0 }
  const { table, types } = shapeOf(stream.table)
  const removed = types.has("removed_at") ? "removed_at IS NOT NULL" : "false"
  const [counted] = await sql.unsafe<Array<{ rows: number; removed: number }>>(
    `SELECT (count(*) FILTER (WHERE NOT (${removed})))::float8 AS rows,
       (count(*) FILTER (WHERE ${removed}))::float8 AS removed
     FROM ${table} WHERE account = $1`,
    [account],
  )
  return counted!
}

/** The status of every stream that ever ran. Counts rows: seconds on tables of many millions. */
export const statusOf = (
  sql: postgres.Sql,
  streams: ReadonlyArray<Stream>,
): Effect.Effect<ReadonlyArray<StreamStatus>, WarehouseError> =>
  attempt(async () => {
    const latest = await sql<Array<Latest>>`
      SELECT DISTINCT ON (s.account, s.stream) s.account, s.stream, s.status AS "lastRunStatus",
        s.started_at AS "lastRunAt", coalesce(s.error, s.note) AS error,
        (SELECT max(c.finished_at) FROM sync.stream_runs AS c
          WHERE c.account = s.account AND c.stream = s.stream AND c.mode <> ALL (${WITHOUT_API}::text[])
            AND c.status IN ('complete', 'complete_with_rejects')) AS "lastCompleteAt",
        (SELECT count(*)::float8 FROM sync.rejects AS r
          WHERE r.account = s.account AND r.stream = s.stream AND r.unlisted_at IS NULL) AS rejects,
        (SELECT l.holder FROM sync.leases AS l
          WHERE l.account = s.account AND l.stream = s.stream AND l.expires_at > clock_timestamp()) AS "heldBy",
        k.path, k.is_verified AS "isVerified"
      FROM sync.stream_runs AS s
      LEFT JOIN sync.contracts AS k ON k.account = s.account AND k.stream = s.stream
      WHERE s.stream = ANY(${`{${streams.map(({ name }) => name).join(",")}}`}::text[])
        AND s.mode <> ALL (${WITHOUT_API}::text[])
      ORDER BY s.account, s.stream, s.started_at DESC`
    return Promise.all(
      latest.map(async entry => ({
        ...entry,
        ...(await rowsOf(
          sql,
          entry.account,
          streams.find(({ name }) => name === entry.stream),
        )),
      })),
    )
  })
