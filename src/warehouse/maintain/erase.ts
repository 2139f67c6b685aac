import { randomUUID } from "node:crypto"
import { Effect } from "effect"
import type postgres from "postgres"
import type { LeaseError, WarehouseError } from "../../core/errors.ts"
import { isId } from "../../core/id.ts"
import { DROP, redactor, type Subject } from "../../core/privacy.ts"
import type { Stream } from "../../core/stream.ts"
import { arrayLiteral } from "../../postgres/bulk.ts"
import { shapeOf, type Transaction } from "../../postgres/shape.ts"
import { query } from "../../postgres/statements.ts"
import { acquire, inLeaseTx, type Lease, release } from "../ledger/lease.ts"
import { lockAll } from "../ledger/lockAll.ts"
import { idHash, insertTombstones, tombstonesFor } from "../load/tombstones.ts"
import { blank } from "./emptyPersonalColumns.ts"
import { named, namings } from "./mentions.ts"
import { vacuum } from "./privacyMode.ts"
import { rewriteSome } from "./rewrite.ts"

/** Removes a person's data for good, in one transaction that holds the leases of all streams of the account. */

/** Records whose personal fields are taken away together. */
const BATCH_RECORDS = 1_000
/** A sync that has gone silent is taken for dead after this time without a renewal; an erasure renews at its end. */
const LEASE_SECONDS = 60

/** What an erasure did, in numbers: nothing of what was there. */
export interface Erasure {
  readonly account: string
  /** Rows that are gone, by table. */
  readonly deleted: Readonly<Record<string, number>>
  /** Records that stay, without what was personal in them, by stream. */
  readonly stripped: Readonly<Record<string, number>>
  readonly rejects: number
}

type Of<Kind extends Subject["kind"]> = Extract<Subject, { kind: Kind }>

const ofKind = <Kind extends Subject["kind"]>(streams: ReadonlyArray<Stream>, kind: Kind) =>
  streams.flatMap(stream => {
    const { subject } = stream.personal
    return subject?.kind === kind ? [{ stream, subject: subject as Of<Kind> }] : []
  })

/** Parameters for the rejects that name one of these ids. */
const rejectsNaming = (ids: ReadonlyArray<string>) => {
  const { texts, patterns } = namings(ids)
  return [arrayLiteral(texts), arrayLiteral(patterns)] as const
}

/** The accounts that know of a person: by a row, a reject, or a tombstone. */
export const accountsOfPerson = (
  sql: postgres.Sql,
  streams: ReadonlyArray<Stream>,
  id: string,
): Effect.Effect<ReadonlyArray<string>, WarehouseError> =>
  query(async () => {
    const places = [
      ...ofKind(streams, "self").map(({ stream }) => [shapeOf(stream.table).table, stream.idColumn] as const),
      ...ofKind(streams, "named").map(
        ({ stream, subject }) => [shapeOf(stream.table).table, subject.field] as const,
      ),
    ]
    const found = await sql.unsafe<Array<{ account: string }>>(
      [
        ...places.map(([table, column]) => `SELECT account FROM ${table} WHERE "${column}" = $1`),
        "SELECT account FROM sync.erasures WHERE id_hash = $2",
        `SELECT account FROM sync.rejects WHERE record_id = $1 OR ${named("raw", 3, 4)}`,
      ].join(" UNION "),
      [id, idHash(id), ...rejectsNaming([id])],
    )
    return found.map(({ account }) => account).sort()
  })

/** The tables whose rows are a person's own, each with the column that holds their id. */
export const ownTables = (streams: ReadonlyArray<Stream>): ReadonlyArray<readonly [string, string]> => [
  ...ofKind(streams, "self").flatMap(({ stream }) => [
    ...stream.children.map(child => [shapeOf(child.table).table, child.parentColumn] as const),
    ...stream.histories.map(history => [shapeOf(history.table).table, stream.idColumn] as const),
    [shapeOf(stream.table).table, stream.idColumn] as const,
  ]),
]

/** Deletes a person's own rows, with what was recorded over time. */
const deleteOwn = async (tx: Transaction, account: string, streams: ReadonlyArray<Stream>, id: string) => {
  const deleted: Record<string, number> = {}
  for (const [table, column] of ownTables(streams)) {
    const { count } = await tx.unsafe(`DELETE FROM ${table} WHERE account = $1 AND "${column}" = $2`, [
      account,
      id,
    ])
    deleted[table.replaceAll('"', "").replace("warehouse.", "")] = count
  }
  const names = arrayLiteral(ofKind(streams, "self").map(({ stream }) => stream.name))
  for (const table of ["sync.due_keys", "sync.lookup_keys", "sync.missing_keys", "sync.urgent_work"])
    await tx.unsafe(
      `DELETE FROM ${table} WHERE account = $1 AND stream = ANY ($2::text[]) AND record_id = $3`,
      [account, names, id],
    )
  // It was shown all the same, and is from now on counted by its hash: what a pass has seen must add up.
  await tx`
    UPDATE sync.seen_keys SET record_id = ${idHash(id)} WHERE record_id = ${id} AND pass_id IN (
      SELECT pass_id FROM sync.checkpoints WHERE account = ${account} AND stream = ANY (${names}::text[]))`
  return deleted
}

/** Takes what is personal from records, and keeps their money. */
export const stripOf = async (
  tx: Transaction,
  lease: Lease,
  stream: Stream,
  ids: ReadonlyArray<string>,
): Promise<number> => {
  const drop = redactor(stream.personal, stream.source.idField, DROP)
  const { changed, failures } = await rewriteSome(tx, lease, stream, ids, drop)
  await blank(
    tx,
    lease.account,
    stream,
    failures.map(failure => failure.id),
    drop,
  )
  return changed + failures.length
}

/** Strips the records that name a person; of those that lead to other records, answers where they lead. */
const stripNamed = async (
  tx: Transaction,
  lease: Lease,
  { stream, subject }: { stream: Stream; subject: Of<"named"> },
  id: string,
) => {
  const { table } = shapeOf(stream.table)
  const lead = subject.leadsTo === undefined ? "NULL" : `"${subject.leadsTo.field}"`
  const leads = new Set<string>()
  let changed = 0
  let after: string | undefined = ""
  while (after !== undefined) {
    const found: Array<{ id: string; lead: string | null }> = await tx.unsafe(
      `SELECT "${stream.idColumn}" AS id, ${lead} AS lead FROM ${table}
       WHERE account = $1 AND "${subject.field}" = $2 AND "${stream.idColumn}" > $3
       ORDER BY 1 LIMIT ${BATCH_RECORDS}`,
      [lease.account, id, after],
    )
    for (const record of found) if (record.lead !== null && isId(record.lead)) leads.add(record.lead)
    changed += await stripOf(
      tx,
      lease,
      stream,
      found.map(record => record.id),
    )
    after = found.at(-1)?.id
  }
  return { changed, leads }
}

/** Strips the records that others led to, known by any of their ids. */
const stripReferred = async (
  tx: Transaction,
  lease: Lease,
  { stream, subject }: { stream: Stream; subject: Of<"referred"> },
  leads: ReadonlyArray<string>,
) => {
  const { table } = shapeOf(stream.table)
  let changed = 0
  for (let from = 0; from < leads.length; from += BATCH_RECORDS) {
    const some = leads.slice(from, from + BATCH_RECORDS)
    const found = await tx.unsafe<Array<{ id: string }>>(
      [...new Set(Object.values(subject.ids))]
        .map(
          column =>
            `SELECT "${stream.idColumn}" AS id FROM ${table} WHERE account = $1 AND "${column}" = ANY ($2::text[])`,
        )
        .join(" UNION "),
      [lease.account, arrayLiteral(some)],
    )
    changed += await stripOf(
      tx,
      lease,
      stream,
      found.map(record => record.id),
    )
    await tx.unsafe(`DELETE FROM sync.rejects WHERE account = $1 AND stream = $2 AND ${named("raw", 3, 4)}`, [
      lease.account,
      stream.name,
      ...rejectsNaming(some),
    ])
  }
  return changed
}

/** Erases a person within a transaction that keeps all others from writing to the account. */
export const eraseWithin = async (
  tx: Transaction,
  leases: ReadonlyArray<Lease>,
  streams: ReadonlyArray<Stream>,
  id: string,
): Promise<Erasure> => {
  const leaseOf = ({ name }: Stream) => leases.find(lease => lease.stream === name)!
  const { account } = leases[0]!
  const stripped: Record<string, number> = {}
  const leads = new Map<string, Set<string>>()
  for (const naming of ofKind(streams, "named")) {
    const done = await stripNamed(tx, leaseOf(naming.stream), naming, id)
    stripped[naming.stream.name] = done.changed
    const to = naming.subject.leadsTo?.stream
    if (to !== undefined) leads.set(to, new Set([...(leads.get(to) ?? []), ...done.leads]))
  }
  for (const referred of ofKind(streams, "referred")) {
    const ids = [...(leads.get(referred.stream.name) ?? [])]
    stripped[referred.stream.name] = await stripReferred(tx, leaseOf(referred.stream), referred, ids)
  }
  const deleted = await deleteOwn(tx, account, streams, id)
  const { count: rejects } = await tx.unsafe(
    `DELETE FROM sync.rejects WHERE account = $1 AND (record_id = $2 OR ${named("raw", 3, 4)})`,
    [account, id, ...rejectsNaming([id])],
  )
  const persons = new Set(ofKind(streams, "self").map(({ subject }) => subject.of))
  await insertTombstones(tx, account, [
    ...Array.from(persons, stream => tombstonesFor(stream, [id])).flat(),
    ...Array.from(leads, ([stream, ids]) => tombstonesFor(stream, ids)).flat(),
  ])
  return { account, deleted, stripped, rejects }
}

/**
 * Erases a person from an account: their own rows, histories and rejects go; what names them stays as money, without
 * its personal fields. Leaves tombstones of hashed ids, so that no later sync, replay or rebuild brings anything
 * back. All of it or nothing; doing it twice is doing it once.
 *
 * Fails with `LeaseError` when a run is under way. Not reached: backups, replicas and logs of Postgres, and the files
 * behind the tables until their space is written over.
 */
export const erasePerson = (
  sql: postgres.Sql,
  streams: ReadonlyArray<Stream>,
  account: string,
  id: string,
  holder: string,
): Effect.Effect<Erasure, LeaseError | WarehouseError> =>
  Effect.acquireUseRelease(
    acquire(sql, {
      streams: streams.map(({ name }) => ({ account, stream: name })),
      runId: randomUUID(),
      holder,
      leaseSeconds: LEASE_SECONDS,
    }),
    ({ leases: acquired, refused: [other] }): Effect.Effect<Erasure, LeaseError | WarehouseError> => {
      const leases = [...acquired].sort((a, b) => (a.stream < b.stream ? -1 : 1))
      const [first] = leases
      if (other !== undefined || first === undefined)
        return other ?? Effect.dieMessage("There are no streams.")
      return inLeaseTx(sql, first, async tx => {
        await lockAll(tx, leases)
        return eraseWithin(tx, leases, streams, id)
      })
    },
    ({ leases }) => Effect.ignore(release(sql, leases)),
  ).pipe(Effect.uninterruptible, Effect.zipLeft(clearAway(sql, streams)))

/** Has Postgres reclaim the space of what an erasure deleted: until then the old versions of rows are in its files. */
export const clearAway = (sql: postgres.Sql, streams: ReadonlyArray<Stream>): Effect.Effect<void> =>
  vacuum(sql, [
    "sync.rejects",
    ...streams.flatMap(stream =>
      [stream.table, ...stream.children.map(child => child.table)].map(table => shapeOf(table).table),
    ),
  ])
