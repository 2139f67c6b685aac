import { type Changes, makeChanges } from "./changes.ts"
import type { SandboxOptions } from "./options.ts"
import { makeOwners, type Owners } from "./owners.ts"
import { hash, type Ids, idsOf, KIND, lane } from "./random.ts"
import * as samples from "./samples.ts"

export interface World {
  readonly options: SandboxOptions
  readonly changes: Changes
  readonly owners: Owners
  /** Midnight (UTC) at which the generated history starts; the samples are older. */
  readonly startMillis: number
  readonly untilMillis: number
  readonly ids: {
    readonly customer: Ids
    readonly wallet: Ids
    readonly walletAccount: Ids
    readonly payout: Ids
    readonly providerPayout: Ids
    readonly checkout: Ids
    readonly transaction: Ids
    readonly payin: Ids
    readonly settlement: Ids
  }
}

export const MINUTE_MILLIS = 60_000
export const HOUR_MILLIS = 60 * MINUTE_MILLIS
export const DAY_MILLIS = 24 * HOUR_MILLIS

/** The day of a time, counted from 1970 (UTC). */
export const dayOf = (millis: number): number => Math.floor(millis / DAY_MILLIS)

export const iso = (millis: number): string => new Date(millis).toISOString()

/** A time for the n-th of `count` records, spread over the history so that a later index is never earlier. */
export const spread = (world: World, kind: number, n: number, count: number): number => {
  const slot = (world.untilMillis - world.startMillis) / count
  const within = lane(hash(world.options.seed, kind, n), 90) / 0x1_0000_0000
  return Math.floor(world.startMillis + (n + within) * slot)
}

const makeIds = (seed: number): World["ids"] => ({
  customer: idsOf(seed, KIND.customer, {
    prefix: "customer_",
    fixed: {
      [samples.SAMPLE_INDEX.customerWithoutTimes]: samples.CUSTOMER_WITHOUT_TIMES.customer_id,
      [samples.SAMPLE_INDEX.checkoutCustomer]: samples.CHECKOUT_CUSTOMER_ID,
      [samples.SAMPLE_INDEX.customer]: samples.CUSTOMER.customer_id,
    },
  }),
  wallet: idsOf(seed, KIND.wallet, {
    prefix: "wallet_",
    fixed: { [samples.SAMPLE_INDEX.customer]: samples.WALLET_ID },
  }),
  walletAccount: idsOf(seed, KIND.walletAccount, {
    prefix: "wallet_account_",
    fixed: { [samples.SAMPLE_INDEX.customer * 16]: samples.WALLET_ACCOUNT_ID },
  }),
  payout: idsOf(seed, KIND.payout, { fixed: { 0: samples.PAYOUT.id } }),
  providerPayout: idsOf(seed, KIND.providerPayout, {
    prefix: "payout_",
    fixed: { 0: samples.PAYOUT.payout_id_finmo },
  }),
  checkout: idsOf(seed, KIND.checkout, { fixed: { 0: samples.CHECKOUT.id } }),
  transaction: idsOf(seed, KIND.transaction, {
    prefix: "transaction_",
    fixed: { 0: samples.TRANSACTION_ID },
  }),
  payin: idsOf(seed, KIND.payin, { prefix: "payin_", fixed: { 0: samples.PAYIN_ID } }),
  settlement: idsOf(seed, KIND.settlement, { prefix: "settlement_" }),
})

/** Builds a world at its start. `countsOf` gives the number of records of each list. */
export const makeWorld = (
  options: SandboxOptions,
  countsOf: (owners: Owners) => ReadonlyMap<string, number>,
): World => {
  const untilMillis = Date.parse(options.until)
  const startMillis = (dayOf(untilMillis) - options.days) * DAY_MILLIS
  const owners = makeOwners(options.seed, options.customers)
  return {
    options,
    changes: makeChanges(options, countsOf(owners), startMillis, untilMillis),
    owners,
    startMillis,
    untilMillis,
    ids: makeIds(options.seed),
  }
}
