import { arraysOf, unnestOf } from "../../postgres/bulk.ts"
import { NotStored } from "../../postgres/failures.ts"
import type { Transaction } from "../../postgres/shape.ts"
import type { Lease } from "../ledger/lease.ts"
import type { Reject } from "../ledger/rejects.ts"
import type { HashedRecord } from "./prepare.ts"

/**
 * Throws `NotStored` where a reject of a batch is not among those that are kept. A record that came more than once is left
 * out: its later version answers the earlier one.
 */
export const refuseLostRejects = async (
  tx: Transaction,
  lease: Lease,
  records: ReadonlyArray<HashedRecord>,
  rejects: ReadonlyArray<Reject>,
): Promise<void> => {
  if (rejects.length === 0) return
  const times = new Map<string, number>()
  for (const { id } of records) if (id !== null) times.set(id, (times.get(id) ?? 0) + 1)
  const columns = ["content_hash"]
  const rows = rejects
    .filter(({ id }) => id === null || times.get(id) === 1)
    .map(({ hash }) => ({ content_hash: hash }))
  await tx`SET CONSTRAINTS ALL IMMEDIATE`
  const [lost] = await tx.unsafe<Array<{ count: number }>>(
    `SELECT count(*)::int AS count FROM ${unnestOf(columns, 3)}
     WHERE NOT EXISTS (
       SELECT FROM sync.rejects AS r
       WHERE r.account = $1 AND r.stream = $2 AND r.content_hash = s.content_hash AND r.kind IN ('record', 'merchant'))`,
    [lease.account, lease.stream, ...arraysOf(columns, rows)],
  )
  if (lost!.count > 0)
    throw new NotStored(
      `Postgres took ${lost!.count} of ${rows.length} rejects and did not keep them: nothing of this batch was stored.` +
        " See which triggers sync.rejects has, and remove the one that does this.",
    )
}
