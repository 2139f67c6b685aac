import type { World } from "../world/world.ts"
import { type Transaction, transactionAt } from "./transactions.ts"

/** The effect on a balance, independent of the warehouse's table. `undefined`: unknown, and left out. */
export const directionOf = (eventType: string, eventName: string): 1 | -1 | 0 | undefined => {
  if (/FAILED|CANCELLED|EXPIRED/.test(eventName)) return 0
  switch (eventType) {
    case "PAYIN":
    case "CREDIT":
      return 1
    case "PAYOUT":
    case "REFUND":
    case "CHARGEBACK":
    case "DEBIT":
      return -1
    case "RESERVE":
    case "RELEASE":
      return 0
    default:
      return undefined
  }
}

export interface Balance {
  readonly actual: bigint
  /** Amount that unreleased reserves hold back. */
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

const book = (sums: Map<number, Sum>, transaction: Transaction): void => {
  const { amount, currency, eventType, eventName, fee, tax, feeCurrency, createdAt } = transaction
  const direction = directionOf(eventType, eventName)
  if (direction === undefined) return
  const sum = sumIn(sums, currency)
  sum.movedAt = Math.max(sum.movedAt, createdAt)
  if (typeof amount === "bigint") sum.large += BigInt(direction) * amount
  else sum.small += direction * Math.abs(amount)
  if (typeof amount === "number" && eventType === "RESERVE") sum.reserved += amount
  if (typeof amount === "number" && eventType === "RELEASE") sum.reserved -= amount
  if (fee === 0) return
  const charged = sumIn(sums, feeCurrency)
  charged.small -= fee + tax
  charged.movedAt = Math.max(charged.movedAt, createdAt)
}

function* transactionsOf(world: World, owner: number): Generator<number> {
  yield* world.owners.transactionsOf(owner, world.options.transactions)
  for (const index of world.changes.of("transactions").createdAt.keys())
    if (world.owners.ownerOf(index) === owner) yield index
}

const sumUp = (world: World, owner: number): Ledger => {
  const sums = new Map<number, Sum>()
  for (const index of transactionsOf(world, owner)) book(sums, transactionAt(world, index))
  return new Map(
    [...sums].map(([currency, { small, large, reserved, movedAt }]) => [
      currency,
      { actual: BigInt(small) + large, reserved: BigInt(Math.max(0, reserved)), movedAt: movedAt || null },
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
