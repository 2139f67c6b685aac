import type { Stream } from "../../core/stream.ts"
import { arrayLiteral, arraysOf, unnestOf } from "../../postgres/bulk.ts"
import { shapeOf, type Transaction } from "../../postgres/shape.ts"
import type { Lease } from "../ledger/lease.ts"
import { idHash } from "../load/tombstones.ts"
import { eraseWithin, ownTables, strip, unheldLeases } from "./erase.ts"

/**
 * Erases persons a second time, by their tombstones alone: a backup from before an erasure brings their data back. A
 * tombstone is a hash, so it finds ids by hashing what is stored.
 */

/** A row of `sync.erasures`. */
export interface KeptTombstone {
  readonly account: string
  readonly stream: string
  readonly idHash: string
  readonly erasedAt: string
}

/** Rejects that are searched together. */
const REJECTS_BATCH = 1_000

/** Hashes a column's text as `idHash` does. */
const hashed = (column: string): string => `encode(sha256(convert_to("${column}", 'UTF8')), 'hex')`

/** Extracts every text of a JSON text that may be an id. Words are added because the JSON may not parse. */
const textsIn = (raw: string): ReadonlyArray<string> => {
  const quoted = raw.match(/"(?:[^"\\]|\\.)*"/g) ?? []
  const texts = quoted.flatMap(text => {
    try {
      return [JSON.parse(text) as string]
    } catch {
      return []
    }
  })
  return [...texts, ...(raw.match(/[\w.-]+/g) ?? [])]
}

/** Reads the ids of an account's stored persons with one of these hashes. */
const personsStored = async (
  tx: Transaction,
  account: string,
  streams: ReadonlyArray<Stream>,
  hashes: ReadonlyArray<string>,
): Promise<ReadonlyArray<string>> => {
  const ids = new Set<string>()
  const naming = streams.flatMap(({ table, personal: { subject } }) =>
    subject?.kind === "named" ? [[shapeOf(table).table, subject.field] as const] : [],
  )
  for (const [table, column] of [...ownTables(streams), ...naming]) {
    const rows = await tx.unsafe<Array<{ id: string }>>(
      `SELECT DISTINCT "${column}" AS id FROM ${table} WHERE account = $1 AND ${hashed(column)} = ANY ($2::text[])`,
      [account, arrayLiteral(hashes)],
    )
    for (const { id } of rows) ids.add(id)
  }
  return [...ids]
}

/** Strips the records of a stream that an erased person's record led to. */
const stripReferred = async (
  tx: Transaction,
  lease: Lease,
  stream: Stream,
  hashes: ReadonlyArray<string>,
): Promise<void> => {
  const { subject } = stream.personal
  if (subject?.kind !== "referred" || hashes.length === 0) return
  const columns = [...new Set(Object.values(subject.ids))]
  const records = await tx.unsafe<Array<{ id: string }>>(
    `SELECT "${stream.idColumn}" AS id FROM ${shapeOf(stream.table).table} WHERE account = $1
       AND (${columns.map(column => `${hashed(column)} = ANY ($2::text[])`).join(" OR ")})`,
    [lease.account, arrayLiteral(hashes)],
  )
  await strip(tx, lease, stream, records)
}

/** Deletes the rejects with a text that is an id of one of these hashes. */
const dropRejects = async (tx: Transaction, account: string, hashes: ReadonlySet<string>): Promise<void> => {
  let after = "0"
  while (true) {
    const batch = await tx<Array<{ id: string; recordId: string | null; raw: string }>>`
      SELECT reject_id::text AS id, record_id AS "recordId", raw FROM sync.rejects
      WHERE account = ${account} AND reject_id > ${after}::text::bigint ORDER BY reject_id LIMIT ${REJECTS_BATCH}`
    const naming = batch.flatMap(({ id, recordId, raw }) =>
      [recordId ?? "", ...textsIn(raw)].some(text => hashes.has(idHash(text))) ? [id] : [],
    )
    if (naming.length > 0)
      await tx`DELETE FROM sync.rejects WHERE reject_id = ANY (${arrayLiteral(naming)}::text::bigint[])`
    const last = batch.at(-1)
    if (last === undefined || batch.length < REJECTS_BATCH) return
    after = last.id
  }
}

/** Inserts tombstones. Returns those that are new. */
const keep = (
  tx: Transaction,
  tombstones: ReadonlyArray<KeptTombstone>,
): Promise<ReadonlyArray<Omit<KeptTombstone, "erasedAt">>> => {
  const columns = ["account", "stream", "idHash", "erasedAt"]
  return tx.unsafe<Array<Omit<KeptTombstone, "erasedAt">>>(
    `INSERT INTO sync.erasures (account, stream, id_hash, erased_at)
     SELECT s.account, s.stream, s."idHash", min(s."erasedAt"::timestamptz) FROM ${unnestOf(columns, 1)} GROUP BY 1, 2, 3
     ON CONFLICT DO NOTHING RETURNING account, stream, id_hash AS "idHash"`,
    arraysOf(
      columns,
      tombstones.map(tombstone => ({ ...tombstone })),
    ),
  )
}

/**
 * Inserts these tombstones, and erases the stored persons and records of those that are new: rows, histories, children, raw
 * records and rejects. Returns the number of persons with stored data. The caller keeps all others from writing.
 */
export const eraseAgain = async (
  tx: Transaction,
  streams: ReadonlyArray<Stream>,
  tombstones: ReadonlyArray<KeptTombstone>,
): Promise<number> => {
  const added = await keep(tx, tombstones)
  let persons = 0
  for (const account of new Set(added.map(tombstone => tombstone.account))) {
    const own = added.filter(tombstone => tombstone.account === account)
    const hashes = own.map(tombstone => tombstone.idHash)
    const leases = unheldLeases(account, streams)
    const ids = await personsStored(tx, account, streams, hashes)
    for (const id of ids) await eraseWithin(tx, leases, streams, id)
    for (const [i, stream] of streams.entries()) {
      const ofStream = own.filter(tombstone => tombstone.stream === stream.name)
      const led = ofStream.map(tombstone => tombstone.idHash)
      await stripReferred(tx, leases[i]!, stream, led)
    }
    await dropRejects(tx, account, new Set(hashes))
    persons += ids.length
  }
  return persons
}
