import type { Effect } from "effect"
import type postgres from "postgres"
import type { WarehouseError } from "../../core/errors.ts"
import type { Stream } from "../../core/stream.ts"
import type { Status } from "../../core/words.ts"
import { shapeOf } from "../../postgres/shape.ts"
import { query } from "../../postgres/statements.ts"
import type { Mode } from "../ledger/runs.ts"

/** What is known of one stream of an account now. Times as Postgres prints them, UTC. */
export interface StreamStatus {
  readonly account: string
  readonly stream: string
  readonly lastRunStatus: Status
  /** Mode of the latest run: it reads the whole list, or what is new in it. `note` says why it is not the latter. */
  readonly lastRunMode: Mode
  readonly lastRunAt: string
  /** The latest run that is not under way: its failure is the one to look at. */
  readonly lastEnded: { readonly status: Status; readonly at: string; readonly error: string | null } | null
  readonly lastCompleteAt: string | null
  /** When the latest complete pass over the whole list ended; null also for what is no list. */
  readonly lastFullAt: string | null
  readonly rows: number
  /** The figures of `rows` and `removed` are Postgres' estimate: to count would take seconds. */
  readonly isEstimate: boolean
  /** Records that could not become a row, and that the list still shows. */
  readonly rejects: number
  readonly removed: number
  /** Look-ups that the latest run had no time for. */
  readonly leftOver: number
  /** Look-ups of the latest run that got no answer. */
  readonly unanswered: number
  /**
   * Records that settlements and balances leave out, since nobody has said what their event type does to them; null where
   * to count them would take seconds.
   */
  readonly unmapped: number | null
  /** Where discovery found the list; null where none was found yet, or the stream reads no list. */
  readonly path: string | null
  /** True if a record of this stream was read there; null with the path. */
  readonly isVerified: boolean | null
  /** Who holds the lease now: host and process. */
  readonly heldBy: string | null
  readonly heldSince: string | null
  /** It is booked as under way, but nobody holds its lease. */
  readonly isDead: boolean
  /** What went wrong with the latest run, or what it has to say. */
  readonly error: string | null
  readonly note: string | null
}

/** Modes of runs that worked on what is stored: they say nothing about how fresh it is. */
const WITHOUT_API = "{replay,rebuild}"

/** Of a larger table the rows are estimated: to count them would read it all. */
const COUNTED_BYTES_MAX = 2 ** 30

/** The view of what settlements and balances leave out, and the stream that it is about. */
const UNMAPPED = { view: "analytics.unmapped_event_type", stream: "transactions" }

type Latest = Omit<StreamStatus, "rows" | "removed" | "isEstimate" | "unmapped" | "lastEnded"> & {
  readonly endedStatus: Status | null
  readonly endedAt: string
  readonly endedError: string | null
}

const estimate = async (sql: postgres.Sql, statement: string, account: string): Promise<number> => {
  const [explained] = await sql.unsafe<Array<{ "QUERY PLAN": string | ReadonlyArray<object> }>>(
    `EXPLAIN (FORMAT JSON) ${statement}`,
    [account],
  )
  const text = explained!["QUERY PLAN"]
  const plan = (typeof text === "string" ? JSON.parse(text) : text) as [{ Plan: { "Plan Rows": number } }]
  return plan[0].Plan["Plan Rows"]
}

const rowsOf = async (sql: postgres.Sql, account: string, stream: Stream, countedBytesMax: number) => {
  const { table, types } = shapeOf(stream.table)
  const [size] = await sql.unsafe<Array<{ bytes: number }>>(
    "SELECT pg_relation_size($1::regclass)::float8 AS bytes",
    [table],
  )
  const removed = types.has("removed_at") ? "removed_at IS NOT NULL" : "false"
  if (size!.bytes > countedBytesMax) {
    const select = (condition: string) => `SELECT 1 FROM ${table} WHERE account = $1 AND ${condition}`
    const [rows, gone] = await Promise.all(
      [`NOT (${removed})`, removed].map(condition => estimate(sql, select(condition), account)),
    )
    return {
      rows: rows!,
      removed: types.has("removed_at") ? gone! : 0,
      isEstimate: true,
      unmapped: stream.name === UNMAPPED.stream ? null : 0,
    }
  }
  const [counted] = await sql.unsafe<Array<{ rows: number; removed: number }>>(
    `SELECT (count(*) FILTER (WHERE NOT (${removed})))::float8 AS rows,
       (count(*) FILTER (WHERE ${removed}))::float8 AS removed
     FROM ${table} WHERE account = $1`,
    [account],
  )
  return { ...counted!, isEstimate: false, unmapped: await unmappedOf(sql, account, stream) }
}

const unmappedOf = async (sql: postgres.Sql, account: string, stream: Stream): Promise<number | null> => {
  if (stream.name !== UNMAPPED.stream) return 0
  const [view] = await sql<Array<{ isThere: boolean }>>`
    SELECT to_regclass(${UNMAPPED.view}) IS NOT NULL AS "isThere"`
  if (!view!.isThere) return null
  const [left] = await sql.unsafe<Array<{ count: number }>>(
    `SELECT coalesce(sum(transaction_count), 0)::float8 AS count FROM ${UNMAPPED.view} WHERE account = $1`,
    [account],
  )
  return left!.count
}

/**
 * The status of every stream that ever ran. It does not grow slow with the ledger, and counts no rows of tables larger
 * than `countedBytesMax`.
 */
export const statusOf = (
  sql: postgres.Sql,
  streams: ReadonlyArray<Stream>,
  countedBytesMax: number = COUNTED_BYTES_MAX,
): Effect.Effect<ReadonlyArray<StreamStatus>, WarehouseError> =>
  query(async () => {
    // The ledger grows with each run, its streams do not: from one to the next through the index.
    const latest = await sql<Array<Latest>>`
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
        (SELECT count(*)::float8 FROM sync.rejects AS r
          WHERE r.account = pair.account AND r.stream = pair.stream AND r.unlisted_at IS NULL
            AND r.kind <> 'field') AS rejects,
        l.holder AS "heldBy", l.acquired_at AS "heldSince", s.status = 'running' AND l.holder IS NULL AS "isDead",
        k.path, k.is_verified AS "isVerified"
      FROM pair
      CROSS JOIN LATERAL (
        SELECT * FROM sync.stream_runs AS s
        WHERE s.account = pair.account AND s.stream = pair.stream AND s.mode <> ALL (${WITHOUT_API}::text[])
        ORDER BY s.started_at DESC LIMIT 1
      ) AS s
      LEFT JOIN LATERAL (
        SELECT * FROM sync.stream_runs AS e
        WHERE e.account = pair.account AND e.stream = pair.stream AND e.mode <> ALL (${WITHOUT_API}::text[])
          AND e.status <> 'running'
        ORDER BY e.started_at DESC LIMIT 1
      ) AS ended ON true
      LEFT JOIN LATERAL (
        SELECT c.finished_at FROM sync.stream_runs AS c
        WHERE c.account = pair.account AND c.stream = pair.stream AND c.mode <> ALL (${WITHOUT_API}::text[])
          AND c.status IN ('complete', 'complete_with_rejects')
        ORDER BY c.started_at DESC LIMIT 1
      ) AS complete ON true
      LEFT JOIN LATERAL (
        SELECT f.finished_at FROM sync.stream_runs AS f
        WHERE f.account = pair.account AND f.stream = pair.stream AND f.mode = 'full'
          AND f.status IN ('complete', 'complete_with_rejects')
        ORDER BY f.started_at DESC LIMIT 1
      ) AS whole ON true
      LEFT JOIN sync.leases AS l
        ON l.account = pair.account AND l.stream = pair.stream AND l.expires_at > clock_timestamp()
      LEFT JOIN sync.contracts AS k ON k.account = pair.account AND k.stream = pair.stream
      ORDER BY pair.account, pair.stream`
    const known = latest.flatMap(entry => {
      const stream = streams.find(({ name }) => name === entry.stream)
      return stream === undefined ? [] : [{ stream, entry }]
    })
    return Promise.all(
      known.map(async ({ stream, entry: { endedStatus, endedAt, endedError, ...entry } }) => ({
        ...entry,
        lastEnded: endedStatus === null ? null : { status: endedStatus, at: endedAt, error: endedError },
        ...(await rowsOf(sql, entry.account, stream, countedBytesMax)),
      })),
    )
  })

/** Who works on a stream now. */
export interface Holder {
  readonly account: string
  readonly stream: string
  readonly heldBy: string
  readonly heldSince: string
}

/** The accounts of which any stream ever ran, and who works on what: also on a stream whose first run is yet to begin. */
export const everSynced = (
  sql: postgres.Sql,
): Effect.Effect<
  { readonly accounts: ReadonlyArray<string>; readonly holders: ReadonlyArray<Holder> },
  WarehouseError
> =>
  query(async () => {
    const accounts = await sql<Array<{ account: string }>>`
      WITH RECURSIVE known AS (
        (SELECT account FROM sync.stream_runs ORDER BY account LIMIT 1)
        UNION ALL
        SELECT following.account FROM known CROSS JOIN LATERAL (
          SELECT account FROM sync.stream_runs WHERE account > known.account ORDER BY account LIMIT 1
        ) AS following
      )
      SELECT account FROM known`
    const holders = await sql<Array<Holder>>`
      SELECT account, stream, holder AS "heldBy", acquired_at AS "heldSince" FROM sync.leases
      WHERE expires_at > clock_timestamp()`
    return { accounts: accounts.map(({ account }) => account), holders }
  })

/** A run, as short as a list of them has it. */
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

/** The latest runs, the newest first. */
export const recentRuns = (
  sql: postgres.Sql,
  count: number,
): Effect.Effect<ReadonlyArray<RecentRun>, WarehouseError> =>
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

/** What time it is for Postgres: all times of the ledger are its. */
export const databaseNow = (sql: postgres.Sql): Effect.Effect<Date, WarehouseError> =>
  query(async () => {
    const [row] = await sql<Array<{ now: string }>>`SELECT clock_timestamp() AS now`
    return new Date(row!.now)
  })
