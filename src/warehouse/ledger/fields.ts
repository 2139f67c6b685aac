import { Effect } from "effect"
import type postgres from "postgres"
import {
  type FieldCounts,
  type FieldPath,
  type FieldState,
  fieldPaths,
  fieldStateOf,
  type PassFields,
  type Tally,
  tallyOf,
} from "../../core/documentedFields.ts"
import { isReplaced, levelOf } from "../../core/fieldLevel.ts"
import type { Json } from "../../core/json.ts"
import type { Stream } from "../../core/stream.ts"
import {
  hasVanished,
  isSuspect,
  type KnownField,
  newLackedIn,
  type StoredSample,
} from "../../core/vanishedFields.ts"
import { arrayLiteral, arraysOf, unnestOf } from "../../postgres/bulk.ts"
import { shapeOf, type Transaction } from "../../postgres/shape.ts"
import { read } from "../../postgres/statements.ts"
import { inLeaseTx, type Lease, type LeaseEffect } from "./lease.ts"
import { isOpen } from "./stored.ts"
import { bookUnreadable, judgeUnreadable } from "./unreadableFields.ts"

/** Documented fields that records have carried: `sync.fields`. */

const jsonPath = ({ keys }: FieldPath): string => `$${keys.map(key => `.${JSON.stringify(key)}`).join("")}`

/** Filter of a JSON path: the value is neither null nor blank text. */
const HAS_VALUE = String.raw`? (@.type() != "null" && (@.type() != "string" || @ like_regex "\\S"))`

/** Counts of stored records by field: their stored version carried a value in it, and their new version carries none. */
export interface Lost {
  /** The new version lacks the field. */
  readonly lacked: FieldCounts
  /** The new version has the field, and it is empty. */
  readonly emptied: FieldCounts
}

/** Finds fields that stored versions of records carry and the versions just read do not. `read` holds the latter by id. */
export const lostFields = async (
  sql: postgres.Sql,
  account: string,
  stream: Stream,
  read: ReadonlyMap<string, Json>,
): Promise<Lost> => {
  const paths = fieldPaths(stream.record)
  const tally = tallyOf(paths, [...read.values()])
  const suspects = paths.filter(({ name }) => tally[name]?.carried === 0)
  if (read.size === 0 || suspects.length === 0) return { lacked: {}, emptied: {} }
  const columns = ["field", "path"]
  const rows = suspects.map(path => ({ field: path.name, path: `${jsonPath(path)} ${HAS_VALUE}` }))
  const carriers = await sql.unsafe<Array<{ field: string; id: string }>>(
    `SELECT s.field, asked.id
     FROM unnest($2::text[]) AS asked (id)
     JOIN LATERAL (
       SELECT raw FROM ${shapeOf(stream.table).table} WHERE account = $1 AND "${stream.idColumn}" = asked.id LIMIT 1
     ) AS t ON true
     JOIN ${unnestOf(columns, 3)} ON t.raw @? s.path::jsonpath`,
    [account, arrayLiteral([...read.keys()]), ...arraysOf(columns, rows)],
  )
  const pathOf = new Map(suspects.map(path => [path.name, path]))
  const count = (state: FieldState): FieldCounts => {
    const counts: Record<string, number> = {}
    for (const { field, id } of carriers)
      if (fieldStateOf(read.get(id)!, pathOf.get(field)!) === state) counts[field] = (counts[field] ?? 0) + 1
    return counts
  }
  return { lacked: count("lacked"), emptied: count("empty") }
}

/** Books fields that new versions lack, in the commit that overwrites the stored ones. */
export const bookLost = async (tx: Transaction, lease: Lease, { lacked }: Lost): Promise<void> => {
  const rows = Object.entries(lacked).map(([field, count]) => ({ field, count: String(count) }))
  if (rows.length === 0) return
  const columns = ["field", "count"]
  await tx.unsafe(
    `INSERT INTO sync.fields AS f (account, stream, field, first_seen_at, last_seen_at, carried, is_always, lost)
     SELECT $1, $2, s.field, clock_timestamp(), clock_timestamp(), s.count::bigint, false, s.count::bigint
     FROM ${unnestOf(columns, 3)}
     ON CONFLICT (account, stream, field) DO UPDATE SET lost = f.lost + excluded.lost`,
    [lease.account, lease.stream, ...arraysOf(columns, rows)],
  )
}

/** Books which fields the records of a pass carried. A field that is carried as before costs one write a day. */
const bookCarried = async (tx: Transaction, lease: Lease, stream: Stream, tally: Tally): Promise<void> => {
  const columns = ["field", "carried", "is_always", "level"]
  const rows = Object.entries(tally).flatMap(([field, { carried, lacked }]) =>
    carried === 0
      ? []
      : [{ field, carried: String(carried), is_always: lacked === 0, level: levelOf(stream, field) }],
  )
  await tx.unsafe(
    `INSERT INTO sync.fields AS f (account, stream, field, first_seen_at, last_seen_at, carried, is_always, level)
     SELECT $1, $2, s.field, clock_timestamp(), clock_timestamp(), s.carried::bigint, s.is_always::boolean, s.level
     FROM ${unnestOf(columns, 3)}
     ON CONFLICT (account, stream, field) DO UPDATE
     SET last_seen_at = excluded.last_seen_at, carried = greatest(f.carried, excluded.carried),
       is_always = f.is_always AND excluded.is_always, level = excluded.level
     WHERE f.carried < excluded.carried OR f.level <> excluded.level
       OR (f.is_always AND NOT excluded.is_always) OR f.last_seen_at < excluded.last_seen_at - interval '1 day'`,
    [lease.account, lease.stream, ...arraysOf(columns, rows)],
  )
}

export interface FieldsRead extends PassFields {
  /** True if the whole list was read. */
  readonly isWholePass: boolean
  /** Share of records in which a field may be unreadable. */
  readonly share: number
}

/** Stored records that the presence of a field is judged by. */
const SAMPLE_MAX = 1_000

/** Counts the stored records that carry a field, among those that cannot change any more and were first read before a time. */
const sampleOf = async (
  sql: postgres.Sql,
  lease: Lease,
  stream: Stream,
  path: FieldPath,
  before: string,
): Promise<StoredSample> => {
  const open = stream.source.kind === "list" ? stream.source.times?.open : null
  const { condition, parameter } =
    open == null ? { condition: "$2::text IS NOT NULL", parameter: null } : isOpen(open)
  const [sample] = await sql.unsafe<[StoredSample]>(
    `SELECT count(*)::float8 AS records, (count(*) FILTER (WHERE raw @? $4::jsonpath))::float8 AS carried
     FROM (
       SELECT t.raw FROM ${shapeOf(stream.table).table} AS t
       WHERE t.account = $1 AND t.removed_at IS NULL AND t.first_seen_at < $3::timestamptz AND (${condition}) IS NOT TRUE
       LIMIT ${SAMPLE_MAX}
     ) AS sample`,
    [lease.account, parameter, before, `${jsonPath(path)} ${HAS_VALUE}`],
  )
  return sample
}

/** Judgement of a field at the end of a pass. */
interface Vanished {
  readonly field: string
  readonly isGone: boolean
  /** A record of the pass carried it, so its losses and its absence are over. */
  readonly isBack: boolean
  readonly newLacked: number
  readonly newLackedSince: string | null
}

/** Judges which fields are gone, and adds to the number of new records in a row that lack them. */
const judgeVanished = async (
  sql: postgres.Sql,
  lease: Lease,
  stream: Stream,
  { isWholePass, ...pass }: FieldsRead,
): Promise<ReadonlyArray<Vanished>> => {
  type Known = KnownField & { readonly isMissing: boolean; readonly since: string }
  const fields = await sql<Array<Known>>`
    SELECT field, carried::float8 AS carried, is_always AS "isAlways", lost::float8 AS lost, new_lacked::float8 AS "newLacked",
      missing_since IS NOT NULL AS "isMissing", coalesce(new_lacked_since, own.since)::text AS since
    FROM sync.fields CROSS JOIN (
      SELECT min(s.started_at) AS since
      FROM sync.stream_runs AS own
      JOIN sync.stream_runs AS s ON s.account = own.account AND s.stream = own.stream
        AND (s.run_id = own.run_id OR s.pass_id = own.pass_id)
      WHERE own.run_id = ${lease.runId} AND own.account = ${lease.account} AND own.stream = ${lease.stream}
    ) AS own
    WHERE account = ${lease.account} AND stream = ${lease.stream}`
  const pathOf = new Map(fieldPaths(stream.record).map(path => [path.name, path]))
  const judged: Array<Vanished> = []
  for (const field of fields) {
    const path = pathOf.get(field.field)
    if (path === undefined) continue
    const newLacked = newLackedIn(field, pass)
    const stored = isSuspect(newLacked)
      ? await sampleOf(sql, lease, stream, path, field.since)
      : { records: 0, carried: 0 }
    const isVanished =
      hasVanished({ ...field, isList: path.isList }, pass, isWholePass, stored) &&
      (field.isMissing || !isReplaced(stream, field.field, pass.tally))
    judged.push({
      field: field.field,
      isGone: isVanished,
      isBack: !isVanished && (pass.tally[field.field]?.carried ?? 0) > 0,
      newLacked,
      newLackedSince: newLacked === 0 ? null : field.since,
    })
  }
  return judged
}

/** Books which fields are gone, which are back, and their level. */
const bookVanished = async (
  tx: Transaction,
  lease: Lease,
  stream: Stream,
  judged: ReadonlyArray<Vanished>,
): Promise<void> => {
  const columns = ["field", "level", "is_gone", "is_back", "new_lacked", "new_lacked_since"]
  const rows = judged.map(({ field, isGone, isBack, newLacked, newLackedSince }) => ({
    field,
    level: levelOf(stream, field),
    is_gone: isGone,
    is_back: isBack,
    new_lacked: String(newLacked),
    new_lacked_since: newLackedSince,
  }))
  await tx.unsafe(
    `UPDATE sync.fields AS f
     SET level = s.level, lost = CASE WHEN s.is_back::boolean THEN 0 ELSE f.lost END,
       missing_since = CASE WHEN s.is_gone::boolean THEN coalesce(f.missing_since, clock_timestamp())
         WHEN NOT s.is_back::boolean THEN f.missing_since END,
       new_lacked = s.new_lacked::bigint, new_lacked_since = s.new_lacked_since::timestamptz
     FROM ${unnestOf(columns, 3)}
     WHERE f.account = $1 AND f.stream = $2 AND f.field = s.field
       AND (f.new_lacked <> s.new_lacked::bigint OR f.level <> s.level
         OR (s.is_gone::boolean AND f.missing_since IS NULL)
         OR (s.is_back::boolean AND (f.missing_since IS NOT NULL OR f.lost > 0)))`,
    [lease.account, lease.stream, ...arraysOf(columns, rows)],
  )
}

/**
 * Books at the end of a pass which fields its records carried, which ones the API does not send any more, and which ones are
 * unreadable too often. A field that is gone stays booked as missing until a record that is new or changed carries it again,
 * or until the program does not know it any more.
 */
export const bookFields = (
  sql: postgres.Sql,
  lease: Lease,
  stream: Stream,
  pass: FieldsRead,
): LeaseEffect<void> =>
  // Judged before the transaction, because that locks the stream's lease.
  Effect.flatMap(
    read(async () => ({
      unreadable: await judgeUnreadable(sql, lease, stream, pass, pass.share),
      vanished: await judgeVanished(sql, lease, stream, pass),
    })),
    ({ unreadable, vanished }) =>
      inLeaseTx(sql, lease, async tx => {
        const names = fieldPaths(stream.record).map(({ name }) => name)
        await tx`
          DELETE FROM sync.fields WHERE account = ${lease.account} AND stream = ${lease.stream}
            AND unreadable = 0 AND field <> ALL (${arrayLiteral(names)}::text[])`
        await bookCarried(tx, lease, stream, pass.tally)
        await bookVanished(tx, lease, stream, vanished)
        await bookUnreadable(tx, lease, stream, unreadable)
      }),
  )
