import { sqlState } from "../../postgres/failures.ts"
import type { Transaction } from "../../postgres/shape.ts"

/** SQLSTATE classes of a bad value: the rows with it are at fault, and Postgres is well. */
const BAD_VALUE = /^(22|23|54)/

/**
 * Writes items in one savepoint. If Postgres refuses a value, it writes each half by itself, until the item with that value
 * is alone: `onBad` gets that item, so that one bad record never costs its neighbours. Returns the result of each part, in
 * the order of the items.
 */
export const bisect = async <Item, Result>(
  tx: Transaction,
  items: ReadonlyArray<Item>,
  write: (tx: Transaction, items: ReadonlyArray<Item>) => Promise<Result>,
  onBad: (item: Item, error: unknown) => Result | Promise<Result>,
): Promise<ReadonlyArray<Result>> => {
  if (items.length === 0) return []
  try {
    return [(await tx.savepoint(savepoint => write(savepoint, items))) as Result]
  } catch (error) {
    if (!BAD_VALUE.test(sqlState(error) ?? "")) throw error
    if (items.length === 1) return [await onBad(items[0]!, error)]
    const middle = items.length >> 1
    const first = await bisect(tx, items.slice(0, middle), write, onBad)
    return [...first, ...(await bisect(tx, items.slice(middle), write, onBad))]
  }
}

/** Reason for a reject that Postgres refused. Postgres' own words would quote the value. */
export const refusedReason = (error: unknown): string => `record: Postgres refused it (${sqlState(error)})`
