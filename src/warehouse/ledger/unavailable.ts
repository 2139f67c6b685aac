import type postgres from "postgres"
import type { Stream } from "../../core/stream.ts"
import { arrayLiteral } from "../../postgres/bulk.ts"
import { type SqlEffect, shapeOf } from "../../postgres/shape.ts"
import { read } from "../../postgres/statements.ts"
import { START_JITTER_SECONDS } from "./earlierRuns.ts"
import { inLeaseTx, type Lease, type LeaseEffect } from "./lease.ts"

/** Optional streams whose endpoint an account's token does not have: `sync.unavailable`. */

export interface Unavailable {
  readonly reason: string
  /** Names of the views that read the stream's tables. */
  readonly views: ReadonlyArray<string>
  /** False if the endpoint is to be looked for again. */
  readonly isFresh: boolean
}

const RUN_START = "coalesce((SELECT started_at FROM sync.runs WHERE run_id = $3::uuid), clock_timestamp())"

/** Reads if a stream is not available; undefined if it is, or if this is not known. */
export const knownUnavailable = (
  sql: postgres.Sql,
  { account, stream, runId }: Lease,
  maxAgeSeconds: number,
): SqlEffect<Unavailable | undefined> =>
  read(async () => {
    const [row] = await sql.unsafe<Array<Unavailable>>(
      `SELECT reason, to_json(views) AS views, checked_at <= clock_timestamp()
         AND checked_at > ${RUN_START} - make_interval(secs => $4) AS "isFresh"
       FROM sync.unavailable WHERE account = $1 AND stream = $2`,
      [account, stream, runId, maxAgeSeconds - START_JITTER_SECONDS],
    )
    return row
  })

const tablesOf = ({ table, children, histories }: Stream): ReadonlyArray<string> =>
  [table, ...children.map(child => child.table), ...histories.map(history => history.table)].map(
    own => shapeOf(own).table,
  )

/** Reads the names of the views that read a stream's tables, also through other views. */
export const viewsOf = (sql: postgres.Sql, stream: Stream): SqlEffect<ReadonlyArray<string>> =>
  read(async () => {
    const rows = await sql.unsafe<Array<{ name: string }>>(
      `WITH RECURSIVE reader AS (
         SELECT name::regclass::oid AS oid FROM unnest($1::text[]) AS name
         UNION SELECT rule.ev_class FROM reader
         JOIN pg_depend AS d ON d.refclassid = 'pg_class'::regclass AND d.refobjid = reader.oid AND d.classid = 'pg_rewrite'::regclass
         JOIN pg_rewrite AS rule ON rule.oid = d.objid
       )
       SELECT c.relname AS name FROM reader JOIN pg_class AS c ON c.oid = reader.oid AND c.relkind = 'v'
       JOIN pg_namespace AS n ON n.oid = c.relnamespace AND n.nspname = 'analytics' ORDER BY 1`,
      [arrayLiteral(tablesOf(stream))],
    )
    return rows.map(({ name }) => name)
  })

/** Books that a stream is not available. */
export const bookUnavailable = (
  sql: postgres.Sql,
  lease: Lease,
  { reason, views }: Pick<Unavailable, "reason" | "views">,
): LeaseEffect<void> =>
  inLeaseTx(sql, lease, async tx => {
    await tx.unsafe(
      `INSERT INTO sync.unavailable (account, stream, reason, views, since, checked_at)
       VALUES ($1, $2, $4, $5::text[], clock_timestamp(), ${RUN_START})
       ON CONFLICT (account, stream) DO UPDATE
       SET reason = excluded.reason, views = excluded.views, checked_at = excluded.checked_at`,
      [lease.account, lease.stream, lease.runId, reason, arrayLiteral(views)],
    )
  })

/** Books that a stream is available. */
export const bookAvailable = (sql: postgres.Sql, lease: Lease): LeaseEffect<void> =>
  inLeaseTx(sql, lease, async tx => {
    await tx`DELETE FROM sync.unavailable WHERE account = ${lease.account} AND stream = ${lease.stream}`
  })

/** True if a stream was read before: its endpoint answered, or rows of it are stored. */
export const wasAvailable = (
  sql: postgres.Sql,
  { account, stream }: Pick<Lease, "account" | "stream">,
  declared: Stream,
): SqlEffect<boolean> =>
  read(async () => {
    const [row] = await sql.unsafe<[{ yes: boolean }]>(
      `SELECT EXISTS (SELECT FROM sync.contracts WHERE account = $1 AND stream = $2 AND verified_at IS NOT NULL)
         OR EXISTS (SELECT FROM ${shapeOf(declared.table).table} WHERE account = $1 AND raw IS NOT NULL) AS yes`,
      [account, stream],
    )
    return row.yes
  })
