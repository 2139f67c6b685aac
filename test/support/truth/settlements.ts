import { progressOf } from "../../../src/sandbox/streams/transactions.ts"
import { print } from "../../../src/sandbox/world/money.ts"
import { iso, type World } from "../../../src/sandbox/world/world.ts"
import { add, type CountAndAmount, codeOf, dayText, groupsBy, nothing, type Select } from "./groups.ts"
import { all, isMoving, isUnmapped, signed } from "./transactions.ts"

/** One per settlement, currency and fee currency. */
export interface SettlementTruth {
  readonly settlementId: string
  readonly currency: string
  readonly feeCurrency: string
  /** Status of the whole settlement, whatever the currencies of the row. */
  readonly status: "Done" | "In Progress"
  readonly transactionCount: number
  readonly unmappedCount: number
  readonly unmovingCount: number
  readonly settlementAmount: string
  readonly feeAmount: string
  readonly taxAmount: string
  /** Null if the fee has another currency. */
  readonly paymentToMerchantAmount: string | null
  readonly firstTransactionAt: string
  readonly lastTransactionAt: string
}

/** The moving transactions of a day (UTC) and currency; an unmapped one counts, with an amount of 0. */
export interface SettlementDayTruth {
  readonly day: string
  readonly currency: string
  readonly settledCount: number
  readonly settledAmount: string
  readonly unsettledCount: number
  readonly unsettledAmount: string
  readonly unmovingCount: number
  readonly settledWithoutSettlementCount: number
  readonly settledWithoutSettlementAmount: string
}

interface SettlementSum {
  count: number
  unmapped: number
  unmoving: number
  amount: bigint
  fee: bigint
  tax: bigint
  first: number
  last: number
}

export const settlements = (world: World, select?: Select): ReadonlyArray<SettlementTruth> => {
  const inProgress = new Set<string>()
  const rows = groupsBy<[settlement: string, currency: number, feeCurrency: number], SettlementSum>(() => ({
    count: 0,
    unmapped: 0,
    unmoving: 0,
    amount: 0n,
    fee: 0n,
    tax: 0n,
    first: Number.POSITIVE_INFINITY,
    last: Number.NEGATIVE_INFINITY,
  }))
  for (const transaction of all(world, select)) {
    const { settlement, isSettled } = progressOf(world, transaction)
    if (settlement === null) continue
    if (!isSettled && isMoving(transaction)) inProgress.add(settlement)
    const row = rows.at(settlement, transaction.currency, transaction.feeCurrency)
    row.count += 1
    row.unmapped += isUnmapped(transaction) ? 1 : 0
    row.unmoving += isMoving(transaction) ? 0 : 1
    row.amount += signed(transaction)
    row.fee += BigInt(transaction.fee)
    row.tax += BigInt(transaction.tax)
    row.first = Math.min(row.first, transaction.createdAt)
    row.last = Math.max(row.last, transaction.createdAt)
  }
  return rows.map(([settlementId, currency, feeCurrency], row) => ({
    settlementId,
    currency: codeOf(currency),
    feeCurrency: codeOf(feeCurrency),
    status: inProgress.has(settlementId) ? "In Progress" : "Done",
    transactionCount: row.count,
    unmappedCount: row.unmapped,
    unmovingCount: row.unmoving,
    settlementAmount: print(row.amount, currency),
    feeAmount: print(row.fee, feeCurrency),
    taxAmount: print(row.tax, feeCurrency),
    paymentToMerchantAmount:
      currency === feeCurrency ? print(row.amount - row.fee - row.tax, currency) : null,
    firstTransactionAt: iso(row.first),
    lastTransactionAt: iso(row.last),
  }))
}

interface DaySum {
  readonly settled: CountAndAmount
  readonly unsettled: CountAndAmount
  readonly withoutSettlement: CountAndAmount
  unmoving: number
}

export const settlementDays = (world: World, select?: Select): ReadonlyArray<SettlementDayTruth> => {
  const rows = groupsBy<[day: string, currency: number], DaySum>(() => ({
    settled: nothing(),
    unsettled: nothing(),
    withoutSettlement: nothing(),
    unmoving: 0,
  }))
  for (const transaction of all(world, select)) {
    const row = rows.at(dayText(transaction.createdAt), transaction.currency)
    if (!isMoving(transaction)) {
      row.unmoving += 1
      continue
    }
    const { isSettled, settlement } = progressOf(world, transaction)
    add(isSettled ? row.settled : row.unsettled, signed(transaction))
    if (isSettled && settlement === null) add(row.withoutSettlement, signed(transaction))
  }
  return rows.map(([day, currency], { settled, unsettled, withoutSettlement, unmoving }) => ({
    day,
    currency: codeOf(currency),
    settledCount: settled.count,
    settledAmount: print(settled.amount, currency),
    unsettledCount: unsettled.count,
    unsettledAmount: print(unsettled.amount, currency),
    unmovingCount: unmoving,
    settledWithoutSettlementCount: withoutSettlement.count,
    settledWithoutSettlementAmount: print(withoutSettlement.amount, currency),
  }))
}
