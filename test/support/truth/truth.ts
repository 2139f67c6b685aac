import type { Sandbox } from "../../../src/sandbox/sandbox.ts"
import * as balance from "./balances.ts"
import type { Select } from "./groups.ts"
import * as others from "./others.ts"
import * as settled from "./settlements.ts"
import * as paid from "./transactions.ts"

export type { BalanceTruth, MovementTruth } from "./balances.ts"
export { normalizeDecimal, type Select } from "./groups.ts"
export type { CheckoutDayTruth, NotReadyTruth, OpenCheckoutTruth, PayoutDayTruth } from "./others.ts"
export type { SettlementDayTruth, SettlementTruth } from "./settlements.ts"
export type { TransactionTruth, UnmappedTruth } from "./transactions.ts"

/**
 * The right content of a warehouse in step with the sandbox, computed from the records without SQL. It includes
 * changes, except those of `patch` and `replace`. Amounts are exact decimals in major units without trailing zeros.
 * Every method reads the records again; memory grows with the groups of the answer, not with the records.
 */
export interface Truth {
  readonly transactions: (select?: Select) => Generator<paid.TransactionTruth>
  readonly movements: (select?: Select) => Generator<balance.MovementTruth>
  readonly settlements: (select?: Select) => ReadonlyArray<settled.SettlementTruth>
  readonly settlementDays: (select?: Select) => ReadonlyArray<settled.SettlementDayTruth>
  readonly balances: (select?: Select) => ReadonlyArray<balance.BalanceTruth>
  readonly unmapped: (select?: Select) => ReadonlyArray<paid.UnmappedTruth>

  readonly notReady: () => Generator<others.NotReadyTruth>
  readonly payoutDays: (select?: Select) => ReadonlyArray<others.PayoutDayTruth>
  readonly checkoutDays: () => ReadonlyArray<others.CheckoutDayTruth>
  /** Checkouts of customers who are not ready, neither deleted nor expired at `now`. */
  readonly openCheckouts: (now: Date) => ReadonlyArray<others.OpenCheckoutTruth>
}

export const truthOf = ({ world }: Pick<Sandbox, "world">): Truth => ({
  transactions: select => paid.transactions(world, select),
  movements: select => balance.movements(world, select),
  settlements: select => settled.settlements(world, select),
  settlementDays: select => settled.settlementDays(world, select),
  balances: select => balance.balances(world, select),
  unmapped: select => paid.unmapped(world, select),
  notReady: () => others.notReady(world),
  payoutDays: select => others.payoutDays(world, select),
  checkoutDays: () => others.checkoutDays(world),
  openCheckouts: now => others.openCheckouts(world, now),
})
