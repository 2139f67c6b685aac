import { sql } from "drizzle-orm"
import { bigint, boolean, date, index, numeric, primaryKey, text } from "drizzle-orm/pg-core"
import { account, instant, warehouse } from "./columns.ts"

/**
 * Totals of transactions, so that questions over all of them read days, settlements or owners instead. Triggers keep them
 * in each transaction that writes rows; `drizzle/0018_meaning.sql` has them, and `drizzle/0025_unsettled.sql` the statement
 * that they run. A total is of one type and name of event and one sign of the amount, so that a changed rule of direction
 * takes effect at once.
 */

/** The table of which totals are kept. */
export const TOTALLED_TABLE = "transactions"

const count = (name: string) => bigint(name, { mode: "number" }).notNull().default(0)
const sum = (name: string) => numeric(name).notNull().default("0")

/** The columns that all amounts of one total share. */
const kind = () => ({
  currency: text("currency").notNull(),
  feeCurrency: text("fee_currency").notNull(),
  eventType: text("event_type").notNull(),
  /** Empty where none was sent. */
  eventName: text("event_name").notNull(),
  isNegative: boolean("is_negative").notNull(),
})

const sums = () => ({
  transactionCount: count("transaction_count"),
  /** Sum of the amounts without their sign. */
  amount: sum("amount"),
  /** Sums of what could be read; the counts say how many could not. */
  feeAmount: sum("fee_amount"),
  taxAmount: sum("tax_amount"),
  /** Transactions with a fee, or a tax, that is not 0. */
  feeCount: count("fee_count"),
  taxCount: count("tax_count"),
  unreadableFeeCount: count("unreadable_fee_count"),
  unreadableTaxCount: count("unreadable_tax_count"),
  /** Sum of the net amounts that were sent, and how many were. */
  netAmount: sum("net_amount"),
  netCount: count("net_count"),
})

/** By kind of event. `net_…`: how far the net sent is from the amount and fee, for each direction that may be its rule. */
export const transactionKinds = warehouse.table(
  "transaction_kinds",
  {
    account: account(),
    ...kind(),
    ...sums(),
    netDiffersInCount: count("net_differs_in_count"),
    netDifferenceIn: sum("net_difference_in"),
    netDiffersOutCount: count("net_differs_out_count"),
    netDifferenceOut: sum("net_difference_out"),
    netDiffersNoneCount: count("net_differs_none_count"),
    netDifferenceNone: sum("net_difference_none"),
  },
  table => [
    primaryKey({
      name: "transaction_kinds_pk",
      columns: [
        table.account,
        table.eventType,
        table.eventName,
        table.isNegative,
        table.currency,
        table.feeCurrency,
      ],
    }),
  ],
)

export const transactionDays = warehouse.table(
  "transaction_days",
  {
    account: account(),
    day: date("day").notNull(),
    ...kind(),
    isSettled: boolean("is_settled").notNull(),
    hasSettlement: boolean("has_settlement").notNull(),
    /** False for the organization's own transactions. */
    isCustomer: boolean("is_customer").notNull(),
    ...sums(),
    /** Sums of the movements up, amount less fee in one currency, for each direction that may be the rule. */
    creditIn: sum("credit_in"),
    creditOut: sum("credit_out"),
    creditNone: sum("credit_none"),
    /** Sum of the negative fees with tax: movements up of their own where the fee is another line than the amount. */
    creditFee: sum("credit_fee"),
  },
  table => [
    primaryKey({
      name: "transaction_days_pk",
      columns: [
        table.account,
        table.day,
        table.currency,
        table.feeCurrency,
        table.eventType,
        table.eventName,
        table.isNegative,
        table.isSettled,
        table.hasSettlement,
        table.isCustomer,
      ],
    }),
  ],
)

export const transactionSettlements = warehouse.table(
  "transaction_settlements",
  {
    account: account(),
    settlementId: text("settlement_id").notNull(),
    ...kind(),
    ...sums(),
    settledCount: count("settled_count"),
    firstTransactionAt: instant("first_transaction_at"),
    lastTransactionAt: instant("last_transaction_at"),
    /** The latest time that one of them was first seen settled, and the latest of those that were seen unsettled before. */
    settledSeenAt: instant("settled_seen_at"),
    settledWitnessedAt: instant("settled_witnessed_at"),
  },
  table => [
    primaryKey({
      name: "transaction_settlements_pk",
      columns: [
        table.settlementId,
        table.account,
        table.currency,
        table.feeCurrency,
        table.eventType,
        table.eventName,
        table.isNegative,
      ],
    }),
  ],
)

export const transactionOwners = warehouse.table(
  "transaction_owners",
  {
    account: account(),
    ownerId: text("owner_id").notNull(),
    orgId: text("org_id").notNull(),
    /** False for the organization's own transactions. */
    isCustomer: boolean("is_customer").notNull(),
    ...kind(),
    ...sums(),
    unsettledCount: count("unsettled_count"),
    unsettledAmount: sum("unsettled_amount"),
    firstTransactionAt: instant("first_transaction_at"),
    lastTransactionAt: instant("last_transaction_at"),
  },
  table => [
    // The few of organizations, which a question about customers leaves out, and the other way round.
    index("transaction_owners_organization").on(table.account).where(sql`NOT ${table.isCustomer}`),
    primaryKey({
      name: "transaction_owners_pk",
      columns: [
        table.ownerId,
        table.account,
        table.orgId,
        table.isCustomer,
        table.currency,
        table.feeCurrency,
        table.eventType,
        table.eventName,
        table.isNegative,
      ],
    }),
  ],
)
