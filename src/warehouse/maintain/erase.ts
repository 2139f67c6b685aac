import { randomUUID } from "node:crypto"
import { Effect } from "effect"
import type postgres from "postgres"
import { isId } from "../../core/id.ts"
import { DROP, redactor, type Subject } from "../../core/privacy.ts"
import type { Stream } from "../../core/stream.ts"
import { arrayLiteral } from "../../postgres/bulk.ts"
import { type SqlEffect, shapeOf, type Transaction } from "../../postgres/shape.ts"
import { query, read } from "../../postgres/statements.ts"
import { checkAfterWork } from "../checks/ledgerChecks.ts"
import { acquire, inLeaseTx, type Lease, type LeaseEffect, release } from "../ledger/lease.ts"
import { lockAll } from "../ledger/lockAll.ts"
import { idHash, insertTombstones, tombstonesFor } from "../load/tombstones.ts"
import { blank } from "./emptyPersonalColumns.ts"
import { vacuum } from "./privacyMode.ts"
import { rewriteSome } from "./rewrite.ts"

/** Erases a person's data for good, in one transaction that holds the leases of all streams of the account. */

/** Time without a renewal after which a silent sync counts as dead. An erasure renews its lease at its end. */
const LEASE_SECONDS = 60
/** Longest wait of a count for a row that a sync is writing. */
const COUNT_LOCK_TIMEOUT = "10s"

/** Numbers of what an erasure did. They hold nothing of the erased data. */
export interface Erasure {
  readonly account: string
  /** Deleted rows, by table. */
  readonly deleted: Readonly<Record<string, number>>
  /** Records that stay without their personal fields, by stream. */
  readonly stripped: Readonly<Record<string, number>>
  readonly rejects: number
}

type Of<Kind extends Subject["kind"]> = Extract<Subject, { kind: Kind }>

const ofKind = <Kind extends Subject["kind"]>(streams: ReadonlyArray<Stream>, kind: Kind) =>
  streams.flatMap(stream => {
    const { subject } = stream.personal
    return subject?.kind === kind ? [{ stream, subject: subject as Of<Kind> }] : []
  })

/** The form of an id in the text of a record; undefined for a text that cannot be an id. */
const inJson = (id: string): string | undefined => (isId(id) ? JSON.stringify(id).slice(1, -1) : undefined)

/** Characters with a meaning in Postgres' regular expressions. */
const SPECIAL = /[\\^$.*+?()[\]{}|]/g
/** Before an id: no letter, digit or underscore, unless it ends an escape, such as that of a line's end. */
const BEFORE = String.raw`(^|[^[:alnum:]_]|\\[bfnrt]|\\u[0-9a-fA-F]{4})`
const AFTER = "(?![[:alnum:]_])"

/** Makes the parameters of `NAMES_ID`. */
const idPatterns = (ids: Iterable<string>): readonly [string, string] => {
  const texts = Array.from(ids, inJson).filter(text => text !== undefined)
  const patterns = texts.map(text => `${BEFORE}${text.replace(SPECIAL, "\\$&")}${AFTER}`)
  return [arrayLiteral(texts), arrayLiteral(patterns)]
}

/** Condition on a reject: one of the ids of parameters $3 and $4 is in its text, whole and not as a part of a longer word. */
const NAMES_ID = `EXISTS (SELECT FROM unnest($3::text[], $4::text[]) AS n(text, pattern)
  WHERE CASE WHEN position(n.text IN raw) > 0 THEN raw ~ n.pattern END)`

/** Reads which accounts hold a row, a reject or a tombstone of a person. */
export const accountsOfPerson = (
  sql: postgres.Sql,
  streams: ReadonlyArray<Stream>,
  id: string,
): SqlEffect<ReadonlyArray<string>> =>
  query(async () => {
    const places = [
      ...ofKind(streams, "self").map(({ stream }) => [stream, stream.idColumn] as const),
      ...ofKind(streams, "named").map(({ stream, subject }) => [stream, subject.field] as const),
    ]
    const rows = await sql.unsafe<Array<{ account: string }>>(
      [
        ...places.map(
          ([{ table }, column]) => `SELECT account FROM ${shapeOf(table).table} WHERE "${column}" = $1`,
        ),
        "SELECT account FROM sync.erasures WHERE id_hash = $2",
        `SELECT account FROM sync.rejects WHERE record_id = $1 OR ${NAMES_ID}`,
      ].join(" UNION "),
      [id, idHash(id), ...idPatterns([id])],
    )
    return rows.map(({ account }) => account).sort()
  })

/** Lists the tables with a person's own rows, each with the column of the person's id. */
export const ownTables = (streams: ReadonlyArray<Stream>): ReadonlyArray<readonly [string, string]> =>
  ofKind(streams, "self").flatMap(({ stream }) => [
    ...stream.children.map(child => [shapeOf(child.table).table, child.parentColumn] as const),
    ...stream.histories.map(history => [shapeOf(history.table).table, stream.idColumn] as const),
    [shapeOf(stream.table).table, stream.idColumn] as const,
  ])

/** Deletes a person's own rows and histories. Returns the number of rows, by table. */
const deleteOwn = async (tx: Transaction, account: string, streams: ReadonlyArray<Stream>, id: string) => {
  const deleted: Record<string, number> = {}
  for (const [table, column] of ownTables(streams)) {
    const statement = `DELETE FROM ${table} WHERE account = $1 AND "${column}" = $2`
    const { count } = await tx.unsafe(statement, [account, id])
    deleted[table.replaceAll('"', "").replace("warehouse.", "")] = count
  }
  const names = arrayLiteral(ofKind(streams, "self").map(({ stream }) => stream.name))
  for (const table of ["sync.due_keys", "sync.lookup_keys", "sync.missing_keys", "sync.urgent_work"])
    await tx.unsafe(
      `DELETE FROM ${table} WHERE account = $1 AND stream = ANY ($2::text[]) AND record_id = $3`,
      [account, names, id],
    )
  // The pass was shown the record, and counts it by its hash from now on: its seen keys must add up.
  await tx`
    UPDATE sync.seen_keys SET record_id = ${idHash(id)} WHERE record_id = ${id} AND pass_id IN (
      SELECT pass_id FROM sync.checkpoints WHERE account = ${account} AND stream = ANY (${names}::text[]))`
  return deleted
}

/** Removes the personal fields of records, and keeps their money. Returns the number of changed records. */
export const strip = async (
  tx: Transaction,
  lease: Lease,
  stream: Stream,
  records: ReadonlyArray<{ readonly id: string }>,
): Promise<number> => {
  const drop = redactor(stream.personal, stream.source.idField, DROP)
  const ids = records.map(({ id }) => id)
  const { counts, failures } = await rewriteSome(tx, lease, stream, ids, drop)
  const failed = failures.map(({ id }) => id)
  await blank(tx, lease.account, stream, failed, drop)
  return counts.updated + failed.length
}

/** Strips the records that name a person. Returns their number, and the ids of the records that they lead to. */
const stripNamed = async (
  tx: Transaction,
  lease: Lease,
  stream: Stream,
  subject: Of<"named">,
  id: string,
) => {
  const lead = subject.leadsTo === undefined ? "NULL" : `"${subject.leadsTo.field}"`
  const records = await tx.unsafe<Array<{ id: string; lead: string | null }>>(
    `SELECT "${stream.idColumn}" AS id, ${lead} AS lead FROM ${shapeOf(stream.table).table}
     WHERE account = $1 AND "${subject.field}" = $2`,
    [lease.account, id],
  )
  const leads = records.flatMap(record => (record.lead !== null && isId(record.lead) ? [record.lead] : []))
  return { changed: await strip(tx, lease, stream, records), leads }
}

/** Strips the records that other records led to, known by any of their ids, and deletes the rejects that name one. */
const stripReferred = async (
  tx: Transaction,
  lease: Lease,
  stream: Stream,
  subject: Of<"referred">,
  leads: ReadonlyArray<string>,
): Promise<number> => {
  if (leads.length === 0) return 0
  const columns = [...new Set(Object.values(subject.ids))]
  const records = await tx.unsafe<Array<{ id: string }>>(
    columns
      .map(
        column =>
          `SELECT "${stream.idColumn}" AS id FROM ${shapeOf(stream.table).table} WHERE account = $1 AND "${column}" = ANY ($2::text[])`,
      )
      .join(" UNION "),
    [lease.account, arrayLiteral(leads)],
  )
  const changed = await strip(tx, lease, stream, records)
  await tx.unsafe(`DELETE FROM sync.rejects WHERE account = $1 AND stream = $2 AND ${NAMES_ID}`, [
    lease.account,
    stream.name,
    ...idPatterns(leads),
  ])
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
  const leadsTo = new Map<string, Set<string>>()
  for (const { stream, subject } of ofKind(streams, "named")) {
    const { changed, leads } = await stripNamed(tx, leaseOf(stream), stream, subject, id)
    stripped[stream.name] = changed
    const to = subject.leadsTo?.stream
    if (to !== undefined) leadsTo.set(to, new Set([...(leadsTo.get(to) ?? []), ...leads]))
  }
  for (const { stream, subject } of ofKind(streams, "referred")) {
    const leads = [...(leadsTo.get(stream.name) ?? [])]
    stripped[stream.name] = await stripReferred(tx, leaseOf(stream), stream, subject, leads)
  }
  const deleted = await deleteOwn(tx, account, streams, id)
  const { count: rejects } = await tx.unsafe(
    `DELETE FROM sync.rejects WHERE account = $1 AND (record_id = $2 OR ${NAMES_ID})`,
    [account, id, ...idPatterns([id])],
  )
  const persons = new Set(ofKind(streams, "self").map(({ subject }) => subject.of))
  await insertTombstones(tx, account, [
    ...[...persons].flatMap(stream => tombstonesFor(stream, [id])),
    ...[...leadsTo].flatMap(([stream, ids]) => tombstonesFor(stream, ids)),
  ])
  return { account, deleted, stripped, rejects }
}

/**
 * Erases a person from an account: deletes their own rows, histories and rejects, and removes the personal fields of records
 * that name them, which stay as money. Leaves tombstones of hashed ids, so that no later sync, replay or rebuild brings
 * anything back. Does all of it or nothing, and may be repeated.
 *
 * Fails with `LeaseError` while a run is under way. Not reached: backups, replicas and logs of Postgres, and the files
 * behind the tables until their space is written over.
 */
export const erasePerson = (
  sql: postgres.Sql,
  streams: ReadonlyArray<Stream>,
  account: string,
  id: string,
  holder: string,
): LeaseEffect<Erasure> =>
  Effect.acquireUseRelease(
    acquire(sql, {
      streams: streams.map(({ name }) => ({ account, stream: name })),
      runId: randomUUID(),
      holder,
      leaseSeconds: LEASE_SECONDS,
    }),
    ({ leases: acquired, refused: [other] }): LeaseEffect<Erasure> => {
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
  ).pipe(
    Effect.uninterruptible,
    Effect.zipLeft(checkAfterWork(sql, [account])),
    Effect.zipLeft(clearAway(sql, streams)),
  )

/** Leases for work in a transaction that no other process can write beside. They hold nothing. */
export const unheldLeases = (account: string, streams: ReadonlyArray<Stream>): ReadonlyArray<Lease> => {
  const runId = randomUUID()
  return streams.map(({ name }) => ({ account, stream: name, runId, fence: "0", leaseSeconds: 0 }))
}

const ROLLED_BACK = Symbol("rolled back")

/**
 * Counts what `erasePerson` would do now, in a transaction that is always rolled back. Takes no lease: a sync goes on, and
 * waits for the rows of this person while they are counted.
 */
export const countErasure = (
  sql: postgres.Sql,
  streams: ReadonlyArray<Stream>,
  account: string,
  id: string,
): SqlEffect<Erasure> =>
  read(async () => {
    let erasure: Erasure | undefined
    await sql
      .begin(async tx => {
        await tx.unsafe(`SET LOCAL lock_timeout = '${COUNT_LOCK_TIMEOUT}'`)
        erasure = await eraseWithin(tx, unheldLeases(account, streams), streams, id)
        throw ROLLED_BACK
      })
      .catch((error: unknown) => {
        if (error !== ROLLED_BACK) throw error
      })
    return erasure!
  })

/** Lets Postgres reclaim the space of an erasure: until then its files hold the old versions of rows. */
export const clearAway = (sql: postgres.Sql, streams: ReadonlyArray<Stream>): Effect.Effect<void> =>
  vacuum(sql, [
    "sync.rejects",
    ...streams.flatMap(stream =>
      [stream.table, ...stream.children.map(child => child.table)].map(table => shapeOf(table).table),
    ),
  ])
