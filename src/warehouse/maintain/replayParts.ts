import type { Guarded } from "../../core/stream.ts"
import { arrayLiteral } from "../../postgres/bulk.ts"
import type { Transaction } from "../../postgres/shape.ts"
import type { Lease } from "../ledger/lease.ts"
import { type Counts, NO_COUNTS } from "../load/loader.ts"
import { rewriteSome } from "./rewrite.ts"

/** A reject of a part of a stored record, as far as a replay needs it. */
interface KeptPart {
  readonly id: string
  readonly recordId: string | null
}

/** Makes the rows of records anew in which a part could not be read; what can be read now is no reject any more. */
export const replayParts = async (
  tx: Transaction,
  lease: Lease,
  stream: Guarded,
  kept: ReadonlyArray<KeptPart>,
): Promise<Counts> => {
  if (kept.length === 0) return NO_COUNTS
  const ids = [...new Set(kept.flatMap(({ recordId }) => recordId ?? []))]
  const { changed, failures } = await rewriteSome(tx, lease, stream, ids, stream.redact)
  const [still] = await tx<Array<{ fieldRejected: number; itemRejected: number }>>`
    SELECT (count(*) FILTER (WHERE kind = 'field'))::int AS "fieldRejected",
      (count(*) FILTER (WHERE kind = 'item'))::int AS "itemRejected"
    FROM sync.rejects WHERE reject_id = ANY (${arrayLiteral(kept.map(({ id }) => id))}::bigint[])`
  return {
    ...NO_COUNTS,
    extracted: ids.length,
    updated: changed,
    unchanged: ids.length - changed - failures.length,
    rejected: failures.length,
    ...still!,
  }
}
