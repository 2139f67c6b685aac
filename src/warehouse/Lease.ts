import { Effect } from "effect"
import type postgres from "postgres"
import { LeaseError, type WarehouseError } from "../Errors.ts"
import { attempt, retryTransient, warehouseError } from "./Database.ts"

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

interface Claim {
  readonly account: string
  readonly stream: string
  readonly runId: string
  /** Who holds it, for people: host and process. */
  readonly holder: string
  readonly leaseSeconds: number
}

const describe = (account: string, stream: string) => `${account}/${stream}`

/** Takes a lease that is free or expired; fails with `held`, naming the holder, when it is neither. */
export const acquire = (sql: postgres.Sql, claim: Claim): Effect.Effect<Held, LeaseError | WarehouseError> =>
  attempt(async () => {
    const { account, stream, runId, holder, leaseSeconds } = claim
    const [lease] = await sql<Array<{ fence: string }>>`
      INSERT INTO sync.leases AS l (account, stream, run_id, holder, fence, acquired_at, expires_at)
      VALUES (${account}, ${stream}, ${runId}, ${holder}, 1, clock_timestamp(),
        clock_timestamp() + make_interval(secs => ${leaseSeconds}))
      ON CONFLICT (account, stream) DO UPDATE
      SET run_id = excluded.run_id, holder = excluded.holder, fence = l.fence + 1,
        acquired_at = excluded.acquired_at, expires_at = excluded.expires_at
      WHERE l.expires_at <= clock_timestamp()
      RETURNING fence`
    if (lease !== undefined) return { account, stream, runId, fence: lease.fence, leaseSeconds }
    const [other] = await sql<Array<{ holder: string; expires: string }>>`
      SELECT holder, to_char(expires_at, 'HH24:MI:SS') AS expires FROM sync.leases
      WHERE account = ${account} AND stream = ${stream}`
    return new LeaseError({
      reason: "held",
      message:
        `${describe(account, stream)} is being synced by ${other?.holder ?? "another run"}` +
        ` (its lease runs to ${other?.expires ?? "?"} UTC unless renewed); wait for it, or stop it.`,
    })
  }).pipe(Effect.flatMap(lease => (lease instanceof LeaseError ? Effect.fail(lease) : Effect.succeed(lease))))

/** Renews a lease within a transaction and locks it until the commit; throws `LeaseError` when it is lost. */
export const renewWithin = async (tx: postgres.ISql, held: Held): Promise<void> => {
  const { count } = await tx`
    UPDATE sync.leases SET expires_at = clock_timestamp() + make_interval(secs => ${held.leaseSeconds})
    WHERE account = ${held.account} AND stream = ${held.stream} AND fence = ${held.fence}`
  if (count === 0) {
    throw new LeaseError({
      reason: "lost",
      message:
        `${describe(held.account, held.stream)}: another run took the lease over while this one was not heard of;` +
        " nothing more was written, the other run goes on.",
    })
  }
}

const underLease = <A>(run: () => Promise<A>): Effect.Effect<A, LeaseError | WarehouseError> =>
  Effect.tryPromise({
    try: run,
    catch: error => (error instanceof LeaseError ? error : warehouseError(error)),
  })

/** Runs SQL that may be run twice, again where Postgres was in the way for a moment. */
export const persistently = <A>(run: () => Promise<A>): Effect.Effect<A, LeaseError | WarehouseError> =>
  retryTransient(underLease(run))

/** Renews a lease between commits. */
export const renew = (sql: postgres.Sql, held: Held): Effect.Effect<void, LeaseError | WarehouseError> =>
  underLease(() => renewWithin(sql, held))

/** Gives a lease back; one that was lost meanwhile is left alone. */
export const release = (sql: postgres.Sql, held: Held): Effect.Effect<void, WarehouseError> =>
  attempt(async () => {
    await sql`
      UPDATE sync.leases SET expires_at = clock_timestamp()
      WHERE account = ${held.account} AND stream = ${held.stream} AND fence = ${held.fence}`
  })
