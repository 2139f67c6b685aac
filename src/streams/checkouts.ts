import { sql } from "drizzle-orm"
import { date, index, integer, primaryKey, text } from "drizzle-orm/pg-core"
import { Schema } from "effect"
import { Amount, Currency, Id, Instant, loose, maybe, name, Text } from "../core/fields.ts"
import { defineStream } from "../core/stream.ts"
import { account, amount, finite, instant, recordColumns, warehouse } from "../warehouse/schema/columns.ts"

/** Get All Checkout (D). No status is documented. Token and URL open the payment page, so they get no column. */
const Checkout = Schema.Struct({
  id: Id,
  amount: Amount,
  currency: Currency,
  country_code: maybe(Text),
  country_name: maybe(Text),
  payin_method_name: maybe(Text),
  payin_type: loose,
  description: maybe(Text),
  customer_id: name,
  merchant_id: maybe(Text),
  expire_at: maybe(Instant),
  order_summary: maybe(
    Schema.Struct({
      order_items: maybe(
        Schema.Array(
          Schema.Struct({ product_name: maybe(Text), quantity: maybe(Amount), unit_price: maybe(Amount) }),
        ),
      ),
      order_fees: maybe(Schema.Array(Schema.Struct({ fee_name: maybe(Text), fee_amount: maybe(Amount) }))),
    }),
  ),
  created_at: maybe(Instant),
  updated_at: maybe(Instant),
  deleted_at: maybe(Instant),
})

export const checkouts = warehouse.table(
  "checkouts",
  {
    ...recordColumns(),
    checkoutId: text("checkout_id").notNull(),
    merchantId: text("merchant_id"),
    customerId: text("customer_id"),
    amount: amount("amount").notNull(),
    currency: text("currency").notNull(),
    countryCode: text("country_code"),
    countryName: text("country_name"),
    payinMethodName: text("payin_method_name"),
    payinType: text("payin_type"),
    description: text("description"),
    expireAt: instant("expire_at"),
    createdAt: instant("created_at"),
    updatedAt: instant("updated_at"),
    deletedAt: instant("deleted_at"),
    /** The account's reporting zone, in which `day` is reckoned. */
    timeZone: text("time_zone").notNull().default("UTC"),
    day: date("day").generatedAlwaysAs(sql`(coalesce(created_at, updated_at) AT TIME ZONE time_zone)::date`),
  },
  table => [
    primaryKey({ columns: [table.account, table.checkoutId] }),
    index("checkouts_customer").on(table.account, table.customerId),
    index("checkouts_day").on(table.day, table.account),
    index("checkouts_created").on(table.createdAt, table.account),
    // The few that are open, read from the index alone.
    index("checkouts_open")
      .on(table.expireAt, table.account, table.customerId, table.currency, table.amount)
      .where(sql`${table.removedAt} IS NULL AND ${table.deletedAt} IS NULL`),
    finite("checkouts_finite", table.amount),
  ],
)

export const checkoutItems = warehouse.table(
  "checkout_items",
  {
    account: account(),
    checkoutId: text("checkout_id").notNull(),
    position: integer("position").notNull(),
    productName: text("product_name"),
    quantity: amount("quantity"),
    unitPrice: amount("unit_price"),
  },
  table => [
    primaryKey({ columns: [table.account, table.checkoutId, table.position] }),
    finite("checkout_items_finite", table.quantity, table.unitPrice),
  ],
)

export const checkoutFees = warehouse.table(
  "checkout_fees",
  {
    account: account(),
    checkoutId: text("checkout_id").notNull(),
    position: integer("position").notNull(),
    feeName: text("fee_name"),
    feeAmount: amount("fee_amount"),
  },
  table => [
    primaryKey({ columns: [table.account, table.checkoutId, table.position] }),
    finite("checkout_fees_finite", table.feeAmount),
  ],
)

export default defineStream({
  name: "checkouts",
  version: 1,
  source: {
    kind: "list",
    paths: [
      "/api/v1/checkout/get-all",
      "/api/v1/checkout/get-all-checkout",
      "/api/v1/checkout",
      "/api/v1/checkout/checkout",
      "/api/v1/checkout/checkouts",
      "/api/v1/checkout/list",
      "/api/v1/checkout/all",
      "/api/v1/checkout/retrieve",
      "/api/v1/checkouts",
    ],
    idField: "id",
    merchantField: "merchant_id",
    recognizes: record => "checkout_token" in record || "checkout_url" in record || "order_summary" in record,
    // Get Detail Checkout (D).
    detail: { isNeeded: () => false, paths: id => [`/api/v1/checkout/retrieve/${id}`] },
    times: { created: "created_at", updated: "updated_at", open: { column: "expire_at", isAhead: true } },
  },
  table: checkouts,
  idColumn: "checkout_id",
  // Token and URL are credentials: they open the payment page.
  personal: {
    plain: {
      amount: "amount",
      currency: "code",
      country_code: "code",
      country_name: "code",
      payin_method_name: "code",
      payin_type: "code",
      customer_id: "id",
      merchant_id: "id",
      expire_at: "time",
      order_summary: {
        order_items: [{ quantity: "amount", unit_price: "amount" }],
        order_fees: [{ fee_amount: "amount" }],
      },
      created_at: "time",
      updated_at: "time",
      deleted_at: "time",
    },
    subject: { kind: "named", of: "customers", field: "customer_id" },
  },
  children: [
    { table: checkoutItems, parentColumn: "checkout_id", surplus: "replace" },
    { table: checkoutFees, parentColumn: "checkout_id", surplus: "replace" },
  ],
  documented: {
    others: {
      checkout_token: "string",
      checkout_url: "string",
      redirect_url: "null",
      webhook_url: "null",
      advanced_redirect_url: "null",
      additional_info: "object",
    },
  },
  record: Checkout,
  normalize: ({ id, order_summary, ...checkout }) => ({
    row: { ...checkout, checkout_id: id },
    sourceUpdatedAt: checkout.updated_at,
    // A part that the record does not carry leaves the stored rows unchanged.
    children: {
      ...(order_summary?.order_items ? { checkout_items: order_summary.order_items } : {}),
      ...(order_summary?.order_fees ? { checkout_fees: order_summary.order_fees } : {}),
    },
  }),
})
