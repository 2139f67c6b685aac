import { arraysOf, unnestOf } from "../../postgres/bulk.ts"
import type { Transaction } from "../../postgres/shape.ts"
import { FENCED, type Lease, lost, type Name } from "./lease.ts"

const fencesOf = (leases: ReadonlyArray<Lease>) =>
  arraysOf(
    FENCED,
    leases.map(({ account, stream, fence }) => ({ account, stream, fence })),
  )

/**
 * Locks further leases within a transaction, in the order that all use, until it ends: no run can take them over meanwhile.
 * Throws `LeaseError` if one of them is lost.
 */
export const lockAll = async (tx: Transaction, leases: ReadonlyArray<Lease>): Promise<void> => {
  const locked = await tx.unsafe<Array<Name>>(
    `SELECT l.account, l.stream FROM sync.leases AS l JOIN ${unnestOf(FENCED, 1)} USING (account, stream)
     WHERE l.fence = s.fence::bigint ORDER BY l.account, l.stream FOR UPDATE OF l`,
    fencesOf(leases),
  )
  const gone = leases.find(
    ({ account, stream }) => !locked.some(lease => lease.account === account && lease.stream === stream),
  )
  if (gone !== undefined) throw lost(gone)
}
