import type { ListGenerator } from "../world/generator.ts"
import { CURRENCIES, print } from "../world/money.ts"
import type { Breach } from "../world/options.ts"
import { ORGANIZATION } from "../world/owners.ts"
import { ORG_ID, SAMPLE_INDEX } from "../world/samples.ts"
import { HOUR_MILLIS, iso, type World } from "../world/world.ts"
import { customerCreatedAt } from "./customers.ts"
import { type Ledger, ledgerOf } from "./ownerLedger.ts"
import { homeCurrency } from "./transactions.ts"

/** One currency of a wallet, in minor units. */
export interface WalletAccount {
  readonly currency: number
  readonly actual: bigint
  readonly available: bigint
  readonly updatedAt: number
}

const ORGANIZATION_SINCE = Date.parse("2024-12-20T09:00:00.000Z")

/** The documented wallet's own time, which is older than the history. */
const SAMPLE_CREATED_AT = Date.parse("2025-03-18T02:00:00.000Z")

/** With `wallet-differences` the 8th of every 40 wallets states more; with `other-holds` it has less available. */
const ODD_EVERY = 40
const ODD_AT = 7
const ODD_MINOR = 1_234n

/** Amount that each version of a touched wallet adds to its balance. */
const TOUCH_MINOR = 100n

/** Bound on the currencies of one wallet. It makes an account's id a function of wallet and currency. */
const CURRENCIES_MAX = 16

const accountId = (world: World, wallet: number, currency: number): string =>
  world.ids.walletAccount.of(wallet * CURRENCIES_MAX + currency)

const createdAtOf = (world: World, index: number): number => {
  const inserted = world.changes.of("wallets").createdAt.get(index)
  if (inserted !== undefined) return inserted
  if (index === 0) return ORGANIZATION_SINCE
  if (index === SAMPLE_INDEX.customer) return SAMPLE_CREATED_AT
  return customerCreatedAt(world, world.owners.ownerOfWallet(index)) + HOUR_MILLIS
}

/** A later wallet is the organization's, without money: the first wallet holds its owner's ledger. */
const isEmpty = (world: World, index: number): boolean => index >= world.changes.base("wallets")

/** The accounts with their stated balances: the ledger's, except for breaches and touched wallets. */
export const walletAccounts = (world: World, index: number): ReadonlyArray<WalletAccount> => {
  const owner = world.owners.ownerOfWallet(index)
  const ledger: Ledger = isEmpty(world, index) ? new Map() : ledgerOf(world, owner)
  const home = homeCurrency(world, owner)
  const touched = world.changes.of("wallets").touches.get(index)
  const odd = (breach: Breach) =>
    world.options.breaches.includes(breach) && index % ODD_EVERY === ODD_AT && !isEmpty(world, index)
      ? ODD_MINOR
      : 0n
  const atHome = odd("wallet-differences") + TOUCH_MINOR * BigInt(touched?.version ?? 0)
  const createdAt = createdAtOf(world, index)
  const currencies = [...new Set([home, ...ledger.keys()])].sort((a, b) => a - b)
  return currencies.map(currency => {
    const balance = ledger.get(currency)
    const actual = (balance?.actual ?? 0n) + (currency === home ? atHome : 0n)
    return {
      currency,
      actual,
      available: actual - (balance?.reserved ?? 0n) - (currency === home ? odd("other-holds") : 0n),
      updatedAt: Math.max(createdAt, balance?.movedAt ?? 0, touched?.updatedAt ?? 0),
    }
  })
}

const accountText = (world: World, wallet: number, createdAt: number, account: WalletAccount): string =>
  `{"wallet_account_id":"${accountId(world, wallet, account.currency)}",` +
  `"wallet_id":"${world.ids.wallet.of(wallet)}","org_id":"${ORG_ID}",` +
  `"currency":"${CURRENCIES[account.currency]!.code}",` +
  `"actual_balance":${print(account.actual, account.currency)},` +
  `"available_balance":${print(account.available, account.currency)},` +
  `"is_active":true,"is_settlement_allowed":true,"is_deleted":false,` +
  `"created_at":"${iso(createdAt)}","updated_at":"${iso(account.updatedAt)}","deleted_at":null}`

/** The record as JSON text. Balances may have more digits than a double. */
const walletText = (world: World, index: number, withAccounts: boolean): string => {
  const owner = world.owners.ownerOfWallet(index)
  const createdAt = createdAtOf(world, index)
  const touched = world.changes.of("wallets").touches.get(index)
  const kind = owner === ORGANIZATION ? "ORG" : "CUSTOMER"
  const head = JSON.stringify({
    wallet_id: world.ids.wallet.of(index),
    org_id: ORG_ID,
    customer_id: owner === ORGANIZATION ? null : world.ids.customer.of(owner),
    category: owner === ORGANIZATION ? "PAYIN" : "CUSTOMER",
    scope: kind,
    wallet_alias: "main",
    description: "",
    metadata: null,
    webhook_url: null,
    is_active: true,
    is_deleted: false,
    created_at: iso(createdAt),
    updated_at: iso(touched?.updatedAt ?? createdAt),
    deleted_at: null,
  })
  if (!withAccounts) return head
  const accounts = walletAccounts(world, index).map(account => accountText(world, index, createdAt, account))
  return `${head.slice(0, -1)},"wallet_account":[${accounts.join(",")}]}`
}

/** The paths are assumed (?). */
export default {
  kind: "list",
  listPath: "/api/v1/wallet/get-all",
  detailPath: "/api/v1/wallet/{id}",
  count: (_, owners) => owners.wallets,
  ids: world => world.ids.wallet,
  text: (world, index) => walletText(world, index, true),
  listed: (world, index) => walletText(world, index, world.options.walletListHasBalances),
} satisfies ListGenerator
