import { sql } from "drizzle-orm"
import { boolean, index, jsonb, primaryKey, text, uuid } from "drizzle-orm/pg-core"
import { account, instant, warehouse } from "./columns.ts"

/**
 * History of settlements. The trigger `keep_settlements` writes it in the transaction that writes the transactions;
 * `drizzle/0021_history.sql` has the trigger.
 */

/**
 * The settlements that a transaction belonged to, and if it was settled there. A transaction that never changed has no row: its
 * own row is its only state, from `first_seen_at` on. Its first change writes two rows, for the state before and the state after.
 * The open period always has the values of the transaction.
 */
export const transactionSettlementHistory = warehouse.table(
  "transaction_settlement_history",
  {
    account: account(),
    transactionId: text("transaction_id").notNull(),
    validFrom: instant("valid_from").notNull(),
    validTo: instant("valid_to"),
    settlementId: text("settlement_id"),
    isSettled: boolean("is_settled").notNull(),
    /** The run that saw this state first; null if the run is not known. */
    runId: uuid("run_id"),
  },
  table => [
    primaryKey({
      name: "transaction_settlement_history_pk",
      columns: [table.account, table.transactionId, table.validFrom],
    }),
    index("transaction_settlement_history_settlement").on(table.settlementId, table.account),
    // The latest changes are read without the others, from both states of each.
    index("transaction_settlement_history_from").on(table.validFrom, table.account),
    index("transaction_settlement_history_to").on(table.validTo, table.account),
    // Pruning asks if a run is named here.
    index("transaction_settlement_history_run").on(table.runId),
  ],
)

/**
 * States in which a run left a settlement, and which a later run changed. A state is the list of the kinds of event that
 * were not wholly settled, so that a changed rule of direction decides anew if the settlement was done. A settlement that no
 * run changed after the first complete one has no row.
 */
export const settlementStates = warehouse.table(
  "settlement_states",
  {
    account: account(),
    settlementId: text("settlement_id").notNull(),
    /** The first change since the latest complete run. */
    changedAt: instant("changed_at").notNull(),
    /** Lists of kinds, each `["TYPE", "NAME", is negative]` as text. */
    states: jsonb("states").notNull().default(sql`'[]'`),
  },
  table => [primaryKey({ columns: [table.settlementId, table.account] })],
)
