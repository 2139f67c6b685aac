import type postgres from "postgres"
import { decodePassFields, type PassFields } from "../../core/documentedFields.ts"
import type { Stream } from "../../core/stream.ts"
import { type SqlEffect, shapeOf, type Transaction } from "../../postgres/shape.ts"
import { read } from "../../postgres/statements.ts"
import { inLeaseTx, type Lease, type LeaseEffect } from "./lease.ts"
import { countOpen } from "./openRejects.ts"
import { countWithoutId } from "./rejects.ts"
import { closeRejects, countUnconfirmed, type Ended, removeGone, removeUnseen } from "./removal.ts"

/** Passes over whole lists, from opening to closing: `sync.checkpoints` and `sync.seen_keys`. */

/** Greatest age of an interrupted pass that is resumed: the pages that it read say too little about the list of today. */
const PASS_AGE_MAX = "24 hours"

export interface Pass<Position> {
  readonly passId: string
  /** Position at which the reader of pages resumes; null at the beginning of the pass, and at its end. */
  readonly position: Position | null
  /** The whole list was loaded, and the earlier run ended before it closed the pass. */
  readonly isRead: boolean
  /** Documented fields that earlier runs of the pass read; null at its beginning. */
  readonly fields: PassFields | null
  /** Length of the list as the API stated it to earlier runs of the pass; null if it did not. */
  readonly stated: number | null
  /** Records without an id that earlier runs of the pass were shown. They leave no seen key. */
  readonly unkeyed: number
}

type StoredPass = Omit<Pass<never>, "position" | "fields"> & {
  readonly position: unknown
  readonly fields: unknown
}

/** Decodes the pass of a checkpoint; undefined if a part of it does not decode. */
const decodePass = <Position>(
  { position: storedPosition, fields: storedFields, ...stored }: StoredPass,
  decodePosition: (stored: unknown) => Position | undefined,
): Pass<Position> | undefined => {
  const position = storedPosition === null ? null : decodePosition(storedPosition)
  const fields = storedFields === null ? null : decodePassFields(storedFields)
  return position === undefined || fields === undefined ? undefined : { ...stored, position, fields }
}

/**
 * Opens a pass: resumes the interrupted one, or begins a new one if the other is too old, does not decode, or must not be
 * resumed.
 */
export const openPass = <Position>(
  sql: postgres.Sql,
  lease: Lease,
  options: {
    readonly newPassId: string
    readonly canResume: boolean
    readonly decodePosition: (stored: unknown) => Position | undefined
  },
): LeaseEffect<Pass<Position>> =>
  inLeaseTx(sql, lease, async tx => {
    const [stored] = await tx<Array<StoredPass>>`
      SELECT pass_id AS "passId", position, coalesce(position = 'null' AND seen_keys > 0, false) AS "isRead",
        fields, stated::float8, unkeyed::float8
      FROM sync.checkpoints
      WHERE account = ${lease.account} AND stream = ${lease.stream} AND ${options.canResume}
        AND started_at > clock_timestamp() - ${PASS_AGE_MAX}::interval`
    const begun = { position: null, isRead: false, fields: null, stated: null, unkeyed: 0 }
    const open = stored && decodePass(stored, options.decodePosition)
    const pass: Pass<Position> = open ?? { passId: options.newPassId, ...begun }
    if (open === undefined) {
      await dropPass(tx, lease)
      await tx`
        INSERT INTO sync.checkpoints (account, stream, pass_id, started_at, updated_at)
        VALUES (${lease.account}, ${lease.stream}, ${pass.passId}, clock_timestamp(), clock_timestamp())`
    }
    await tx`
      UPDATE sync.stream_runs SET pass_id = ${pass.passId}
      WHERE run_id = ${lease.runId} AND account = ${lease.account} AND stream = ${lease.stream}`
    return pass
  })

const dropPass = async (tx: Transaction, lease: Lease): Promise<void> => {
  await tx`
    WITH dropped AS (
      DELETE FROM sync.checkpoints WHERE account = ${lease.account} AND stream = ${lease.stream} RETURNING pass_id
    )
    DELETE FROM sync.seen_keys WHERE pass_id IN (SELECT pass_id FROM dropped)`
}

/** Drops the interrupted pass of a stream, so that no later run resumes it. */
export const abandonPass = (sql: postgres.Sql, lease: Lease): LeaseEffect<void> =>
  inLeaseTx(sql, lease, tx => dropPass(tx, lease))

/** Records that a pass was shown. */
export interface Seen {
  readonly count: number
  /** False if seen keys were lost in a crash of Postgres, since their table is unlogged. */
  readonly isWhole: boolean
}

const seenIn = async (sql: postgres.ISql, lease: Lease, passId: string): Promise<Seen> => {
  const [seen] = await sql<Array<Seen>>`
    SELECT seen_keys::float8 AS count,
      seen_keys = (SELECT count(*) FROM sync.seen_keys WHERE pass_id = ${passId}) AS "isWhole"
    FROM sync.checkpoints WHERE account = ${lease.account} AND stream = ${lease.stream} AND pass_id = ${passId}`
  return seen ?? { count: 0, isWhole: false }
}

/** Counts the different records that an open pass was shown, in all of its runs. */
export const seenRecords = (sql: postgres.Sql, lease: Lease, passId: string): SqlEffect<Seen> =>
  read(() => seenIn(sql, lease, passId))

/** Counts the records that an open pass was shown and that are neither a row, nor a reject, nor an erased person's. */
export const unaccounted = (
  sql: postgres.Sql,
  lease: Lease,
  stream: Stream,
  passId: string,
): SqlEffect<number> =>
  read(async () => {
    const [{ count }] = await sql.unsafe<[{ count: number }]>(
      `SELECT count(*)::float8 AS count FROM sync.seen_keys AS s
       WHERE s.pass_id = $2::uuid
         AND NOT EXISTS (SELECT FROM ${shapeOf(stream.table).table} AS t WHERE t.account = $1 AND t."${stream.idColumn}" = s.record_id)
         AND NOT EXISTS (SELECT FROM sync.rejects AS r WHERE r.account = $1 AND r.stream = $3 AND r.record_id = s.record_id
           AND r.kind IN ('record', 'merchant'))
         AND NOT EXISTS (SELECT FROM sync.erasures AS e WHERE e.account = $1 AND e.stream = $3 AND e.id_hash = s.record_id)`,
      [lease.account, passId, lease.stream],
    )
    return count
  })

/** Result of a complete pass. */
export interface Closing {
  readonly removed: number
  /** Records that the list does not show, and whose removal is not proven. */
  readonly unconfirmed: number
  /** Enough passes did not show these records, but they are too many to be removed at once. */
  readonly isHeldBack: boolean
  /** Records of the stream that are no row. */
  readonly openRejects: number
  readonly note: string | null
}

const LOST_KEYS = "The keys this pass had seen were lost with a crash of Postgres: it proves no removal."
const UNVERIFIED = "The list is not verified: this pass proves no removal."
const withoutIdNote = (count: number): string =>
  `${count} listed records have no id that can be read, and may be the very ones that seem to be missing:` +
  " nothing was booked as removed but what its by-id endpoint calls gone."

/**
 * Closes a complete pass, and books the removals that it proves.
 *
 * - A record that its by-id endpoint calls gone is removed at once.
 * - An unseen record is removed when enough passes over a list that stood still did not show it. Its by-id endpoint must not
 *   have confirmed it, and no record without an id may be listed, because that could be the same record.
 * - Rejects are closed by the same proof.
 *
 * A pass whose seen keys were lost, or that read an unverified list, removes nothing, and keeps what earlier passes proved.
 */
export const closePass = (
  sql: postgres.Sql,
  lease: Lease,
  stream: Stream,
  pass: Ended,
): LeaseEffect<Closing> =>
  inLeaseTx(sql, lease, async tx => {
    const { isWhole } = await seenIn(tx, lease, pass.passId)
    const isProof = pass.provesRemoval && isWhole
    const withoutId = isProof ? await countWithoutId(tx, lease, pass.passId) : 0
    const gone = isProof ? await removeGone(tx, lease, stream, pass) : 0
    const isCounting = isProof && withoutId === 0 && (pass.isCounting ?? true)
    const unseen = isWhole
      ? await removeUnseen(tx, lease, stream, { ...pass, isCounting })
      : { removed: 0, isHeldBack: false }
    if (pass.provesRemoval) await closeRejects(tx, lease, pass, unseen.isHeldBack)
    const removed = gone + unseen.removed
    const { unconfirmed, stored } = await countUnconfirmed(tx, lease, stream)
    // Booked here because the run may die before its end.
    await tx`
      UPDATE sync.stream_runs
      SET removed = removed + ${removed}, unconfirmed = ${unconfirmed}, stored = ${stored}, movement = ${pass.movement ?? null},
        stated = ${pass.stated ?? null}::bigint, listed = ${pass.listed ?? null}::bigint
      WHERE run_id = ${lease.runId} AND account = ${lease.account} AND stream = ${lease.stream}`
    await dropPass(tx, lease)
    const withoutIds = withoutId > 0 && unconfirmed > 0 ? withoutIdNote(withoutId) : null
    return {
      removed,
      unconfirmed,
      isHeldBack: unseen.isHeldBack,
      openRejects: await countOpen(tx, lease),
      note: isProof ? withoutIds : pass.provesRemoval ? LOST_KEYS : UNVERIFIED,
    }
  })
