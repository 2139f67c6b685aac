import type { Effect } from "effect"
import type postgres from "postgres"
import type { WarehouseError } from "../../core/errors.ts"
import type { Stream } from "../../core/stream.ts"
import { arrayLiteral } from "../../postgres/bulk.ts"
import { shapeOf, type Transaction } from "../../postgres/shape.ts"
import { read } from "../../postgres/statements.ts"
import type { Lease } from "./lease.ts"
import { notShown } from "./missing.ts"
import { removeWithParts } from "./partRejects.ts"
import { closeUnlisted, isCloseDue } from "./rejects.ts"
import { rowsUpTo } from "./shares.ts"

/** What the end of a complete pass books as removed. */

/** Complete full passes over a list that stood still which must not have shown a record, before it counts as removed. */
const STILL_PASSES = 3
/**
 * So many records that a list hides at once, and more than this share of the rows, are not believed to be removed until a
 * person confirms it: a list that is cut off, or whose ids are written anew, looks the same. `analytics.verdict` has both numbers, too.
 */
const REMOVED_MANY = 21
const REMOVED_SHARE_MAX = 1 / 3

/** A pass that came to its end. `gone` and `there` are what by-id endpoints said about records it did not show. */
export interface Ended {
  readonly passId: string
  /** True if it may prove anything about what it was not shown: the list is verified, and was read to its proven end. */
  readonly provesRemoval: boolean
  /** What showed that the list moved while it was read; null where it stood still. */
  readonly movement?: string | null
  /** True if not being shown counts as one pass towards a removal; false where a by-id endpoint is there to tell. */
  readonly isCounting?: boolean
  /** A part of the pages was read by an earlier run: how the list moved in between is not known. */
  readonly isResumed?: boolean
  /** A person has said that what the list hides is to be believed, however much it is. */
  readonly isConfirmed?: boolean
  /** Records that a by-id endpoint was asked about. */
  readonly asked?: ReadonlyArray<string>
  readonly gone?: ReadonlyArray<string>
  readonly there?: ReadonlyArray<string>
  /** Length of the list as it was stated last; absent where it was not. */
  readonly stated?: number | null | undefined
  /** Different records that the pages of the whole pass held. */
  readonly listed?: number
}

/** Why nothing was booked as removed although something is missing. */
export const namelessNote = (nameless: number): string =>
  `${nameless} listed records have no id that can be read, and may be the very ones that seem to be missing:` +
  " nothing was booked as removed but what its by-id endpoint calls gone."

/** Books what by-id endpoints call gone. */
export const bookGone = (
  tx: Transaction,
  lease: Lease,
  stream: Stream,
  { gone = [] }: Ended,
): Promise<number> =>
  removeWithParts(
    tx,
    stream,
    `UPDATE ${shapeOf(stream.table).table} AS t SET removed_at = clock_timestamp()
     WHERE t.account = $1 AND t.removed_at IS NULL AND t."${stream.idColumn}" = ANY ($3::text[])`,
    [lease.account, lease.stream, arrayLiteral(gone)],
  )

/** True if the list stood still while one run read it. */
export const isStill = ({ movement = null, isResumed = false }: Ended): boolean =>
  movement === null && !isResumed

const counts = (ended: Ended): boolean => isStill(ended) && (ended.isCounting ?? true)

/** Condition on `t`: not shown by the pass at $2, and not among the ids at $3, which exist all the same. */
const isMissing = (stream: Stream) => `${notShown(stream)} AND t."${stream.idColumn}" <> ALL ($3::text[])`

/** True if so many of the rows are too many to be booked as removed at once on the word of the list alone. */
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

/** True if the pass would be the last that is needed to book a record as removed, or to close a reject. */
export const isDue = (
  sql: postgres.Sql,
  lease: Lease,
  stream: Stream,
  ended: Ended,
): Effect.Effect<boolean, WarehouseError> =>
  read(async () => {
    if (!isStill(ended)) return false
    if (await isCloseDue(sql, lease, ended.passId, counts(ended), STILL_PASSES)) return true
    if (!counts(ended)) return false
    const [due] = await sql.unsafe<Array<{ count: number }>>(
      `SELECT count(*)::float8 AS count FROM sync.missing_keys AS m
       JOIN ${shapeOf(stream.table).table} AS t ON t.account = $1 AND t."${stream.idColumn}" = m.record_id
       WHERE m.account = $1 AND m.stream = $4 AND m.still_passes >= ${STILL_PASSES - 1} AND ${isMissing(stream)}`,
      [lease.account, ended.passId, arrayLiteral(ended.there ?? []), lease.stream],
    )
    return due!.count > 0 && !(await isMass(sql, lease, stream, ended, due!.count))
  })

/**
 * Keeps the records that a complete pass was not shown, with one pass more against those that it counts against, and books
 * as removed those that enough passes were not shown, unless they are too many at once. A pass that does not count leaves
 * the earlier ones standing. Answers the number of rows, and whether there were too many.
 */
export const bookMissing = async (
  tx: Transaction,
  lease: Lease,
  stream: Stream,
  ended: Ended,
): Promise<{ readonly removed: number; readonly isHeldBack: boolean }> => {
  const { table } = shapeOf(stream.table)
  const id = `t."${stream.idColumn}"`
  const scope = [lease.account, ended.passId, arrayLiteral(ended.there ?? []), lease.stream]
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
  const [due] = await tx<Array<{ count: number }>>`
    SELECT count(*)::float8 AS count FROM sync.missing_keys
    WHERE account = ${lease.account} AND stream = ${lease.stream} AND still_passes >= ${STILL_PASSES}`
  if (await isMass(tx, lease, stream, ended, due!.count)) return { removed: 0, isHeldBack: true }
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

/** Closes the rejects whose records the pass proves to be gone. One that was held back for what it hides closes none by the list. */
export const closeHidden = (
  tx: Transaction,
  lease: Lease,
  ended: Ended,
  isHeldBack: boolean,
): Promise<void> =>
  closeUnlisted(tx, lease, {
    passId: ended.passId,
    gone: ended.gone ?? [],
    isStill: isStill(ended) && !isHeldBack,
    isCounting: ended.isCounting ?? true,
    passes: STILL_PASSES,
  })

/** A record that is read is listed, or exists: no pass counts against it any more. */
export const forgetMissing = async (
  tx: Transaction,
  lease: Lease,
  ids: ReadonlyArray<string>,
): Promise<void> => {
  await tx`
    DELETE FROM sync.missing_keys
    WHERE account = ${lease.account} AND stream = ${lease.stream} AND record_id = ANY (${arrayLiteral(ids)}::text[])`
}

/** What is not listed, and not proven to be removed either. */
export interface Unconfirmed {
  readonly unconfirmed: number
  /** Rows that these stand against, counted only as far as the share needs it; null where they are few. */
  readonly stored: number | null
}

export const countUnconfirmed = async (
  tx: Transaction,
  lease: Lease,
  stream: Stream,
): Promise<Unconfirmed> => {
  const [counted] = await tx<Array<{ count: number }>>`
    SELECT count(*)::float8 AS count FROM sync.missing_keys
    WHERE account = ${lease.account} AND stream = ${lease.stream}`
  const unconfirmed = counted?.count ?? 0
  if (unconfirmed < REMOVED_MANY) return { unconfirmed, stored: null }
  const stored = await rowsUpTo(tx, lease, stream, Math.ceil(unconfirmed / REMOVED_SHARE_MAX))
  return { unconfirmed, stored }
}
