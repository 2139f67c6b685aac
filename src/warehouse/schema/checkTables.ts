import { sql } from "drizzle-orm"
import { bigint, boolean, check, numeric, primaryKey, text } from "drizzle-orm/pg-core"
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
