import { sql } from "drizzle-orm"
import { bigint, boolean, check, index, integer, jsonb, primaryKey, text, uuid } from "drizzle-orm/pg-core"
import { account, instant } from "./columns.ts"
import { sync } from "./tables.ts"

/** The part of the ledger that processes share while they run: who holds an account, and what its holder is handed. */

/**
 * One holder at a time of a stream, and of an account (stream `*`), which its holder alone may ask the API about. `fence`
 * grows with each holder, and each commit checks it.
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
    /** The latest transaction of the holder and what it answered: one whose commit was not heard of is not repeated. */
    commitId: uuid("commit_id"),
    commitResult: jsonb("commit_result"),
    /** Of an account: the API asked its holder to send nothing before then. The next holder keeps to it. */
    pausedUntil: instant("paused_until"),
  },
  table => [primaryKey({ columns: [table.account, table.stream] })],
)

/**
 * Records to be read by their id soon, handed to the holder of the account's lease by processes that may not ask the API.
 * A closed row says what came of it, until the ledger is pruned.
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
    /** Not tried before then. */
    dueAt: instant("due_at").notNull(),
    attempts: integer("attempts").notNull().default(0),
    closedAt: instant("closed_at"),
    /** `stored`, `rejected` or `not_read`; null while it is open. */
    outcome: text("outcome"),
    /** Why the latest attempt did not store the record. */
    reason: text("reason"),
    /**
     * The stored row is of this reading, and no run over the list that began later has come to its end. Such a row does not
     * show that what stands behind it in a list is known.
     */
    isNews: boolean("is_news").notNull().default(false),
  },
  table => [
    primaryKey({ columns: [table.account, table.stream, table.recordId] }),
    index("urgent_work_open").on(table.account, table.askedAt).where(sql`closed_at IS NULL`),
    check("urgent_work_outcome", sql`${table.outcome} IN ('stored', 'rejected', 'not_read')`),
  ],
)
