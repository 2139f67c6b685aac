import type { Effect } from "effect"
import type postgres from "postgres"
import type { LeaseError, WarehouseError } from "../../core/errors.ts"
import { reading } from "../../postgres/connect.ts"
import { fenced, type Held } from "./lease.ts"

/** What discovery found about a list endpoint, kept for the next run: `sync.contracts`. */

/** The stored contract of a stream, as JSON; what it means is for the side that speaks HTTP to say. */
export const storedContract = (
  sql: postgres.Sql,
  account: string,
  stream: string,
): Effect.Effect<unknown, WarehouseError> =>
  reading(async () => {
    const [row] = await sql<Array<{ contract: unknown }>>`
      SELECT contract FROM sync.contracts WHERE account = ${account} AND stream = ${stream}`
    return row?.contract
  })

/** Keeps a contract as found or verified now. */
export const storeContract = (
  sql: postgres.Sql,
  held: Held,
  contract: { readonly path: string; readonly verified: boolean },
): Effect.Effect<void, LeaseError | WarehouseError> =>
  fenced(sql, held, async tx => {
    await tx`
      INSERT INTO sync.contracts AS c (account, stream, path, is_verified, contract, found_at, verified_at)
      VALUES (${held.account}, ${held.stream}, ${contract.path}, ${contract.verified},
        ${JSON.stringify(contract)}::text::jsonb, clock_timestamp(),
        CASE WHEN ${contract.verified} THEN clock_timestamp() END)
      ON CONFLICT (account, stream) DO UPDATE
      SET path = excluded.path, is_verified = excluded.is_verified, contract = excluded.contract,
        found_at = CASE WHEN c.contract = excluded.contract THEN c.found_at ELSE excluded.found_at END,
        verified_at = coalesce(excluded.verified_at, c.verified_at)`
  })
