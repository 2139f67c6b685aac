import { randomUUID } from "node:crypto"
import type { Stream } from "../../core/stream.ts"
import { arrayLiteral, arraysOf, unnestOf } from "../../postgres/bulk.ts"
import { shapeOf, type Transaction } from "../../postgres/shape.ts"
import type { Lease } from "../ledger/lease.ts"
import { idHash } from "../load/tombstones.ts"
import { eraseWithin, ownTables, stripOf } from "./erase.ts"

/**
 * Erases persons a second time, by their tombstones alone: a backup that is older than an erasure brings back what was
 * erased since. A tombstone is a hash, so ids are found by hashing what is stored.
 */

/** A tombstone as `sync.erasures` holds it. */
export interface KeptTombstone {
  readonly account: string
  readonly stream: string
  readonly idHash: string
  readonly erasedAt: string
}

/** Rejects that are looked through together. */
const REJECTS_BATCH = 1_000

/** The hash of a column's text, as `idHash` makes it. */
const hashed = (column: string): string => `encode(sha256(convert_to(${column}, 'UTF8')), 'hex')`

/** Every text in a JSON text that may be an id, and every word of one that cannot be parsed. */
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

/** Ids of an account's stored persons that one of these hashes is of. */
const personsStored = async (
  tx: Transaction,
  account: string,
  streams: ReadonlyArray<Stream>,
  hashes: ReadonlyMap<string, ReadonlySet<string>>,
): Promise<ReadonlyArray<string>> => {
  const ids = new Set<string>()
  const named = streams.flatMap(({ table, personal: { subject } }) =>
    subject?.kind === "named" ? [[shapeOf(table).table, subject.field] as const] : [],
  )
  const wanted = [...new Set([...hashes.values()].flatMap(set => [...set]))]
  for (const [table, column] of [...ownTables(streams), ...named]) {
    const found = await tx.unsafe<Array<{ id: string }>>(
      `SELECT DISTINCT "${column}" AS id FROM ${table} WHERE account = $1 AND ${hashed(`"${column}"`)} = ANY ($2::text[])`,
      [account, arrayLiteral(wanted)],
    )
    for (const { id } of found) ids.add(id)
  }
  return [...ids]
}

/** Takes what is personal from records that an erased person's record led to. */
const stripReferred = async (
  tx: Transaction,
  leaseOf: (stream: Stream) => Lease,
  streams: ReadonlyArray<Stream>,
  hashes: ReadonlyMap<string, ReadonlySet<string>>,
): Promise<void> => {
  for (const stream of streams) {
    const { subject } = stream.personal
    const wanted = hashes.get(stream.name)
    if (subject?.kind !== "referred" || wanted === undefined) continue
    const lease = leaseOf(stream)
    const columns = [...new Set(Object.values(subject.ids))]
    const found = await tx.unsafe<Array<{ id: string }>>(
      `SELECT "${stream.idColumn}" AS id FROM ${shapeOf(stream.table).table} WHERE account = $1
         AND (${columns.map(column => `${hashed(`"${column}"`)} = ANY ($2::text[])`).join(" OR ")})`,
      [lease.account, arrayLiteral([...wanted])],
    )
    await stripOf(
      tx,
      lease,
      stream,
      found.map(({ id }) => id),
    )
  }
}

/** Deletes the rejects in which any text is an id of one of these hashes. */
const dropRejects = async (
  tx: Transaction,
  account: string,
  hashes: ReadonlyMap<string, ReadonlySet<string>>,
): Promise<void> => {
  const wanted = new Set([...hashes.values()].flatMap(set => [...set]))
  let after = "0"
  while (true) {
    const batch = await tx<Array<{ id: string; recordId: string | null; raw: string }>>`
      SELECT reject_id::text AS id, record_id AS "recordId", raw FROM sync.rejects
      WHERE account = ${account} AND reject_id > ${after}::text::bigint ORDER BY reject_id LIMIT ${REJECTS_BATCH}`
    const naming = batch.filter(({ recordId, raw }) =>
      [recordId ?? "", ...textsIn(raw)].some(text => wanted.has(idHash(text))),
    )
    if (naming.length > 0)
      await tx`DELETE FROM sync.rejects WHERE reject_id = ANY (${arrayLiteral(naming.map(({ id }) => id))}::text::bigint[])`
    const last = batch.at(-1)
    if (last === undefined || batch.length < REJECTS_BATCH) return
    after = last.id
  }
}

/** Keeps tombstones; answers those that were not there yet. */
const keep = (
  tx: Transaction,
  tombstones: ReadonlyArray<KeptTombstone>,
): Promise<ReadonlyArray<Omit<KeptTombstone, "erasedAt">>> => {
  const columns = ["account", "stream", "id_hash", "erased_at"]
  const rows = tombstones.map(({ account, stream, idHash: hash, erasedAt }) => ({
    account,
    stream,
    id_hash: hash,
    erased_at: erasedAt,
  }))
  return tx.unsafe<Array<Omit<KeptTombstone, "erasedAt">>>(
    `INSERT INTO sync.erasures (account, stream, id_hash, erased_at)
     SELECT DISTINCT ON (s.account, s.stream, s.id_hash) s.account, s.stream, s.id_hash, s.erased_at::timestamptz
     FROM ${unnestOf(columns, 1)} ORDER BY s.account, s.stream, s.id_hash, s.erased_at::timestamptz
     ON CONFLICT DO NOTHING RETURNING account, stream, id_hash AS "idHash"`,
    arraysOf(columns, rows),
  )
}

/**
 * Keeps these tombstones, and erases what is stored of the persons and records that those of them which are new speak
 * of: rows, histories, children, raw records and rejects. Answers how many persons something was stored of. The caller
 * keeps all others from writing.
 */
export const eraseAgain = async (
  tx: Transaction,
  streams: ReadonlyArray<Stream>,
  tombstones: ReadonlyArray<KeptTombstone>,
): Promise<number> => {
  const later = await keep(tx, tombstones)
  let persons = 0
  for (const account of new Set(later.map(tombstone => tombstone.account))) {
    const hashes = new Map<string, Set<string>>()
    for (const tombstone of later)
      if (tombstone.account === account)
        hashes.set(
          tombstone.stream,
          (hashes.get(tombstone.stream) ?? new Set<string>()).add(tombstone.idHash),
        )
    // No lease is needed where nothing else can write; what writes under one asks for the account only.
    const runId = randomUUID()
    const leases = streams.map(({ name }) => ({ account, stream: name, runId, fence: "0", leaseSeconds: 0 }))
    const ids = await personsStored(tx, account, streams, hashes)
    for (const id of ids) await eraseWithin(tx, leases, streams, id)
    await stripReferred(tx, ({ name }) => leases.find(({ stream }) => stream === name)!, streams, hashes)
    await dropRejects(tx, account, hashes)
    persons += ids.length
  }
  return persons
}
