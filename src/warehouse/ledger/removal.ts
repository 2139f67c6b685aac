import type postgres from "postgres"
import type { Stream } from "../../core/stream.ts"
import { arrayLiteral } from "../../postgres/bulk.ts"
import { type SqlEffect, shapeOf, type Transaction } from "../../postgres/shape.ts"
import { read } from "../../postgres/statements.ts"
import type { Lease } from "./lease.ts"
import { removeWithParts } from "./partRejects.ts"
import { closeUnseen, isCloseDue, unseenRejects } from "./rejects.ts"
import { rowsUpTo } from "./stored.ts"

/**
 * Records that a complete pass was not shown, and the proof that they are removed.
 *
 * `unseen`: stored, and not shown by the pass. `confirmedGone`: its by-id endpoint answers 404. `confirmedPresent`: its
 * by-id endpoint answers with the record. `withoutId`: listed, and without an id that can be read.
 */

/** Complete passes over a list that stood still which must not show a record before it is removed. */
const STILL_PASSES = 3
/**
 * Unseen records that are held back until a person confirms that they are removed: at least so many, and more than this
 * share of the rows. A list that is cut off, or whose ids were replaced, looks the same. `analytics.verdict` has both
 * numbers, too.
 */
const REMOVED_MANY = 21
const REMOVED_SHARE_MAX = 1 / 3

/** A pass that came to its end. */
export interface Ended {
  readonly passId: string
  /** True if the pass may remove unseen records: the list is verified, and was read to its proven end. */
  readonly provesRemoval: boolean
  /** Sign that the list moved while it was read; null if it stood still. */
  readonly movement?: string | null
  /** True if an unseen record counts one pass towards its removal; false if a by-id endpoint tells. */
  readonly isCounting?: boolean
  /** An earlier run read a part of the pages, so the list may have moved in between. */
  readonly isResumed?: boolean
  /** A person has confirmed that all unseen records are removed, however many they are. */
  readonly isConfirmed?: boolean
  /** Records that a by-id endpoint was asked about. */
  readonly asked?: ReadonlyArray<string>
  readonly confirmedGone?: ReadonlyArray<string>
  readonly confirmedPresent?: ReadonlyArray<string>
  /** Length of the list as the API stated it last; absent if it did not. */
  readonly stated?: number | null | undefined
  /** Different records on the pages of the whole pass. */
  readonly listed?: number
}

/** Condition on `t`, a record table: of the account at $1, not removed, and not shown by the pass at $2. */
const isUnseen = (stream: Stream): string =>
  `t.account = $1 AND t.removed_at IS NULL
   AND NOT EXISTS (SELECT FROM sync.seen_keys AS s WHERE s.pass_id = $2::uuid AND s.record_id = t."${stream.idColumn}")`

export interface Unseen {
  /**
   * Unseen records to ask about. Records that earlier passes were not shown either take turns with those that are unseen for
   * the first time. The ones that were never asked about, or not for longest, come first, so that each is asked in time.
   */
  readonly ids: ReadonlyArray<string>
  /** Ids among them that the pass before was not shown either. */
  readonly before: ReadonlySet<string>
  /** Ids of open rejects that the pass was not shown and that are not in `ids`. */
  readonly rejected: ReadonlyArray<string>
  /** A few stored records that the pass was shown. */
  readonly listed: ReadonlyArray<string>
}

/** Reads which records a complete pass was not shown. Its seen keys must be whole. */
export const unseenRecords = (
  sql: postgres.Sql,
  lease: Lease,
  stream: Stream,
  passId: string,
  max: { readonly records: number; readonly rejects: number; readonly listed: number },
): SqlEffect<Unseen> =>
  read(async () => {
    const { table } = shapeOf(stream.table)
    const id = `t."${stream.idColumn}"`
    const unseen = await sql.unsafe<Array<{ id: string; isKnown: boolean }>>(
      `SELECT id, "isKnown" FROM (
         SELECT ${id} AS id, m.record_id IS NOT NULL AS "isKnown", row_number() OVER (
           PARTITION BY m.record_id IS NULL ORDER BY m.asked_at NULLS FIRST, ${id}) AS turn
         FROM ${table} AS t
         LEFT JOIN sync.missing_keys AS m ON m.account = $1 AND m.stream = $3 AND m.record_id = ${id}
         WHERE ${isUnseen(stream)}
       ) AS missing ORDER BY turn, NOT "isKnown" LIMIT $4`,
      [lease.account, passId, lease.stream, max.records],
    )
    const listed = await sql.unsafe<Array<{ id: string }>>(
      `SELECT ${id} AS id FROM sync.seen_keys AS s
       JOIN ${table} AS t ON t.account = $1 AND ${id} = s.record_id AND t.removed_at IS NULL
       WHERE s.pass_id = $2::uuid LIMIT $3`,
      [lease.account, passId, max.listed],
    )
    const ids = new Set(unseen.map(row => row.id))
    const rejected = await unseenRejects(sql, lease, passId, max.rejects)
    return {
      ids: [...ids],
      before: new Set(unseen.filter(({ isKnown }) => isKnown).map(row => row.id)),
      rejected: rejected.filter(one => !ids.has(one)),
      listed: listed.map(row => row.id),
    }
  })

/** Removes the rows that are confirmed gone. Returns their number. */
export const removeGone = (
  tx: Transaction,
  lease: Lease,
  stream: Stream,
  { confirmedGone = [] }: Ended,
): Promise<number> =>
  removeWithParts(
    tx,
    stream,
    `UPDATE ${shapeOf(stream.table).table} AS t SET removed_at = clock_timestamp()
     WHERE t.account = $1 AND t.removed_at IS NULL AND t."${stream.idColumn}" = ANY ($3::text[])`,
    [lease.account, lease.stream, arrayLiteral(confirmedGone)],
  )

/** True if the list stood still while one run read it. */
const isStill = ({ movement = null, isResumed = false }: Ended): boolean => movement === null && !isResumed

/** True if the pass counts towards the removal of unseen records. */
const counts = (ended: Ended): boolean => isStill(ended) && (ended.isCounting ?? true)

/** Condition on `t`: not shown by the pass at $2, and not among the ids at $3, which are confirmed present. */
const isMissing = (stream: Stream) => `${isUnseen(stream)} AND t."${stream.idColumn}" <> ALL ($3::text[])`

/** True if so many rows are too many to be removed at once because the list does not show them. */
const isMass = async (
  sql: postgres.ISql,
  lease: Lease,
  stream: Stream,
  { isConfirmed = false }: Ended,
  due: number,
): Promise<boolean> => {
  if (isConfirmed || due < REMOVED_MANY) return false
  const enough = Math.ceil(due / REMOVED_SHARE_MAX)
  return (await rowsUpTo(sql, lease, stream, enough)) < enough
}

/** True if the pass would be the last one that is needed to remove a record or to close a reject. */
export const isDue = (sql: postgres.Sql, lease: Lease, stream: Stream, ended: Ended): SqlEffect<boolean> =>
  read(async () => {
    if (!isStill(ended)) return false
    if (await isCloseDue(sql, lease, ended.passId, counts(ended), STILL_PASSES)) return true
    if (!counts(ended)) return false
    const [due] = await sql.unsafe<[{ count: number }]>(
      `SELECT count(*)::float8 AS count FROM sync.missing_keys AS m
       JOIN ${shapeOf(stream.table).table} AS t ON t.account = $1 AND t."${stream.idColumn}" = m.record_id
       WHERE m.account = $1 AND m.stream = $4 AND m.still_passes >= ${STILL_PASSES - 1} AND ${isMissing(stream)}`,
      [lease.account, ended.passId, arrayLiteral(ended.confirmedPresent ?? []), lease.stream],
    )
    return due.count > 0 && !(await isMass(sql, lease, stream, ended, due.count))
  })

/**
 * Keeps the missing keys of the unseen records, each with one more pass if the pass counts, and removes the records that
 * enough passes were not shown. Returns the number of removed rows. Removes none if they are too many at once
 * (`isHeldBack`).
 */
export const removeUnseen = async (
  tx: Transaction,
  lease: Lease,
  stream: Stream,
  ended: Ended,
): Promise<{ readonly removed: number; readonly isHeldBack: boolean }> => {
  const { table } = shapeOf(stream.table)
  const id = `t."${stream.idColumn}"`
  const scope = [lease.account, ended.passId, arrayLiteral(ended.confirmedPresent ?? []), lease.stream]
  await tx.unsafe(
    `DELETE FROM sync.missing_keys AS m
     WHERE m.account = $1 AND m.stream = $4 AND NOT EXISTS (
       SELECT FROM ${table} AS t WHERE ${isMissing(stream)} AND ${id} = m.record_id)`,
    scope,
  )
  await tx.unsafe(
    `INSERT INTO sync.missing_keys AS m (account, stream, record_id, still_passes, asked_at)
     SELECT $1, $4, ${id}, $5::boolean::int, CASE WHEN ${id} = ANY ($6::text[]) THEN clock_timestamp() END
     FROM ${table} AS t WHERE ${isMissing(stream)}
     ON CONFLICT (account, stream, record_id) DO UPDATE
     SET still_passes = m.still_passes + excluded.still_passes, asked_at = coalesce(excluded.asked_at, m.asked_at)
     WHERE excluded.still_passes > 0 OR excluded.asked_at IS NOT NULL`,
    [...scope, counts(ended), arrayLiteral(ended.asked ?? [])],
  )
  if (!counts(ended)) return { removed: 0, isHeldBack: false }
  const [due] = await tx<[{ count: number }]>`
    SELECT count(*)::float8 AS count FROM sync.missing_keys
    WHERE account = ${lease.account} AND stream = ${lease.stream} AND still_passes >= ${STILL_PASSES}`
  if (await isMass(tx, lease, stream, ended, due.count)) return { removed: 0, isHeldBack: true }
  const removed = await removeWithParts(
    tx,
    stream,
    `UPDATE ${table} AS t SET removed_at = clock_timestamp() FROM sync.missing_keys AS m
     WHERE t.account = $1 AND t.removed_at IS NULL AND m.account = $1 AND m.stream = $2 AND m.record_id = ${id}
       AND m.still_passes >= ${STILL_PASSES}`,
    [lease.account, lease.stream],
  )
  await tx`
    DELETE FROM sync.missing_keys
    WHERE account = ${lease.account} AND stream = ${lease.stream} AND still_passes >= ${STILL_PASSES}`
  return { removed, isHeldBack: false }
}

/** Closes the rejects whose records the pass proves to be gone. If unseen records were held back, the list closes none. */
export const closeRejects = (
  tx: Transaction,
  lease: Lease,
  ended: Ended,
  isHeldBack: boolean,
): Promise<void> =>
  closeUnseen(tx, lease, {
    passId: ended.passId,
    confirmedGone: ended.confirmedGone ?? [],
    isStill: isStill(ended) && !isHeldBack,
    isCounting: ended.isCounting ?? true,
    passes: STILL_PASSES,
  })

/** Deletes the missing keys of records that were just read: they exist, so no pass counts against them. */
export const forgetMissing = async (
  tx: Transaction,
  lease: Lease,
  ids: ReadonlyArray<string>,
): Promise<void> => {
  await tx`
    DELETE FROM sync.missing_keys
    WHERE account = ${lease.account} AND stream = ${lease.stream} AND record_id = ANY (${arrayLiteral(ids)}::text[])`
}

/** Records that the list does not show, and whose removal is not proven. */
export interface Unconfirmed {
  readonly unconfirmed: number
  /** Rows to compare them with, counted as far as the share needs it; null if the records are few. */
  readonly stored: number | null
}

export const countUnconfirmed = async (
  tx: Transaction,
  lease: Lease,
  stream: Stream,
): Promise<Unconfirmed> => {
  const [{ unconfirmed }] = await tx<[{ unconfirmed: number }]>`
    SELECT count(*)::float8 AS unconfirmed FROM sync.missing_keys
    WHERE account = ${lease.account} AND stream = ${lease.stream}`
  if (unconfirmed < REMOVED_MANY) return { unconfirmed, stored: null }
  const stored = await rowsUpTo(tx, lease, stream, Math.ceil(unconfirmed / REMOVED_SHARE_MAX))
  return { unconfirmed, stored }
}
