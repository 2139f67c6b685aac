import { Effect } from "effect"
import { decimal, millionths } from "../sandbox/reading.ts"
import type { TransactionTruth } from "./truth/transactions.ts"
import { truthOf } from "./truth/truth.ts"
import { expectView, type Row } from "./views.ts"
import type { Bench } from "./warehouse.ts"

/** Views of money against sums over the sandbox's own transactions, in TypeScript and without any SQL of ours. */

interface Line {
  readonly transaction: TransactionTruth
  readonly currency: string
  /** 1 in the line of the amount, so that a transaction counts once. */
  readonly count: number
  readonly amount: bigint
  readonly fee: bigint
  readonly tax: bigint
}

const absolute = (amount: bigint) => (amount < 0n ? -amount : amount)

/** A line in the amount's currency, and one in the fee's where that is another. A transaction without a direction moves nothing. */
const linesOf = (transaction: TransactionTruth): ReadonlyArray<Line> => {
  const { currency, feeCurrency, direction } = transaction
  const amount = direction === null ? 0n : BigInt(direction) * absolute(millionths(transaction.amount))
  const fee = direction === null ? 0n : millionths(transaction.feeAmount)
  const tax = direction === null ? 0n : millionths(transaction.taxAmount)
  const base = { transaction, count: 1 }
  if (feeCurrency === currency) return [{ ...base, currency, amount, fee, tax }]
  return [
    { ...base, currency, amount, fee: 0n, tax: 0n },
    ...(fee === 0n && tax === 0n
      ? []
      : [{ transaction, count: 0, currency: feeCurrency, amount: 0n, fee, tax }]),
  ]
}

const groupBy = <A>(items: Iterable<A>, keyOf: (item: A) => ReadonlyArray<string>) => {
  const groups = new Map<string, { readonly key: ReadonlyArray<string>; readonly items: Array<A> }>()
  for (const item of items) {
    const key = keyOf(item)
    const id = JSON.stringify(key)
    const group = groups.get(id) ?? { key, items: [] }
    group.items.push(item)
    groups.set(id, group)
  }
  return [...groups.values()]
}

const sum = <A>(items: ReadonlyArray<A>, of: (item: A) => bigint): bigint =>
  items.reduce((total, item) => total + of(item), 0n)
const count = <A>(items: ReadonlyArray<A>, of: (item: A) => number): number =>
  items.reduce((total, item) => total + of(item), 0)

const net = ({ amount, fee, tax }: Line) => amount - fee - tax
const isUnmapped = ({ transaction }: Line) => transaction.direction === null
const isMoving = ({ transaction }: Line) => transaction.direction !== 0

const settlementViews = (lines: ReadonlyArray<Line>): Readonly<Record<string, ReadonlyArray<Row>>> => {
  const settled = lines.filter(({ transaction }) => transaction.settlementId !== null)
  return {
    settlement_payment: groupBy(settled, line => [line.transaction.settlementId!, line.currency]).map(
      ({ key, items }) => ({
        settlement_id: key[0]!,
        currency: key[1]!,
        amount: decimal(sum(items, line => line.amount)),
        fee_and_tax: decimal(sum(items, line => line.fee + line.tax)),
        payment_to_merchant_amount: decimal(sum(items, net)),
        transaction_count: count(items, line => line.count),
        unmapped_count: count(items, line => (isUnmapped(line) ? line.count : 0)),
      }),
    ),
    settlement_breakdown: groupBy(settled, line => [
      line.transaction.settlementId!,
      line.currency,
      line.transaction.eventType,
    ]).map(({ key, items }) => ({
      settlement_id: key[0]!,
      currency: key[1]!,
      event_type: key[2]!,
      transaction_count: count(items, line => line.count),
      amount: decimal(sum(items, line => line.amount)),
      fee_amount: decimal(sum(items, line => line.fee)),
      tax_amount: decimal(sum(items, line => line.tax)),
      unsettled_count: count(items, line => (isMoving(line) && !line.transaction.isSettled ? line.count : 0)),
    })),
  }
}

const activity = (lines: ReadonlyArray<Line>) =>
  lines
    .filter(line => !isUnmapped(line))
    .flatMap(({ transaction, currency, count, amount, fee, tax }) => {
      const day = transaction.createdAt.slice(0, 10)
      return [
        ...(transaction.direction === 0 || count === 0
          ? []
          : [{ currency, day, category: transaction.eventType, count, amount }]),
        ...(fee === 0n ? [] : [{ currency, day, category: "FEE", count: 1, amount: -fee }]),
        ...(tax === 0n ? [] : [{ currency, day, category: "TAX", count: 1, amount: -tax }]),
      ]
    })

const dayViews = (lines: ReadonlyArray<Line>): Readonly<Record<string, ReadonlyArray<Row>>> => {
  const moves = activity(lines)
  return {
    balance_activity: groupBy(moves, move => [
      move.currency,
      `${move.day.slice(0, 7)}-01`,
      move.category,
    ]).map(({ key, items }) => ({
      currency: key[0]!,
      month: key[1]!,
      category: key[2]!,
      line_count: count(items, move => move.count),
      amount: decimal(sum(items, move => move.amount)),
    })),
    "daily_overview WHERE net_amount <> 0 OR payin_count > 0": groupBy(moves, move => [
      move.currency,
      move.day,
    ])
      .map(({ key, items }) => {
        const of = (...categories: ReadonlyArray<string>) =>
          items.filter(({ category }) => categories.includes(category))
        const since = (days: number) => {
          const from = new Date(Date.parse(key[1]!) - days * 86_400_000).toISOString().slice(0, 10)
          return sum(
            moves.filter(({ currency, day }) => currency === key[0] && day > from && day <= key[1]!),
            move => move.amount,
          )
        }
        return {
          currency: key[0]!,
          day: key[1]!,
          payin_count: count(of("PAYIN"), move => move.count),
          payin_amount: decimal(sum(of("PAYIN"), move => move.amount)),
          refund_count: count(of("REFUND"), move => move.count),
          refund_amount: decimal(sum(of("REFUND"), move => move.amount)),
          chargeback_amount: decimal(sum(of("CHARGEBACK"), move => move.amount)),
          payout_count: count(of("PAYOUT"), move => move.count),
          payout_amount: decimal(sum(of("PAYOUT"), move => move.amount)),
          fee_and_tax: decimal(-sum(of("FEE", "TAX"), move => move.amount)),
          net_amount: decimal(sum(items, move => move.amount)),
          net_amount_7_days: decimal(since(7)),
          net_amount_28_days: decimal(since(28)),
          net_amount_since_beginning: decimal(since(100_000)),
        }
      })
      .filter(row => row.net_amount !== "0" || row.payin_count > 0),
  }
}

const ownerViews = (
  transactions: ReadonlyArray<TransactionTruth>,
  lines: ReadonlyArray<Line>,
  today: string,
): Readonly<Record<string, ReadonlyArray<Row>>> => {
  const ageOf = (createdAt: string) =>
    Math.max(0, (Date.parse(today) - Date.parse(createdAt.slice(0, 10))) / 86_400_000)
  const open = transactions.filter(({ isSettled, direction }) => !isSettled && direction !== 0)
  const ages = [
    ["days_0_2", 0, 2],
    ["days_3_6", 3, 6],
    ["days_7_29", 7, 29],
    ["days_30_on", 30, Number.POSITIVE_INFINITY],
  ] as const
  return {
    unsettled_ageing: groupBy(open, ({ ownerId, currency }) => [ownerId, currency]).map(({ key, items }) => ({
      owner_id: key[0]!,
      currency: key[1]!,
      ...Object.fromEntries(
        ages.flatMap(([name, from, to]) => {
          const aged = items.filter(({ createdAt }) => ageOf(createdAt) >= from && ageOf(createdAt) <= to)
          return [
            [`${name}_count`, aged.length],
            [
              `${name}_amount`,
              decimal(
                sum(aged, ({ direction, amount }) => BigInt(direction ?? 0) * absolute(millionths(amount))),
              ),
            ],
          ]
        }),
      ),
    })),
    customer_overview: groupBy(
      lines.filter(({ transaction }) => transaction.customerId !== null),
      line => [line.transaction.customerId!, line.currency],
    ).map(({ key, items }) => {
      const of = (type: string) =>
        items.filter(
          line => line.transaction.eventType === type && line.transaction.direction && line.count > 0,
        )
      const times = of("PAYIN")
        .map(({ transaction }) => transaction.createdAt)
        .sort()
      return {
        customer_id: key[0]!,
        currency: key[1]!,
        first_payment_at: times[0] ?? null,
        last_payment_at: times.at(-1) ?? null,
        transaction_count: count(items, line => line.count),
        payment_count: of("PAYIN").length,
        gross_amount: decimal(sum(of("PAYIN"), line => line.amount)),
        refund_count: of("REFUND").length,
        refund_amount: decimal(sum(of("REFUND"), line => line.amount)),
        chargeback_count: of("CHARGEBACK").length,
        chargeback_amount: decimal(sum(of("CHARGEBACK"), line => line.amount)),
        fee_and_tax: decimal(sum(items, line => line.fee + line.tax)),
        balance: decimal(sum(items, net)),
      }
    }),
  }
}

type RuleOf = (transaction: TransactionTruth) => string

/** The rule that a kind of the sandbox's transactions has. */
const sandboxRule: RuleOf = ({ eventType, eventName }) =>
  /_(FAILED|CANCELLED|EXPIRED)$/.test(eventName)
    ? "no_movement"
    : eventType === "ADJUSTMENT"
      ? "none"
      : "completion"

/** Each kind of transaction, by its rule. */
const ruleViews = (
  transactions: ReadonlyArray<TransactionTruth>,
  ruleOf: RuleOf,
): Readonly<Record<string, ReadonlyArray<Row>>> => ({
  event_rule: groupBy(transactions, ({ eventType, eventName, currency }) => [
    eventType,
    eventName,
    currency,
  ]).map(({ key, items }) => ({
    event_type: key[0]!,
    event_name: key[1]!,
    currency: key[2]!,
    rule: ruleOf(items[0]!),
    direction: items[0]!.direction,
    transaction_count: items.length,
    amount: decimal(sum(items, ({ amount }) => absolute(millionths(amount)))),
    negative_count: items.filter(({ amount }) => amount.startsWith("-")).length,
    confirmed_at: null,
  })),
})

/** The views of money equal sums over the sandbox's transactions. */
export const money = (b: Bench, truth = truthOf(b.sandbox), ruleOf = sandboxRule) =>
  Effect.gen(function* () {
    const transactions = [...truth.transactions()]
    const lines = transactions.flatMap(linesOf)
    const today = (yield* b.value("SELECT (now() AT TIME ZONE 'UTC')::date"))!
    const views = {
      ...settlementViews(lines),
      ...dayViews(lines),
      ...ownerViews(transactions, lines, today),
      ...ruleViews(transactions, ruleOf),
    }
    for (const [view, rows] of Object.entries(views)) yield* expectView(b, view, rows)
  })
