import { randomUUID } from "node:crypto"
import { Effect } from "effect"
import type postgres from "postgres"
import { LeaseError, type WarehouseError } from "../Errors.ts"
import type { Row } from "../Stream.ts"
import { arraysOf, type Transaction, unnestOf } from "./bulk.ts"
import { attempt, retryUntilInterrupted, sqlState, warehouseError } from "./Database.ts"

/**
 * One run at a time per account and stream. A lease is a row with an expiry, renewed by each commit and by a
 * heartbeat; `fence` grows with each new holder, and a commit that finds another fence writes nothing. It
 * needs no session, so it holds across hosts and behind a transaction-pooling proxy. Postgres' clock counts.
 */
export interface Held {
  readonly account: string
  readonly stream: string
  readonly runId: string
  readonly fence: string
  readonly leaseSeconds: number
}

interface Name {
  readonly account: string
  readonly stream: string
}

const named = ({ account, stream }: Name): Row => ({ account, stream })

interface Claim {
  readonly streams: ReadonlyArray<Name>
  readonly runId: string
  /** Who holds it, for people: host and process. */
  readonly holder: string
  readonly leaseSeconds: number
}

/** What a claim came to: the leases taken, and for each of the others who holds it. */
export interface Taken {
  readonly held: ReadonlyArray<Held>
  readonly refused: ReadonlyArray<LeaseError>
}

/** A holder in the middle of a long transaction keeps its lease's row locked: it is at work, and not waited for. */
const LOCK_TIMEOUT = "2s"
/** Longest pause within a claim. Who is frozen, or whose host is gone, in the middle of one must not keep others out. */
const CLAIM_PAUSE_MAX = "5s"
const LOCK_NOT_AVAILABLE = "55P03"

const describe = (account: string, stream: string) => `${account}/${stream}`

const claim = async (
  tx: Transaction,
  { streams, runId, holder, leaseSeconds }: Claim,
  isWaiting: boolean,
): Promise<Taken> => {
  const columns = ["account", "stream"]
  const wanted = arraysOf(columns, streams.map(named))
  const existing = await tx.unsafe<Array<Name>>(
    `SELECT account, stream FROM sync.leases JOIN ${unnestOf(columns, 1)} USING (account, stream)`,
    wanted,
  )
  // In one order, so that of two runs that start in the same moment one gets all, and neither waits for the other in a circle.
  await tx.unsafe(`SET LOCAL lock_timeout = '${LOCK_TIMEOUT}'`)
  await tx.unsafe(`SET LOCAL idle_in_transaction_session_timeout = '${CLAIM_PAUSE_MAX}'`)
  const locked = await tx.unsafe<Array<Name>>(
    `SELECT l.account, l.stream FROM sync.leases AS l JOIN ${unnestOf(columns, 1)} USING (account, stream)
     ORDER BY l.account, l.stream FOR UPDATE OF l ${isWaiting ? "" : "SKIP LOCKED"}`,
    wanted,
  )
  const isAmong = (names: ReadonlyArray<Name>, { account, stream }: Name) =>
    names.some(name => name.account === account && name.stream === stream)
  const open = streams.filter(name => isAmong(locked, name) || !isAmong(existing, name))
  const leases = await tx.unsafe<Array<Name & { fence: string }>>(
    `INSERT INTO sync.leases AS l (account, stream, run_id, holder, fence, acquired_at, expires_at)
     SELECT s.account, s.stream, $3::uuid, $4, 1, clock_timestamp(), clock_timestamp() + make_interval(secs => $5)
     FROM ${unnestOf(columns, 1)} ORDER BY s.account, s.stream
     ON CONFLICT (account, stream) DO UPDATE
     SET run_id = excluded.run_id, holder = excluded.holder, fence = l.fence + 1,
       acquired_at = excluded.acquired_at, expires_at = excluded.expires_at, commit_id = NULL, commit_result = NULL
     WHERE l.expires_at <= clock_timestamp() OR l.run_id = excluded.run_id
     RETURNING account, stream, fence`,
    [...arraysOf(columns, open.map(named)), runId, holder, leaseSeconds],
  )
  const others = await tx.unsafe<Array<Name & { holder: string; expires: string }>>(
    `SELECT l.account, l.stream, l.holder, to_char(l.expires_at, 'HH24:MI:SS') AS expires
     FROM sync.leases AS l JOIN ${unnestOf(columns, 1)} USING (account, stream)
     WHERE l.run_id <> $3::uuid ORDER BY s.ordinal`,
    [...wanted, runId],
  )
  return {
    held: leases.map(lease => ({ ...lease, runId, leaseSeconds })),
    refused: others.map(
      ({ account, stream, holder, expires }) =>
        new LeaseError({
          reason: "held",
          message:
            `${describe(account, stream)} is being synced by ${holder}` +
            ` (its lease runs to ${expires} UTC unless renewed); wait for it, or stop it.`,
        }),
    ),
  }
}

/** Takes the leases that are free or expired, together; says who holds the others. Waits for nobody. */
export const acquire = (sql: postgres.Sql, wanted: Claim): Effect.Effect<Taken, WarehouseError> =>
  retryUntilInterrupted(
    attempt(async () => {
      try {
        return (await sql.begin(tx => claim(tx, wanted, true))) as Taken
      } catch (error) {
        if (sqlState(error) !== LOCK_NOT_AVAILABLE) throw error
        return (await sql.begin(tx => claim(tx, wanted, false))) as Taken
      }
    }),
  )

const lost = (held: Held) =>
  new LeaseError({
    reason: "lost",
    message:
      `${describe(held.account, held.stream)}: another run took the lease over while this one was not heard of;` +
      " nothing more was written, the other run goes on.",
  })

const underLease = <A>(run: () => Promise<A>): Effect.Effect<A, LeaseError | WarehouseError> =>
  Effect.tryPromise({
    try: run,
    catch: error => (error instanceof LeaseError ? error : warehouseError(error)),
  })

/**
 * One transaction of plain SQL that writes only while the lease is ours, and renews it. Tried again where that
 * may help; when Postgres committed it and the answer was lost, it is not done again, but answered from the
 * lease. `A` must come back the same from JSON.
 *
 * Fails with `LeaseError` when another run took the lease over; then nothing was written.
 */
export const fenced = <A>(
  sql: postgres.Sql,
  held: Held,
  run: (tx: Transaction) => Promise<A>,
): Effect.Effect<A, LeaseError | WarehouseError> =>
  Effect.suspend(() => {
    const commitId = randomUUID()
    const transaction = async (tx: Transaction): Promise<A> => {
      // The row is locked until the commit. Postgres undoes what a holder does who is not heard of for a lease's time.
      const [lease] = await tx<Array<{ isDone: boolean; result: A }>>`
        SELECT commit_id IS NOT DISTINCT FROM ${commitId}::uuid AS "isDone", commit_result AS result,
          set_config('idle_in_transaction_session_timeout', ${`${held.leaseSeconds}s`}, true)
        FROM sync.leases
        WHERE account = ${held.account} AND stream = ${held.stream} AND fence = ${held.fence} FOR UPDATE`
      if (lease === undefined) throw lost(held)
      if (lease.isDone) return lease.result
      const result = await run(tx)
      // At the end, so that a long transaction does not leave with a lease that has run out meanwhile.
      await tx`
        UPDATE sync.leases
        SET expires_at = clock_timestamp() + make_interval(secs => ${held.leaseSeconds}), commit_id = ${commitId},
          commit_result = ${JSON.stringify(result ?? null)}::text::jsonb
        WHERE account = ${held.account} AND stream = ${held.stream} AND fence = ${held.fence}`
      return result
    }
    return retryUntilInterrupted(underLease(() => sql.begin(transaction) as Promise<A>))
  })

/**
 * Locks further leases within a transaction, in the one order of all, until it ends: nobody takes them over
 * meanwhile. Throws `LeaseError` when one of them is lost.
 */
export const lockAll = async (tx: Transaction, leases: ReadonlyArray<Held>): Promise<void> => {
  const columns = ["account", "stream", "fence"]
  const rows = leases.map(({ account, stream, fence }) => ({ account, stream, fence }))
  const locked = await tx.unsafe<Array<Name>>(
    `SELECT l.account, l.stream FROM sync.leases AS l JOIN ${unnestOf(columns, 1)} USING (account, stream)
     WHERE l.fence = s.fence::bigint ORDER BY l.account, l.stream FOR UPDATE OF l`,
    arraysOf(columns, rows),
  )
  const gone = leases.find(
    ({ account, stream }) => !locked.some(lease => lease.account === account && lease.stream === stream),
  )
  if (gone !== undefined) throw lost(gone)
}

/** Renews a lease between commits; fails with `LeaseError` when it is lost. */
export const renew = (sql: postgres.Sql, held: Held): Effect.Effect<void, LeaseError | WarehouseError> =>
  underLease(async () => {
    const { count } = await sql`
      UPDATE sync.leases SET expires_at = clock_timestamp() + make_interval(secs => ${held.leaseSeconds})
      WHERE account = ${held.account} AND stream = ${held.stream} AND fence = ${held.fence}`
    if (count === 0) throw lost(held)
  })

/**
 * Gives leases back; one that was lost meanwhile is left alone. What their holder had on its way writes nothing any
 * more, nor does it renew them.
 */
export const release = (
  sql: postgres.Sql,
  leases: ReadonlyArray<Held>,
): Effect.Effect<void, WarehouseError> =>
  attempt(async () => {
    const columns = ["account", "stream", "fence"]
    const rows = leases.map(({ account, stream, fence }) => ({ account, stream, fence }))
    await sql.unsafe(
      `UPDATE sync.leases AS l SET expires_at = clock_timestamp(), fence = l.fence + 1 FROM ${unnestOf(columns, 1)}
       WHERE l.account = s.account AND l.stream = s.stream AND l.fence = s.fence::bigint`,
      arraysOf(columns, rows),
    )
  })
