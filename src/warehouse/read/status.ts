import type postgres from "postgres"
import type { Stream } from "../../core/stream.ts"
import type { Status } from "../../core/words.ts"
import { type SqlEffect, shapeOf } from "../../postgres/shape.ts"
import { query } from "../../postgres/statements.ts"
import type { Mode } from "../ledger/runs.ts"
import { accountsIn } from "../ledger/stored.ts"

/** Status of one stream of an account now. Times as Postgres prints them, in UTC. */
export interface StreamStatus {
  readonly account: string
  readonly stream: string
  readonly lastRunStatus: Status
  /** Mode of the latest run. `note` says why it read the whole list. */
  readonly lastRunMode: Mode
  readonly lastRunAt: string
  /** Latest run that has ended. */
  readonly lastEnded: { readonly status: Status; readonly at: string; readonly error: string | null } | null
  readonly lastCompleteAt: string | null
  /** End of the latest complete pass over the whole list; null for a look-up. */
  readonly lastFullAt: string | null
  readonly rows: number
  /** True if `rows` and `removed` are Postgres' estimates, because a count would take seconds. */
  readonly isEstimate: boolean
  /** Records that are no row and that the list still shows. */
  readonly rejects: number
  readonly removed: number
  /** Look-ups that the latest run did not reach. */
  readonly leftOver: number
  /** Look-ups of the latest run that got no answer. */
  readonly unanswered: number
  /**
   * Records that settlements and balances leave out, because their event type has no direction; null if a count would take
   * seconds.
   */
  readonly unmapped: number | null
  /** Path of the list; null if discovery found none yet, or if the stream reads no list. */
  readonly path: string | null
  /** True if a record of this stream was read at the path; null without a path. */
  readonly isVerified: boolean | null
  /** Host and process that hold the lease now. */
  readonly heldBy: string | null
  readonly heldSince: string | null
  /** True if it is booked as running, and no process holds its lease. */
  readonly isDead: boolean
  /** Error of the latest run, or else its note. */
  readonly error: string | null
  readonly note: string | null
}

/** Size of a table in bytes above which its rows are estimated, because a count would read all of it. */
const COUNTED_BYTES_MAX = 2 ** 30

/** View of the records that settlements and balances leave out, and their stream. */
const UNMAPPED = { view: "analytics.unmapped_event_type", stream: "transactions" }

const estimate = async (sql: postgres.Sql, statement: string, account: string): Promise<number> => {
  const [explained] = await sql.unsafe<[{ "QUERY PLAN": string | ReadonlyArray<object> }]>(
    `EXPLAIN (FORMAT JSON) ${statement}`,
    [account],
  )
  const text = explained["QUERY PLAN"]
  const plan = (typeof text === "string" ? JSON.parse(text) : text) as [{ Plan: { "Plan Rows": number } }]
  return plan[0].Plan["Plan Rows"]
}

const rowsOf = async (sql: postgres.Sql, account: string, stream: Stream, countedBytesMax: number) => {
  const { table, types } = shapeOf(stream.table)
  const isRemoved = types.has("removed_at") ? "removed_at IS NOT NULL" : "false"
  const [{ bytes }] = await sql.unsafe<[{ bytes: number }]>(
    "SELECT pg_relation_size($1::regclass)::float8 AS bytes",
    [table],
  )
  if (bytes > countedBytesMax) {
    const estimateRows = (condition: string) =>
      estimate(sql, `SELECT 1 FROM ${table} WHERE account = $1 AND ${condition}`, account)
    return {
      rows: await estimateRows(`NOT (${isRemoved})`),
      removed: types.has("removed_at") ? await estimateRows(isRemoved) : 0,
      isEstimate: true,
      unmapped: stream.name === UNMAPPED.stream ? null : 0,
    }
  }
  const [counted] = await sql.unsafe<[{ rows: number; removed: number }]>(
    `SELECT (count(*) FILTER (WHERE NOT (${isRemoved})))::float8 AS rows,
       (count(*) FILTER (WHERE ${isRemoved}))::float8 AS removed
     FROM ${table} WHERE account = $1`,
    [account],
  )
  return { ...counted, isEstimate: false, unmapped: await unmappedOf(sql, account, stream) }
}

const unmappedOf = async (sql: postgres.Sql, account: string, stream: Stream): Promise<number | null> => {
  if (stream.name !== UNMAPPED.stream) return 0
  const [{ isThere }] = await sql<[{ isThere: boolean }]>`
    SELECT to_regclass(${UNMAPPED.view}) IS NOT NULL AS "isThere"`
  if (!isThere) return null
  const [{ count }] = await sql.unsafe<[{ count: number }]>(
    `SELECT coalesce(sum(transaction_count), 0)::float8 AS count FROM ${UNMAPPED.view} WHERE account = $1`,
    [account],
  )
  return count
}

type Latest = Omit<StreamStatus, "rows" | "removed" | "isEstimate" | "unmapped" | "lastEnded"> & {
  readonly endedStatus: Status | null
  readonly endedAt: string
  readonly endedError: string | null
}

/** Selects the latest run of a stream that meets a condition. */
const latestRun = (condition: string): string =>
  `(SELECT * FROM sync.stream_runs AS r WHERE r.account = pair.account AND r.stream = pair.stream AND ${condition}
    ORDER BY r.started_at DESC LIMIT 1)`

/** Runs that asked the API. The others say nothing about freshness. */
const ASKED_API = "r.mode NOT IN ('replay', 'rebuild')"
const IS_COMPLETE = "r.status IN ('complete', 'complete_with_rejects')"

/** Steps from stream to stream through the index: the ledger grows with each run, and its streams do not. */
const LATEST = `
  WITH RECURSIVE pair AS (
    (SELECT account, stream FROM sync.stream_runs ORDER BY account, stream LIMIT 1)
    UNION ALL
    SELECT following.* FROM pair CROSS JOIN LATERAL (
      SELECT s.account, s.stream FROM sync.stream_runs AS s
      WHERE (s.account, s.stream) > (pair.account, pair.stream) ORDER BY s.account, s.stream LIMIT 1
    ) AS following
  )
  SELECT pair.account, pair.stream, s.status AS "lastRunStatus", s.mode AS "lastRunMode",
    s.started_at AS "lastRunAt", coalesce(s.error, s.note) AS error, s.note, s.left_over::float8 AS "leftOver",
    s.unanswered::float8,
    ended.status AS "endedStatus", ended.finished_at AS "endedAt", ended.error AS "endedError",
    complete.finished_at AS "lastCompleteAt", whole.finished_at AS "lastFullAt",
    (SELECT count(*)::float8 FROM sync.rejects AS j
      WHERE j.account = pair.account AND j.stream = pair.stream AND j.unlisted_at IS NULL AND j.kind <> 'field') AS rejects,
    l.holder AS "heldBy", l.acquired_at AS "heldSince", s.status = 'running' AND l.holder IS NULL AS "isDead",
    k.path, k.is_verified AS "isVerified"
  FROM pair
  CROSS JOIN LATERAL ${latestRun(ASKED_API)} AS s
  LEFT JOIN LATERAL ${latestRun(`${ASKED_API} AND r.status <> 'running'`)} AS ended ON true
  LEFT JOIN LATERAL ${latestRun(`${ASKED_API} AND ${IS_COMPLETE}`)} AS complete ON true
  LEFT JOIN LATERAL ${latestRun(`r.mode = 'full' AND ${IS_COMPLETE}`)} AS whole ON true
  LEFT JOIN sync.leases AS l
    ON l.account = pair.account AND l.stream = pair.stream AND l.expires_at > clock_timestamp()
  LEFT JOIN sync.contracts AS k ON k.account = pair.account AND k.stream = pair.stream
  ORDER BY pair.account, pair.stream`

/**
 * Reads the status of every stream that ever ran. Its time does not grow with the ledger. Counts no rows of tables larger
 * than `countedBytesMax`.
 */
export const statusOf = (
  sql: postgres.Sql,
  streams: ReadonlyArray<Stream>,
  countedBytesMax: number = COUNTED_BYTES_MAX,
): SqlEffect<ReadonlyArray<StreamStatus>> =>
  query(async () => {
    const latest = await sql.unsafe<Array<Latest>>(LATEST)
    const registered = latest.flatMap(entry => {
      const stream = streams.find(({ name }) => name === entry.stream)
      return stream === undefined ? [] : [{ stream, entry }]
    })
    return Promise.all(
      registered.map(async ({ stream, entry: { endedStatus, endedAt, endedError, ...entry } }) => ({
        ...entry,
        lastEnded: endedStatus === null ? null : { status: endedStatus, at: endedAt, error: endedError },
        ...(await rowsOf(sql, entry.account, stream, countedBytesMax)),
      })),
    )
  })

/** A process that works on a stream now. */
interface Holder {
  readonly account: string
  readonly stream: string
  readonly heldBy: string
  readonly heldSince: string
}

/** Reads the accounts with a run of any stream, and the holders of all leases, also before a stream's first run. */
export const everSynced = (
  sql: postgres.Sql,
): SqlEffect<{ readonly accounts: ReadonlyArray<string>; readonly holders: ReadonlyArray<Holder> }> =>
  query(async () => {
    const accounts = await sql.unsafe<Array<{ account: string }>>(
      `SELECT account FROM ${accountsIn("sync.stream_runs")}`,
    )
    const holders = await sql<Array<Holder>>`
      SELECT account, stream, holder AS "heldBy", acquired_at AS "heldSince" FROM sync.leases
      WHERE expires_at > clock_timestamp()`
    return { accounts: accounts.map(({ account }) => account), holders }
  })

/** A run in a list of runs. */
export interface RecentRun {
  readonly runId: string
  readonly status: Status
  readonly startedAt: string
  readonly finishedAt: string | null
  readonly holder: string
  readonly accounts: ReadonlyArray<string>
  readonly modes: ReadonlyArray<Mode>
  readonly extracted: number
  readonly changed: number
  readonly rejected: number
  readonly requests: number
}

/** Reads the latest runs, the newest first. */
export const recentRuns = (sql: postgres.Sql, count: number): SqlEffect<ReadonlyArray<RecentRun>> =>
  query(async () => {
    const runs = await sql<
      Array<Omit<RecentRun, "modes" | "accounts"> & { modes: string | null; accounts: string | null }>
    >`
      SELECT r.run_id AS "runId", r.status, r.started_at AS "startedAt", r.finished_at AS "finishedAt",
        r.host || ':' || r.process_id AS holder, string_agg(DISTINCT s.mode, ',') AS modes,
        string_agg(DISTINCT s.account, ',' ORDER BY s.account) AS accounts,
        coalesce(sum(s.extracted), 0)::float8 AS extracted,
        coalesce(sum(s.inserted + s.updated), 0)::float8 AS changed,
        coalesce(sum(s.rejected), 0)::float8 AS rejected, coalesce(sum(s.requests), 0)::float8 AS requests
      FROM (SELECT * FROM sync.runs ORDER BY started_at DESC LIMIT ${count}) AS r
      LEFT JOIN sync.stream_runs AS s ON s.run_id = r.run_id
      GROUP BY r.run_id, r.status, r.started_at, r.finished_at, r.host, r.process_id
      ORDER BY r.started_at DESC`
    return runs.map(run => ({
      ...run,
      accounts: run.accounts?.split(",") ?? [],
      modes: (run.modes?.split(",") ?? []) as ReadonlyArray<Mode>,
    }))
  })

/** Reads Postgres' time, in which all times of the ledger are. */
export const databaseNow = (sql: postgres.Sql): SqlEffect<Date> =>
  query(async () => {
    const [row] = await sql<Array<{ now: string }>>`SELECT clock_timestamp() AS now`
    return new Date(row!.now)
  })
