import type postgres from "postgres"
import { isJsonObject, type Json } from "../../core/json.ts"
import { idText } from "../../core/recordId.ts"
import type { Stream } from "../../core/stream.ts"
import { arrayLiteral } from "../../postgres/bulk.ts"
import { type SqlEffect, shapeOf } from "../../postgres/shape.ts"
import { read } from "../../postgres/statements.ts"
import { isStorable } from "../../postgres/unstorable.ts"
import type { Lease } from "../ledger/lease.ts"

/** Merchants of records. A stream whose records name none has no merchant field. */

const fieldOf = ({ source }: Stream): string | null => (source.kind === "list" ? source.merchantField : null)

/** The merchant that a record names; null if it names none. */
export const merchantOf = (stream: Stream, record: Json): string | null => {
  const field = fieldOf(stream)
  const merchant = field !== null && isJsonObject(record) ? idText(record[field]) : null
  return merchant !== null && isStorable(merchant) ? merchant : null
}

/** Selects the merchants with stored records of an account. */
export const merchantsAmong = async (
  sql: postgres.ISql,
  account: string,
  stream: Stream,
  merchants: Iterable<string>,
): Promise<ReadonlySet<string>> => {
  const names = [...new Set(merchants)]
  if (names.length === 0) return new Set()
  const rows = await sql.unsafe<Array<{ merchant: string }>>(
    `SELECT m.merchant FROM unnest($2::text[]) AS m(merchant)
     WHERE EXISTS (SELECT FROM ${shapeOf(stream.table).table} WHERE account = $1 AND "${fieldOf(stream)}" = m.merchant)`,
    [account, arrayLiteral(names)],
  )
  return new Set(rows.map(({ merchant }) => merchant))
}

/** Selects as `merchantsAmong`, with retries. */
export const storedMerchants = (
  sql: postgres.Sql,
  account: string,
  stream: Stream,
  merchants: Iterable<string>,
): SqlEffect<ReadonlySet<string>> => read(() => merchantsAmong(sql, account, stream, merchants))

export interface KnownMerchants {
  /** An earlier pass over the whole list was completed. */
  readonly hasFull: boolean
  /** One merchant with stored records; null if no stored record names one. */
  readonly one: string | null
}

/** Reads from the warehouse whose records a stream's are. The stream must have a merchant field. */
export const knownMerchants = (
  sql: postgres.Sql,
  lease: Pick<Lease, "account" | "stream">,
  stream: Stream,
): SqlEffect<KnownMerchants> =>
  read(async () => {
    const column = `"${fieldOf(stream)}"`
    const [facts] = await sql.unsafe<[KnownMerchants]>(
      `SELECT EXISTS (
         SELECT FROM sync.stream_runs WHERE account = $1 AND stream = $2 AND mode = 'full'
           AND status IN ('complete', 'complete_with_rejects')
       ) AS "hasFull",
       (SELECT ${column} FROM ${shapeOf(stream.table).table} WHERE account = $1 AND ${column} IS NOT NULL LIMIT 1) AS one`,
      [lease.account, lease.stream],
    )
    return facts
  })
