import type postgres from "postgres"
import { arrayLiteral } from "../../postgres/bulk.ts"
import type { SqlEffect } from "../../postgres/shape.ts"
import { query } from "../../postgres/statements.ts"

/** Lists rejects. Raw texts hold personal data, so they are for the owner; reasons quote nothing of them. */

/** Most rejects in a list for people: a bad day of an API leaves many thousands. */
const LISTED_MAX = 1_000
/** Rejects of one batch, if all are read. */
const BATCH_ROWS = 1_000

/**
 * Kinds of rejects. `record`: a record that is no row. `merchant`: another merchant's record, which is no row either. `item`:
 * an item of a list in a record that is a row, such as a wallet's account; the item's own row is missing or empty. `field`:
 * a value that is null in its row.
 */
export const REJECT_KINDS = ["record", "item", "field", "merchant"] as const
export type RejectKind = (typeof REJECT_KINDS)[number]

export interface ListedReject {
  readonly id: number
  readonly account: string
  readonly stream: string
  readonly kind: RejectKind
  readonly recordId: string | null
  /** Path of the field at fault; null if it is the record as a whole. */
  readonly field: string | null
  readonly reason: string
  readonly firstSeenAt: string
  readonly readAt: string
  /** Time since which the list does not show it; null while it is open. */
  readonly unlistedAt: string | null
}

/** A reject with its raw text. */
export interface WholeReject extends ListedReject {
  readonly runId: string
  /** JSON text of the record, redacted as the mode of privacy demands. */
  readonly raw: string
}

/** Selection of rejects. */
export interface RejectScope {
  /** Names of accounts; empty for all. */
  readonly accounts: ReadonlyArray<string>
  readonly streams: ReadonlyArray<string>
  /** Includes closed ones. */
  readonly all: boolean
  /** Kinds; empty for all. */
  readonly kinds?: ReadonlyArray<RejectKind>
}

export interface RejectList {
  readonly rejects: ReadonlyArray<ListedReject>
  /** Number of all, which may be more than are listed. */
  readonly total: number
}

const COLUMNS = `reject_id::float8 AS id, account, stream, kind, record_id AS "recordId", field, reason,
  first_seen_at AS "firstSeenAt", read_at AS "readAt", unlisted_at AS "unlistedAt"`

/** Condition over `sync.rejects` with three parameters: see `scopeParameters`. */
export const IN_SCOPE = `(account = ANY ($1::text[]) OR $1::text[] = '{}') AND stream = ANY ($2::text[])
  AND (unlisted_at IS NULL OR $3::boolean)`

export const scopeParameters = ({ accounts, streams, all }: RejectScope) => [
  arrayLiteral(accounts),
  arrayLiteral(streams),
  all,
]

const OF_KINDS = "(kind = ANY ($4::text[]) OR $4::text[] = '{}')"

/** Reads the newest rejects of a scope, the latest first seen at the top, up to a thousand. */
export const listRejects = (sql: postgres.Sql, scope: RejectScope): SqlEffect<RejectList> =>
  query(async () => {
    const rejects = await sql.unsafe<Array<ListedReject & { total: number }>>(
      `SELECT ${COLUMNS}, (count(*) OVER ())::float8 AS total FROM sync.rejects WHERE ${IN_SCOPE} AND ${OF_KINDS}
       ORDER BY reject_id DESC LIMIT ${LISTED_MAX}`,
      [...scopeParameters(scope), arrayLiteral(scope.kinds ?? [])],
    )
    return {
      rejects: rejects.map(({ total: _, ...reject }) => reject),
      total: rejects[0]?.total ?? 0,
    }
  })

/** Yields the rejects of a scope in the order of their first sight, batch by batch. */
async function* batchesOf(sql: postgres.Sql, scope: RejectScope) {
  let after = 0
  while (true) {
    const batch = await sql.unsafe<Array<ListedReject>>(
      `SELECT ${COLUMNS} FROM sync.rejects WHERE ${IN_SCOPE} AND ${OF_KINDS} AND reject_id > $5::bigint
       ORDER BY reject_id LIMIT ${BATCH_ROWS}`,
      [...scopeParameters(scope), arrayLiteral(scope.kinds ?? []), String(after)],
    )
    if (batch.length > 0) yield batch
    if (batch.length < BATCH_ROWS) return
    after = batch.at(-1)!.id
  }
}

/** Consumes rejects. The consumer sets the pace of the batches. */
export type TakeRejects = (batches: AsyncIterable<ReadonlyArray<ListedReject>>) => Promise<void>

/**
 * Passes all rejects of a scope to `take`, in the order of their first sight. Holds one batch in memory. Each batch has a
 * snapshot of its own.
 */
export const everyReject = (sql: postgres.Sql, scope: RejectScope, take: TakeRejects): SqlEffect<void> =>
  query(() => take(batchesOf(sql, scope)))

/** Reads one reject with its raw text; undefined if there is none with this number. */
export const rejectNumbered = (sql: postgres.Sql, id: number): SqlEffect<WholeReject | undefined> =>
  query(async () => {
    const [reject] = await sql.unsafe<Array<WholeReject>>(
      `SELECT ${COLUMNS}, run_id AS "runId", raw FROM sync.rejects WHERE reject_id = $1::bigint`,
      [String(id)],
    )
    return reject
  })

/** Reads the accounts that were ever synced, or that have rejects. */
export const syncedAccounts = (sql: postgres.Sql): SqlEffect<ReadonlyArray<string>> =>
  query(async () => {
    const rows = await sql<Array<{ account: string }>>`
      SELECT account FROM sync.stream_runs UNION SELECT account FROM sync.rejects ORDER BY 1`
    return rows.map(({ account }) => account)
  })
