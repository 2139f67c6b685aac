import { boolean, index, primaryKey, text } from "drizzle-orm/pg-core"
import { Schema } from "effect"
import { Amount, Currency, Flag, Id, Instant, maybe, name, Text } from "../core/fields.ts"
import { defineStream } from "../core/stream.ts"
import {
  account,
  amount,
  finite,
  instant,
  keptChildColumns,
  recordColumns,
  warehouse,
} from "../warehouse/schema/columns.ts"

/** One currency of a wallet, with its balances (U). */
const WalletAccount = Schema.Struct({
  wallet_account_id: Id,
  org_id: maybe(Text),
  currency: Currency,
  actual_balance: Amount,
  available_balance: maybe(Amount),
  is_active: maybe(Flag),
  is_settlement_allowed: maybe(Flag),
  is_deleted: maybe(Flag),
  created_at: maybe(Instant),
  updated_at: maybe(Instant),
  deleted_at: maybe(Instant),
})

/** Get All Wallet and Get by Wallet Id (U only). */
const Wallet = Schema.Struct({
  wallet_id: Id,
  org_id: maybe(Text),
  customer_id: name,
  category: maybe(Text),
  scope: maybe(Text),
  wallet_alias: maybe(Text),
  description: maybe(Text),
  is_active: maybe(Flag),
  is_deleted: maybe(Flag),
  created_by: maybe(Text),
  created_at: maybe(Instant),
  updated_at: maybe(Instant),
  deleted_at: maybe(Instant),
  wallet_account: Schema.Array(WalletAccount),
})

export const wallets = warehouse.table(
  "wallets",
  {
    ...recordColumns(),
    walletId: text("wallet_id").notNull(),
    orgId: text("org_id"),
    customerId: text("customer_id"),
    category: text("category"),
    scope: text("scope"),
    walletAlias: text("wallet_alias"),
    description: text("description"),
    isActive: boolean("is_active"),
    isDeleted: boolean("is_deleted"),
    createdBy: text("created_by"),
    createdAt: instant("created_at"),
    updatedAt: instant("updated_at"),
    deletedAt: instant("deleted_at"),
  },
  table => [
    primaryKey({ columns: [table.account, table.walletId] }),
    index("wallets_customer").on(table.account, table.customerId),
  ],
)

export const walletAccounts = warehouse.table(
  "wallet_accounts",
  {
    ...keptChildColumns(),
    walletAccountId: text("wallet_account_id").notNull(),
    walletId: text("wallet_id").notNull(),
    orgId: text("org_id"),
    currency: text("currency").notNull(),
    actualBalance: amount("actual_balance").notNull(),
    availableBalance: amount("available_balance"),
    isActive: boolean("is_active"),
    isSettlementAllowed: boolean("is_settlement_allowed"),
    isDeleted: boolean("is_deleted"),
    createdAt: instant("created_at"),
    updatedAt: instant("updated_at"),
    deletedAt: instant("deleted_at"),
  },
  table => [
    primaryKey({ columns: [table.account, table.walletAccountId] }),
    index("wallet_accounts_wallet").on(table.account, table.walletId),
    finite("wallet_accounts_finite", table.actualBalance, table.availableBalance),
  ],
)

export const walletBalanceSnapshots = warehouse.table(
  "wallet_balance_snapshots",
  {
    account: account(),
    walletAccountId: text("wallet_account_id").notNull(),
    observedAt: instant("observed_at").notNull(),
    currency: text("currency").notNull(),
    actualBalance: amount("actual_balance").notNull(),
    availableBalance: amount("available_balance"),
  },
  table => [primaryKey({ columns: [table.account, table.walletAccountId, table.observedAt] })],
)

export default defineStream({
  name: "wallets",
  version: 1,
  source: {
    kind: "list",
    paths: [
      "/api/v1/wallet/get-all",
      "/api/v1/wallet/get-all-wallet",
      "/api/v1/wallet",
      "/api/v1/wallet/wallet",
      "/api/v1/wallet/wallets",
      "/api/v1/wallet/list",
      "/api/v1/wallet/all",
      "/api/v1/wallets",
    ],
    idField: "wallet_id",
    merchantField: "org_id",
    recognizes: () => true,
    detail: {
      isNeeded: record => !Array.isArray(record.wallet_account),
      paths: id => [
        `/api/v1/wallet/${id}`,
        `/api/v1/wallet/wallet/${id}`,
        `/api/v1/wallet/get/${id}`,
        `/api/v1/wallet/get-by-id/${id}`,
        `/api/v1/wallet/get-wallet/${id}`,
        `/api/v1/wallet/retrieve/${id}`,
      ],
    },
  },
  table: wallets,
  idColumn: "wallet_id",
  personal: {
    plain: {
      org_id: "id",
      customer_id: "id",
      category: "code",
      scope: "code",
      is_active: "flag",
      is_deleted: "flag",
      created_at: "time",
      updated_at: "time",
      deleted_at: "time",
      wallet_account: [
        {
          wallet_account_id: "id",
          wallet_id: "id",
          org_id: "id",
          currency: "code",
          actual_balance: "amount",
          available_balance: "amount",
          is_active: "flag",
          is_settlement_allowed: "flag",
          is_deleted: "flag",
          created_at: "time",
          updated_at: "time",
          deleted_at: "time",
        },
      ],
    },
    subject: { kind: "named", of: "customers", field: "customer_id" },
  },
  children: [{ table: walletAccounts, parentColumn: "wallet_id", surplus: "keep" }],
  histories: [
    {
      table: walletBalanceSnapshots,
      kind: "change",
      child: "wallet_accounts",
      timeColumn: "observed_at",
      keyColumns: ["wallet_account_id"],
      valueColumns: ["currency", "actual_balance", "available_balance"],
    },
  ],
  // The whole wallet is upstream's shape; the spelling of its categories is unknown (?).
  documented: {
    others: { metadata: "null", webhook_url: "null", "wallet_account[].wallet_id": "string" },
    mayLack: ["wallet_account", "created_by"],
    values: { category: [], scope: [] },
  },
  record: Wallet,
  normalize: ({ wallet_account, ...wallet }) => ({
    row: wallet,
    // The newest time of its accounts would be wrong: if that account is no longer listed, the wallet would look older
    // than before. A balance that changes without its wallet is a version of the same time, and the later read wins.
    sourceUpdatedAt: wallet.updated_at,
    children: { wallet_accounts: wallet_account },
  }),
})
