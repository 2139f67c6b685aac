import { sql } from "drizzle-orm"
import { date, index, primaryKey, text } from "drizzle-orm/pg-core"
import { ParseResult, Schema } from "effect"
import { Amount, Currency, Id, Indexed, Instant, loose, maybe, Text } from "../core/fields.ts"
import { defineStream } from "../core/stream.ts"
import { account, amount, finite, instant, recordColumns, warehouse } from "../warehouse/schema/columns.ts"

const Fields = Schema.Struct({
  id: Id,
  payout_id_finmo: maybe(Indexed),
  merchant_id: maybe(Text),
  reply_code_id_pg: maybe(Indexed),
  status: Indexed,
  wire_id: loose,
  order_id: loose,
  due_date: maybe(Instant),
  last_action: loose,
  wire_amount: maybe(Amount),
  original_amount: maybe(Amount),
  fee_taken: maybe(Amount),
  fee_expected: maybe(Amount),
  payee_name: maybe(Text),
  currency: Currency,
  beneficiary: maybe(Text),
  beneficiary_bank: maybe(Text),
  beneficiary_account_number: loose,
  beneficiary_account_iban: loose,
  wire_origin: loose,
  conversion: loose,
  process: loose,
  approval: maybe(Text),
  type: maybe(Text),
  created_at: maybe(Instant),
  updated_at: maybe(Instant),
  approved_at: maybe(Instant),
  denied_at: maybe(Instant),
  pending_at: maybe(Instant),
})

/**
 * Get All Payout (D). The amount is `wire_amount` in a response and `original_amount` in a webhook. One of them is
 * required.
 */
const Payout = Schema.transformOrFail(
  Fields,
  Schema.typeSchema(Schema.extend(Fields, Schema.Struct({ amount: Schema.String }))),
  {
    strict: true,
    decode: (payout, _, ast) => {
      const amount = payout.wire_amount ?? payout.original_amount
      return amount === null
        ? ParseResult.fail(
            new ParseResult.Pointer(
              "wire_amount",
              payout,
              new ParseResult.Type(ast, null, "is missing, and so is original_amount"),
            ),
          )
        : ParseResult.succeed({ ...payout, amount })
    },
    encode: ParseResult.succeed,
  },
)

export const payouts = warehouse.table(
  "payouts",
  {
    ...recordColumns(),
    payoutId: text("payout_id").notNull(),
    providerPayoutId: text("provider_payout_id"),
    merchantId: text("merchant_id"),
    status: text("status").notNull(),
    approval: text("approval"),
    type: text("type"),
    amount: amount("amount").notNull(),
    currency: text("currency").notNull(),
    feeTaken: amount("fee_taken"),
    feeExpected: amount("fee_expected"),
    payoutMethodName: text("payout_method_name"),
    wireId: text("wire_id"),
    orderId: text("order_id"),
    lastAction: text("last_action"),
    process: text("process"),
    conversion: text("conversion"),
    wireOrigin: text("wire_origin"),
    payeeName: text("payee_name"),
    beneficiary: text("beneficiary"),
    beneficiaryAccountNumber: text("beneficiary_account_number"),
    beneficiaryAccountIban: text("beneficiary_account_iban"),
    dueDate: instant("due_date"),
    createdAt: instant("created_at"),
    updatedAt: instant("updated_at"),
    approvedAt: instant("approved_at"),
    deniedAt: instant("denied_at"),
    pendingAt: instant("pending_at"),
    /** The account's reporting zone, in which `day` is reckoned. */
    timeZone: text("time_zone").notNull().default("UTC"),
    day: date("day").generatedAlwaysAs(sql`(coalesce(created_at, updated_at) AT TIME ZONE time_zone)::date`),
  },
  table => [
    primaryKey({ columns: [table.account, table.payoutId] }),
    index("payouts_provider").on(table.account, table.providerPayoutId),
    index("payouts_day").on(table.day, table.account),
    index("payouts_created").on(table.createdAt, table.account),
    finite("payouts_finite", table.amount, table.feeTaken, table.feeExpected),
  ],
)

export const payoutStatusHistory = warehouse.table(
  "payout_status_history",
  {
    account: account(),
    payoutId: text("payout_id").notNull(),
    status: text("status").notNull(),
    firstSeenAt: instant("first_seen_at").notNull(),
  },
  table => [
    primaryKey({ columns: [table.account, table.payoutId, table.status] }),
    // A view joins each status. Most payouts have none of the rare ones.
    index("payout_status_history_rare")
      .on(table.account, table.payoutId, table.status)
      .where(sql`${table.status} NOT IN ('PENDING', 'SUCCESS', 'FAILED')`),
  ],
)

export default defineStream({
  name: "payouts",
  version: 1,
  source: {
    kind: "list",
    paths: [
      "/api/v1/payout/get-all",
      "/api/v1/payout/get-all-payout",
      "/api/v1/payout",
      "/api/v1/payout/payout",
      "/api/v1/payout/payouts",
      "/api/v1/payout/list",
      "/api/v1/payout/all",
      "/api/v1/payout/retrieve-payout",
      "/api/v1/payouts",
    ],
    idField: "id",
    merchantField: "merchant_id",
    recognizes: record =>
      ["wire_amount", "wire_id", "payout_id_finmo", "beneficiary_bank"].some(key => key in record),
    // The last one is from the older reference; the newer API's path is unknown (?).
    detail: {
      isNeeded: () => false,
      paths: id => [
        `/api/v1/payout/retrieve-payout/${id}`,
        `/api/v1/payout/retrieve/${id}`,
        `/api/v1/payout/payout/${id}`,
        `/api/v1/payout/${id}`,
        `/finmo/payout-method/retrieve-payout/${id}`,
      ],
    },
    // A SUCCESS may become RETURNED later (D): the next full pass finds that.
    times: {
      created: "created_at",
      updated: "updated_at",
      open: { column: "status", noneOf: ["SUCCESS", "FAILED", "RETURNED"] },
    },
  },
  table: payouts,
  idColumn: "payout_id",
  // Nothing is documented of `last_action`, `wire_origin`, `conversion` and `process`. Their values may name a person.
  personal: {
    plain: {
      payout_id_finmo: "id",
      merchant_id: "id",
      reply_code_id_pg: "id",
      status: "code",
      wire_id: "id",
      order_id: "id",
      due_date: "time",
      wire_amount: "amount",
      original_amount: "amount",
      fee_taken: "amount",
      fee_expected: "amount",
      currency: "code",
      beneficiary_bank: "code",
      approval: "code",
      type: "code",
      created_at: "time",
      updated_at: "time",
      approved_at: "time",
      denied_at: "time",
      pending_at: "time",
    },
    subject: {
      kind: "referred",
      ids: {
        id: "payout_id",
        payout_id_finmo: "provider_payout_id",
        reply_code_id_pg: "provider_payout_id",
      },
    },
  },
  histories: [
    {
      table: payoutStatusHistory,
      kind: "first_seen",
      timeColumn: "first_seen_at",
      keyColumns: ["payout_id", "status"],
      valueColumns: [],
    },
  ],
  documented: {
    mayLack: ["payout_id_finmo", "wire_amount", "original_amount", "type"],
    standIns: [
      ["wire_amount", "original_amount"],
      ["payout_id_finmo", "reply_code_id_pg"],
    ],
    values: {
      // RETURNED comes from a webhook (D).
      status: ["PENDING", "SUCCESS", "FAILED", "RETURNED"],
      approval: ["APPROVED", "FAILED"],
      type: ["PAYOUT"],
    },
  },
  record: Payout,
  normalize: ({
    id,
    payout_id_finmo,
    reply_code_id_pg,
    beneficiary_bank,
    wire_amount,
    original_amount,
    ...payout
  }) => ({
    row: {
      ...payout,
      payout_id: id,
      // Both hold upstream's id in the documented record. Newer records lack the older field.
      provider_payout_id: payout_id_finmo ?? reply_code_id_pg,
      // Holds the payout method's name, despite its own name (D).
      payout_method_name: beneficiary_bank,
    },
    sourceUpdatedAt: payout.updated_at,
  }),
})
