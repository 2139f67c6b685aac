import type postgres from "postgres"
import { decodedIn, type PassFields } from "../../core/documentedFields.ts"
import { levelOf } from "../../core/fieldLevel.ts"
import type { Stream } from "../../core/stream.ts"
import { arrayLiteral, arraysOf, unnestOf } from "../../postgres/bulk.ts"
import type { Transaction } from "../../postgres/shape.ts"
import type { Lease } from "./lease.ts"
import { rowsUpTo } from "./stored.ts"

/** Documented fields that could not be read: their columns in `sync.fields`. */

/** A field with open field rejects. */
interface Unreadable {
  readonly field: string
  /** Records with an unreadable value in it. */
  readonly count: number
  /** An earlier pass judged that it can be read too rarely. */
  readonly wasBeyond: boolean
}

/** Reads the fields of open field rejects. Positions in lists are left out, so that the items of a list count together. */
const openUnreadable = (sql: postgres.Sql, lease: Lease): Promise<Array<Unreadable>> => sql<
  Array<Unreadable>
>`
  SELECT open.field, open.count, known.unreadable_since IS NOT NULL AS "wasBeyond"
  FROM (
    SELECT regexp_replace(field, '\\.\\d+(?=\\.|$)', '', 'g') AS field,
      count(DISTINCT coalesce(record_id, content_hash))::float8 AS count
    FROM sync.rejects
    WHERE account = ${lease.account} AND stream = ${lease.stream} AND kind = 'field' AND unlisted_at IS NULL
      AND field IS NOT NULL
    GROUP BY 1
  ) AS open
  LEFT JOIN sync.fields AS known
    ON known.account = ${lease.account} AND known.stream = ${lease.stream} AND known.field = open.field`

/** Fewest unreadable records for a judgement: among all stored records, and among the few that a pass decoded. */
const UNREADABLE_MIN = { stored: 2, decoded: 3 }

/** A field with open field rejects, as it is judged at the end of a pass. */
type Judged = Pick<Unreadable, "field" | "count"> & { readonly isBeyond: boolean }

/**
 * Judges which fields can be read too rarely: in the records that the pass decoded, or in all stored records. A field keeps
 * its earlier judgement if the pass decoded no value of it.
 */
export const judgeUnreadable = async (
  sql: postgres.Sql,
  lease: Lease,
  stream: Stream,
  pass: PassFields,
  share: number,
): Promise<ReadonlyArray<Judged>> => {
  const open = await openUnreadable(sql, lease)
  const most = Math.max(0, ...open.map(({ count }) => count))
  const enough = share === 0 ? most + 1 : Math.ceil(most / share) + 1
  const stored = most === 0 ? 0 : await rowsUpTo(sql, lease, stream, enough)
  return open.map(({ field, count, wasBeyond }) => {
    const decoded = decodedIn(pass, field)
    const unread = pass.unread?.[field] ?? 0
    const isOfStored = count >= stored || (count >= UNREADABLE_MIN.stored && count > share * stored)
    const isOfDecoded = unread >= UNREADABLE_MIN.decoded && (unread >= decoded || unread > share * decoded)
    return { field, count, isBeyond: isOfStored || (decoded === 0 ? wasBeyond : isOfDecoded) }
  })
}

/** Books the fields with open field rejects and their level, and clears the others. */
export const bookUnreadable = async (
  tx: Transaction,
  lease: Lease,
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
    [lease.account, lease.stream, ...arraysOf(columns, rows)],
  )
  await tx`
    UPDATE sync.fields SET unreadable = 0, unreadable_since = NULL
    WHERE account = ${lease.account} AND stream = ${lease.stream} AND unreadable > 0
      AND field <> ALL (${arrayLiteral(judged.map(({ field }) => field))}::text[])`
}
