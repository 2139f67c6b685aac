import type { Effect } from "effect"
import type postgres from "postgres"
import type { FeeOwner } from "../../core/account.ts"
import type { WarehouseError } from "../../core/errors.ts"
import type { Stream } from "../../core/stream.ts"
import { beginWriting } from "../../postgres/interference.ts"
import { type Shape, shapeOf, type Transaction } from "../../postgres/shape.ts"
import { write } from "../../postgres/statements.ts"
import { markChange } from "./marks.ts"

/** The zone of an account's days and the owner of its fees: in `warehouse.account_settings`. */

/** Column with the zone of a row's day, in tables that have one. */
const ZONE_COLUMN = "time_zone"

/** Zone of an account without a setting. */
export const DEFAULT_TIMEZONE = "UTC"

/** Settings that the figures of an account rest on. */
export interface Reckoning {
  /** IANA name of the zone of its days. */
  readonly reportTimezone: string
  readonly feeOwner: FeeOwner
}

/** Settings before and after they were stored. */
export interface StoredReckoning {
  readonly before: Reckoning
  readonly after: Reckoning
}

const reckoningOf = async (tx: Transaction, account: string): Promise<Reckoning> => {
  const [stored] = await tx<Array<{ zone: string | null; fee_owner: FeeOwner | null }>>`
    SELECT report_timezone AS zone, fee_owner FROM warehouse.account_settings WHERE account = ${account}`
  return { reportTimezone: stored?.zone ?? DEFAULT_TIMEZONE, feeOwner: stored?.fee_owner ?? "owner" }
}

/** Tables of streams whose rows hold the zone of their day. */
export const zonedTables = (streams: ReadonlyArray<Stream>): ReadonlyArray<string> =>
  streams
    .map(({ table }) => shapeOf(table))
    .flatMap(({ table, types }) => (types.has(ZONE_COLUMN) ? [table] : []))

/**
 * Stores settings that an account's figures rest on; what is not given stays as it is. A new zone makes the day of each row
 * of `tables` and the totals by day anew in the same commit, without the API. Loaders wait meanwhile, readers do not.
 */
export const storeReckoning = (
  sql: postgres.Sql,
  tables: ReadonlyArray<string>,
  account: string,
  given: Partial<Reckoning>,
): Effect.Effect<StoredReckoning, WarehouseError> =>
  write(() =>
    beginWriting(sql, async tx => {
      const before = await reckoningOf(tx, account)
      const after = { ...before, ...given }
      if (after.reportTimezone === before.reportTimezone && after.feeOwner === before.feeOwner)
        return { before, after }
      // A loader that read the old zone has committed before this lock is given.
      for (const table of tables) await tx.unsafe(`LOCK TABLE ${table} IN SHARE ROW EXCLUSIVE MODE`)
      await tx`
        INSERT INTO warehouse.account_settings AS s (account, report_timezone, fee_owner)
        VALUES (${account}, ${after.reportTimezone}, ${after.feeOwner})
        ON CONFLICT (account) DO UPDATE SET report_timezone = excluded.report_timezone, fee_owner = excluded.fee_owner`
      await markChange(tx, account, "account_settings")
      for (const table of tables)
        await tx.unsafe(
          `UPDATE ${table} SET ${ZONE_COLUMN} = $1 WHERE account = $2 AND ${ZONE_COLUMN} <> $1`,
          [after.reportTimezone, account],
        )
      return { before, after }
    }),
  )

/**
 * The zone of an account's days, for rows of `table` that the same transaction writes: it cannot change before the commit.
 * Undefined for a table without such a column.
 */
export const zoneFor = async (
  tx: Transaction,
  { table, types }: Shape,
  account: string,
): Promise<string | undefined> => {
  if (!types.has(ZONE_COLUMN)) return undefined
  await tx.unsafe(`LOCK TABLE ${table} IN ROW EXCLUSIVE MODE`)
  return (await reckoningOf(tx, account)).reportTimezone
}
