import { randomUUID } from "node:crypto"
import { Effect } from "effect"
import type postgres from "postgres"
import { LeaseError, type WarehouseError } from "../../core/errors.ts"
import { turns } from "../../core/fibers.ts"
import type { Row } from "../../core/stream.ts"
import { arraysOf, unnestOf } from "../../postgres/bulk.ts"
import { sqlState } from "../../postgres/failures.ts"
import { beginWriting, refuseInterference } from "../../postgres/interference.ts"
import type { SqlEffect, Transaction } from "../../postgres/shape.ts"
import { query, writeInterruptible } from "../../postgres/statements.ts"
import { COMMIT_STOPPING_MAX, endingLate } from "../../postgres/stopping.ts"
import { beginUntil } from "../../postgres/transaction.ts"

/**
 * Leases: `acquire`, `renew`, `inLeaseTx`, `release`. A stream's lease lets one run at a time write its rows. An account's
 * lease (stream `*`) lets one process at a time ask the API. A lease is a row with an expiry, by Postgres' clock; `fence`
 * grows with each new holder, and a commit that finds another fence writes nothing. A lease needs no session, so it holds
 * across hosts and behind a transaction-pooling proxy. `sync/holding.ts` keeps leases for as long as a run goes on.
 */
export interface Lease {
  readonly account: string
  readonly stream: string
  readonly runId: string
  readonly fence: string
  readonly leaseSeconds: number
}

/** An effect of SQL under a lease. It fails with `LeaseError` if another run took the lease over. */
export type LeaseEffect<A> = Effect.Effect<A, LeaseError | WarehouseError>

/** The stream of an account's lease. */
export const ACCOUNT = "*"

export interface Name {
  readonly account: string
  readonly stream: string
}

const named = ({ account, stream }: Name): Row => ({ account, stream })

export interface AcquireRequest {
  readonly streams: ReadonlyArray<Name>
  readonly runId: string
  /** Host and process, for people. */
  readonly holder: string
  readonly leaseSeconds: number
  /** A run whose account's lease was taken over: the leases of its streams count as expired. */
  readonly heirOf?: string | undefined
}

/** A lease just taken, with facts about its former holder. */
export interface Acquired extends Lease {
  /** The run that held it before; null for the first. */
  readonly formerRunId: string | null
  /** Time since its former holder released it or let it expire, in milliseconds; null for the first holder. */
  readonly idleMillis: number | null
  /** Rest of the pause that the API asked a former holder for, in milliseconds. */
  readonly pauseMillis: number
}

/** Result of a claim: the leases taken, and an error for each that another holds. */
export interface AcquireResult {
  readonly leases: ReadonlyArray<Acquired>
  readonly refused: ReadonlyArray<LeaseError>
}

/** Longest wait for a locked lease. A holder in a long transaction locks its lease's row, and is at work. */
const LOCK_TIMEOUT = "2s"
/** Longest pause within a claim. A frozen claimant must not keep others out. */
const CLAIM_PAUSE_MAX = "5s"
const LOCK_NOT_AVAILABLE = "55P03"
/** Longest pause that is handed on, in seconds. A longer one counts as a mistake: the API is asked again after this time. */
const PAUSE_SECONDS_MAX = 86_400

/** Runs a transaction of one statement on leases. It locks them, so its longest pause is that of a claim. */
const briefly = <A>(sql: postgres.Sql, statement: (tx: Transaction) => Promise<A>): Promise<A> =>
  beginWriting(sql, tx => {
    void tx.unsafe(`SET LOCAL idle_in_transaction_session_timeout = '${CLAIM_PAUSE_MAX}'`).execute()
    return statement(tx)
  })

const describe = ({ account, stream }: Name) =>
  stream === ACCOUNT ? `account ${account}` : `${account}/${stream}`

const heldBy = (lease: Name & { readonly holder: string; readonly expires: string }) =>
  new LeaseError({
    reason: "held",
    message:
      `${describe(lease)} is being ${lease.stream === ACCOUNT ? "synced" : "worked on"} by ${lease.holder}` +
      ` (its lease runs to ${lease.expires} UTC unless renewed); wait for it, or stop it.`,
  })

const claim = async (
  tx: Transaction,
  { streams, runId, holder, leaseSeconds, heirOf }: AcquireRequest,
  isWaiting: boolean,
): Promise<AcquireResult> => {
  // Set before any statement that can wait or freeze.
  await tx.unsafe(`SET LOCAL lock_timeout = '${LOCK_TIMEOUT}'`)
  await tx.unsafe(`SET LOCAL idle_in_transaction_session_timeout = '${CLAIM_PAUSE_MAX}'`)
  const columns = ["account", "stream"]
  const wanted = arraysOf(columns, streams.map(named))
  const existing = await tx.unsafe<Array<Name>>(
    `SELECT account, stream FROM sync.leases JOIN ${unnestOf(columns, 1)} USING (account, stream)`,
    wanted,
  )
  // In one order, so that one of two runs that start together gets all leases, and there is no deadlock.
  const locked = await tx.unsafe<Array<Name & { formerRunId: string; idleMillis: number }>>(
    `SELECT l.account, l.stream, l.run_id AS "formerRunId",
       (extract(epoch FROM clock_timestamp() - l.expires_at) * 1000)::float8 AS "idleMillis"
     FROM sync.leases AS l JOIN ${unnestOf(columns, 1)} USING (account, stream)
     ORDER BY l.account, l.stream FOR UPDATE OF l ${isWaiting ? "" : "SKIP LOCKED"}`,
    wanted,
  )
  const among = <A extends Name>(names: ReadonlyArray<A>, { account, stream }: Name) =>
    names.find(name => name.account === account && name.stream === stream)
  const open = streams.filter(
    name => among(locked, name) !== undefined || among(existing, name) === undefined,
  )
  const acquired = await tx.unsafe<Array<Name & { fence: string; pauseMillis: number }>>(
    `INSERT INTO sync.leases AS l (account, stream, run_id, holder, fence, acquired_at, expires_at)
     SELECT s.account, s.stream, $3::uuid, $4, 1, clock_timestamp(), clock_timestamp() + make_interval(secs => $5)
     FROM ${unnestOf(columns, 1)} ORDER BY s.account, s.stream
     ON CONFLICT (account, stream) DO UPDATE
     SET run_id = excluded.run_id, holder = excluded.holder, fence = l.fence + 1,
       acquired_at = excluded.acquired_at, expires_at = excluded.expires_at, commit_id = NULL, commit_result = NULL
     WHERE l.expires_at <= clock_timestamp() OR l.run_id = excluded.run_id OR l.run_id = $6::uuid
     RETURNING account, stream, fence,
       (greatest(0, extract(epoch FROM l.paused_until - clock_timestamp())) * 1000)::float8 AS "pauseMillis"`,
    [...arraysOf(columns, open.map(named)), runId, holder, leaseSeconds, heirOf ?? null],
  )
  const others = await tx.unsafe<Array<Name & { holder: string; expires: string }>>(
    `SELECT l.account, l.stream, l.holder, to_char(l.expires_at, 'HH24:MI:SS') AS expires
     FROM sync.leases AS l JOIN ${unnestOf(columns, 1)} USING (account, stream)
     WHERE l.run_id <> $3::uuid ORDER BY s.ordinal`,
    [...wanted, runId],
  )
  return {
    leases: acquired.map(lease => ({
      ...lease,
      runId,
      leaseSeconds,
      formerRunId: among(locked, lease)?.formerRunId ?? null,
      idleMillis: among(locked, lease)?.idleMillis ?? null,
    })),
    refused: others.map(heldBy),
  }
}

/** Takes the free and expired leases together, and names the holders of the others. Does not wait for those. */
export const acquire = (sql: postgres.Sql, wanted: AcquireRequest): SqlEffect<AcquireResult> =>
  writeInterruptible(async () => {
    try {
      return await beginWriting(sql, tx => claim(tx, wanted, true))
    } catch (error) {
      if (sqlState(error) !== LOCK_NOT_AVAILABLE) throw error
      return await beginWriting(sql, tx => claim(tx, wanted, false))
    }
  })

/** The error of a holder whose lease another run took over. */
export const lost = (lease: Lease): LeaseError =>
  new LeaseError({
    reason: "lost",
    message:
      `${describe(lease)}: another run took the lease over while this one was not heard of;` +
      " nothing more was written, the other run goes on.",
  })

const isLeaseError = (error: unknown): error is LeaseError => error instanceof LeaseError

/** Runs the transactions of one lease one after the other, repetitions included: a lease remembers only its latest one. */
const turnOf = turns<Lease>(1)

/**
 * Runs one transaction of plain SQL that writes only while the lease is ours, and renews it. It is repeated after a transient
 * error. If Postgres committed it and the answer was lost, it is not repeated: the lease holds its result. `A` must survive
 * JSON. Fibers may share a lease: their transactions wait for each other, but must not be nested.
 *
 * An interruption ends it within 10 seconds, also in an uninterruptible region: it waits that long for the answer to its
 * commit. A later commit is harmless, because only the holder of the lease commits, and the next run reads the records again.
 *
 * Fails with `LeaseError` if another run took the lease over, and with `WarehouseError` if a trigger or a rule of another
 * role decides what is stored; then nothing was written.
 */
export const inLeaseTx = <A>(
  sql: postgres.Sql,
  lease: Lease,
  run: (tx: Transaction) => Promise<A>,
): LeaseEffect<A> =>
  Effect.suspend(() => {
    const commitId = randomUUID()
    const transaction = async (tx: Transaction): Promise<A> => {
      // The row is locked until the commit. Postgres rolls back a holder that is silent for a lease's time.
      const [row] = await tx<Array<{ isDone: boolean; result: A }>>`
        SELECT commit_id IS NOT DISTINCT FROM ${commitId}::uuid AS "isDone", commit_result AS result,
          set_config('idle_in_transaction_session_timeout', ${`${lease.leaseSeconds}s`}, true)
        FROM sync.leases
        WHERE account = ${lease.account} AND stream = ${lease.stream} AND fence = ${lease.fence} FOR UPDATE`
      if (row === undefined) throw lost(lease)
      if (row.isDone) return row.result
      await refuseInterference(tx)
      const result = await run(tx)
      // Renewed at the end: a long transaction must not end with an expired lease.
      await tx`
        UPDATE sync.leases
        SET expires_at = clock_timestamp() + make_interval(secs => ${lease.leaseSeconds}), commit_id = ${commitId},
          commit_result = ${JSON.stringify(result ?? null)}::text::jsonb
        WHERE account = ${lease.account} AND stream = ${lease.stream} AND fence = ${lease.fence}`
      return result
    }
    const committed = writeInterruptible(signal => beginUntil(sql, signal, transaction), isLeaseError)
    return endingLate(turnOf(lease).withPermits(1)(committed), COMMIT_STOPPING_MAX)
  })

/** Columns that identify one holder of a lease. */
export const FENCED = ["account", "stream", "fence"]

/** Result of a renewal. A lease in neither list was locked at that moment. */
export interface Renewed {
  readonly renewed: ReadonlyArray<Name>
  readonly lost: ReadonlyArray<Name>
}

/** A lease to renew or release, with the rest of the pause that the API asked its account's holder for. */
export type Kept = Lease & { readonly pauseMillis?: number }

const KEPT = [...FENCED, "pause_seconds"]
const keptOf = (kept: ReadonlyArray<Kept>) =>
  arraysOf(
    KEPT,
    kept.map(({ account, stream, fence, pauseMillis = 0 }) => {
      const pauseSeconds = Math.min(pauseMillis / 1000, PAUSE_SECONDS_MAX)
      return { account, stream, fence, pause_seconds: String(pauseSeconds) }
    }),
  )

/** The new `paused_until` of a lease `l` that is kept as `k`. Never shortens a pause. */
const PAUSED = `CASE WHEN k.pause_seconds::float8 > 0
  THEN greatest(l.paused_until, clock_timestamp() + make_interval(secs => k.pause_seconds::float8))
  ELSE l.paused_until END`

/**
 * Renews leases between commits, and stores the rest of the API's pauses. All of them last equally long. Never waits: it
 * skips locked rows, because the transaction that locks such a row renews the lease or takes it over.
 */
export const renew = (sql: postgres.Sql, kept: ReadonlyArray<Kept>): SqlEffect<Renewed> =>
  query(async () => {
    const rows = await briefly(sql, tx =>
      tx.unsafe<Array<Name & { isRenewed: boolean; isLost: boolean }>>(
        `WITH k AS (
         SELECT l.account, l.stream, s.pause_seconds
         FROM sync.leases AS l JOIN ${unnestOf(KEPT, 1)} USING (account, stream)
         WHERE l.fence = s.fence::bigint ORDER BY l.account, l.stream FOR UPDATE OF l SKIP LOCKED
       ), renewed AS (
         UPDATE sync.leases AS l
         SET expires_at = clock_timestamp() + make_interval(secs => $5), paused_until = ${PAUSED}
         FROM k WHERE l.account = k.account AND l.stream = k.stream RETURNING l.account, l.stream
       )
       SELECT s.account, s.stream, r.account IS NOT NULL AS "isRenewed",
         r.account IS NULL AND l.fence IS DISTINCT FROM s.fence::bigint AS "isLost"
       FROM ${unnestOf(KEPT, 1)} LEFT JOIN sync.leases AS l USING (account, stream)
       LEFT JOIN renewed AS r USING (account, stream)`,
        [...keptOf(kept), kept[0]?.leaseSeconds ?? 0],
      ),
    )
    return { renewed: rows.filter(({ isRenewed }) => isRenewed), lost: rows.filter(({ isLost }) => isLost) }
  })

/**
 * Releases leases, and stores the rest of the API's pauses. Skips a lease that was lost meanwhile. Statements of the holder
 * that are still under way write nothing any more, and renew no lease.
 */
export const release = (sql: postgres.Sql, kept: ReadonlyArray<Kept>): SqlEffect<void> =>
  writeInterruptible(async () => {
    await briefly(sql, tx =>
      tx.unsafe(
        `UPDATE sync.leases AS l SET expires_at = clock_timestamp(), paused_until = ${PAUSED}, fence = l.fence + 1 FROM (SELECT * FROM ${unnestOf(KEPT, 1)}) AS k
         WHERE l.account = k.account AND l.stream = k.stream AND l.fence = k.fence::bigint`,
        keptOf(kept),
      ),
    )
  })
