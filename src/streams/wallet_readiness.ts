import { sql } from "drizzle-orm"
import { boolean, index, primaryKey, text } from "drizzle-orm/pg-core"
import { Schema } from "effect"
import { Flag, Id, Text } from "../core/fields.ts"
import { defineStream } from "../core/stream.ts"
import { account, evidenceColumns, instant, stateColumns, warehouse } from "../warehouse/schema/columns.ts"

/** Check Is Customer Wallet Ready (D), with the asked id added, because the answer does not contain it. */
const Readiness = Schema.Struct({
  customer_id: Id,
  is_wallet_ready: Flag,
  missing_field: Schema.optionalWith(Schema.NullOr(Schema.Array(Text)), { default: () => null }),
})

/**
 * The latest answer per customer. It is not a record table: each check writes it, and only its time tells versions
 * apart.
 */
export const walletReadiness = warehouse.table(
  "wallet_readiness",
  {
    ...stateColumns(),
    customerId: text("customer_id").notNull(),
    isWalletReady: boolean("is_wallet_ready"),
    missingFields: text("missing_fields").array().notNull(),
  },
  table => [
    primaryKey({ columns: [table.account, table.customerId] }),
    // Each read of the verdict counts the failed checks.
    index("wallet_readiness_failed")
      .on(table.account, table.customerId)
      .where(sql`${table.checkError} IS NOT NULL`),
  ],
)

export const walletReadinessHistory = warehouse.table(
  "wallet_readiness_history",
  {
    account: account(),
    customerId: text("customer_id").notNull(),
    validFrom: instant("valid_from").notNull(),
    validTo: instant("valid_to"),
    isWalletReady: boolean("is_wallet_ready").notNull(),
    missingFields: text("missing_fields").array().notNull(),
    ...evidenceColumns(),
  },
  table => [
    primaryKey({ columns: [table.account, table.customerId, table.validFrom] }),
    // Pruning asks if a run is named here.
    index("wallet_readiness_history_first_run").on(table.firstRunId),
    index("wallet_readiness_history_last_run").on(table.lastRunId),
  ],
)

export default defineStream({
  name: "wallet_readiness",
  version: 1,
  source: {
    kind: "lookup",
    keys: [{ stream: "customers", column: "customer_id" }],
    first: "oldest",
    paths: id => [`/api/v1/customer/customer-wallet-is-ready/${id}`],
    keyField: "customer_id",
    idField: "customer_id",
    answer: { kind: "state" },
    recheck: {
      open: { column: "is_wallet_ready", is: false },
      pace: "each run",
      afterChange: true,
      maxAge: { variable: "PAYCOMBAT_READY_RECHECK", otherwise: "24 hours" },
    },
    maxCalls: { variable: "PAYCOMBAT_READY_MAX_CALLS", otherwise: null },
    seeAlso: "kyc_gap, which shows those never answered as check_failed",
  },
  table: walletReadiness,
  idColumn: "customer_id",
  histories: [
    {
      table: walletReadinessHistory,
      kind: "period",
      timeColumn: "valid_from",
      endColumn: "valid_to",
      keyColumns: ["customer_id"],
      valueColumns: ["is_wallet_ready", "missing_fields"],
    },
  ],
  // The field has names of missing details, not their values.
  personal: {
    plain: { is_wallet_ready: "flag", missing_field: ["code"] },
    subject: { kind: "self", of: "customers" },
  },
  documented: { values: { missing_field: [] } },
  record: Readiness,
  normalize: ({ customer_id, is_wallet_ready, missing_field }) => ({
    row: { customer_id, is_wallet_ready, missing_fields: [...new Set(missing_field ?? [])].sort() },
    sourceUpdatedAt: null,
  }),
})
