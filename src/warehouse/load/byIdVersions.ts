import type postgres from "postgres"
import { type JsonObject, parseJson } from "../../core/json.ts"
import { recordIdOf } from "../../core/recordId.ts"
import type { Guarded } from "../../core/stream.ts"
import { type SqlEffect, shapeOf } from "../../postgres/shape.ts"
import { read } from "../../postgres/statements.ts"
import { hashRecord } from "./prepare.ts"
import { withoutErased } from "./tombstones.ts"

/** Records that were read by id, as versions of the records that a list shows. */

/** Makes a by-id answer what the list would show: it leaves out the fields that only by-id answers have. */
export const asListed = (
  { record, readAt }: { readonly record: JsonObject; readonly readAt: Date },
  beyond: ReadonlySet<string>,
) => ({ record: Object.fromEntries(Object.entries(record).filter(([field]) => !beyond.has(field))), readAt })

/**
 * Compares a by-id answer with the stored version, which a list showed. Returns the fields that only the answer has, or
 * undefined if the two differ otherwise, or no version is stored. Those fields must be dropped before an answer is loaded:
 * otherwise list and by-id versions would overwrite each other on alternate runs.
 */
export const fieldsBeyondStored = (
  sql: postgres.Sql,
  account: string,
  stream: Guarded,
  record: JsonObject,
): SqlEffect<ReadonlySet<string> | undefined> =>
  read(async () => {
    const [stored] = await sql.unsafe<Array<{ raw: string; hash: string }>>(
      `SELECT raw::text AS raw, content_hash AS hash FROM ${shapeOf(stream.table).table}
       WHERE account = $1 AND "${stream.idColumn}" = $2 AND removed_at IS NULL`,
      [account, recordIdOf(stream.source, record)],
    )
    if (stored === undefined) return undefined
    const listed = parseJson(stored.raw) as JsonObject
    const beyond = new Set(Object.keys(record).filter(field => !Object.hasOwn(listed, field)))
    const listItem = asListed({ record, readAt: new Date() }, beyond)
    const { kept } = await withoutErased(sql, account, stream, [listItem])
    return kept.some(one => hashRecord(stream, one.record).hash === stored.hash) ? beyond : undefined
  })
