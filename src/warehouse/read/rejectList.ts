import type { Effect } from "effect"
import type postgres from "postgres"
import type { WarehouseError } from "../../core/errors.ts"
import { arrayLiteral } from "../../postgres/bulk.ts"
import { query } from "../../postgres/statements.ts"

/** Looking at records that could not become a row. For the owner: raw texts hold personal data; reasons quote nothing of them. */

/** Rejects that a list for people shows: a bad day of an API leaves many thousands of them. */
const LISTED_MAX = 1_000
/** Rejects that are read together where all of them are. */
const BATCH_ROWS = 1_000

/**
 * `record`: a record that is no row. `merchant`: another merchant's record, which is no row either. `item`: an item of a
 * list in a record that is a row, such as a wallet's account; the item's own row is missing or empty. `field`: a value that
 * is null in its row.
 */
export const REJECT_KINDS = ["record", "item", "field", "merchant"] as const
export type RejectKind = (typeof REJECT_KINDS)[number]

export interface ListedReject {
  readonly id: number
  readonly account: string
  readonly stream: string
  readonly kind: RejectKind
  readonly recordId: string | null
  /** Path of the field that was in the way; null where it is the record as a whole. */
  readonly field: string | null
  readonly reason: string
  readonly firstSeenAt: string
  readonly readAt: string
  /** Since when the list does not show it any more; null while it is open. */
  readonly unlistedAt: string | null
}

/** A reject with all that is known of it. */
export interface WholeReject extends ListedReject {
  readonly runId: string
  /** The record's JSON text, as it was read or as much of it as may be stored. */
  readonly raw: string
}

/** Which rejects are meant. */
export interface RejectScope {
  /** Names; all accounts where there is none. */
  readonly accounts: ReadonlyArray<string>
  readonly streams: ReadonlyArray<string>
  /** Also those that are no longer listed. */
  readonly all: boolean
  /** Kinds; all where there is none. */
  readonly kinds?: ReadonlyArray<RejectKind>
}

export interface RejectList {
  readonly rejects: ReadonlyArray<ListedReject>
  /** How many there are; more than are listed where there are very many. */
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

/** The newest rejects of a scope, those first seen last in front; no more than fit a screen of some length. */
export const listRejects = (
  sql: postgres.Sql,
  scope: RejectScope,
): Effect.Effect<RejectList, WarehouseError> =>
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

/** The rejects of a scope in the order in which they were first seen, read as they are asked for, batch by batch. */
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

/** Takes rejects; what it does with the batches decides how fast they come. */
export type TakeRejects = (batches: AsyncIterable<ReadonlyArray<ListedReject>>) => Promise<void>

/**
 * Hands over all rejects of a scope, in the order in which they were first seen, and keeps no more than a batch of them
 * in memory. Each batch is as of when it is read.
 */
export const everyReject = (
  sql: postgres.Sql,
  scope: RejectScope,
  take: TakeRejects,
): Effect.Effect<void, WarehouseError> => query(() => take(batchesOf(sql, scope)))

/** One reject with its raw text; undefined where there is none of this number. */
export const rejectNumbered = (
  sql: postgres.Sql,
  id: number,
): Effect.Effect<WholeReject | undefined, WarehouseError> =>
  query(async () => {
    const [reject] = await sql.unsafe<Array<WholeReject>>(
      `SELECT ${COLUMNS}, run_id AS "runId", raw FROM sync.rejects WHERE reject_id = $1::bigint`,
      [String(id)],
    )
    return reject
  })

/** The accounts that were ever synced, or that have rejects. */
export const syncedAccounts = (sql: postgres.Sql): Effect.Effect<ReadonlyArray<string>, WarehouseError> =>
  query(async () => {
    const rows = await sql<Array<{ account: string }>>`
      SELECT account FROM sync.stream_runs UNION SELECT account FROM sync.rejects ORDER BY 1`
    return rows.map(({ account }) => account)
  })
