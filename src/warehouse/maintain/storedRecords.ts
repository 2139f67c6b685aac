import type { Stream } from "../../core/stream.ts"
import { arrayLiteral } from "../../postgres/bulk.ts"
import { shapeOf, type Transaction } from "../../postgres/shape.ts"
import type { Lease } from "../ledger/lease.ts"
import { EMPTIED_HASH } from "./emptyPersonalColumns.ts"

/** Reads the stored raw records of a stream in the order of their ids, a batch at a time. */

/** Stored records that are read and written together: at most so many, and so many bytes of JSON text but for the first. */
const BATCH_RECORDS = 1_000
const BATCH_BYTES = 8_000_000
export interface Stored {
  readonly id: string
  readonly raw: string
  readonly readAt: string
}

/** Which stored records are walked: all but those that are left out. */
export interface Walked {
  /** Only those of these ids. */
  readonly some?: ReadonlyArray<string> | null
  /** Records of which only a redacted rest is left are left out: nothing can be made anew of it until they are read again. */
  readonly isEmptiedLeft?: boolean
}

/** The records after an id, all or some, as many as a batch may hold; of a look-up those that have an answer. */
export const storedAfter = (
  tx: Transaction,
  lease: Lease,
  stream: Stream,
  after: string,
  { some = null, isEmptiedLeft = false }: Walked,
) => {
  const { table, types } = shapeOf(stream.table)
  const id = `t."${stream.idColumn}"`
  return tx.unsafe<Array<Stored>>(
    `WITH following AS (
       SELECT ${id} AS id, octet_length(t.raw::text)::bigint AS bytes FROM ${table} AS t
       WHERE t.account = $1 AND ${id} > $2 AND t.raw IS NOT NULL
         AND ($3::text[] IS NULL OR ${id} = ANY ($3::text[]))
         ${isEmptiedLeft && types.has("content_hash") ? `AND t.content_hash <> '${EMPTIED_HASH}'` : ""} ORDER BY ${id} LIMIT ${BATCH_RECORDS}
     ), batch AS (
       SELECT id, sum(bytes) OVER (ORDER BY id ROWS UNBOUNDED PRECEDING) - bytes AS before FROM following
     )
     SELECT ${id} AS id, t.raw::text AS raw, ${types.has("read_at") ? "t.read_at" : "t.checked_at"} AS "readAt"
     FROM ${table} AS t
     WHERE t.account = $1 AND ${id} IN (SELECT id FROM batch WHERE before < ${BATCH_BYTES}) ORDER BY ${id}`,
    [lease.account, after, some === null ? null : arrayLiteral(some)],
  )
}
