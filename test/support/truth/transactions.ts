import { progressOf, type Transaction, transactionAt } from "../../../src/sandbox/streams/transactions.ts"
import { type Minor, print } from "../../../src/sandbox/world/money.ts"
import { ORGANIZATION } from "../../../src/sandbox/world/owners.ts"
import { iso, type World } from "../../../src/sandbox/world/world.ts"
import {
  add,
  type CountAndAmount,
  codeOf,
  groupsBy,
  indices,
  nothing,
  ownerIdOf,
  type Select,
} from "./groups.ts"

export interface TransactionTruth {
  readonly index: number
  readonly transactionId: string
  readonly ownerId: string
  readonly customerId: string | null
  readonly settlementId: string | null
  readonly eventType: string
  readonly eventName: string
  readonly direction: 1 | -1 | 0 | null
  readonly currency: string
  /** As sent: a chargeback's is negative. */
  readonly amount: string
  readonly feeCurrency: string
  readonly feeAmount: string
  readonly taxAmount: string
  readonly isSettled: boolean
  readonly isReconciled: boolean
  readonly createdAt: string
  readonly updatedAt: string
}

export interface UnmappedTruth {
  readonly eventType: string
  readonly eventName: string
  readonly currency: string
  readonly transactionCount: number
  readonly amount: string
}

/** The direction that the contract gives an event, apart from the warehouse's rules; undefined where it gives none. */
const directionOf = (eventType: string, eventName: string): 1 | -1 | 0 | undefined => {
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

const absolute = (minor: Minor): bigint => BigInt(minor) * (minor < 0 ? -1n : 1n)

/** Direction × |amount|; 0 for an unknown type. */
export const signed = ({ eventType, eventName, amount }: Transaction): bigint =>
  BigInt(directionOf(eventType, eventName) ?? 0) * absolute(amount)

export const isUnmapped = ({ eventType, eventName }: Transaction): boolean =>
  directionOf(eventType, eventName) === undefined

/** True if it moves money, or may: an unknown type counts as moving. */
export const isMoving = ({ eventType, eventName }: Transaction): boolean =>
  directionOf(eventType, eventName) !== 0

/** Every transaction, oldest index first. */
export function* all(world: World, select?: Select): Generator<Transaction> {
  for (const index of indices(world, "transactions", select)) yield transactionAt(world, index)
}

export function* transactions(world: World, select?: Select): Generator<TransactionTruth> {
  for (const transaction of all(world, select)) {
    const { index, owner, eventType, eventName, currency, feeCurrency, createdAt } = transaction
    const { settlement, isSettled, isReconciled, updatedAt } = progressOf(world, transaction)
    const ownerId = ownerIdOf(world, owner)
    yield {
      index,
      transactionId: world.ids.transaction.of(index),
      ownerId,
      customerId: owner === ORGANIZATION ? null : ownerId,
      settlementId: settlement,
      eventType,
      eventName,
      direction: directionOf(eventType, eventName) ?? null,
      currency: codeOf(currency),
      amount: print(transaction.amount, currency),
      feeCurrency: codeOf(feeCurrency),
      feeAmount: print(transaction.fee, feeCurrency),
      taxAmount: print(transaction.tax, feeCurrency),
      isSettled,
      isReconciled,
      createdAt: iso(createdAt),
      updatedAt: iso(updatedAt),
    }
  }
}

export const unmapped = (world: World, select?: Select): ReadonlyArray<UnmappedTruth> => {
  const rows = groupsBy<[type: string, name: string, currency: number], CountAndAmount>(nothing)
  for (const transaction of all(world, select)) {
    if (!isUnmapped(transaction)) continue
    const { eventType, eventName, currency, amount } = transaction
    add(rows.at(eventType, eventName, currency), amount)
  }
  return rows.map(([eventType, eventName, currency], { count, amount }) => ({
    eventType,
    eventName,
    currency: codeOf(currency),
    transactionCount: count,
    amount: print(amount, currency),
  }))
}
