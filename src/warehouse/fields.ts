import type { Effect } from "effect"
import type postgres from "postgres"
import {
  type FieldPath,
  fieldPaths,
  isGone,
  type KnownField,
  type PassFields,
  type Tally,
} from "../DocumentedFields.ts"
import type { LeaseError, WarehouseError } from "../Errors.ts"
import type { Stream } from "../Stream.ts"
import { arrayLiteral, arraysOf, shapeOf, type Transaction, unnestOf } from "./bulk.ts"
import { fenced, type Held } from "./Lease.ts"

/** The documented fields that records have carried: `sync.fields`. */

/** Field name → records. */
export type Lost = Readonly<Record<string, number>>

const jsonPath = ({ keys }: FieldPath): string => `$${keys.map(key => `.${JSON.stringify(key)}`).join("")}`

/** How many of these stored records carry fields that the versions just read do not carry. */
export const lostFields = async (
  sql: postgres.Sql,
  account: string,
  stream: Stream,
  ids: ReadonlyArray<string>,
  tally: Tally,
): Promise<Lost> => {
  const suspects = fieldPaths(stream.record).filter(({ name }) => tally[name]?.carried === 0)
  if (ids.length === 0 || suspects.length === 0) return {}
  const columns = ["field", "path"]
  const rows = suspects.map(path => ({ field: path.name, path: jsonPath(path) }))
  const found = await sql.unsafe<Array<{ field: string; count: number }>>(
    `SELECT s.field, count(*)::int AS count
     FROM unnest($2::text[]) AS asked (id)
     JOIN LATERAL (
       SELECT raw FROM ${shapeOf(stream.table).table} WHERE account = $1 AND "${stream.idColumn}" = asked.id LIMIT 1
     ) AS t ON true
     JOIN ${unnestOf(columns, 3)} ON t.raw @? s.path::jsonpath
     GROUP BY s.field`,
    [account, arrayLiteral(ids), ...arraysOf(columns, rows)],
  )
  return Object.fromEntries(found.map(({ field, count }) => [field, count]))
}

/** Books fields that stored records had and their new versions lack, in the commit that overwrites those records. */
export const bookLost = async (tx: Transaction, held: Held, lost: Lost): Promise<void> => {
  const rows = Object.entries(lost).map(([field, count]) => ({ field, count: String(count) }))
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
const bookCarried = async (tx: Transaction, held: Held, tally: Tally): Promise<void> => {
  const columns = ["field", "carried", "is_always"]
  const rows = Object.entries(tally).flatMap(([field, { carried, lacked }]) =>
    carried === 0 ? [] : [{ field, carried: String(carried), is_always: lacked === 0 }],
  )
  await tx.unsafe(
    `INSERT INTO sync.fields AS f (account, stream, field, first_seen_at, last_seen_at, carried, is_always)
     SELECT $1, $2, s.field, clock_timestamp(), clock_timestamp(), s.carried::bigint, s.is_always::boolean
     FROM ${unnestOf(columns, 3)}
     ON CONFLICT (account, stream, field) DO UPDATE
     SET last_seen_at = excluded.last_seen_at, carried = greatest(f.carried, excluded.carried),
       is_always = f.is_always AND excluded.is_always, lost = 0, missing_since = NULL
     WHERE f.missing_since IS NOT NULL OR f.lost > 0 OR f.carried < excluded.carried
       OR (f.is_always AND NOT excluded.is_always) OR f.last_seen_at < excluded.last_seen_at - interval '1 day'`,
    [held.account, held.stream, ...arraysOf(columns, rows)],
  )
}

/** Books the fields of which open field rejects are more than a share of the stored rows allows. */
const bookUnreadable = async (
  tx: Transaction,
  held: Held,
  stream: Stream,
  isBeyond: (count: number, of: number) => boolean,
): Promise<void> => {
  const open = await tx<Array<{ field: string; count: number }>>`
    SELECT field, count(DISTINCT coalesce(record_id, content_hash))::int AS count FROM sync.rejects
    WHERE account = ${held.account} AND stream = ${held.stream} AND kind = 'field' AND unlisted_at IS NULL
      AND field IS NOT NULL
    GROUP BY field`
  let rows: ReadonlyArray<{ field: string; count: string }> = []
  if (open.length > 0) {
    const [stored] = await tx.unsafe<Array<{ rows: number }>>(
      `SELECT count(*)::float8 AS rows FROM ${shapeOf(stream.table).table} WHERE account = $1 AND removed_at IS NULL`,
      [held.account],
    )
    rows = open.flatMap(({ field, count }) =>
      isBeyond(count, stored!.rows) ? [{ field, count: String(count) }] : [],
    )
  }
  const columns = ["field", "count"]
  await tx.unsafe(
    `INSERT INTO sync.fields AS f
       (account, stream, field, first_seen_at, last_seen_at, is_always, unreadable, unreadable_since)
     SELECT $1, $2, s.field, clock_timestamp(), clock_timestamp(), false, s.count::bigint, clock_timestamp()
     FROM ${unnestOf(columns, 3)}
     ON CONFLICT (account, stream, field) DO UPDATE
     SET unreadable = excluded.unreadable, unreadable_since = coalesce(f.unreadable_since, excluded.unreadable_since)
     WHERE f.unreadable <> excluded.unreadable OR f.unreadable_since IS NULL`,
    [held.account, held.stream, ...arraysOf(columns, rows)],
  )
  await tx`
    UPDATE sync.fields SET unreadable = 0, unreadable_since = NULL
    WHERE account = ${held.account} AND stream = ${held.stream} AND unreadable_since IS NOT NULL
      AND field <> ALL (${arrayLiteral(rows.map(({ field }) => field))}::text[])`
}

export interface FieldsRead extends PassFields {
  /** Whether the whole list was read. */
  readonly isWholePass: boolean
  /** Whether so many field rejects are too many for so many rows. */
  readonly isBeyond: (count: number, of: number) => boolean
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
  { tally, known, isWholePass, isBeyond }: FieldsRead,
): Effect.Effect<void, LeaseError | WarehouseError> =>
  fenced(sql, held, async tx => {
    const names = fieldPaths(stream.record).map(({ name }) => name)
    await tx`
      DELETE FROM sync.fields WHERE account = ${held.account} AND stream = ${held.stream} AND unreadable_since IS NULL
        AND field <> ALL (${arrayLiteral(names)}::text[])`
    const before = await tx<Array<KnownField>>`
      SELECT field, carried::float8 AS carried, is_always AS "isAlways", lost::float8 AS lost FROM sync.fields
      WHERE account = ${held.account} AND stream = ${held.stream} AND missing_since IS NULL`
    const gone = before.filter(field => {
      const read = tally[field.field]
      return read !== undefined && isGone(field, read, known, isWholePass)
    })
    await tx`
      UPDATE sync.fields SET missing_since = clock_timestamp()
      WHERE account = ${held.account} AND stream = ${held.stream}
        AND field = ANY (${arrayLiteral(gone.map(({ field }) => field))}::text[])`
    await bookCarried(tx, held, tally)
    await bookUnreadable(tx, held, stream, isBeyond)
  })
