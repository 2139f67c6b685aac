import type { ListGenerator } from "../world/generator.ts"
import { CURRENCIES, print } from "../world/money.ts"
import { hash, KIND, lane } from "../world/random.ts"
import { MERCHANT_ID, PAYOUT } from "../world/samples.ts"
import { DAY_MILLIS, dayOf, iso, MINUTE_MILLIS, type World } from "../world/world.ts"
import { homeCurrency, isFailedPayout, isOlderPayout, PAYOUT_EVERY, transactionAt } from "./transactions.ts"

/** A payout before it becomes text. Amounts are in minor units; the currency is its index in `CURRENCIES`. */
export interface Payout {
  readonly status: string
  readonly currency: number
  readonly amount: number
  readonly fee: number
  /** Null if the record does not have it: the older shape. */
  readonly createdAt: number | null
  readonly updatedAt: number
}

/** With `returned-payouts`: one of so many. */
const RETURNED_EVERY = 6

/** A payout is requested shortly before its transaction. */
const LEAD_MILLIS = 2 * MINUTE_MILLIS

/** Payouts without a transaction come after the last one with a transaction. */
const unpairedAt = (world: World, index: number): number => {
  const inserted = world.changes.of("payouts").createdAt.get(index)
  if (inserted !== undefined) return inserted
  const paired = Math.max(1, Math.ceil(world.options.transactions / PAYOUT_EVERY))
  const from =
    paired > 1 ? transactionAt(world, (paired - 1) * PAYOUT_EVERY).createdAt - LEAD_MILLIS : world.startMillis
  const slot = (world.untilMillis - from) / (Math.max(1, world.options.payouts - paired) + 1)
  return Math.floor(from + (index - paired + 1) * slot)
}

const statusAfter = (first: string, version: number): string =>
  version === 0 ? first : version === 1 && first === "PENDING" ? "SUCCESS" : "RETURNED"

const SAMPLE: Omit<Payout, "status"> = {
  currency: 0,
  amount: 1_100,
  fee: 0,
  createdAt: null,
  updatedAt: Date.parse(PAYOUT.updated_at),
}

const firstState = (world: World, index: number): Payout => {
  if (index === 0) return { ...SAMPLE, status: PAYOUT.status }
  const own = hash(world.options.seed, KIND.payout, index)
  const isPaired = index * PAYOUT_EVERY < world.options.transactions && index < world.options.payouts
  const isOlder = isOlderPayout(world, index)
  if (!isPaired) {
    const time = unpairedAt(world, index)
    return {
      status: lane(own, 1) % 5 === 0 ? "RETURNED" : "PENDING",
      currency: homeCurrency(world, lane(own, 2) % 1_000),
      amount: 1_000 + (lane(own, 3) % 90_000),
      fee: 0,
      createdAt: isOlder ? null : time,
      updatedAt: time + 1_000,
    }
  }
  const { currency, feeCurrency, amount, fee, tax, createdAt } = transactionAt(world, index * PAYOUT_EVERY)
  const isReturned =
    world.options.breaches.includes("returned-payouts") && lane(own, 4) % RETURNED_EVERY === 0
  return {
    status: isFailedPayout(world, index) ? "FAILED" : isReturned ? "RETURNED" : "SUCCESS",
    currency,
    amount: Number(amount),
    fee: feeCurrency === currency ? fee + tax : 0,
    createdAt: isOlder ? null : createdAt - LEAD_MILLIS,
    updatedAt: createdAt,
  }
}

export const payoutAt = (world: World, index: number): Payout => {
  const first = firstState(world, index)
  const touched = world.changes.of("payouts").touches.get(index)
  return touched === undefined
    ? first
    : { ...first, status: statusAfter(first.status, touched.version), updatedAt: touched.updatedAt }
}

const commonFields = (world: World, index: number, { status, currency, createdAt, updatedAt }: Payout) => {
  const own = hash(world.options.seed, KIND.payout, index)
  const code = CURRENCIES[currency]!.code
  const account = String(10_000_000 + (lane(own, 10) % 90_000_000))
  return {
    order_id: lane(own, 12) % 3 === 0 ? String(20_000_000 + index) : null,
    due_date: iso((dayOf(updatedAt) + 1) * DAY_MILLIS),
    last_action: null,
    payee_name: `Payee ${index}`,
    currency: code,
    beneficiary: lane(own, 13) % 4 === 0 ? "" : `Payee ${index}`,
    beneficiary_bank: `${code.slice(0, 2).toLowerCase()}_bank_acct`,
    beneficiary_account_number: code === "EUR" ? null : account,
    beneficiary_account_iban: code === "EUR" ? `DE00${account}0000000000` : null,
    wire_origin: null,
    conversion: null,
    approval: status === "FAILED" ? "FAILED" : "APPROVED",
    created_at: createdAt === null ? null : iso(createdAt),
    updated_at: iso(updatedAt),
    approved_at: null,
    denied_at: null,
    pending_at: null,
  }
}

/** The shape of a response: a numeric `wire_amount`, the provider's id, no time of creation. */
const olderRecord = (world: World, index: number, payout: Payout): object => {
  const provider = world.ids.providerPayout.of(index)
  return {
    id: world.ids.payout.of(index),
    payout_id_finmo: provider,
    merchant_id: MERCHANT_ID,
    reply_code_id_pg: provider,
    status: payout.status,
    wire_id: String(100_000 + index),
    wire_amount: Number(print(payout.amount, payout.currency)),
    fee_taken: Number(print(payout.fee, payout.currency)),
    fee_expected: Number(print(payout.fee, payout.currency)),
    ...commonFields(world, index, payout),
    process: null,
  }
}

/** The shape of a webhook: `original_amount` is a string, and `wire_id` is the wallet transaction's id. */
const newerRecord = (world: World, index: number, payout: Payout): object => ({
  id: world.ids.payout.of(index),
  merchant_id: MERCHANT_ID,
  status: payout.status,
  wire_id: world.ids.providerPayout.of(index).replace("payout_", "w_txn_"),
  original_amount: print(payout.amount, payout.currency),
  ...commonFields(world, index, payout),
  type: "PAYOUT",
})

const payoutText = (world: World, index: number): string => {
  const payout = payoutAt(world, index)
  if (index === 0)
    return JSON.stringify({ ...PAYOUT, status: payout.status, updated_at: iso(payout.updatedAt) })
  return JSON.stringify((isOlderPayout(world, index) ? olderRecord : newerRecord)(world, index, payout))
}

/** The path is assumed (?). */
export default {
  kind: "list",
  listPath: "/api/v1/payout/get-all",
  detailPath: null,
  count: options => options.payouts,
  ids: world => world.ids.payout,
  text: payoutText,
} satisfies ListGenerator
