import type postgres from "postgres"
import type { SqlEffect } from "../../postgres/shape.ts"
import { read } from "../../postgres/statements.ts"
import { inLeaseTx, type Lease, type LeaseEffect } from "./lease.ts"

/** Contracts: facts that discovery found about list endpoints, kept for the next run in `sync.contracts`. */

/** Reads the stored contract of a stream; undefined if there is none, or if it does not decode. */
export const storedContract = <A>(
  sql: postgres.Sql,
  account: string,
  stream: string,
  decode: (stored: unknown) => A | undefined,
): SqlEffect<A | undefined> =>
  read(async () => {
    const [row] = await sql<Array<{ contract: unknown }>>`
      SELECT contract FROM sync.contracts WHERE account = ${account} AND stream = ${stream}`
    return row === undefined ? undefined : decode(row.contract)
  })

/** Stores a contract as found or verified now. */
export const storeContract = <A extends { readonly path: string; readonly verified: boolean }>(
  sql: postgres.Sql,
  lease: Lease,
  contract: A,
): LeaseEffect<void> =>
  inLeaseTx(sql, lease, async tx => {
    await tx`
      INSERT INTO sync.contracts AS c (account, stream, path, is_verified, contract, found_at, verified_at)
      VALUES (${lease.account}, ${lease.stream}, ${contract.path}, ${contract.verified},
        ${JSON.stringify(contract)}::text::jsonb, clock_timestamp(),
        CASE WHEN ${contract.verified} THEN clock_timestamp() END)
      ON CONFLICT (account, stream) DO UPDATE
      SET path = excluded.path, is_verified = excluded.is_verified, contract = excluded.contract,
        found_at = CASE WHEN c.contract = excluded.contract THEN c.found_at ELSE excluded.found_at END,
        verified_at = coalesce(excluded.verified_at, c.verified_at)`
  })
