import { sql } from "drizzle-orm"
import { type AnyPgColumn, check, jsonb, numeric, pgSchema, text, timestamp, uuid } from "drizzle-orm/pg-core"

/** One table per stream, their children, and the history that cannot be fetched again. */
export const warehouse = pgSchema("warehouse")

/** `timestamptz`, kept as the text that Postgres prints: a JavaScript Date would cut microseconds. */
export const instant = (name: string) => timestamp(name, { withTimezone: true, mode: "string" })

/** `numeric` without precision: every digit the API sent. */
export const amount = (name: string) => numeric(name)

/** The merchant's account: leads every key, so that one warehouse serves several. */
export const account = () => text("account").notNull()

/** The bookkeeping that every record table carries; the loader fills it, a stream never does. */
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

/** The bookkeeping that every table of states carries, beside the key and the columns of the state; the engine fills it. */
export const stateColumns = () => ({
  account: account(),
  checkedAt: instant("checked_at").notNull(),
  changedAt: instant("changed_at"),
  checkError: text("check_error"),
  /** Null where no look-up was answered yet. */
  raw: jsonb("raw"),
  runId: uuid("run_id").notNull(),
})

/** The names of those columns, as in Postgres. */
export const stateBookkeeping: ReadonlySet<string> = new Set(
  Object.keys(stateColumns()).map(key => key.replace(/[A-Z]/g, letter => `_${letter.toLowerCase()}`)),
)

/** Bookkeeping of a child that is kept when its parent no longer lists it. */
export const keptChildColumns = () => ({
  account: account(),
  readAt: instant("read_at").notNull(),
  firstSeenAt: instant("first_seen_at").notNull(),
  runId: uuid("run_id").notNull(),
  removedAt: instant("removed_at"),
})

/**
 * The assertion on the way down that pairs with the decoder's on the way in: Postgres' `numeric` has
 * NaN and infinities, money has not.
 */
export const finite = (name: string, ...columns: ReadonlyArray<AnyPgColumn>) =>
  check(
    name,
    sql.join(
      columns.map(column => sql`${column} NOT IN ('NaN', 'Infinity', '-Infinity')`),
      sql` AND `,
    ),
  )
