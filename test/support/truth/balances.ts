import type { Transaction } from "../../../src/sandbox/streams/transactions.ts"
import { walletAccounts } from "../../../src/sandbox/streams/wallets.ts"
import { print } from "../../../src/sandbox/world/money.ts"
import { iso, type World } from "../../../src/sandbox/world/world.ts"
import { codeOf, groupsBy, indices, ownerIdOf, type Select } from "./groups.ts"
import { all, isUnmapped, signed } from "./transactions.ts"

export interface MovementTruth {
  readonly transactionId: string
  readonly ownerId: string
  readonly currency: string
  readonly kind: "amount" | "fee"
  readonly movement: string
  readonly occurredAt: string
}

/** One per owner and currency with a movement or a wallet account. */
export interface BalanceTruth {
  readonly ownerId: string
  readonly currency: string
  readonly walletCount: number
  /** Null if no wallet has the currency. */
  readonly walletBalance: string | null
  /** Null if nothing moved. */
  readonly ledgerBalance: string | null
  /** Wallet minus ledger; a missing one counts as 0. */
  readonly difference: string
}

interface BalanceSum {
  wallets: number
  wallet: bigint
  ledger: bigint
  isMoved: boolean
}

interface Moved {
  readonly kind: "amount" | "fee"
  readonly currency: number
  readonly by: bigint
}

/** The movements of one transaction: its amount minus the fee, or both separately if the currencies differ. */
const movedBy = (transaction: Transaction): ReadonlyArray<Moved> => {
  if (isUnmapped(transaction)) return []
  const { currency, feeCurrency, fee, tax } = transaction
  const charged = BigInt(fee + tax)
  const by = signed(transaction)
  return feeCurrency === currency
    ? [{ kind: "amount", currency, by: by - charged }]
    : [
        { kind: "amount", currency, by },
        { kind: "fee", currency: feeCurrency, by: -charged },
      ]
}

export function* movements(world: World, select?: Select): Generator<MovementTruth> {
  for (const transaction of all(world, select))
    for (const { kind, currency, by } of movedBy(transaction))
      yield {
        transactionId: world.ids.transaction.of(transaction.index),
        ownerId: ownerIdOf(world, transaction.owner),
        currency: codeOf(currency),
        kind,
        movement: print(by, currency),
        occurredAt: iso(transaction.createdAt),
      }
}

export const balances = (world: World, select?: Select): ReadonlyArray<BalanceTruth> => {
  const rows = groupsBy<[owner: number, currency: number], BalanceSum>(() => ({
    wallets: 0,
    wallet: 0n,
    ledger: 0n,
    isMoved: false,
  }))
  for (const transaction of all(world, select))
    for (const { currency, by } of movedBy(transaction)) {
      if (by === 0n) continue
      const row = rows.at(transaction.owner, currency)
      row.ledger += by
      row.isMoved = true
    }
  for (const wallet of indices(world, "wallets", { removed: false }))
    for (const { currency, actual } of walletAccounts(world, wallet)) {
      const row = rows.at(world.owners.ownerOfWallet(wallet), currency)
      row.wallets += 1
      row.wallet += actual
    }
  return rows.map(([owner, currency], { wallets, wallet, ledger, isMoved }) => ({
    ownerId: ownerIdOf(world, owner),
    currency: codeOf(currency),
    walletCount: wallets,
    walletBalance: wallets === 0 ? null : print(wallet, currency),
    ledgerBalance: isMoved ? print(ledger, currency) : null,
    difference: print(wallet - ledger, currency),
  }))
}
