import { Effect } from "effect"
import type postgres from "postgres"
import {
  decodedIn,
  type FieldCounts,
  type FieldPath,
  type FieldState,
  fieldPaths,
  fieldStateOf,
  isGone,
  type KnownField,
  type PassFields,
  type Tally,
} from "../../core/documentedFields.ts"
import type { LeaseError, WarehouseError } from "../../core/errors.ts"
import { isReplaced, levelOf } from "../../core/fieldLevel.ts"
import type { Json } from "../../core/json.ts"
import type { Stream } from "../../core/stream.ts"
import { arrayLiteral, arraysOf, unnestOf } from "../../postgres/bulk.ts"
import { reading } from "../../postgres/connect.ts"
import { shapeOf, type Transaction } from "../../postgres/shape.ts"
import { fenced, type Held } from "./lease.ts"
import { rowsUpTo } from "./shares.ts"

/** The documented fields that records have carried: `sync.fields`. */

const jsonPath = ({ keys }: FieldPath): string => `$${keys.map(key => `.${JSON.stringify(key)}`).join("")}`

/** Filter of a JSON path: neither null nor blank text. */
const HAS_VALUE = String.raw`? (@.type() != "null" && (@.type() != "string" || @ like_regex "\\S"))`

/** Known records whose stored version carried a value in a field that their new version does not carry. */
export interface Lost {
  /** They lack the field now. */
  readonly lacked: FieldCounts
  /** The field is there, and empty. */
  readonly emptied: FieldCounts
}

/** Finds what the stored versions of records carried and the versions just read, by id, do not. */
export const lostFields = async (
  sql: postgres.Sql,
  account: string,
  stream: Stream,
  read: ReadonlyMap<string, Json>,
  tally: Tally,
): Promise<Lost> => {
  const suspects = fieldPaths(stream.record).filter(({ name }) => tally[name]?.carried === 0)
  if (read.size === 0 || suspects.length === 0) return { lacked: {}, emptied: {} }
  const columns = ["field", "path"]
  const rows = suspects.map(path => ({ field: path.name, path: `${jsonPath(path)} ${HAS_VALUE}` }))
  const found = await sql.unsafe<Array<{ field: string; id: string }>>(
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
    for (const { field, id } of found)
      if (fieldStateOf(read.get(id)!, pathOf.get(field)!) === state) counts[field] = (counts[field] ?? 0) + 1
    return counts
  }
  return { lacked: count("lacked"), emptied: count("empty") }
}

/** Books fields that stored records had and their new versions lack, in the commit that overwrites those records. */
export const bookLost = async (tx: Transaction, held: Held, { lacked }: Lost): Promise<void> => {
  const rows = Object.entries(lacked).map(([field, count]) => ({ field, count: String(count) }))
  if (rows.length === 0) return
  const columns = ["field", "count"]
  await tx.unsafe(
    `INSERT INTO sync.fields AS f (account, stream, field, first_seen_at, last_seen_at, carried, is_always, lost)
     SELECT $1, $2, s.field, clock_timestamp(), clock_timestamp(), s.count::bigint, false, s.count::bigint
     FROM ${unnestOf(columns, 3)}
     ON CONFLICT (account, stream, field) DO UPDATE SET lost = f.lost + excluded.lost`,
    [held.account, held.stream, ...arraysOf(columns, rows)],
  )
}

/** Books which fields the records of a pass carried. A field that is carried as before costs no write but one a day. */
const bookCarried = async (tx: Transaction, held: Held, stream: Stream, tally: Tally): Promise<void> => {
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
       is_always = f.is_always AND excluded.is_always, lost = 0, missing_since = NULL,
       level = excluded.level
     WHERE f.missing_since IS NOT NULL OR f.lost > 0 OR f.carried < excluded.carried OR f.level <> excluded.level
       OR (f.is_always AND NOT excluded.is_always) OR f.last_seen_at < excluded.last_seen_at - interval '1 day'`,
    [held.account, held.stream, ...arraysOf(columns, rows)],
  )
}

/** A field with open field rejects. */
interface Unreadable {
  readonly field: string
  /** Records in which it could not be read. */
  readonly count: number
  /** It was found before that it can be read too rarely. */
  readonly wasBeyond: boolean
}

/** The fields of open field rejects. Positions in lists are left out, so that the items of a list count together. */
const openUnreadable = (sql: postgres.Sql, held: Held): Promise<Array<Unreadable>> => sql<Array<Unreadable>>`
  SELECT open.field, open.count, known.unreadable_since IS NOT NULL AS "wasBeyond"
  FROM (
    SELECT regexp_replace(field, '\\.\\d+(?=\\.|$)', '', 'g') AS field,
      count(DISTINCT coalesce(record_id, content_hash))::float8 AS count
    FROM sync.rejects
    WHERE account = ${held.account} AND stream = ${held.stream} AND kind = 'field' AND unlisted_at IS NULL
      AND field IS NOT NULL
    GROUP BY 1
  ) AS open
  LEFT JOIN sync.fields AS known
    ON known.account = ${held.account} AND known.stream = ${held.stream} AND known.field = open.field`

/** Unreadable records that are no chance, whatever their share: among all that are stored, and among the few that a pass decoded. */
const UNREADABLE_MIN = { stored: 2, decoded: 3 }

/** A field with open field rejects, as it is judged at the end of a pass. */
type Judged = Pick<Unreadable, "field" | "count"> & { readonly isBeyond: boolean }

/**
 * Judges which fields can be read too rarely: in the records that the pass decoded, or in all that are stored. One of which
 * the pass decoded no value stays as it was judged before.
 */
const judgeUnreadable = async (
  sql: postgres.Sql,
  held: Held,
  stream: Stream,
  { share, ...pass }: FieldsRead,
): Promise<ReadonlyArray<Judged>> => {
  const open = await openUnreadable(sql, held)
  const most = Math.max(0, ...open.map(({ count }) => count))
  const enough = share === 0 ? most + 1 : Math.ceil(most / share) + 1
  const stored = most === 0 ? 0 : await rowsUpTo(sql, held, stream, enough)
  return open.map(({ field, count, wasBeyond }) => {
    const decoded = decodedIn(pass, field)
    const unread = pass.unread?.[field] ?? 0
    const isOfStored = count >= stored || (count >= UNREADABLE_MIN.stored && count > share * stored)
    const isOfDecoded = unread >= UNREADABLE_MIN.decoded && (unread >= decoded || unread > share * decoded)
    return { field, count, isBeyond: isOfStored || (decoded === 0 ? wasBeyond : isOfDecoded) }
  })
}

/** Books the fields with open field rejects, with their level, and clears those without. */
const bookUnreadable = async (
  tx: Transaction,
  held: Held,
  stream: Stream,
  judged: ReadonlyArray<Judged>,
): Promise<void> => {
  const columns = ["field", "count", "level", "is_beyond"]
  const rows = judged.map(({ field, count, isBeyond }) => ({
    field,
    count: String(count),
    level: levelOf(stream, field),
    is_beyond: isBeyond,
  }))
  await tx.unsafe(
    `INSERT INTO sync.fields AS f
       (account, stream, field, first_seen_at, last_seen_at, is_always, level, unreadable, unreadable_since)
     SELECT $1, $2, s.field, clock_timestamp(), clock_timestamp(), false, s.level, s.count::bigint,
       CASE WHEN s.is_beyond::boolean THEN clock_timestamp() END
     FROM ${unnestOf(columns, 3)}
     ON CONFLICT (account, stream, field) DO UPDATE
     SET unreadable = excluded.unreadable, level = excluded.level,
       unreadable_since = CASE WHEN excluded.unreadable_since IS NOT NULL
         THEN coalesce(f.unreadable_since, excluded.unreadable_since) END
     WHERE (f.unreadable, f.level, f.unreadable_since IS NULL)
       IS DISTINCT FROM (excluded.unreadable, excluded.level, excluded.unreadable_since IS NULL)`,
    [held.account, held.stream, ...arraysOf(columns, rows)],
  )
  await tx`
    UPDATE sync.fields SET unreadable = 0, unreadable_since = NULL
    WHERE account = ${held.account} AND stream = ${held.stream} AND unreadable > 0
      AND field <> ALL (${arrayLiteral(judged.map(({ field }) => field))}::text[])`
}

export interface FieldsRead extends PassFields {
  /** Whether the whole list was read. */
  readonly isWholePass: boolean
  /** Share of records in which a field may be unreadable. */
  readonly share: number
}

/** Books which fields no record carries any more, with their level. */
const bookGone = async (tx: Transaction, held: Held, stream: Stream, pass: FieldsRead): Promise<void> => {
  const known = await tx<Array<KnownField & { isMissing: boolean }>>`
    SELECT field, carried::float8 AS carried, is_always AS "isAlways", lost::float8 AS lost,
      missing_since IS NOT NULL AS "isMissing"
    FROM sync.fields WHERE account = ${held.account} AND stream = ${held.stream}`
  const gone = known.filter(
    field =>
      field.isMissing ||
      (isGone(field, pass, pass.isWholePass) && !isReplaced(stream, field.field, pass.tally)),
  )
  const rows = fieldPaths(stream.record).flatMap(path =>
    gone.some(({ field }) => field === path.name)
      ? [{ field: path.name, level: levelOf(stream, path.name) }]
      : [],
  )
  const columns = ["field", "level"]
  await tx.unsafe(
    `UPDATE sync.fields AS f SET missing_since = coalesce(f.missing_since, clock_timestamp()), level = s.level
     FROM ${unnestOf(columns, 3)}
     WHERE f.account = $1 AND f.stream = $2 AND f.field = s.field AND (f.missing_since IS NULL OR f.level <> s.level)`,
    [held.account, held.stream, ...arraysOf(columns, rows)],
  )
}

/**
 * Books at the end of a pass which fields its records carried, which ones no record carries any more, and which ones
 * could not be read too often. A field that went stays booked as missing until a record carries it again, or until
 * the program does not know it any more.
 */
export const bookFields = (
  sql: postgres.Sql,
  held: Held,
  stream: Stream,
  pass: FieldsRead,
): Effect.Effect<void, LeaseError | WarehouseError> =>
  // Counted before the transaction, which holds the stream's lease for as long as it takes.
  Effect.flatMap(
    reading(() => judgeUnreadable(sql, held, stream, pass)),
    unreadable =>
      fenced(sql, held, async tx => {
        const names = fieldPaths(stream.record).map(({ name }) => name)
        await tx`
          DELETE FROM sync.fields WHERE account = ${held.account} AND stream = ${held.stream}
            AND unreadable = 0 AND field <> ALL (${arrayLiteral(names)}::text[])`
        await bookGone(tx, held, stream, pass)
        await bookCarried(tx, held, stream, pass.tally)
        await bookUnreadable(tx, held, stream, unreadable)
      }),
  )
