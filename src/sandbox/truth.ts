import { directionOf } from "./ledger.ts"
import type { Listing } from "./list.ts"
import { CURRENCIES, type Minor, print } from "./money.ts"
import type { StreamName } from "./options.ts"
import { ORGANIZATION } from "./owners.ts"
import { checkoutAt } from "./records/checkouts.ts"
import { readinessOf } from "./records/customers.ts"
import { payoutAt } from "./records/payouts.ts"
import { progressOf, type Transaction, transactionAt } from "./records/transactions.ts"
import { walletAccounts } from "./records/wallets.ts"
import type { Records } from "./records.ts"
import { ORG_ID } from "./samples.ts"
import { iso, type World } from "./world.ts"

/**
 * What a warehouse in step with the sandbox must show, summed up from the records without any SQL, changes
 * included (but for `patch`). Amounts are exact decimals in major units without trailing zeros. Every method
 * reads the records anew; memory grows with the groups of the answer, not with the records.
 */
export interface Truth {
  /** Records listed now. */
  readonly count: (stream: StreamName) => number
  /** Their ids, in the order served. */
  readonly ids: (stream: StreamName) => Generator<string>
  /** A record as its by-id endpoint answers it: JSON text. */
  readonly text: (stream: StreamName, index: number) => string
  readonly transactions: (select?: Select) => Generator<TransactionTruth>
  readonly movements: (select?: Select) => Generator<MovementTruth>
  readonly settlements: (select?: Select) => ReadonlyArray<SettlementTruth>
  readonly settlementDays: (select?: Select) => ReadonlyArray<SettlementDayTruth>
  readonly balances: (select?: Select) => ReadonlyArray<BalanceTruth>
  readonly unmapped: (select?: Select) => ReadonlyArray<UnmappedTruth>
  readonly notReady: () => Generator<NotReadyTruth>
  readonly payoutDays: (select?: Select) => ReadonlyArray<PayoutDayTruth>
  readonly checkoutDays: () => ReadonlyArray<CheckoutDayTruth>
  /** Checkouts of customers who are not ready, neither deleted nor expired at `now`. */
  readonly openCheckouts: (now: Date) => ReadonlyArray<OpenCheckoutTruth>
}

/** Removed transactions and payouts count as long as `removed` is not false: a warehouse that saw them keeps them. */
export interface Select {
  readonly removed?: boolean
}

export interface TransactionTruth {
  readonly index: number
  readonly transactionId: string
  readonly ownerId: string
  readonly customerId: string | null
  readonly settlementId: string | null
  readonly eventType: string
  readonly eventName: string
  /** Null for a type that nobody knows. */
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

export interface MovementTruth {
  readonly transactionId: string
  readonly ownerId: string
  readonly currency: string
  readonly kind: "amount" | "fee"
  readonly movement: string
  readonly occurredAt: string
}

/** One per settlement, currency and fee currency. */
export interface SettlementTruth {
  readonly settlementId: string
  readonly currency: string
  readonly feeCurrency: string
  /** Of the whole settlement, whatever the currencies of the row. */
  readonly status: "Done" | "In Progress"
  readonly transactionCount: number
  readonly unmappedCount: number
  readonly settlementAmount: string
  readonly feeAmount: string
  readonly taxAmount: string
  /** Null where the fee's currency is another. */
  readonly paymentToMerchantAmount: string | null
  readonly firstTransactionAt: string
  readonly lastTransactionAt: string
}

/** All transactions of a day (UTC) and currency; an unmapped one counts, with an amount of 0. */
export interface SettlementDayTruth {
  readonly day: string
  readonly currency: string
  readonly settledCount: number
  readonly settledAmount: string
  readonly unsettledCount: number
  readonly unsettledAmount: string
}

/** One per owner and currency with a movement or a wallet account. */
export interface BalanceTruth {
  readonly ownerId: string
  readonly currency: string
  readonly walletCount: number
  /** Null where no wallet has the currency. */
  readonly walletBalance: string | null
  /** Null where nothing moved. */
  readonly ledgerBalance: string | null
  /** Wallet less ledger, a missing one taken for 0. */
  readonly difference: string
}

export interface UnmappedTruth {
  readonly eventType: string
  readonly eventName: string
  readonly currency: string
  readonly transactionCount: number
  readonly amount: string
}

export interface NotReadyTruth {
  readonly customerId: string
  /** Sorted; empty where the API names none. */
  readonly missingFields: ReadonlyArray<string>
}

export interface PayoutDayTruth {
  /** Of creation, or of the latest change where the payout does not tell. */
  readonly day: string
  readonly currency: string
  readonly status: string
  readonly payoutCount: number
  readonly amount: string
  readonly removedCount: number
}

export interface CheckoutDayTruth {
  readonly day: string
  readonly currency: string
  readonly checkoutCount: number
  readonly amount: string
}

export interface OpenCheckoutTruth {
  readonly customerId: string
  readonly currency: string
  readonly checkoutCount: number
  readonly amount: string
}

const absolute = (minor: Minor): bigint => BigInt(minor) * (minor < 0 ? -1n : 1n)

const codeOf = (currency: number): string => CURRENCIES[currency]!.code

const dayText = (millis: number): string => iso(millis).slice(0, 10)

/** Groups by a key of texts; the last member found decides nothing, a fresh group is made once. */
const groups = <A>(fresh: () => A) => {
  const byKey = new Map<string, A>()
  return {
    at: (...key: ReadonlyArray<string | number>): A => {
      const text = key.join("|")
      const known = byKey.get(text)
      if (known !== undefined) return known
      const made = fresh()
      byKey.set(text, made)
      return made
    },
    entries: () => [...byKey].map(([text, group]) => [text.split("|"), group] as const),
  }
}

export const makeTruth = (
  world: World,
  records: Records,
  listing: (stream: StreamName) => Listing,
): Truth => {
  const { changes, ids } = world
  const ownerId = (owner: number) => (owner === ORGANIZATION ? ORG_ID : ids.customer.of(owner))

  function* indices(stream: StreamName, { removed = true }: Select = {}): Generator<number> {
    for (let index = 0; index < changes.size(stream); index++)
      if (removed || !changes.of(stream).removed.has(index)) yield index
  }
  function* all(select?: Select): Generator<Transaction> {
    for (const index of indices("transactions", select)) yield transactionAt(world, index)
  }
  const signed = ({ eventType, eventName, amount }: Transaction): bigint =>
    BigInt(directionOf(eventType, eventName) ?? 0) * absolute(amount)

  function* transactions(select?: Select): Generator<TransactionTruth> {
    for (const transaction of all(select)) {
      const { index, owner, eventType, eventName, currency, feeCurrency, createdAt } = transaction
      const { settlement, isSettled, isReconciled, updatedAt } = progressOf(world, transaction)
      yield {
        index,
        transactionId: ids.transaction.of(index),
        ownerId: ownerId(owner),
        customerId: owner === ORGANIZATION ? null : ownerId(owner),
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

  /** What one transaction moves, in minor units: its amount, and its fee where that is in another currency. */
  function* moved(
    transaction: Transaction,
  ): Generator<readonly [kind: "amount" | "fee", currency: number, by: bigint]> {
    const { eventType, eventName, currency, feeCurrency, fee, tax } = transaction
    if (directionOf(eventType, eventName) === undefined) return
    const charged = BigInt(fee + tax)
    const isSame = feeCurrency === currency
    yield ["amount", currency, signed(transaction) - (isSame ? charged : 0n)]
    if (!isSame) yield ["fee", feeCurrency, -charged]
  }
  function* movements(select?: Select): Generator<MovementTruth> {
    for (const transaction of all(select))
      for (const [kind, currency, by] of moved(transaction))
        yield {
          transactionId: ids.transaction.of(transaction.index),
          ownerId: ownerId(transaction.owner),
          currency: codeOf(currency),
          kind,
          movement: print(by, currency),
          occurredAt: iso(transaction.createdAt),
        }
  }

  const settlements = (select?: Select): ReadonlyArray<SettlementTruth> => {
    const open = new Set<string>()
    const rows = groups(() => ({
      count: 0,
      unmapped: 0,
      amount: 0n,
      fee: 0n,
      tax: 0n,
      first: Infinity,
      last: 0,
    }))
    for (const transaction of all(select)) {
      const { settlement, isSettled } = progressOf(world, transaction)
      if (settlement === null) continue
      if (!isSettled) open.add(settlement)
      const { eventType, eventName, currency, feeCurrency, fee, tax, createdAt } = transaction
      const row = rows.at(settlement, currency, feeCurrency)
      row.count += 1
      row.unmapped += directionOf(eventType, eventName) === undefined ? 1 : 0
      row.amount += signed(transaction)
      row.fee += BigInt(fee)
      row.tax += BigInt(tax)
      row.first = Math.min(row.first, createdAt)
      row.last = Math.max(row.last, createdAt)
    }
    return rows.entries().map(([[settlement, currencyText, feeText], row]) => {
      const [currency, feeCurrency] = [Number(currencyText), Number(feeText)]
      return {
        settlementId: settlement!,
        currency: codeOf(currency),
        feeCurrency: codeOf(feeCurrency),
        status: open.has(settlement!) ? ("In Progress" as const) : ("Done" as const),
        transactionCount: row.count,
        unmappedCount: row.unmapped,
        settlementAmount: print(row.amount, currency),
        feeAmount: print(row.fee, feeCurrency),
        taxAmount: print(row.tax, feeCurrency),
        paymentToMerchantAmount:
          currency === feeCurrency ? print(row.amount - row.fee - row.tax, currency) : null,
        firstTransactionAt: iso(row.first),
        lastTransactionAt: iso(row.last),
      }
    })
  }

  const settlementDays = (select?: Select): ReadonlyArray<SettlementDayTruth> => {
    const rows = groups(() => ({ settled: { count: 0, amount: 0n }, unsettled: { count: 0, amount: 0n } }))
    for (const transaction of all(select)) {
      const row = rows.at(dayText(transaction.createdAt), transaction.currency)
      const side = progressOf(world, transaction).isSettled ? row.settled : row.unsettled
      side.count += 1
      side.amount += signed(transaction)
    }
    return rows.entries().map(([[day, currency], { settled, unsettled }]) => ({
      day: day!,
      currency: codeOf(Number(currency)),
      settledCount: settled.count,
      settledAmount: print(settled.amount, Number(currency)),
      unsettledCount: unsettled.count,
      unsettledAmount: print(unsettled.amount, Number(currency)),
    }))
  }

  const balances = (select?: Select): ReadonlyArray<BalanceTruth> => {
    const rows = groups(() => ({ wallets: 0, wallet: 0n, ledger: 0n, isMoved: false }))
    for (const transaction of all(select))
      for (const [, currency, by] of moved(transaction)) {
        const row = rows.at(transaction.owner, currency)
        row.ledger += by
        row.isMoved = true
      }
    for (const wallet of indices("wallets", { removed: false }))
      for (const { currency, actual } of walletAccounts(world, records.ledgerOf, wallet)) {
        const row = rows.at(world.owners.ownerOfWallet(wallet), currency)
        row.wallets += 1
        row.wallet += actual
      }
    return rows.entries().map(([[owner, currencyText], { wallets, wallet, ledger, isMoved }]) => {
      const currency = Number(currencyText)
      return {
        ownerId: ownerId(Number(owner)),
        currency: codeOf(currency),
        walletCount: wallets,
        walletBalance: wallets === 0 ? null : print(wallet, currency),
        ledgerBalance: isMoved ? print(ledger, currency) : null,
        difference: print(wallet - ledger, currency),
      }
    })
  }

  const unmapped = (select?: Select): ReadonlyArray<UnmappedTruth> => {
    const rows = groups(() => ({ count: 0, amount: 0n }))
    for (const { eventType, eventName, currency, amount } of all(select)) {
      if (directionOf(eventType, eventName) !== undefined) continue
      const row = rows.at(eventType, eventName, currency)
      row.count += 1
      row.amount += BigInt(amount)
    }
    return rows.entries().map(([[eventType, eventName, currency], { count, amount }]) => ({
      eventType: eventType!,
      eventName: eventName!,
      currency: codeOf(Number(currency)),
      transactionCount: count,
      amount: print(amount, Number(currency)),
    }))
  }

  function* notReady(): Generator<NotReadyTruth> {
    for (const index of indices("customers", { removed: false })) {
      const { ready, missing } = readinessOf(world, index)
      if (!ready) yield { customerId: ids.customer.of(index), missingFields: [...new Set(missing)].sort() }
    }
  }

  const payoutDays = (select?: Select): ReadonlyArray<PayoutDayTruth> => {
    const rows = groups(() => ({ count: 0, removed: 0, amount: 0n }))
    for (const index of indices("payouts", select)) {
      const { createdAt, updatedAt, currency, status, amount } = payoutAt(world, index)
      const row = rows.at(dayText(createdAt ?? updatedAt), currency, status)
      row.count += 1
      row.removed += changes.of("payouts").removed.has(index) ? 1 : 0
      row.amount += BigInt(amount)
    }
    return rows.entries().map(([[day, currency, status], { count, removed, amount }]) => ({
      day: day!,
      currency: codeOf(Number(currency)),
      status: status!,
      payoutCount: count,
      amount: print(amount, Number(currency)),
      removedCount: removed,
    }))
  }

  const checkoutDays = (): ReadonlyArray<CheckoutDayTruth> => {
    const rows = groups(() => ({ count: 0, amount: 0n }))
    for (const index of indices("checkouts", { removed: false })) {
      const { createdAt, currency, amount } = checkoutAt(world, index)
      const row = rows.at(dayText(createdAt), currency)
      row.count += 1
      row.amount += BigInt(amount)
    }
    return rows.entries().map(([[day, currency], { count, amount }]) => ({
      day: day!,
      currency: codeOf(Number(currency)),
      checkoutCount: count,
      amount: print(amount, Number(currency)),
    }))
  }

  const openCheckouts = (now: Date): ReadonlyArray<OpenCheckoutTruth> => {
    const rows = groups(() => ({ count: 0, amount: 0n }))
    for (const index of indices("checkouts", { removed: false })) {
      const { customer, currency, amount, expireAt, deletedAt } = checkoutAt(world, index)
      const isOpen = deletedAt === null && expireAt > now.getTime()
      if (!isOpen || customer === null || readinessOf(world, customer).ready) continue
      if (changes.of("customers").removed.has(customer)) continue
      const row = rows.at(customer, currency)
      row.count += 1
      row.amount += BigInt(amount)
    }
    return rows.entries().map(([[customer, currency], { count, amount }]) => ({
      customerId: ids.customer.of(Number(customer)),
      currency: codeOf(Number(currency)),
      checkoutCount: count,
      amount: print(amount, Number(currency)),
    }))
  }

  return {
    count: stream => listing(stream).total(),
    ids: function* (stream) {
      for (const index of listing(stream).all()) yield records.ids[stream].of(index)
    },
    text: records.text,
    transactions,
    movements,
    settlements,
    settlementDays,
    balances,
    unmapped,
    notReady,
    payoutDays,
    checkoutDays,
    openCheckouts,
  }
}
