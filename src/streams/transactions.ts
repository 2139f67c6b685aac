import { sql } from "drizzle-orm"
import { boolean, date, index, numeric, primaryKey, text } from "drizzle-orm/pg-core"
import { Schema } from "effect"
import {
  Amount,
  Currency,
  Flag,
  Id,
  Indexed,
  Instant,
  loose,
  maybe,
  maybeCurrency,
  name,
  Text,
} from "../core/fields.ts"
import { defineStream } from "../core/stream.ts"
import {
  account,
  amount,
  finite,
  instant,
  recordColumns,
  warehouse,
  zoneColumn,
} from "../warehouse/schema/columns.ts"

/** Get All Transaction (D): one line per payment, with fees, tax and net. Values of `event_type`, `event_name`, `scope`: ?. */
const Transaction = Schema.Struct({
  transaction_id: Id,
  org_id: Id,
  amount: Amount,
  currency: Currency,
  fees_currency: maybeCurrency,
  fees_without_tax: maybe(Amount),
  tax_on_fees: maybe(Amount),
  fees_including_tax: maybe(Amount),
  net_amount: maybe(Amount),
  event_id: loose,
  event_type: Indexed,
  event_name: maybe(Indexed),
  event_description: maybe(Text),
  scope: maybe(Text),
  customer_id: name,
  invoice_id: loose,
  is_settled: Flag,
  settlement_id: name,
  is_reconciled: maybe(Flag),
  created_at: Instant,
  updated_at: maybe(Instant),
})

/** True where a field carries something in the record and is null in the row: it could not be read. */
const isUnreadable = (field: string) => sql.raw(`(${field} IS NULL AND raw ->> '${field}' ~ '\\S' IS TRUE)`)

/**
 * The one definition of the fee and its tax (assumed: which of the three fields counts is not documented). Null where none
 * was sent, or where a field that it rests on could not be read.
 */
const isFeeUnreadable = sql`${isUnreadable("fees_currency")} OR ${isUnreadable("fees_without_tax")}
  OR (fees_without_tax IS NULL AND (${isUnreadable("fees_including_tax")} OR (fees_including_tax IS NOT NULL AND ${isUnreadable("tax_on_fees")})))`
const isTaxUnreadable = sql`${isUnreadable("fees_currency")} OR ${isUnreadable("tax_on_fees")}
  OR (tax_on_fees IS NULL AND (fees_including_tax IS NOT NULL OR ${isUnreadable("fees_including_tax")})
    AND (fees_without_tax IS NOT NULL OR ${isUnreadable("fees_without_tax")})
    AND (${isUnreadable("fees_including_tax")} OR ${isUnreadable("fees_without_tax")}))`
const fee = sql`CASE WHEN NOT (${isFeeUnreadable})
  THEN coalesce(fees_without_tax, fees_including_tax - tax_on_fees, fees_including_tax) END`
const tax = sql`CASE WHEN NOT (${isTaxUnreadable})
  THEN coalesce(tax_on_fees, fees_including_tax - fees_without_tax, 0) END`

export const transactions = warehouse.table(
  "transactions",
  {
    ...recordColumns(),
    transactionId: text("transaction_id").notNull(),
    orgId: text("org_id").notNull(),
    customerId: text("customer_id"),
    ownerId: text("owner_id").notNull(),
    amount: amount("amount").notNull(),
    currency: text("currency").notNull(),
    feesCurrency: text("fees_currency"),
    feesWithoutTax: amount("fees_without_tax"),
    taxOnFees: amount("tax_on_fees"),
    feesIncludingTax: amount("fees_including_tax"),
    netAmount: amount("net_amount"),
    eventId: text("event_id"),
    eventType: text("event_type").notNull(),
    eventName: text("event_name"),
    eventDescription: text("event_description"),
    scope: text("scope"),
    invoiceId: text("invoice_id"),
    isSettled: boolean("is_settled").notNull(),
    settlementId: text("settlement_id"),
    isReconciled: boolean("is_reconciled"),
    createdAt: instant("created_at").notNull(),
    updatedAt: instant("updated_at"),
    feeCurrency: text("fee_currency").notNull().generatedAlwaysAs(sql`coalesce(fees_currency, currency)`),
    feeAmount: numeric("fee_amount").generatedAlwaysAs(fee),
    taxAmount: numeric("tax_amount").generatedAlwaysAs(tax),
    isFeeUnreadable: boolean("is_fee_unreadable").notNull().generatedAlwaysAs(isFeeUnreadable),
    isTaxUnreadable: boolean("is_tax_unreadable").notNull().generatedAlwaysAs(isTaxUnreadable),
    ...zoneColumn(),
    day: date("day").generatedAlwaysAs(sql`(created_at AT TIME ZONE time_zone)::date`),
  },
  table => [
    primaryKey({ columns: [table.account, table.transactionId] }),
    // The owner leads, not the account: most warehouses have one account, and queries do not name it.
    index("transactions_owner").on(table.ownerId, table.account, table.currency, table.createdAt),
    // Views read a customer's movements in a time from the index alone.
    index("transactions_customer").on(
      table.customerId,
      table.account,
      table.createdAt,
      table.currency,
      table.eventType,
      table.eventName,
      table.amount,
    ),
    index("transactions_settlement").on(table.settlementId, table.account),
    index("transactions_day").on(table.day, table.account),
    // A payout finds its lines by its id, or by the provider's.
    index("transactions_event_id").on(table.eventId, table.account),
    index("transactions_created").on(table.createdAt, table.account),
    index("transactions_foreign_fee")
      .on(table.ownerId, table.account, table.feeCurrency, table.createdAt)
      .where(sql`${table.feesCurrency} <> ${table.currency}`),
    // Views read unsettled transactions with their days from the index alone.
    index("transactions_unsettled")
      .on(
        table.ownerId,
        table.account,
        table.currency,
        table.day,
        table.eventType,
        table.eventName,
        table.amount,
      )
      .where(sql`NOT ${table.isSettled}`),
    // Rows are stored in the order in which they are first seen, more or less.
    index("transactions_first_seen").using("brin", table.firstSeenAt),
    // The few rows whose fee with tax is not the sum of fee and tax: a check reads them without the others.
    index("transactions_fee_sum")
      .on(table.account)
      .where(sql`${table.feesIncludingTax} <> ${table.feesWithoutTax} + ${table.taxOnFees}`),
    finite(
      "transactions_finite",
      table.amount,
      table.feesWithoutTax,
      table.taxOnFees,
      table.feesIncludingTax,
      table.netAmount,
    ),
  ],
)

export const settlementHistory = warehouse.table(
  "settlement_history",
  {
    account: account(),
    transactionId: text("transaction_id").notNull(),
    settledSeenAt: instant("settled_seen_at").notNull(),
  },
  table => [primaryKey({ columns: [table.account, table.transactionId] })],
)

export default defineStream({
  name: "transactions",
  version: 1,
  // Read last, a run knows every movement that the balances and payouts which it read before can show.
  after: ["wallets", "payouts"],
  source: {
    kind: "list",
    paths: [
      "/api/v1/transaction/get-all",
      "/api/v1/transaction/get-all-transaction",
      "/api/v1/transaction",
      "/api/v1/transaction/transaction",
      "/api/v1/transaction/transactions",
      "/api/v1/transaction/list",
      "/api/v1/transaction/all",
      "/api/v1/transaction/find-transaction",
      "/api/v1/transactions",
    ],
    idField: "transaction_id",
    merchantField: "org_id",
    recognizes: record => "event_type" in record || "is_settled" in record,
    // The last one is from the older reference; the newer API's path is unknown (?).
    detail: {
      isNeeded: () => false,
      paths: id => [
        `/api/v1/transaction/find-transaction/${id}`,
        `/api/v1/transaction/retrieve/${id}`,
        `/api/v1/transaction/transaction/${id}`,
        `/api/v1/transaction/${id}`,
        `/finmo/transaction/find-transaction/${id}`,
      ],
    },
    times: { created: "created_at", updated: "updated_at", open: { column: "is_settled", is: false } },
  },
  table: transactions,
  idColumn: "transaction_id",
  personal: {
    plain: {
      org_id: "id",
      amount: "amount",
      fees_currency: "code",
      fees_without_tax: "amount",
      tax_on_fees: "amount",
      fees_including_tax: "amount",
      net_amount: "amount",
      currency: "code",
      event_id: "id",
      event_type: "code",
      event_name: "code",
      scope: "code",
      customer_id: "id",
      invoice_id: "id",
      is_settled: "flag",
      settlement_id: "id",
      is_reconciled: "flag",
      created_at: "time",
      updated_at: "time",
    },
    subject: {
      kind: "named",
      of: "customers",
      field: "customer_id",
      leadsTo: { field: "event_id", stream: "payouts" },
    },
  },
  histories: [
    {
      table: settlementHistory,
      kind: "first_seen",
      timeColumn: "settled_seen_at",
      keyColumns: ["transaction_id"],
      valueColumns: [],
      isAbout: row => row.is_settled === true,
    },
  ],
  documented: {
    others: { additional_data: "null" },
    values: { event_type: [], event_name: [], scope: [] },
    money: {
      eventType: "event_type",
      eventName: "event_name",
      amount: "amount",
      currency: "currency",
      netAmount: "net_amount",
      feesCurrency: "fees_currency",
      feesWithoutTax: "fees_without_tax",
      taxOnFees: "tax_on_fees",
      feesIncludingTax: "fees_including_tax",
    },
  },
  record: Transaction,
  normalize: transaction => ({
    // The owner is the customer if the transaction names one, else the organization.
    row: { ...transaction, owner_id: transaction.customer_id ?? transaction.org_id },
    sourceUpdatedAt: transaction.updated_at,
  }),
})
