import { createHash } from "node:crypto"
import type postgres from "postgres"
import { isJsonObject, type Json } from "../../core/json.ts"
import { DROP, redactor } from "../../core/privacy.ts"
import { idText } from "../../core/recordId.ts"
import type { Stream } from "../../core/stream.ts"
import { arrayLiteral, arraysOf, unnestOf } from "../../postgres/bulk.ts"
import type { Transaction } from "../../postgres/shape.ts"

/**
 * Tombstones: what is read of a person who was erased is not stored again. They hold hashes of ids; ids are
 * random values of 128 bits, so that a hash tells nothing to those who do not know the id already.
 */

/** SHA-256 of an id, in hex. */
export const idHash = (id: string): string => createHash("sha256").update(id).digest("hex")

export interface Tombstone {
  readonly stream: string
  readonly idHash: string
}

/** A batch of records without what may not be stored. */
export interface Shielded<A> {
  readonly kept: ReadonlyArray<A>
  /** Hashed ids of the records that are left out: those of erased persons. */
  readonly erased: ReadonlyArray<string>
  /** Records of other streams that turned out to be an erased person's. */
  readonly found: ReadonlyArray<Tombstone>
}

/** A tombstone for each id. */
export const tombstonesFor = (stream: string, ids: Iterable<string>): ReadonlyArray<Tombstone> =>
  Array.from(ids, id => ({ stream, idHash: idHash(id) }))

/** The stream whose tombstones speak of this one's records; absent where they are nobody's. */
const tombstonesOf = ({ name, personal: { subject } }: Stream): string | undefined =>
  subject?.kind === "referred" ? name : subject?.of

/** Levels of a value in which ids are looked for: a field that should hold one may hold the person instead. */
const ID_DEPTH_MAX = 5

/** The ids that stand in a field, also where it holds an object or a list that names them. */
const idsIn = (value: Json | undefined, depth = 0): ReadonlyArray<string> => {
  const id = idText(value)
  if (id !== null) return [id]
  if (depth === ID_DEPTH_MAX) return []
  const inner = Array.isArray(value) ? value : isJsonObject(value) ? Object.values(value) : []
  return inner.flatMap((one: Json) => idsIn(one, depth + 1))
}

/** Hashes of the ids by which a record may be an erased person's. */
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

/** The record that an erased person's record leads to. */
const leadFrom = ({ personal: { subject } }: Stream, record: Json): ReadonlyArray<Tombstone> => {
  if (subject?.kind !== "named" || subject.leadsTo === undefined || !isJsonObject(record)) return []
  const id = idText(record[subject.leadsTo.field])
  return id === null ? [] : tombstonesFor(subject.leadsTo.stream, [id])
}

/**
 * Takes erased persons out of a batch: their own records are left out, those that name them lose all that is
 * personal. Costs one short query where nobody was erased.
 */
export const withoutErased = async <A extends { readonly record: Json }>(
  sql: postgres.ISql,
  account: string,
  stream: Stream,
  extracted: ReadonlyArray<A>,
): Promise<Shielded<A>> => {
  const nothing = { kept: extracted, erased: [], found: [] }
  const tombstones = tombstonesOf(stream)
  if (tombstones === undefined) return nothing
  const [any] =
    await sql`SELECT 1 FROM sync.erasures WHERE account = ${account} AND stream = ${tombstones} LIMIT 1`
  if (any === undefined) return nothing
  const persons = extracted.map(({ record }) => personsOf(stream, record))
  const asked = [...new Set(persons.flat())]
  const rows = await sql<Array<{ hash: string }>>`
    SELECT id_hash AS hash FROM sync.erasures
    WHERE account = ${account} AND stream = ${tombstones} AND id_hash = ANY(${arrayLiteral(asked)}::text[])`
  if (rows.length === 0) return nothing
  const isErased = new Set(rows.map(({ hash }) => hash))
  const drop = redactor(stream.personal, stream.source.idField, DROP)
  const kept: Array<A> = []
  const erased: Array<string> = []
  const found: Array<Tombstone> = []
  for (const [i, item] of extracted.entries()) {
    const [hash] = persons[i]!.filter(candidate => isErased.has(candidate))
    if (hash === undefined) kept.push(item)
    else if (stream.personal.subject?.kind === "self") erased.push(hash)
    else {
      kept.push({ ...item, record: drop(item.record) })
      found.push(...leadFrom(stream, item.record))
    }
  }
  return { kept, erased, found }
}

/** Writes tombstones; one that is there already stays. */
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
