import type { ListGenerator } from "../world/generator.ts"
import { AUD, CURRENCIES, EUR, type Minor, print, USD } from "../world/money.ts"
import type { Breach } from "../world/options.ts"
import { FIXED_TRANSACTIONS, ORGANIZATION } from "../world/owners.ts"
import { hash, KIND, lane } from "../world/random.ts"
import { ORG_ID, SAMPLE_INDEX } from "../world/samples.ts"
import { DAY_MILLIS, dayOf, HOUR_MILLIS, iso, spread, type World } from "../world/world.ts"

/** A transaction before it becomes text. Amounts are in minor units; currencies are their index in `CURRENCIES`. */
export interface Transaction {
  readonly index: number
  /** Index of the customer, or `ORGANIZATION`. */
  readonly owner: number
  readonly eventType: string
  readonly eventName: string
  readonly currency: number
  readonly amount: Minor
  readonly feeCurrency: number
  readonly fee: number
  readonly tax: number
  readonly createdAt: number
  /** Amount by which it moves its owner's wallet, in minor units and without fees: a fact of the simulated world. */
  readonly moves: Minor
}

/** Progress of a transaction on its way to the merchant. A settlement has one day and one currency. */
interface Progress {
  readonly settlement: string | null
  readonly isSettled: boolean
  readonly isReconciled: boolean
  readonly updatedAt: number
}

/** Each eighth transaction belongs to a payout: transaction 8p to payout p. */
export const PAYOUT_EVERY = 8

/** Days from a transaction to its settlement, and from there to the end of the settlement. */
const SETTLEMENT_AFTER_DAYS = 2
const SETTLED_AFTER_DAYS = 7

/** Numbers of 10,000 transactions other than payouts and samples. `ADJUSTMENT` is unknown: views leave it out. */
const EVENTS = [
  [7_200, "PAYIN", "PAYIN_COMPLETED"],
  [700, "REFUND", "REFUND_COMPLETED"],
  [200, "CHARGEBACK", "CHARGEBACK_RECEIVED"],
  [500, "RESERVE", "RESERVE_COMPLETED"],
  [450, "RELEASE", "RELEASE_COMPLETED"],
  [450, "CREDIT", "CREDIT_COMPLETED"],
  [350, "DEBIT", "DEBIT_COMPLETED"],
  [50, "ADJUSTMENT", "ADJUSTMENT_MANUAL"],
  [70, "PAYIN", "PAYIN_FAILED"],
  [20, "PAYIN", "PAYIN_CANCELLED"],
  [10, "PAYIN", "PAYIN_EXPIRED"],
] as const

/** Events that add their amount, with the sign that is sent, to a wallet, and those that take it without its sign. */
const ADDS = new Set(["PAYIN_COMPLETED", "CREDIT_COMPLETED", "ADJUSTMENT_MANUAL"])
const TAKES = new Set(["PAYOUT_COMPLETED", "REFUND_COMPLETED", "CHARGEBACK_RECEIVED", "DEBIT_COMPLETED"])

const movesOf = (eventName: string, amount: Minor): Minor =>
  ADDS.has(eventName) ? amount : !TAKES.has(eventName) ? 0 : amount < 0 ? amount : -amount

/** Events of money out, whose net is the amount with the fee on top. */
const PAID_ON_TOP = new Set(["PAYOUT_COMPLETED", "REFUND_COMPLETED"])

/** Shares of the breaches: one of so many payins and charged transactions, and the part of the list that is not there. */
const SIGNED_EVERY = 15
const ODD_FEE_EVERY = 10
const LAGGING_SHARE = 0.05

const isBroken = (world: World, breach: Breach) => world.options.breaches.includes(breach)

/** The kinds of event for which the processor charges a fee. */
const CHARGED = new Set(["PAYIN_COMPLETED", "REFUND_COMPLETED", "CHARGEBACK_RECEIVED", "PAYOUT_COMPLETED"])

const UNFINISHED = new Set(["PAYIN_FAILED", "PAYIN_CANCELLED", "PAYIN_EXPIRED", "PAYOUT_FAILED"])

/** An amount of 16 digits that a double cannot hold exactly. */
const LONG_AMOUNT = 9_007_199_254_740_993n
const LONG_AMOUNT_EVERY = 400

/** Transactions of the sample's customer. Their sum is the documented balance, 120.5 AUD with 20.5 reserved. */
const FIXED: ReadonlyArray<Omit<Transaction, "index" | "owner" | "moves">> = [
  {
    eventType: "PAYIN",
    eventName: "PAYIN_COMPLETED",
    currency: AUD,
    amount: 10_000,
    feeCurrency: AUD,
    fee: 150,
    tax: 15,
    createdAt: Date.parse("2024-12-27T10:54:35.965Z"),
  },
  {
    eventType: "PAYIN",
    eventName: "PAYIN_COMPLETED",
    currency: AUD,
    amount: 2_250,
    feeCurrency: AUD,
    fee: 32,
    tax: 3,
    createdAt: Date.parse("2025-03-18T01:00:00.000Z"),
  },
  {
    eventType: "RESERVE",
    eventName: "RESERVE_COMPLETED",
    currency: AUD,
    amount: 2_050,
    feeCurrency: AUD,
    fee: 0,
    tax: 0,
    createdAt: Date.parse("2025-03-18T01:30:00.000Z"),
  },
]

export const homeCurrency = (world: World, owner: number): number =>
  owner === ORGANIZATION
    ? EUR
    : owner === SAMPLE_INDEX.customer
      ? AUD
      : hash(world.options.seed, KIND.owner, -2 - owner) % CURRENCIES.length

/** True if the transaction of a payout says that it failed. */
export const isFailedPayout = (world: World, payout: number): boolean =>
  lane(hash(world.options.seed, KIND.payout, payout), 20) % 25 === 0

const eventOf = (world: World, index: number, own: number): readonly [type: string, name: string] => {
  if (index % PAYOUT_EVERY === 0)
    return ["PAYOUT", isFailedPayout(world, index / PAYOUT_EVERY) ? "PAYOUT_FAILED" : "PAYOUT_COMPLETED"]
  let rest = lane(own, 0) % 10_000
  for (const [weight, type, name] of EVENTS) {
    if (rest < weight) return [type, name]
    rest -= weight
  }
  return [EVENTS[0][1], EVENTS[0][2]]
}

const createdAtOf = (world: World, index: number): number =>
  index < world.options.transactions
    ? spread(
        world,
        KIND.transaction,
        index - FIXED_TRANSACTIONS,
        Math.max(1, world.options.transactions - FIXED_TRANSACTIONS),
      )
    : world.changes.of("transactions").createdAt.get(index)!

/** The transaction that the payout of a transaction pays, where the payout is in its settlement. */
const paidBy = (world: World, index: number): Transaction | undefined => {
  if (!isBroken(world, "payouts-in-settlements") || index % PAYOUT_EVERY !== 0 || index < PAYOUT_EVERY)
    return undefined
  if (isFailedPayout(world, index / PAYOUT_EVERY) || index + 1 >= world.options.transactions) return undefined
  const paid = transactionAt(world, index + 1)
  return paid.eventName === "PAYIN_COMPLETED" && typeof paid.amount === "number" ? paid : undefined
}

const chargesOf = (
  world: World,
  owner: number,
  own: number,
  {
    eventType,
    eventName,
    isLong,
  }: Pick<Transaction, "eventType" | "eventName"> & { readonly isLong: boolean },
) => {
  const currency = lane(own, 1) % 100 < 85 ? homeCurrency(world, owner) : lane(own, 2) % CURRENCIES.length
  const isPayin = eventType === "PAYIN"
  const units = 500 + (lane(own, 3) % (isPayin ? 49_500 : 12_000))
  const isCharged = CHARGED.has(eventName)
  const feeCurrency = isCharged && lane(own, 4) % 100 < 3 ? USD : currency
  const fee = isCharged ? Math.floor((units * 15) / 1_000) + 30 : 0
  const isCorrection =
    isBroken(world, "signed-amounts") && eventName === "PAYIN_COMPLETED" && lane(own, 6) % SIGNED_EVERY === 0
  // A chargeback is negative: its effect on a balance must not depend on the sign that was sent.
  const isNegative = eventType === "CHARGEBACK" || isCorrection
  const amount = isLong ? LONG_AMOUNT + BigInt(units) : isNegative ? -units : units
  return { currency, amount, feeCurrency, fee, tax: Math.floor(fee / 10) }
}

/** The unchanging part of a transaction. */
export const transactionAt = (world: World, index: number): Transaction => {
  const owner = world.owners.ownerOf(index)
  const fixed = FIXED[index]
  if (fixed !== undefined) return { index, owner, ...fixed, moves: movesOf(fixed.eventName, fixed.amount) }
  const own = hash(world.options.seed, KIND.transaction, index)
  const [eventType, eventName] = eventOf(world, index, own)
  const isLong = world.options.longAmounts && eventType === "PAYIN" && index % LONG_AMOUNT_EVERY === 1
  const paid = paidBy(world, index)
  const charges =
    paid === undefined
      ? chargesOf(world, owner, own, { eventType, eventName, isLong })
      : { currency: paid.currency, feeCurrency: paid.currency, fee: 0, tax: 0, amount: netOf(world, paid) }
  const moves = movesOf(eventName, charges.amount)
  return { index, owner, eventType, eventName, ...charges, createdAt: createdAtOf(world, index), moves }
}

/** The net that is sent: the amount less the fee, or with it on top. */
const netOf = (world: World, { amount, currency, feeCurrency, fee, tax, eventName }: Transaction): Minor => {
  const charged = feeCurrency === currency ? fee + tax : 0
  const isOnTop = PAID_ON_TOP.has(eventName) && !isBroken(world, "fees-inside")
  if (typeof amount === "bigint") return amount - BigInt(charged)
  return isOnTop ? amount + charged : amount - charged
}

/** Number of the first settlement that holds the payout which pays it. Days and currencies give smaller ones. */
const PAID_SETTLEMENTS_FROM = 1_000_000

const settlementOf = (world: World, { index, createdAt, currency }: Transaction): string => {
  const payout = index - (index % PAYOUT_EVERY)
  const isPaid = index % PAYOUT_EVERY <= 1 && paidBy(world, payout) !== undefined
  return world.ids.settlement.of(
    isPaid ? PAID_SETTLEMENTS_FROM + payout : dayOf(createdAt) * CURRENCIES.length + currency,
  )
}

/** Old transactions are settled, newer ones are in progress, and the newest have no settlement. A few are stuck. */
export const progressOf = (world: World, transaction: Transaction): Progress => {
  const { index, createdAt, eventName } = transaction
  const touched = world.changes.of("transactions").touches.get(index)
  if (touched !== undefined && !UNFINISHED.has(eventName))
    return {
      settlement: settlementOf(world, transaction),
      isSettled: true,
      isReconciled: touched.version % 2 === 0,
      updatedAt: touched.updatedAt,
    }
  const unsettled = { settlement: null, isSettled: false, isReconciled: false }
  const updatedAt = touched?.updatedAt ?? createdAt + 334
  const age = dayOf(world.untilMillis - 1) - dayOf(createdAt)
  if (index === 0 || UNFINISHED.has(eventName) || age < SETTLEMENT_AFTER_DAYS)
    return { ...unsettled, updatedAt }
  const chance = lane(hash(world.options.seed, KIND.transaction, index), 5)
  const isSettled = age >= SETTLED_AFTER_DAYS ? chance % 500 !== 0 : chance % 2 === 0
  const settledAt = (dayOf(createdAt) + SETTLEMENT_AFTER_DAYS) * DAY_MILLIS + 2 * HOUR_MILLIS
  return {
    settlement: settlementOf(world, transaction),
    isSettled,
    isReconciled: isSettled && chance % 7 !== 0,
    updatedAt: Math.min(settledAt, world.untilMillis),
  }
}

const eventIdOf = (world: World, { index, eventType }: Transaction): string => {
  const payout = index / PAYOUT_EVERY
  if (eventType !== "PAYOUT") return world.ids.payin.of(index)
  if (payout >= world.options.payouts || index >= world.options.transactions)
    return world.ids.providerPayout.of(world.options.payouts + index)
  return isOlderPayout(world, payout) ? world.ids.providerPayout.of(payout) : world.ids.payout.of(payout)
}

/** True if a payout has the older shape, with `wire_amount` and the provider's id. */
export const isOlderPayout = (world: World, payout: number): boolean =>
  payout === 0 ||
  world.options.payoutShape === "older" ||
  (world.options.payoutShape === "both" && payout % 2 === 0)

const describe = (name: string): string => name.charAt(0) + name.slice(1).toLowerCase().replaceAll("_", " ")

/** The record as JSON text, built by hand: exact for amounts beyond a double, and several times faster. */
const transactionText = (world: World, index: number): string => {
  const transaction = transactionAt(world, index)
  const { owner, eventType, eventName, currency, feeCurrency, fee, tax, createdAt } = transaction
  const { settlement, isSettled, isReconciled, updatedAt } = progressOf(world, transaction)
  const amount = print(transaction.amount, currency)
  const isOdd = isBroken(world, "fee-sums") && fee > 0 && index % ODD_FEE_EVERY === 1
  const charged = fee + tax + (isOdd ? 1 : 0)
  const net = print(netOf(world, transaction), currency)
  const isOrganization = owner === ORGANIZATION
  return (
    `{"transaction_id":"${world.ids.transaction.of(index)}","org_id":"${ORG_ID}","amount":${amount},` +
    `"fees_currency":"${CURRENCIES[feeCurrency]!.code}","fees_without_tax":${print(fee, feeCurrency)},` +
    `"tax_on_fees":${print(tax, feeCurrency)},"fees_including_tax":${print(charged, feeCurrency)},` +
    `"net_amount":${net},"currency":"${CURRENCIES[currency]!.code}","event_id":"${eventIdOf(world, transaction)}",` +
    `"event_type":"${eventType}","event_name":"${eventName}","event_description":"${describe(eventName)}",` +
    `"scope":"${isOrganization ? "ORG" : "CUSTOMER"}",` +
    `"customer_id":${isOrganization ? "null" : `"${world.ids.customer.of(owner)}"`},"invoice_id":null,` +
    `"is_settled":${isSettled},"settlement_id":${settlement === null ? "null" : `"${settlement}"`},` +
    `"is_reconciled":${isReconciled},"additional_data":null,` +
    `"created_at":"${iso(createdAt)}","updated_at":"${iso(updatedAt)}"}`
  )
}

/** The path is assumed (?). */
export default {
  kind: "list",
  listPath: "/api/v1/transaction/get-all",
  detailPath: null,
  count: ({ transactions, breaches }) =>
    breaches.includes("lagging-transactions") ? Math.ceil(transactions * (1 - LAGGING_SHARE)) : transactions,
  ids: world => world.ids.transaction,
  text: transactionText,
} satisfies ListGenerator
