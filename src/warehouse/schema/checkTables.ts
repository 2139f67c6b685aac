import { sql } from "drizzle-orm"
import { bigint, boolean, check, index, numeric, primaryKey, text } from "drizzle-orm/pg-core"
import { account, instant } from "./columns.ts"
import { sync } from "./tables.ts"

/** Results of the equations of `analytics.ledger_check`. `warehouse/checks` computes and stores them. */
export const ledgerChecks = sync.table(
  "ledger_checks",
  {
    account: account(),
    checkName: text("check_name").notNull(),
    currency: text("currency").notNull(),
    /** Null where one of the amounts that it sums is not known. */
    leftAmount: numeric("left_amount"),
    rightAmount: numeric("right_amount"),
    difference: numeric("difference"),
    /** Parts that were compared, such as owners or payouts, and those that differ by themselves. */
    rowCount: bigint("row_count", { mode: "number" }).notNull(),
    differsCount: bigint("differs_count", { mode: "number" }).notNull(),
    state: text("state").notNull(),
    explanation: text("explanation"),
    /** True if a later run may compare what could not be compared, also if it changes nothing. */
    isWaiting: boolean("is_waiting").notNull(),
    checkedAt: instant("checked_at").notNull(),
  },
  table => [
    primaryKey({ columns: [table.account, table.checkName, table.currency] }),
    check("ledger_checks_state", sql`${table.state} IN ('ok', 'differs', 'not_comparable')`),
  ],
)

/**
 * Marks of changes since the equations of an account were computed last, one for each table with changes. Triggers write them
 * in the transaction that changes rows or rules; `drizzle/0024_figure_changes.sql` has them. Without a mark, the results are of the
 * present figures.
 */
export const figureChanges = sync.table(
  "figure_changes",
  {
    account: account(),
    tableName: text("table_name").notNull(),
    changedAt: instant("changed_at").notNull(),
  },
  table => [primaryKey({ columns: [table.account, table.tableName] })],
)

/**
 * Kinds of event that an account ever had a transaction of. A kind without one has no total any more, but states of
 * settlements may name it, and its rule of direction must still be decided.
 */
export const eventKinds = sync.table(
  "event_kinds",
  {
    account: account(),
    eventType: text("event_type").notNull(),
    eventName: text("event_name").notNull(),
    isNegative: boolean("is_negative").notNull(),
  },
  table => [primaryKey({ columns: [table.account, table.eventType, table.eventName, table.isNegative] })],
)

/**
 * Versions of transactions that another one replaced, as far as an equation needs them. The trigger `keep_version` writes
 * one if a later reading moved other money. Pruned with the ledger.
 */
export const transactionVersions = sync.table(
  "transaction_versions",
  {
    account: account(),
    transactionId: text("transaction_id").notNull(),
    /** Time at which the version after it was read. */
    replacedAt: instant("replaced_at").notNull(),
    firstSeenAt: instant("first_seen_at").notNull(),
    createdAt: instant("created_at").notNull(),
    customerId: text("customer_id"),
    orgId: text("org_id").notNull(),
    ownerId: text("owner_id").notNull(),
    amount: numeric("amount").notNull(),
    currency: text("currency").notNull(),
    feeCurrency: text("fee_currency").notNull(),
    feeAmount: numeric("fee_amount"),
    taxAmount: numeric("tax_amount"),
    isFeeUnreadable: boolean("is_fee_unreadable").notNull(),
    isTaxUnreadable: boolean("is_tax_unreadable").notNull(),
    eventType: text("event_type").notNull(),
    eventName: text("event_name"),
  },
  table => [
    primaryKey({
      name: "transaction_versions_pk",
      columns: [table.account, table.transactionId, table.replacedAt],
    }),
    index("transaction_versions_replaced").on(table.account, table.replacedAt),
  ],
)
