import { checkoutAt } from "../../../src/sandbox/streams/checkouts.ts"
import { readinessOf } from "../../../src/sandbox/streams/customers.ts"
import { payoutAt } from "../../../src/sandbox/streams/payouts.ts"
import { print } from "../../../src/sandbox/world/money.ts"
import type { World } from "../../../src/sandbox/world/world.ts"
import {
  add,
  type CountAndAmount,
  codeOf,
  dayText,
  groupsBy,
  indices,
  nothing,
  type Select,
} from "./groups.ts"

export interface NotReadyTruth {
  readonly customerId: string
  /** Sorted; empty if the API names none. */
  readonly missingFields: ReadonlyArray<string>
}

export interface PayoutDayTruth {
  /** Day of creation, or of the latest change if the payout has no time of creation. */
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

export function* notReady(world: World): Generator<NotReadyTruth> {
  for (const index of indices(world, "customers", { removed: false })) {
    const { ready, missing } = readinessOf(world, index)
    if (!ready)
      yield { customerId: world.ids.customer.of(index), missingFields: [...new Set(missing)].sort() }
  }
}

export const payoutDays = (world: World, select?: Select): ReadonlyArray<PayoutDayTruth> => {
  const rows = groupsBy<
    [day: string, currency: number, status: string],
    CountAndAmount & { removed: number }
  >(() => ({ ...nothing(), removed: 0 }))
  for (const index of indices(world, "payouts", select)) {
    const { createdAt, updatedAt, currency, status, amount } = payoutAt(world, index)
    const row = rows.at(dayText(createdAt ?? updatedAt), currency, status)
    add(row, amount)
    row.removed += world.changes.of("payouts").removed.has(index) ? 1 : 0
  }
  return rows.map(([day, currency, status], { count, removed, amount }) => ({
    day,
    currency: codeOf(currency),
    status,
    payoutCount: count,
    amount: print(amount, currency),
    removedCount: removed,
  }))
}

export const checkoutDays = (world: World): ReadonlyArray<CheckoutDayTruth> => {
  const rows = groupsBy<[day: string, currency: number], CountAndAmount>(nothing)
  for (const index of indices(world, "checkouts", { removed: false })) {
    const { createdAt, currency, amount } = checkoutAt(world, index)
    add(rows.at(dayText(createdAt), currency), amount)
  }
  return rows.map(([day, currency], { count, amount }) => ({
    day,
    currency: codeOf(currency),
    checkoutCount: count,
    amount: print(amount, currency),
  }))
}

export const openCheckouts = (world: World, now: Date): ReadonlyArray<OpenCheckoutTruth> => {
  const rows = groupsBy<[customer: number, currency: number], CountAndAmount>(nothing)
  const isGap = (customer: number) =>
    !readinessOf(world, customer).ready && !world.changes.of("customers").removed.has(customer)
  for (const index of indices(world, "checkouts", { removed: false })) {
    const { customer, currency, amount, expireAt, deletedAt } = checkoutAt(world, index)
    const isOpen = deletedAt === null && expireAt > now.getTime()
    if (isOpen && customer !== null && isGap(customer)) add(rows.at(customer, currency), amount)
  }
  return rows.map(([customer, currency], { count, amount }) => ({
    customerId: world.ids.customer.of(customer),
    currency: codeOf(currency),
    checkoutCount: count,
    amount: print(amount, currency),
  }))
}
