import type { Sandbox } from "../../src/sandbox/sandbox.ts"
import { decimal, type Fields, millionths } from "../sandbox/reading.ts"
import type { BalanceTruth, MovementTruth, SettlementTruth, TransactionTruth, Truth } from "./truth/truth.ts"

/**
 * Awkward payments and wallets, as the API would send them, and what they come to. The direction, the fee and the tax of each
 * are written down by hand, and every sum is made from these in TypeScript.
 */

interface Payment {
  readonly id: string
  readonly type: string
  readonly name: string
  /** By hand: null where no rule may answer. */
  readonly direction: 1 | -1 | 0 | null
  readonly amount: string
  readonly currency: string
  readonly customer?: string
  readonly settlement?: string
  readonly isSettled?: boolean
  /** Sent: the currency, without tax, tax, with tax. */
  readonly fees?: readonly [string | null, string | null, string | null, string | null]
  /** By hand: what the fees come to, without tax and tax. */
  readonly fee?: readonly [string, string]
  readonly at: string
}

const inCents = { type: "PAYIN", name: "PAYIN_COMPLETED", direction: 1, isSettled: true } as const
const day = (n: number, hour = 12) => new Date(Date.UTC(2026, 0, n, hour)).toISOString()

/** Payments by their id. `later`: the ones that the second reading finds changed. */
export const PAYMENTS: ReadonlyArray<Payment> = [
  // A whole fee, only the fee with tax, the fee with tax and the tax, and a negative fee.
  {
    ...inCents,
    id: "p01",
    amount: "100.10",
    currency: "USD",
    customer: "c1",
    settlement: "s1",
    fees: ["USD", "1.50", "0.15", "1.65"],
    fee: ["1.50", "0.15"],
    at: day(1),
  },
  {
    ...inCents,
    id: "p02",
    amount: "10",
    currency: "USD",
    customer: "c1",
    settlement: "s1",
    fees: ["USD", null, null, "1.10"],
    fee: ["1.10", "0"],
    at: day(1, 23),
  },
  {
    ...inCents,
    id: "p03",
    amount: "20",
    currency: "USD",
    customer: "c2",
    settlement: "s1",
    fees: [null, null, "0.20", "2.20"],
    fee: ["2", "0.20"],
    at: day(2, 0),
  },
  {
    ...inCents,
    id: "p04",
    amount: "5",
    currency: "USD",
    settlement: "s2",
    fees: ["USD", "-0.5", null, "0"],
    fee: ["-0.5", "0.5"],
    at: day(2),
  },
  // Fees in another currency.
  {
    ...inCents,
    id: "p05",
    amount: "7",
    currency: "USD",
    customer: "c1",
    settlement: "s1",
    fees: ["EUR", "0.7", "0.07", null],
    fee: ["0.7", "0.07"],
    at: day(3),
  },
  {
    ...inCents,
    id: "p06",
    amount: "70000",
    currency: "KRW",
    customer: "c3",
    settlement: "s2",
    fees: ["USD", "0.123", "0", null],
    fee: ["0.123", "0"],
    at: day(3),
  },
  // No decimals, and three.
  { ...inCents, id: "p07", amount: "1234567", currency: "KRW", customer: "c3", settlement: "s3", at: day(4) },
  {
    ...inCents,
    id: "p08",
    amount: "0.001",
    currency: "KWD",
    customer: "c3",
    settlement: "s3",
    fees: ["KWD", "0.002", "0.001", null],
    fee: ["0.002", "0.001"],
    at: day(4),
  },
  // Negative amounts: of money out, and of money in, which nothing may guess.
  {
    ...inCents,
    id: "p09",
    type: "REFUND",
    name: "REFUND_COMPLETED",
    direction: -1,
    amount: "-8",
    currency: "USD",
    customer: "c1",
    settlement: "s4",
    at: day(5),
  },
  {
    ...inCents,
    id: "p10",
    type: "REFUND",
    name: "REFUND_COMPLETED",
    direction: -1,
    amount: "3",
    currency: "USD",
    customer: "c2",
    settlement: "s4",
    isSettled: false,
    at: day(5),
  },
  {
    ...inCents,
    id: "p11",
    name: "PAYIN_SETTLED",
    direction: null,
    amount: "-50",
    currency: "USD",
    customer: "c2",
    settlement: "s4",
    fees: ["USD", "9", "1", null],
    fee: ["9", "1"],
    at: day(6),
  },
  // Lines that move nothing, one with a fee, hold no settlement open.
  {
    ...inCents,
    id: "p12",
    type: "PAYOUT",
    name: "PAYOUT_FAILED",
    direction: 0,
    amount: "40",
    currency: "USD",
    customer: "c1",
    settlement: "s1",
    isSettled: false,
    fees: ["USD", "0.25", "0", null],
    fee: ["0.25", "0"],
    at: day(7),
  },
  {
    ...inCents,
    id: "p13",
    type: "RESERVE",
    name: "RESERVE",
    direction: 0,
    amount: "15",
    currency: "USD",
    customer: "c1",
    settlement: "s1",
    isSettled: false,
    at: day(7),
  },
  {
    ...inCents,
    id: "p14",
    type: "RELEASE",
    name: "RELEASE",
    direction: 0,
    amount: "5",
    currency: "USD",
    customer: "c1",
    isSettled: false,
    at: day(8),
  },
  // Names that say more than the rule for their type, and a type without a rule.
  {
    ...inCents,
    id: "p15",
    name: "PAYIN_PENDING",
    direction: null,
    amount: "60",
    currency: "USD",
    customer: "c2",
    isSettled: false,
    at: day(8),
  },
  {
    ...inCents,
    id: "p16",
    type: "PAYOUT",
    name: "PAYOUT_RETURNED",
    direction: null,
    amount: "61",
    currency: "USD",
    settlement: "s5",
    at: day(8),
  },
  {
    ...inCents,
    id: "p17",
    type: "FEE",
    name: "CANCELLATION_FEE",
    direction: null,
    amount: "62",
    currency: "EUR",
    isSettled: false,
    at: day(9),
  },
  // Owners without a wallet, never listed, and the organization; settled without a settlement; nothing but a fee.
  { ...inCents, id: "p18", amount: "13", currency: "USD", customer: "ghost", at: day(9) },
  {
    ...inCents,
    id: "p19",
    type: "PAYOUT",
    name: "PAYOUT_COMPLETED",
    direction: -1,
    amount: "500",
    currency: "USD",
    at: day(10),
  },
  {
    ...inCents,
    id: "p20",
    amount: "0",
    currency: "EUR",
    customer: "c4",
    settlement: "s5",
    fees: ["EUR", "1", "0.2", "1.2"],
    fee: ["1", "0.2"],
    at: day(10),
  },
  {
    ...inCents,
    id: "p21",
    type: "CHARGEBACK",
    name: "CHARGEBACK",
    direction: -1,
    amount: "4",
    currency: "USD",
    customer: "c1",
    isSettled: false,
    at: day(11),
  },
  // The fee takes the whole amount: the owner has a ledger whose balance is 0.
  {
    ...inCents,
    id: "p23",
    amount: "6",
    currency: "USD",
    customer: "c6",
    fees: ["USD", "5", "1", null],
    fee: ["5", "1"],
    at: day(11),
  },
]

const changed = (id: string, change: Partial<Payment>): Payment => ({
  ...PAYMENTS.find(payment => payment.id === id)!,
  ...change,
})

/** Changes that the second reading finds: a move out of a settlement that was done, one unsettled again, another settled, and a new one. */
export const CHANGES: ReadonlyArray<Payment> = [
  changed("p02", { settlement: "s2" }),
  changed("p07", { isSettled: false }),
  changed("p10", { isSettled: true }),
  { ...changed("p20", {}), id: "p22", at: day(12) },
]

export const afterChanges: ReadonlyArray<Payment> = [
  ...PAYMENTS.map(payment => CHANGES.find(({ id }) => id === payment.id) ?? payment),
  ...CHANGES.filter(({ id }) => PAYMENTS.every(payment => payment.id !== id)),
]

export const recordOf = ({
  id,
  type,
  name,
  amount,
  currency,
  customer,
  settlement,
  isSettled,
  fees,
  at,
}: Payment): Fields => {
  const [feesCurrency, withoutTax, tax, withTax] = fees ?? [null, "0", "0", "0"]
  return {
    ...{
      transaction_id: id,
      org_id: "org",
      customer_id: customer ?? null,
      settlement_id: settlement ?? null,
    },
    ...{
      amount,
      currency,
      event_type: type,
      event_name: name,
      is_settled: isSettled ?? false,
      is_reconciled: false,
    },
    ...{
      fees_currency: feesCurrency,
      fees_without_tax: withoutTax,
      tax_on_fees: tax,
      fees_including_tax: withTax,
    },
    ...{ created_at: at, updated_at: null },
  }
}

interface Wallet {
  readonly id: string
  readonly customer: string | null
  readonly isDeleted?: boolean
  readonly accounts: Readonly<Record<string, readonly [actual: string, available: string]>>
}

export const WALLETS: ReadonlyArray<Wallet> = [
  { id: "w1", customer: "c1", accounts: { USD: ["103.20", "93.20"], EUR: ["-0.77", "-0.77"] } },
  { id: "w2", customer: "c2", accounts: { USD: ["1", "1"], KWD: ["0.500", "0.500"] } },
  { id: "w3", customer: "c3", accounts: { KRW: ["1304567", "1304567"], KWD: ["-0.002", "-0.002"] } },
  // A deleted wallet holds nothing that counts, whatever it says; its owner has another one, or none.
  { id: "w4", customer: "c1", isDeleted: true, accounts: { USD: ["10", "10"] } },
  { id: "w5", customer: "c4", isDeleted: true, accounts: { EUR: ["3", "3"] } },
  { id: "w6", customer: null, accounts: { USD: ["-495", "-495"], JPY: ["12", "12"] } },
]

export const walletRecord = ({ id, customer, isDeleted = false, accounts }: Wallet): Fields => ({
  ...{
    wallet_id: id,
    org_id: "org",
    customer_id: customer,
    category: null,
    scope: null,
    is_deleted: isDeleted,
  },
  ...{ is_active: true, updated_at: null, created_at: day(1) },
  wallet_account: Object.entries(accounts).map(([currency, [actual, available]]) => ({
    ...{ wallet_account_id: `${id}-${currency}`, wallet_id: id, org_id: "org", currency },
    ...{ actual_balance: actual, available_balance: available, is_deleted: isDeleted },
  })),
})

const ownerOf = (customer: string | null | undefined) => customer ?? "org"
const absolute = (amount: string) => millionths(amount.replace("-", ""))

const transactionTruth = (payment: Payment, index: number): TransactionTruth => ({
  index,
  transactionId: payment.id,
  ownerId: ownerOf(payment.customer),
  customerId: payment.customer ?? null,
  settlementId: payment.settlement ?? null,
  eventType: payment.type,
  eventName: payment.name,
  direction: payment.direction,
  currency: payment.currency,
  amount: payment.amount,
  feeCurrency: payment.fees?.[0] ?? payment.currency,
  feeAmount: payment.fee?.[0] ?? "0",
  taxAmount: payment.fee?.[1] ?? "0",
  isSettled: payment.isSettled ?? false,
  isReconciled: false,
  createdAt: payment.at,
  updatedAt: payment.at,
})

/** Sums by a key, in the order in which the keys came. */
const grouped = <A>(
  items: ReadonlyArray<A>,
  keyOf: (item: A) => string,
): ReadonlyArray<readonly [string, ReadonlyArray<A>]> =>
  [...new Set(items.map(keyOf))].map(key => [key, items.filter(item => keyOf(item) === key)])

const total = <A>(items: ReadonlyArray<A>, of: (item: A) => bigint) =>
  decimal(items.reduce((sum, item) => sum + of(item), 0n))

const movedBy = (one: TransactionTruth) => BigInt(one.direction ?? 0) * absolute(one.amount)
const isMoving = ({ direction }: TransactionTruth) => direction !== 0

const movementsOf = (all: ReadonlyArray<TransactionTruth>): ReadonlyArray<MovementTruth> =>
  all.flatMap(one => {
    if (one.direction === null) return []
    const { transactionId, ownerId, currency, feeCurrency, createdAt: occurredAt } = one
    const base = { transactionId, ownerId, occurredAt }
    const charged = millionths(one.feeAmount) + millionths(one.taxAmount)
    const amount = (by: bigint): MovementTruth => ({
      ...base,
      currency,
      kind: "amount",
      movement: decimal(by),
    })
    return feeCurrency === currency
      ? [amount(movedBy(one) - charged)]
      : [amount(movedBy(one)), { ...base, currency: feeCurrency, kind: "fee", movement: decimal(-charged) }]
  })

const settlementsOf = (all: ReadonlyArray<TransactionTruth>): ReadonlyArray<SettlementTruth> => {
  const own = all.filter(({ settlementId }) => settlementId !== null)
  return grouped(own, one => [one.settlementId, one.currency, one.feeCurrency].join(" ")).map(([, items]) => {
    const { settlementId, currency, feeCurrency } = items[0]!
    const known = items.filter(({ direction }) => direction !== null)
    const whole = own.filter(one => one.settlementId === settlementId)
    const times = items.map(({ createdAt }) => createdAt).sort()
    const paid = (one: TransactionTruth) =>
      movedBy(one) - millionths(one.feeAmount) - millionths(one.taxAmount)
    return {
      ...{ settlementId: settlementId!, currency, feeCurrency },
      status: whole.filter(isMoving).every(({ isSettled }) => isSettled) ? "Done" : "In Progress",
      transactionCount: items.length,
      unmappedCount: items.length - known.length,
      unmovingCount: items.filter(one => !isMoving(one)).length,
      settlementAmount: total(known, movedBy),
      feeAmount: total(known, one => millionths(one.feeAmount)),
      taxAmount: total(known, one => millionths(one.taxAmount)),
      paymentToMerchantAmount: currency === feeCurrency ? total(known, paid) : null,
      ...{ firstTransactionAt: times[0]!, lastTransactionAt: times.at(-1)! },
    }
  })
}

const settlementDaysOf = (all: ReadonlyArray<TransactionTruth>) =>
  grouped(all, ({ createdAt, currency }) => `${createdAt.slice(0, 10)} ${currency}`).map(([key, items]) => {
    const [day = "", currency = ""] = key.split(" ")
    const settled = items.filter(one => isMoving(one) && one.isSettled)
    const unsettled = items.filter(one => isMoving(one) && !one.isSettled)
    const without = settled.filter(({ settlementId }) => settlementId === null)
    return {
      ...{ day, currency, settledCount: settled.length, settledAmount: total(settled, movedBy) },
      ...{ unsettledCount: unsettled.length, unsettledAmount: total(unsettled, movedBy) },
      unmovingCount: items.filter(one => !isMoving(one)).length,
      settledWithoutSettlementCount: without.length,
      settledWithoutSettlementAmount: total(without, movedBy),
    }
  })

/** The owners whose ledger a transaction is in, also where its fee takes the whole amount. */
const ledgersOf = (one: TransactionTruth) => {
  if (one.direction === null) return []
  const { ownerId, currency, feeCurrency } = one
  const isCharged = millionths(one.feeAmount) !== 0n || millionths(one.taxAmount) !== 0n
  return [
    ...(movedBy(one) !== 0n || (isCharged && feeCurrency === currency) ? [{ ownerId, currency }] : []),
    ...(isCharged ? [{ ownerId, currency: feeCurrency }] : []),
  ]
}

/** An owner has a row for a wallet, deleted or not, for an amount or a fee that counts, and for money without a direction. */
const balancesOf = (all: ReadonlyArray<TransactionTruth>): ReadonlyArray<BalanceTruth> => {
  const held = WALLETS.flatMap(({ customer, accounts, isDeleted = false }) =>
    Object.entries(accounts).map(([currency, [actual]]) => ({
      key: `${ownerOf(customer)} ${currency}`,
      actual: isDeleted ? "0" : actual,
      count: isDeleted ? 0 : 1,
    })),
  )
  const moved = movementsOf(all)
  const owned = new Set(all.flatMap(ledgersOf).map(({ ownerId, currency }) => `${ownerId} ${currency}`))
  const unmapped = all.filter(({ direction }) => direction === null)
  const keyOf = ({ ownerId, currency }: { readonly ownerId: string; readonly currency: string }) =>
    `${ownerId} ${currency}`
  return [...new Set([...held.map(({ key }) => key), ...owned, ...unmapped.map(keyOf)])].map(key => {
    const wallets = held.filter(one => one.key === key)
    const ledger = moved.filter(one => keyOf(one) === key)
    const wallet = total(wallets, ({ actual }) => millionths(actual))
    const sum = total(ledger, ({ movement }) => millionths(movement))
    return {
      ...{ ownerId: key.split(" ")[0]!, currency: key.split(" ")[1]! },
      walletCount: wallets.reduce((count, one) => count + one.count, 0),
      walletBalance: wallets.length === 0 ? null : wallet,
      ledgerBalance: owned.has(key) ? sum : null,
      difference: decimal(millionths(wallet) - millionths(sum)),
    }
  })
}

/** As much of the truth as the comparisons with the views ask for. */
export const awkwardTruth = (payments: ReadonlyArray<Payment>): Truth => {
  const all = payments.map(transactionTruth)
  return {
    transactions: () => all,
    movements: () => movementsOf(all),
    settlements: () => settlementsOf(all),
    settlementDays: () => settlementDaysOf(all),
    balances: () => balancesOf(all),
    unmapped: () =>
      grouped(
        all.filter(({ direction }) => direction === null),
        one => [one.eventType, one.eventName, one.currency].join(" "),
      ).map(([key, items]) => {
        const [eventType = "", eventName = "", currency = ""] = key.split(" ")
        const amount = total(items, one => absolute(one.amount))
        return { eventType, eventName, currency, transactionCount: items.length, amount }
      }),
  } as unknown as Truth
}

/** As much of a sandbox as the comparisons of single records ask for. */
export const awkwardSandbox = (payments: ReadonlyArray<Payment>): Sandbox => {
  const records: Readonly<Record<string, ReadonlyArray<Fields>>> = {
    transactions: payments.map(recordOf),
    wallets: WALLETS.map(walletRecord),
  }
  const idsOf = (list: string) =>
    list === "wallets" ? WALLETS.map(({ id }) => id) : payments.map(({ id }) => id)
  return {
    idOf: (list: string, index: number) => idsOf(list)[index]!,
    indexOf: (list: string, id: string) => idsOf(list).indexOf(id),
    truth: { ids: idsOf, text: (list: string, index: number) => JSON.stringify(records[list]![index]) },
  } as unknown as Sandbox
}

/** By hand: the rule that decides each kind of payment. */
export const ruleOf = (type: string, name: string): string =>
  ["PAYIN_SETTLED", "PAYIN_PENDING", "PAYOUT_RETURNED", "CANCELLATION_FEE"].includes(name)
    ? "none"
    : name === "PAYOUT_FAILED"
      ? "no_movement"
      : name === type
        ? "seed"
        : "completion"
