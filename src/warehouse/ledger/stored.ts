import type postgres from "postgres"
import type { Open } from "../../core/lookup.ts"
import type { Stream } from "../../core/stream.ts"
import { arrayLiteral } from "../../postgres/bulk.ts"
import { type SqlEffect, shapeOf } from "../../postgres/shape.ts"
import { read } from "../../postgres/statements.ts"
import type { Lease } from "./lease.ts"

/** Questions about stored records. */

/**
 * Counts, of records that were just loaded, those that a completed run had stored before (`known`) and the others (`news`).
 * A record that was stored by its id, as urgent work, is news: it says nothing about the records behind it in the list.
 */
export const newsAmong = (
  sql: postgres.Sql,
  lease: Lease,
  stream: Stream,
  page: {
    readonly ids: ReadonlyArray<string>
    readonly readAt: Date
    /** Runs that did not complete: their records are news. */
    readonly unfinished: ReadonlyArray<string>
  },
): SqlEffect<{ known: number; news: number }> =>
  read(async () => {
    const [rows] = await sql.unsafe<[{ known: number; news: number }]>(
      `SELECT (count(*) FILTER (WHERE NOT is_news))::int AS known, (count(*) FILTER (WHERE is_news))::int AS news
       FROM (
         SELECT t.run_id = ANY ($3::uuid[]) OR coalesce(w.is_news, false) AS is_news
         FROM ${shapeOf(stream.table).table} AS t
         LEFT JOIN sync.urgent_work AS w
           ON w.account = $1 AND w.stream = $4 AND w.record_id = t."${stream.idColumn}"
         WHERE t.account = $1 AND t."${stream.idColumn}" = ANY ($2::text[])
       ) AS row`,
      [lease.account, arrayLiteral(page.ids), arrayLiteral(page.unfinished), lease.stream],
    )
    const [rejected] = await sql<[{ news: number }]>`
      SELECT count(*)::int AS news FROM sync.rejects
      WHERE account = ${lease.account} AND stream = ${lease.stream} AND first_seen_at = ${page.readAt.toISOString()}
        AND kind IN ('record', 'merchant')`
    return { known: rows.known, news: rows.news + rejected.news }
  })

/** Condition on a stream's table as `t` with its parameter `$2`: true if the row may still change. */
export const isOpen = (open: Open): { condition: string; parameter: string | null } => {
  const column = `t."${open.column}"`
  if ("noneOf" in open)
    return { condition: `${column} <> ALL ($2::text[])`, parameter: arrayLiteral(open.noneOf) }
  if ("is" in open) return { condition: `${column} = $2::boolean`, parameter: String(open.is) }
  // A row without such a time may change at any time.
  return {
    condition: `(${column} IS NULL OR ${column} > clock_timestamp()) AND $2::text IS NULL`,
    parameter: null,
  }
}

/**
 * Counts the records that may still change and that this run has not read, and reads the ids of the next ones after an id.
 * After the last id the first ones follow. Records without a value in the column that tells come last.
 */
export const openRecords = (
  sql: postgres.Sql,
  lease: Lease,
  stream: Stream,
  { open, after, limit }: { readonly open: Open; readonly after: string; readonly limit: number },
): SqlEffect<{ total: number; ids: ReadonlyArray<string> }> =>
  read(async () => {
    const { condition, parameter } = isOpen(open)
    const id = `t."${stream.idColumn}"`
    const from = `FROM ${shapeOf(stream.table).table} AS t
      WHERE t.account = $1 AND t.removed_at IS NULL AND t.run_id <> $3::uuid AND ${condition}`
    const scope = [lease.account, parameter, lease.runId]
    const [{ total }] = await sql.unsafe<[{ total: number }]>(`SELECT count(*)::int AS total ${from}`, scope)
    const rows = await sql.unsafe<Array<{ id: string }>>(
      `SELECT ${id} AS id ${from} ORDER BY t."${open.column}" IS NULL, ${id} <= $4, ${id} LIMIT $5`,
      [...scope, after, limit],
    )
    return { total, ids: rows.map(row => row.id) }
  })

/** Reads which of these ids have a row that is not removed, up to `limit` of them. */
export const storedAmong = (
  sql: postgres.Sql,
  { account }: Pick<Lease, "account">,
  stream: Stream,
  ids: ReadonlyArray<string>,
  limit: number,
): SqlEffect<ReadonlyArray<string>> =>
  read(async () => {
    const rows = await sql.unsafe<Array<{ id: string }>>(
      `SELECT "${stream.idColumn}" AS id FROM ${shapeOf(stream.table).table}
       WHERE account = $1 AND "${stream.idColumn}" = ANY ($2::text[]) AND removed_at IS NULL LIMIT $3`,
      [account, arrayLiteral(ids), limit],
    )
    return rows.map(({ id }) => id)
  })

/** Reads ids of rows that are not removed, next to the id `near`. Ids are random, so these rows are a random sample. */
export const someStored = (
  sql: postgres.Sql,
  { account }: Pick<Lease, "account">,
  stream: Stream,
  { near, limit }: { readonly near: string; readonly limit: number },
): SqlEffect<ReadonlyArray<string>> =>
  read(async () => {
    const id = `t."${stream.idColumn}"`
    const from = `FROM ${shapeOf(stream.table).table} AS t WHERE t.account = $1 AND t.removed_at IS NULL`
    const rows = await sql.unsafe<Array<{ id: string }>>(
      `(SELECT ${id} AS id, 1 AS part ${from} AND ${id} > $2 ORDER BY ${id} LIMIT $3)
       UNION ALL (SELECT ${id}, 2 ${from} AND ${id} < $2 ORDER BY ${id} LIMIT $3) ORDER BY part, id LIMIT $3`,
      [account, near, limit],
    )
    return rows.map(row => row.id)
  })

/** True if the account has a row that is not removed. */
export const hasRows = (
  sql: postgres.Sql,
  { account }: Pick<Lease, "account">,
  stream: Stream,
): SqlEffect<boolean> =>
  read(async () => {
    const rows = await sql.unsafe(
      `SELECT 1 FROM ${shapeOf(stream.table).table} WHERE account = $1 AND removed_at IS NULL LIMIT 1`,
      [account],
    )
    return rows.length > 0
  })

/** Counts the rows of a stream that are not removed, up to `most`. */
export const rowsUpTo = async (
  sql: postgres.ISql,
  lease: Lease,
  stream: Stream,
  most: number,
): Promise<number> => {
  const [counted] = await sql.unsafe<Array<{ rows: number }>>(
    `SELECT count(*)::float8 AS rows FROM (
       SELECT 1 FROM ${shapeOf(stream.table).table} WHERE account = $1 AND removed_at IS NULL LIMIT $2) AS first`,
    [lease.account, most],
  )
  return counted!.rows
}

/** Makes a relation of the accounts in a table. Steps through its index, however many rows an account has. */
export const accountsIn = (table: string): string => `(
  WITH RECURSIVE known AS (
    (SELECT account FROM ${table} ORDER BY account LIMIT 1)
    UNION ALL
    SELECT following.account FROM known CROSS JOIN LATERAL (
      SELECT account FROM ${table} WHERE account > known.account ORDER BY account LIMIT 1
    ) AS following
  )
  SELECT account FROM known
) AS known`
