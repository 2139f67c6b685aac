import { sql } from "drizzle-orm"
import { type AnyPgColumn, check, jsonb, numeric, pgSchema, text, timestamp, uuid } from "drizzle-orm/pg-core"

/** One table per stream, their children, and the history that cannot be fetched again. */
export const warehouse = pgSchema("warehouse")

/** `timestamptz` as the text that Postgres prints: a JavaScript Date would cut microseconds. */
export const instant = (name: string) => timestamp(name, { withTimezone: true, mode: "string" })

/** `numeric` without precision: every digit the API sent. */
export const amount = (name: string) => numeric(name)

/** The merchant's account. It leads every key, so that one warehouse serves several accounts. */
export const account = () => text("account").notNull()

/** Bookkeeping columns of every record table. The loader fills them, and a stream never does. */
export const recordColumns = () => ({
  account: account(),
  raw: jsonb("raw").notNull(),
  contentHash: text("content_hash").notNull(),
  sourceUpdatedAt: instant("source_updated_at"),
  readAt: instant("read_at").notNull(),
  firstSeenAt: instant("first_seen_at").notNull(),
  runId: uuid("run_id").notNull(),
  removedAt: instant("removed_at"),
})

/** Bookkeeping columns of every state table, beside the key and the columns of the state. The look-up room fills them. */
export const stateColumns = () => ({
  account: account(),
  checkedAt: instant("checked_at").notNull(),
  changedAt: instant("changed_at"),
  checkError: text("check_error"),
  /** Null before the first answer. */
  raw: jsonb("raw"),
  /** The latest check that was answered, and its run, if later ones failed; null if `checked_at` and `run_id` are of it. */
  answeredAt: instant("answered_at"),
  answeredRunId: uuid("answered_run_id"),
  runId: uuid("run_id").notNull(),
})

/** Columns of a history of states that prove each state: the first and the last answer that said so. */
export const evidenceColumns = () => ({
  firstRunId: uuid("first_run_id"),
  /** The first answer, without fields that may be personal. */
  firstRaw: jsonb("first_raw"),
  /** In the current period the first answer; the state's own row has the latest. */
  lastConfirmedAt: instant("last_confirmed_at"),
  lastRunId: uuid("last_run_id"),
})

/** Bookkeeping columns of a child that is kept when its parent no longer lists it. */
export const keptChildColumns = () => ({
  account: account(),
  readAt: instant("read_at").notNull(),
  firstSeenAt: instant("first_seen_at").notNull(),
  runId: uuid("run_id").notNull(),
  removedAt: instant("removed_at"),
})

/** A history with this column has all of `evidenceColumns`. */
export const EVIDENCE_COLUMN = "last_confirmed_at"

const namesOf = (columns: object): ReadonlySet<string> =>
  new Set(Object.keys(columns).map(key => key.replace(/[A-Z]/g, letter => `_${letter.toLowerCase()}`)))

/** Names of the bookkeeping columns of state tables, as in Postgres. */
export const stateBookkeeping = namesOf(stateColumns())

/** The account's reporting zone at the time of writing: the zone of a row's computed day. The loader fills it. */
export const zoneColumn = () => ({ timeZone: text("time_zone").notNull().default("UTC") })

/** Names of the bookkeeping columns of all tables, as in Postgres. */
export const bookkeeping = namesOf({
  ...recordColumns(),
  ...keptChildColumns(),
  ...stateColumns(),
  ...evidenceColumns(),
  ...zoneColumn(),
})

/**
 * Checks that amounts are finite: Postgres' `numeric` has NaN and infinities, and money has not. The decoder asserts the same
 * on the way in.
 */
export const finite = (name: string, ...columns: ReadonlyArray<AnyPgColumn>) =>
  check(
    name,
    sql.join(
      columns.map(column => sql`${column} NOT IN ('NaN', 'Infinity', '-Infinity')`),
      sql` AND `,
    ),
  )
