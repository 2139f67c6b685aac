import type { Sandbox } from "../../src/sandbox/sandbox.ts"
import { decimal, millionths } from "../sandbox/reading.ts"
import { normalizeDecimal } from "./truth/truth.ts"

/** Both sides of each equation of `ledger_check`, summed from the served records alone: no SQL and no rule of ours. */

type Fields = Readonly<Record<string, unknown>>

/** Every number becomes text first: a double cannot hold all of these. */
const parse = (text: string): Fields =>
  JSON.parse(text.replaceAll(/:(-?\d+(?:\.\d+)?)(?=[,}\]])/g, ':"$1"')) as Fields

const listed = ({ truth, indexOf }: Sandbox, list: string): ReadonlyArray<Fields> =>
  [...truth.ids(list)].map(id => parse(truth.text(list, indexOf(list, id)!)))

const groupBy = <A>(
  items: ReadonlyArray<A>,
  keyOf: (item: A) => string,
): ReadonlyMap<string, ReadonlyArray<A>> => {
  const groups = new Map<string, Array<A>>()
  for (const item of items) groups.set(keyOf(item), [...(groups.get(keyOf(item)) ?? []), item])
  return groups
}

const IN = new Set(["PAYIN_COMPLETED", "CREDIT_COMPLETED", "ADJUSTMENT_MANUAL"])
const OUT = new Set(["PAYOUT_COMPLETED", "REFUND_COMPLETED", "CHARGEBACK_RECEIVED", "DEBIT_COMPLETED"])
const directionOf = ({ event_name: name }: Fields): bigint =>
  IN.has(String(name)) ? 1n : OUT.has(String(name)) ? -1n : 0n

const absolute = (value: bigint) => (value < 0n ? -value : value)
const movement = (record: Fields) => directionOf(record) * absolute(millionths(record.amount))

const feeOf = (record: Fields) => millionths(record.fees_without_tax) + millionths(record.tax_on_fees)

/** Equation → currency → its two sides. */
type Sides = ReadonlyMap<string, ReadonlyMap<string, readonly [left: bigint, right: bigint]>>

const sidesOf = () => {
  const sides = new Map<string, Map<string, [bigint, bigint]>>()
  const add = (check: string, currency: unknown, left: bigint, right: bigint) => {
    const of = sides.get(check) ?? new Map<string, [bigint, bigint]>()
    const [l, r] = of.get(String(currency)) ?? [0n, 0n]
    sides.set(check, of.set(String(currency), [l + left, r + right]))
  }
  return { sides, add }
}

type Add = ReturnType<typeof sidesOf>["add"]

const addTransaction = (add: Add, record: Fields) => {
  const { currency, fees_currency: feeCurrency, event_type: type } = record
  const moved = movement(record)
  const fee = feeOf(record)
  const feeInside = feeCurrency === currency ? fee : 0n
  add("wallet_balance", currency, 0n, moved - feeInside)
  if (feeCurrency !== currency && fee !== 0n) add("wallet_balance", feeCurrency, 0n, -fee)
  const net = millionths(record.net_amount)
  const isOut = directionOf(record) < 0n
  if (directionOf(record) !== 0n) add("net_amount", currency, isOut ? -absolute(net) : net, moved - feeInside)
  if (fee !== 0n) add("fees", feeCurrency, millionths(record.fees_including_tax), fee)
  const amount = absolute(millionths(record.amount))
  add("totals", currency, amount, amount)
  if (type === "RESERVE" || type === "RELEASE")
    add("reserve", currency, type === "RESERVE" ? amount : -amount, 0n)
  if (record.is_settled === true) add("settlements", currency, moved, moved)
}

/** Payouts of settlements that they pay: the left side is without them. */
const addPaidInside = (add: Add, transactions: ReadonlyArray<Fields>) => {
  const groups = groupBy(
    transactions.filter(({ settlement_id: id }) => id !== null),
    ({ settlement_id: id, currency }) => `${id} ${currency}`,
  )
  for (const group of groups.values()) {
    const rest = (record: Fields) =>
      movement(record) - (record.fees_currency === record.currency ? feeOf(record) : 0n)
    const paid = group.filter(record => record.event_type === "PAYOUT" && movement(record) < 0n)
    if (paid.length > 0 && group.reduce((sum, record) => sum + rest(record), 0n) === 0n)
      for (const record of paid) add("settlements", record.currency, -movement(record), 0n)
  }
}

const addPayouts = (add: Add, payouts: ReadonlyArray<Fields>, transactions: ReadonlyArray<Fields>) => {
  const lines = groupBy(transactions, ({ event_id: id }) => String(id))
  for (const payout of payouts) {
    if (payout.status === "PENDING") continue
    const amount = millionths(payout.wire_amount ?? payout.original_amount)
    const named = [payout.id, payout.payout_id_finmo].flatMap(id => lines.get(String(id)) ?? [])
    const moved = named.reduce((sum, line) => sum + movement(line), 0n)
    add("payouts", payout.currency, payout.status === "SUCCESS" ? amount : 0n, -moved)
  }
}

/** Both sides of the equations, but for `wallet_delta`. */
export const ledgerTruth = (sandbox: Sandbox): Sides => {
  const { sides, add } = sidesOf()
  const transactions = listed(sandbox, "transactions")
  for (const record of transactions) addTransaction(add, record)
  addPaidInside(add, transactions)
  addPayouts(add, listed(sandbox, "payouts"), transactions)
  for (const wallet of listed(sandbox, "wallets"))
    for (const account of wallet.wallet_account as ReadonlyArray<Fields>) {
      const actual = millionths(account.actual_balance)
      add("wallet_balance", account.currency, actual, 0n)
      add("reserve", account.currency, 0n, actual - millionths(account.available_balance))
    }
  return sides
}

/** The changes between two readings: the two sides of `wallet_delta`. */
export const deltaTruth = (before: Sides, after: Sides): ReadonlyMap<string, readonly [bigint, bigint]> =>
  new Map(
    Array.from(after.get("wallet_balance") ?? [], ([currency, [left, right]]) => {
      const [l, r] = before.get("wallet_balance")?.get(currency) ?? [0n, 0n]
      return [currency, [left - l, right - r] as const]
    }),
  )

/** An equation as lines: currency, left and right, as the view prints them. */
export const sideLines = (
  of: ReadonlyMap<string, readonly [bigint, bigint]> | undefined,
): ReadonlyArray<string> =>
  Array.from(of ?? [], ([currency, [left, right]]) => `${currency} ${decimal(left)} ${decimal(right)}`).sort()

/** One spelling for a decimal that Postgres prints. */
export const spelledDecimal = (value: string | null): string =>
  value === null ? "-" : normalizeDecimal(value)
