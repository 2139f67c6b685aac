import { sql } from "drizzle-orm"
import { bigint, boolean, check, index, integer, jsonb, primaryKey, text, uuid } from "drizzle-orm/pg-core"
import { account, instant } from "./columns.ts"
import { sync } from "./tables.ts"

/** The part of the ledger that processes share while they run: leases, and work for the holders of accounts. */

/**
 * Leases: one holder at a time of a stream, and of an account (stream `*`), about which its holder alone may ask the API.
 * `fence` grows with each holder, and each commit checks it.
 */
export const leases = sync.table(
  "leases",
  {
    account: account(),
    stream: text("stream").notNull(),
    runId: uuid("run_id").notNull(),
    holder: text("holder").notNull(),
    fence: bigint("fence", { mode: "number" }).notNull(),
    acquiredAt: instant("acquired_at").notNull(),
    expiresAt: instant("expires_at").notNull(),
    /** Latest transaction of the holder, and its result: it is not repeated if the answer to its commit was lost. */
    commitId: uuid("commit_id"),
    commitResult: jsonb("commit_result"),
    /** For an account: time until which the API asked for no requests. The next holder obeys it, too. */
    pausedUntil: instant("paused_until"),
  },
  table => [primaryKey({ columns: [table.account, table.stream] })],
)

/**
 * Urgent work: records to read by their id soon, from processes that may not ask the API, for the holder of the account's
 * lease. A closed row holds the outcome until the ledger is pruned.
 */
export const urgentWork = sync.table(
  "urgent_work",
  {
    account: account(),
    stream: text("stream").notNull(),
    recordId: text("record_id").notNull(),
    /** Differs with each hand-over: a record that is handed over again while it is read stays open. */
    requestId: uuid("request_id").notNull(),
    askedAt: instant("asked_at").notNull(),
    /** Time of the next attempt. */
    dueAt: instant("due_at").notNull(),
    attempts: integer("attempts").notNull().default(0),
    closedAt: instant("closed_at"),
    /** `stored`, `rejected` or `not_read`; null while it is open. */
    outcome: text("outcome"),
    /** Reason why the latest attempt did not store the record. */
    reason: text("reason"),
    /**
     * True if the stored row is of this reading, and no run over the list that began later has ended. Such a row does not
     * show that the records behind it in the list are known.
     */
    isNews: boolean("is_news").notNull().default(false),
  },
  table => [
    primaryKey({ columns: [table.account, table.stream, table.recordId] }),
    index("urgent_work_open").on(table.account, table.askedAt).where(sql`closed_at IS NULL`),
    check("urgent_work_outcome", sql`${table.outcome} IN ('stored', 'rejected', 'not_read')`),
  ],
)
