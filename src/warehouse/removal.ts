import type { Stream } from "../Stream.ts"
import { arrayLiteral, shapeOf, type Transaction } from "./bulk.ts"
import type { Held } from "./Lease.ts"
import { notShown } from "./missing.ts"

/** What the end of a complete pass books as removed. */

/** A pass that came to its end. `gone` and `there` are what by-id endpoints said about records it did not show. */
export interface Ended {
  readonly passId: string
  readonly provesRemoval: boolean
  readonly gone?: ReadonlyArray<string>
  readonly there?: ReadonlyArray<string>
}

/** Why nothing was booked as removed although something is missing. */
export const namelessNote = (nameless: number): string =>
  `${nameless} listed records have no id that can be read, and may be the very ones that seem to be missing:` +
  " nothing was booked as removed but what its by-id endpoint calls gone."

/** Whether there is a record that the pass was not shown. */
export const anyMissing = async (tx: Transaction, held: Held, stream: Stream, { passId }: Ended) => {
  const rows = await tx.unsafe(
    `SELECT FROM ${shapeOf(stream.table).table} AS t WHERE ${notShown(stream)} LIMIT 1`,
    [held.account, passId],
  )
  return rows.length > 0
}

/** Books what by-id endpoints call gone. */
export const bookGone = async (
  tx: Transaction,
  held: Held,
  stream: Stream,
  { gone = [] }: Ended,
): Promise<number> => {
  const { count } = await tx.unsafe(
    `UPDATE ${shapeOf(stream.table).table} AS t SET removed_at = clock_timestamp()
     WHERE t.account = $1 AND t.removed_at IS NULL AND t."${stream.idColumn}" = ANY ($2::text[])`,
    [held.account, arrayLiteral(gone)],
  )
  return count
}

/** Books what neither this pass nor the one before it was shown, and keeps what this one was not for the next. */
export const bookMissing = async (
  tx: Transaction,
  held: Held,
  stream: Stream,
  { passId, there = [] }: Ended,
): Promise<number> => {
  const { table } = shapeOf(stream.table)
  const id = `t."${stream.idColumn}"`
  const scope = [held.account, passId, held.stream, arrayLiteral(there)]
  const missing = `${notShown(stream)} AND ${id} <> ALL ($4::text[])`
  const twice = await tx.unsafe(
    `UPDATE ${table} AS t SET removed_at = clock_timestamp()
     FROM sync.missing_keys AS m
     WHERE ${missing} AND m.account = $1 AND m.stream = $3 AND m.record_id = ${id}`,
    scope,
  )
  await tx`DELETE FROM sync.missing_keys WHERE account = ${held.account} AND stream = ${held.stream}`
  await tx.unsafe(
    `INSERT INTO sync.missing_keys (account, stream, record_id) SELECT $1, $3, ${id} FROM ${table} AS t WHERE ${missing}`,
    scope,
  )
  return twice.count
}
