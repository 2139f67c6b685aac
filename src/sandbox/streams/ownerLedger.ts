import type { Minor } from "../world/money.ts"
import { ORGANIZATION } from "../world/owners.ts"
import type { World } from "../world/world.ts"
import { type Transaction, transactionAt } from "./transactions.ts"

export interface Balance {
  readonly actual: bigint
  /** Amount that unreleased reserves hold back; negative where the simulation releases more than it reserved. */
  readonly reserved: bigint
  /** Time of the latest movement in milliseconds; null if there was none. */
  readonly movedAt: number | null
}

/** Balances of one owner, by the index of the currency in `CURRENCIES`. */
export type Ledger = ReadonlyMap<number, Balance>

/** A sum that is a number as long as that is exact. Bigints take ten times as long. */
interface Sum {
  small: number
  large: bigint
  reserved: number
  movedAt: number
}

const sumIn = (sums: Map<number, Sum>, currency: number): Sum => {
  const existing = sums.get(currency)
  if (existing !== undefined) return existing
  const fresh = { small: 0, large: 0n, reserved: 0, movedAt: 0 }
  sums.set(currency, fresh)
  return fresh
}

const move = (sums: Map<number, Sum>, currency: number, by: Minor, at: number): Sum => {
  const sum = sumIn(sums, currency)
  sum.movedAt = Math.max(sum.movedAt, at)
  if (typeof by === "bigint") sum.large += by
  else sum.small += by
  return sum
}

/** Money in and out of a wallet, by what the simulated API does: the rules of the warehouse are no part of it. */
const bookAmount = (
  sums: Map<number, Sum>,
  { amount, currency, eventType, moves, createdAt }: Transaction,
) => {
  const sum = move(sums, currency, moves, createdAt)
  if (typeof amount === "number" && eventType === "RESERVE") sum.reserved += amount
  if (typeof amount === "number" && eventType === "RELEASE") sum.reserved -= amount
}

const bookFee = (sums: Map<number, Sum>, { fee, tax, feeCurrency, createdAt }: Transaction) => {
  if (fee !== 0) move(sums, feeCurrency, -(fee + tax), createdAt)
}

/** Indices of transactions that were inserted, those removed since included. Others are not in the list yet. */
const inserted = ({ changes, options }: World): ReadonlyArray<number> =>
  [...changes.of("transactions").createdAt.keys()].filter(index => index >= options.transactions)

/** All transactions of one owner, including inserted and removed ones. */
function* transactionsOf(world: World, owner: number): Generator<number> {
  yield* world.owners.transactionsOf(owner, world.options.transactions)
  for (const index of inserted(world)) if (world.owners.ownerOf(index) === owner) yield index
}

const sumUp = (world: World, owner: number): Ledger => {
  const sums = new Map<number, Sum>()
  const isFeesWallet = world.options.breaches.includes("fees-wallet")
  for (const index of transactionsOf(world, owner)) {
    const transaction = transactionAt(world, index)
    bookAmount(sums, transaction)
    if (!isFeesWallet) bookFee(sums, transaction)
  }
  if (isFeesWallet && owner === ORGANIZATION) {
    for (let index = 0; index < world.options.transactions; index++)
      bookFee(sums, transactionAt(world, index))
    for (const index of inserted(world)) bookFee(sums, transactionAt(world, index))
  }
  return new Map(
    [...sums].map(([currency, { small, large, reserved, movedAt }]) => [
      currency,
      { actual: BigInt(small) + large, reserved: BigInt(reserved), movedAt: movedAt || null },
    ]),
  )
}

/** Number of ledgers in the cache: those of a few pages of wallets, and the organization's. */
const LEDGERS_MAX = 5_000

interface Kept {
  readonly inserted: number
  readonly ledgers: Map<number, Ledger>
}

const kept = new WeakMap<World, Kept>()

/** The ledger of one owner, cached until its transactions change. Takes time by the number of these. */
export const ledgerOf = (world: World, owner: number): Ledger => {
  const inserted = world.changes.of("transactions").createdAt.size
  const before = kept.get(world)
  const isUsable = before?.inserted === inserted && before.ledgers.size < LEDGERS_MAX
  const { ledgers } = isUsable ? before : { ledgers: new Map<number, Ledger>() }
  if (!isUsable) kept.set(world, { inserted, ledgers })
  const ledger = ledgers.get(owner) ?? sumUp(world, owner)
  ledgers.set(owner, ledger)
  return ledger
}
