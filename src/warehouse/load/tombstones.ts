import { createHash } from "node:crypto"
import type postgres from "postgres"
import { isJsonObject, type Json } from "../../core/json.ts"
import { DROP, redactor } from "../../core/privacy.ts"
import { idText } from "../../core/recordId.ts"
import type { Stream } from "../../core/stream.ts"
import { arrayLiteral, arraysOf, unnestOf } from "../../postgres/bulk.ts"
import type { Transaction } from "../../postgres/shape.ts"

/**
 * Tombstones keep the data of erased persons from being stored again. They hold hashes of ids. Ids are random values of 128
 * bits, so a hash says nothing to a reader without the id.
 */

/** SHA-256 of an id, in hex. */
export const idHash = (id: string): string => createHash("sha256").update(id).digest("hex")

export interface Tombstone {
  readonly stream: string
  readonly idHash: string
}

/** A batch of records without the data of erased persons. */
export interface Shielded<A> {
  readonly kept: ReadonlyArray<A>
  /** Hashed ids of the erased persons' own records, which are left out. */
  readonly erased: ReadonlyArray<string>
  /** Tombstones of records of other streams that an erased person's record leads to. */
  readonly tombstones: ReadonlyArray<Tombstone>
}

/** Makes a tombstone for each id. */
export const tombstonesFor = (stream: string, ids: Iterable<string>): ReadonlyArray<Tombstone> =>
  Array.from(ids, id => ({ stream, idHash: idHash(id) }))

/** The stream whose tombstones name this one's data subjects; undefined if it has none. */
const tombstonesOf = ({ name, personal: { subject } }: Stream): string | undefined =>
  subject?.kind === "referred" ? name : subject?.of

/** Depth to which ids are looked for in a value: a field for an id may hold the person as an object instead. */
const ID_DEPTH_MAX = 5

/** Collects the ids in a field, also from an object or a list in it. */
const idsIn = (value: Json | undefined, depth = 0): ReadonlyArray<string> => {
  const id = idText(value)
  if (id !== null) return [id]
  if (depth === ID_DEPTH_MAX) return []
  const inner = Array.isArray(value) ? value : isJsonObject(value) ? Object.values(value) : []
  return inner.flatMap((one: Json) => idsIn(one, depth + 1))
}

/** Hashes the ids by which a record may be an erased person's. */
const personsOf = ({ source, personal: { subject } }: Stream, record: Json): ReadonlyArray<string> => {
  if (subject === undefined || !isJsonObject(record)) return []
  const fields =
    subject.kind === "self"
      ? [source.idField]
      : subject.kind === "named"
        ? [subject.field]
        : Object.keys(subject.ids)
  return fields.flatMap(field => idsIn(record[field]).map(idHash))
}

/** Makes a tombstone for the record that an erased person's record leads to. */
const leadFrom = ({ personal: { subject } }: Stream, record: Json): ReadonlyArray<Tombstone> => {
  if (subject?.kind !== "named" || subject.leadsTo === undefined || !isJsonObject(record)) return []
  const id = idText(record[subject.leadsTo.field])
  return id === null ? [] : tombstonesFor(subject.leadsTo.stream, [id])
}

/**
 * Removes erased persons from a batch: leaves out their own records, and drops the personal fields of records that name
 * them. Costs one short query if the stream has no tombstone.
 */
export const withoutErased = async <A extends { readonly record: Json }>(
  sql: postgres.ISql,
  account: string,
  stream: Stream,
  extracted: ReadonlyArray<A>,
): Promise<Shielded<A>> => {
  const nothing = { kept: extracted, erased: [], tombstones: [] }
  const subjects = tombstonesOf(stream)
  if (subjects === undefined) return nothing
  const [any] =
    await sql`SELECT 1 FROM sync.erasures WHERE account = ${account} AND stream = ${subjects} LIMIT 1`
  if (any === undefined) return nothing
  const persons = extracted.map(({ record }) => personsOf(stream, record))
  const hashes = [...new Set(persons.flat())]
  const rows = await sql<Array<{ hash: string }>>`
    SELECT id_hash AS hash FROM sync.erasures
    WHERE account = ${account} AND stream = ${subjects} AND id_hash = ANY(${arrayLiteral(hashes)}::text[])`
  if (rows.length === 0) return nothing
  const isErased = new Set(rows.map(({ hash }) => hash))
  const drop = redactor(stream.personal, stream.source.idField, DROP)
  const kept: Array<A> = []
  const erased: Array<string> = []
  const tombstones: Array<Tombstone> = []
  for (const [i, item] of extracted.entries()) {
    const [hash] = persons[i]!.filter(candidate => isErased.has(candidate))
    if (hash === undefined) kept.push(item)
    else if (stream.personal.subject?.kind === "self") erased.push(hash)
    else {
      kept.push({ ...item, record: drop(item.record) })
      tombstones.push(...leadFrom(stream, item.record))
    }
  }
  return { kept, erased, tombstones }
}

/** Inserts tombstones. One that exists already stays. */
export const insertTombstones = async (
  tx: Transaction,
  account: string,
  tombstones: ReadonlyArray<Tombstone>,
): Promise<void> => {
  if (tombstones.length === 0) return
  const columns = ["stream", "id_hash"]
  const rows = tombstones.map(({ stream, idHash }) => ({ stream, id_hash: idHash }))
  await tx.unsafe(
    `INSERT INTO sync.erasures (account, stream, id_hash, erased_at)
     SELECT DISTINCT $1, s.stream, s.id_hash, clock_timestamp() FROM ${unnestOf(columns, 2)}
     ON CONFLICT DO NOTHING`,
    [account, ...arraysOf(columns, rows)],
  )
}
