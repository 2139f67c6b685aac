import { progressOf } from "../streams/transactions.ts"
import { print } from "../world/money.ts"
import { iso, type World } from "../world/world.ts"
import { add, type CountAndAmount, codeOf, dayText, groupsBy, nothing, type Select } from "./groups.ts"
import { all, isUnmapped, signed } from "./transactions.ts"

/** One per settlement, currency and fee currency. */
export interface SettlementTruth {
  readonly settlementId: string
  readonly currency: string
  readonly feeCurrency: string
  /** Status of the whole settlement, whatever the currencies of the row. */
  readonly status: "Done" | "In Progress"
  readonly transactionCount: number
  readonly unmappedCount: number
  readonly settlementAmount: string
  readonly feeAmount: string
  readonly taxAmount: string
  /** Null if the fee has another currency. */
  readonly paymentToMerchantAmount: string | null
  readonly firstTransactionAt: string
  readonly lastTransactionAt: string
}

/** All transactions of a day (UTC) and currency. An unmapped one counts with an amount of 0. */
export interface SettlementDayTruth {
  readonly day: string
  readonly currency: string
  readonly settledCount: number
  readonly settledAmount: string
  readonly unsettledCount: number
  readonly unsettledAmount: string
}

interface SettlementSum {
  count: number
  unmapped: number
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
    amount: 0n,
    fee: 0n,
    tax: 0n,
    first: Number.POSITIVE_INFINITY,
    last: Number.NEGATIVE_INFINITY,
  }))
  for (const transaction of all(world, select)) {
    const { settlement, isSettled } = progressOf(world, transaction)
    if (settlement === null) continue
    if (!isSettled) inProgress.add(settlement)
    const row = rows.at(settlement, transaction.currency, transaction.feeCurrency)
    row.count += 1
    row.unmapped += isUnmapped(transaction) ? 1 : 0
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
    settlementAmount: print(row.amount, currency),
    feeAmount: print(row.fee, feeCurrency),
    taxAmount: print(row.tax, feeCurrency),
    paymentToMerchantAmount:
      currency === feeCurrency ? print(row.amount - row.fee - row.tax, currency) : null,
    firstTransactionAt: iso(row.first),
    lastTransactionAt: iso(row.last),
  }))
}

export const settlementDays = (world: World, select?: Select): ReadonlyArray<SettlementDayTruth> => {
  const rows = groupsBy<[day: string, currency: number], Record<"settled" | "unsettled", CountAndAmount>>(
    () => ({ settled: nothing(), unsettled: nothing() }),
  )
  for (const transaction of all(world, select)) {
    const row = rows.at(dayText(transaction.createdAt), transaction.currency)
    const side = progressOf(world, transaction).isSettled ? row.settled : row.unsettled
    add(side, signed(transaction))
  }
  return rows.map(([day, currency], { settled, unsettled }) => ({
    day,
    currency: codeOf(currency),
    settledCount: settled.count,
    settledAmount: print(settled.amount, currency),
    unsettledCount: unsettled.count,
    unsettledAmount: print(unsettled.amount, currency),
  }))
}
