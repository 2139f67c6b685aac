import type { Effect } from "effect"
import type postgres from "postgres"
import { decodePassFields, type PassFields } from "../../core/documentedFields.ts"
import type { LeaseError, WarehouseError } from "../../core/errors.ts"
import type { Stream } from "../../core/stream.ts"
import type { Status } from "../../core/words.ts"
import { beginWriting } from "../../postgres/interference.ts"
import { shapeOf, type Transaction } from "../../postgres/shape.ts"
import { read, write, writeInterruptible } from "../../postgres/statements.ts"
import { inLeaseTx, type Lease } from "./lease.ts"
import { countNameless, countOpen } from "./rejects.ts"
import { bookGone, bookMissing, closeHidden, countUnconfirmed, type Ended, namelessNote } from "./removal.ts"

/** What was run and how it ended: `sync.runs`, `sync.stream_runs`, and the passes that `sync.checkpoints` keeps open. */

/** What a stream's run is: a pass over a list, or over what is new in it, look-ups, or work on what is stored, which asks the API nothing. */
export type Mode = "full" | "incremental" | "lookup" | "replay" | "rebuild"

/** Older than this, an unfinished pass is not gone on with: its first pages say too little about now. */
const PASS_AGE_MAX = "24 hours"

/** Books a run as started. */
export const startRun = (
  sql: postgres.Sql,
  run: { runId: string; host: string; processId: number; version: string },
): Effect.Effect<void, WarehouseError> =>
  write(() =>
    beginWriting(sql, async tx => {
      await tx`
        INSERT INTO sync.runs (run_id, started_at, status, host, process_id, version)
        VALUES (${run.runId}, clock_timestamp(), 'running', ${run.host}, ${run.processId}, ${run.version})
        ON CONFLICT DO NOTHING`
      await markDeadRuns(tx, run.runId)
    }),
  )

/**
 * Books as dead the runs that nobody is at work on any more: killed before their first stream was begun, or after
 * their last was done; or whose streams were taken over, and booked, by several at once.
 */
const markDeadRuns = async (tx: Transaction, ownRunId: string): Promise<void> => {
  await tx`
    UPDATE sync.runs AS r SET status = 'dead', finished_at = clock_timestamp()
    WHERE status = 'running' AND run_id <> ${ownRunId} AND coalesce(waits_until < clock_timestamp(), true)
      AND NOT EXISTS (SELECT FROM sync.leases AS l WHERE l.run_id = r.run_id AND l.expires_at > clock_timestamp())
      AND NOT EXISTS (SELECT FROM sync.stream_runs AS s WHERE s.run_id = r.run_id AND s.status = 'running')`
}

export const finishRun = (
  sql: postgres.Sql,
  runId: string,
  status: Status,
): Effect.Effect<void, WarehouseError> =>
  write(() =>
    beginWriting(sql, async tx => {
      await tx`UPDATE sync.runs SET status = ${status}, finished_at = clock_timestamp() WHERE run_id = ${runId}`
      await markDeadRuns(tx, runId)
    }),
  )

/** Books a stream's run as started, and as dead those that left it `running` without a lease, if it is ours now. */
export const startStream = (
  sql: postgres.Sql,
  lease: Lease,
  mode: Mode,
): Effect.Effect<void, WarehouseError> => {
  const start = async (tx: Transaction) => {
    const dead = await tx<Array<{ run_id: string }>>`
      UPDATE sync.stream_runs AS s SET status = 'dead', finished_at = clock_timestamp(),
        error = 'The process ended without a word; what it had committed stays.'
      FROM sync.leases AS l
      WHERE l.account = ${lease.account} AND l.stream = ${lease.stream} AND l.fence = ${lease.fence}
        AND s.account = l.account AND s.stream = l.stream AND s.status = 'running' AND s.run_id <> l.run_id
      RETURNING s.run_id`
    for (const { run_id } of dead)
      await tx`
        UPDATE sync.runs SET status = 'dead', finished_at = clock_timestamp()
        WHERE run_id = ${run_id} AND status = 'running' AND NOT EXISTS (
          SELECT FROM sync.stream_runs AS s WHERE s.run_id = ${run_id} AND s.status = 'running')`
    await tx`
      INSERT INTO sync.stream_runs (run_id, account, stream, mode, status, started_at)
      -- The latest run is the one that began last, also where Postgres' clock was set back since the one before.
      VALUES (${lease.runId}, ${lease.account}, ${lease.stream}, ${mode}, 'running', greatest(clock_timestamp(), (
        SELECT max(started_at) + interval '1 microsecond' FROM sync.stream_runs
        WHERE account = ${lease.account} AND stream = ${lease.stream})))
      ON CONFLICT DO NOTHING`
  }
  return writeInterruptible(() => beginWriting(sql, start))
}

/** A pass over a list. `position` is where it goes on, as the reader of pages left it; null at its beginning and at its end. */
export interface Pass<Position> {
  readonly passId: string
  readonly position: Position | null
  /** All of the list is read and loaded: the run before ended just before it could close the pass. */
  readonly isRead: boolean
  /** What its earlier runs read of the documented fields; null at its beginning. */
  readonly fields: PassFields | null
  /** Length of the list as its earlier runs were told it; null where they were told none. */
  readonly stated: number | null
  /** Records that its earlier runs were shown and that leave no key: those without an id. */
  readonly unkeyed: number
}

type StoredPass = Omit<Pass<never>, "position" | "fields"> & {
  readonly position: unknown
  readonly fields: unknown
}

/** A pass as its checkpoint has it; undefined where a part of that does not decode. */
const decodePass = <Position>(
  { position: storedPosition, fields: storedFields, ...stored }: StoredPass,
  decodePosition: (stored: unknown) => Position | undefined,
): Pass<Position> | undefined => {
  const position = storedPosition === null ? null : decodePosition(storedPosition)
  const fields = storedFields === null ? null : decodePassFields(storedFields)
  return position === undefined || fields === undefined ? undefined : { ...stored, position, fields }
}

/**
 * Opens a pass: goes on with one that was broken off, or begins anew where it may not, is too old, or does not decode;
 * then the keys that the other had seen are dropped.
 */
export const openPass = <Position>(
  sql: postgres.Sql,
  lease: Lease,
  options: {
    readonly newPassId: string
    readonly canResume: boolean
    readonly decodePosition: (stored: unknown) => Position | undefined
  },
): Effect.Effect<Pass<Position>, LeaseError | WarehouseError> =>
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
      await dropKeys(tx, lease)
      await tx`
        INSERT INTO sync.checkpoints (account, stream, pass_id, started_at, updated_at)
        VALUES (${lease.account}, ${lease.stream}, ${pass.passId}, clock_timestamp(), clock_timestamp())
        ON CONFLICT (account, stream) DO UPDATE
        SET pass_id = excluded.pass_id, started_at = excluded.started_at, position = NULL, seen_keys = 0,
          stated = NULL, unkeyed = 0, fields = NULL,
          updated_at = excluded.updated_at`
    }
    await tx`
      UPDATE sync.stream_runs SET pass_id = ${pass.passId}
      WHERE run_id = ${lease.runId} AND account = ${lease.account} AND stream = ${lease.stream}`
    return pass
  })

/** Rows of the account that are not booked as removed; whether there is any is all that a caller may ask. */
export const hasRows = (
  sql: postgres.Sql,
  account: string,
  stream: Stream,
): Effect.Effect<boolean, WarehouseError> =>
  read(async () => {
    const rows = await sql.unsafe(
      `SELECT 1 FROM ${shapeOf(stream.table).table} WHERE account = $1 AND removed_at IS NULL LIMIT 1`,
      [account],
    )
    return rows.length > 0
  })

/** What a complete pass proved about records that it was not shown. */
export interface Closing {
  readonly removed: number
  /** Records that are not listed, and whose removal is not proven. */
  readonly unconfirmed: number
  /** They are too many at once to be booked as removed, though enough passes did not list them. */
  readonly isHeldBack: boolean
  /** Records of the stream that still could not become a row. */
  readonly openRejects: number
  readonly note: string | null
}

/**
 * Closes a complete pass. A record that is `gone` is booked as removed at once; one that the pass was not shown, once
 * enough passes over a list that stood still were not shown it: but none that is `there`, nor any while records are
 * listed whose id cannot be read. Rejects close by the same proof. A pass whose seen keys were lost, or that read an unverified list, proves nothing, and
 * leaves what earlier passes proved.
 */
export const closePass = (
  sql: postgres.Sql,
  lease: Lease,
  stream: Stream,
  pass: Ended,
): Effect.Effect<Closing, LeaseError | WarehouseError> =>
  inLeaseTx(sql, lease, async tx => {
    const [booked] = await tx<Array<{ seen: number; isWhole: boolean }>>`
      SELECT seen_keys::float8 AS seen,
        seen_keys = (SELECT count(*) FROM sync.seen_keys WHERE pass_id = ${pass.passId}) AS "isWhole"
      FROM sync.checkpoints WHERE account = ${lease.account} AND stream = ${lease.stream} AND pass_id = ${pass.passId}`
    const isProof = pass.provesRemoval && booked?.isWhole === true
    const nameless = isProof ? await countNameless(tx, lease, pass.passId) : 0
    const gone = isProof ? await bookGone(tx, lease, stream, pass) : 0
    const counted = isProof && nameless === 0 ? pass : { ...pass, isCounting: false }
    const missing =
      booked?.isWhole === true
        ? await bookMissing(tx, lease, stream, counted)
        : { removed: 0, isHeldBack: false }
    if (pass.provesRemoval) await closeHidden(tx, lease, pass, missing.isHeldBack)
    const removed = gone + missing.removed
    const { unconfirmed, stored } = await countUnconfirmed(tx, lease, stream)
    // Here, and not at the end of the run, which it may not live to see.
    await tx`
      UPDATE sync.stream_runs
      SET removed = removed + ${removed}, unconfirmed = ${unconfirmed}, stored = ${stored}, movement = ${pass.movement ?? null},
        stated = ${pass.stated ?? null}::bigint, listed = ${pass.listed ?? null}::bigint
      WHERE run_id = ${lease.runId} AND account = ${lease.account} AND stream = ${lease.stream}`
    await tx`DELETE FROM sync.seen_keys WHERE pass_id = ${pass.passId}`
    await tx`
      DELETE FROM sync.checkpoints
      WHERE account = ${lease.account} AND stream = ${lease.stream} AND pass_id = ${pass.passId}`
    return {
      removed,
      unconfirmed,
      isHeldBack: missing.isHeldBack,
      openRejects: await countOpen(tx, lease),
      note: isProof
        ? nameless > 0 && unconfirmed > 0
          ? namelessNote(nameless)
          : null
        : pass.provesRemoval
          ? "The keys this pass had seen were lost with a crash of Postgres: it proves no removal."
          : "The list is not verified: this pass proves no removal.",
    }
  })

/** Forgets an unfinished pass, whose checkpoint a later run must not go on from. */
export const abandonPass = (
  sql: postgres.Sql,
  lease: Lease,
): Effect.Effect<void, LeaseError | WarehouseError> =>
  inLeaseTx(sql, lease, async tx => {
    await dropKeys(tx, lease)
    await tx`DELETE FROM sync.checkpoints WHERE account = ${lease.account} AND stream = ${lease.stream}`
  })

/** Forgets the keys that the stream's unfinished pass has seen. */
const dropKeys = async (tx: Transaction, lease: Lease): Promise<void> => {
  await tx`
    DELETE FROM sync.seen_keys WHERE pass_id IN (
      SELECT pass_id FROM sync.checkpoints WHERE account = ${lease.account} AND stream = ${lease.stream})`
}

/** How a stream's run ended. */
export interface StreamEnd {
  readonly status: Status
  readonly removed: number
  readonly leftOver: number
  readonly requests: number
  readonly retries: number
  readonly error: string | null
  readonly note: string | null
}

export const finishStream = (
  sql: postgres.Sql,
  lease: Lease,
  end: StreamEnd,
): Effect.Effect<void, WarehouseError> =>
  write(() =>
    beginWriting(sql, async tx => {
      await tx`
      UPDATE sync.stream_runs
      SET status = ${end.status}, finished_at = clock_timestamp(), removed = greatest(removed, ${end.removed}),
        left_over = ${end.leftOver}, unconfirmed = (
          SELECT count(*) FROM sync.missing_keys WHERE account = ${lease.account} AND stream = ${lease.stream}),
        requests = ${end.requests}, retries = ${end.retries},
        error = ${end.error}, note = ${end.note}
      WHERE run_id = ${lease.runId} AND account = ${lease.account} AND stream = ${lease.stream} AND status = 'running'`
    }),
  )
