import type { Effect } from "effect"
import type postgres from "postgres"
import type { WarehouseError } from "../../core/errors.ts"
import type { Stream } from "../../core/stream.ts"
import { shapeOf } from "../../postgres/shape.ts"
import { read } from "../../postgres/statements.ts"
import type { Lease } from "./lease.ts"
import { hiddenRejects } from "./rejects.ts"

/** Which records are stored, and which of them a pass was not shown. */

/** Condition on `t`, a record table: of the account at $1, not removed, and not shown by the pass at $2. */
export const notShown = (stream: Stream): string =>
  `t.account = $1 AND t.removed_at IS NULL
   AND NOT EXISTS (SELECT FROM sync.seen_keys AS s WHERE s.pass_id = $2::uuid AND s.record_id = t."${stream.idColumn}")`

export interface Unlisted {
  /**
   * Stored records that the pass was not shown: by turns one that earlier passes were not shown either, those first that
   * were never asked about or not for longest, and one that is missing for the first time. So each is asked about in time,
   * however many others there are of which the answers prove nothing.
   */
  readonly ids: ReadonlyArray<string>
  /** Those among them that the pass before was not shown either. */
  readonly before: ReadonlySet<string>
  /** Ids of open rejects that it was not shown, and that are no rows to be asked about. */
  readonly rejected: ReadonlyArray<string>
  /** A few that it was shown, and that are stored. */
  readonly listed: ReadonlyArray<string>
  /** How many it was shown. */
  readonly seen: number
}

/** What a complete pass was not shown; nothing where the keys that it was shown are lost. */
export const unlisted = (
  sql: postgres.Sql,
  lease: Lease,
  stream: Stream,
  {
    passId,
    limit,
    rejectLimit,
    controls,
  }: { passId: string; limit: number; rejectLimit: number; controls: number },
): Effect.Effect<Unlisted, WarehouseError> =>
  read(async () => {
    const { table } = shapeOf(stream.table)
    const id = `t."${stream.idColumn}"`
    const [booked] = await sql<Array<{ seen: number; isWhole: boolean }>>`
        SELECT seen_keys::float8 AS seen,
          seen_keys = (SELECT count(*) FROM sync.seen_keys WHERE pass_id = ${passId}) AS "isWhole"
        FROM sync.checkpoints
        WHERE account = ${lease.account} AND stream = ${lease.stream} AND pass_id = ${passId}`
    if (booked?.isWhole !== true) return { ids: [], before: new Set(), rejected: [], listed: [], seen: 0 }
    const scope = [lease.account, passId]
    const ids = await sql.unsafe<Array<{ id: string; isKnown: boolean }>>(
      `SELECT id, "isKnown" FROM (
           SELECT ${id} AS id, m.record_id IS NOT NULL AS "isKnown", row_number() OVER (
             PARTITION BY m.record_id IS NULL ORDER BY m.asked_at NULLS FIRST, ${id}) AS turn
           FROM ${table} AS t
           LEFT JOIN sync.missing_keys AS m ON m.account = $1 AND m.stream = $3 AND m.record_id = ${id}
           WHERE ${notShown(stream)}
         ) AS missing ORDER BY turn, NOT "isKnown" LIMIT $4`,
      [...scope, lease.stream, limit],
    )
    const listed = await sql.unsafe<Array<{ id: string }>>(
      `SELECT ${id} AS id FROM sync.seen_keys AS s
         JOIN ${table} AS t ON t.account = $1 AND ${id} = s.record_id AND t.removed_at IS NULL
         WHERE s.pass_id = $2::uuid LIMIT $3`,
      [...scope, controls],
    )
    const before = new Set(ids.filter(({ isKnown }) => isKnown).map(row => row.id))
    const asked = new Set(ids.map(row => row.id))
    const hidden = await hiddenRejects(sql, lease, passId, rejectLimit)
    return {
      ids: [...asked],
      before,
      rejected: hidden.filter(one => !asked.has(one)),
      listed: listed.map(row => row.id),
      seen: booked.seen,
    }
  })

/** True if a record has a row, removed or not. */
export const isStored = (
  sql: postgres.Sql,
  account: string,
  stream: Stream,
  id: string,
): Effect.Effect<boolean, WarehouseError> =>
  read(async () => {
    const rows = await sql.unsafe(
      `SELECT 1 FROM ${shapeOf(stream.table).table} WHERE account = $1 AND "${stream.idColumn}" = $2`,
      [account, id],
    )
    return rows.length > 0
  })

/** Names of the fields that a stored record has. */
export const storedFields = (
  sql: postgres.Sql,
  account: string,
  stream: Stream,
  id: string,
): Effect.Effect<ReadonlyArray<string>, WarehouseError> =>
  read(async () => {
    const rows = await sql.unsafe<Array<{ field: string }>>(
      `SELECT jsonb_object_keys(raw) AS field FROM ${shapeOf(stream.table).table}
       WHERE account = $1 AND "${stream.idColumn}" = $2`,
      [account, id],
    )
    return rows.map(({ field }) => field)
  })

/** Stored records of a stream that are not removed, whose ids come next to `near`: ids are random, and so are these. */
export const someStored = (
  sql: postgres.Sql,
  { account }: Pick<Lease, "account">,
  stream: Stream,
  { near, limit }: { readonly near: string; readonly limit: number },
): Effect.Effect<ReadonlyArray<string>, WarehouseError> =>
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
