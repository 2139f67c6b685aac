import type { StreamName } from "../world/options.ts"
import type { Ids } from "../world/random.ts"
import type { World } from "../world/world.ts"
import { checkoutText } from "./checkouts.ts"
import { customerText } from "./customers.ts"
import { type Ledger, ledgersOf } from "./ledger.ts"
import { payoutText } from "./payouts.ts"
import { transactionText } from "./transactions.ts"
import { walletText } from "./wallets.ts"

/** The records of every stream, as JSON text. */
export interface Records {
  readonly ids: Readonly<Record<StreamName, Ids>>
  readonly ledgerOf: (owner: number) => Ledger
  /** A record as its by-id endpoint answers it. */
  readonly text: (stream: StreamName, index: number) => string
  /** A record as its list shows it. */
  readonly listed: (stream: StreamName, index: number) => string
  /** The index of a record that exists now: listed, or hidden. */
  readonly find: (stream: StreamName, id: string) => number | undefined
}

export const recordsOf = (world: World): Records => {
  const { ids, options, changes } = world
  const ledgerOf = ledgersOf(world)
  const wallet = (withAccounts: boolean) => (_: World, index: number) =>
    walletText(world, ledgerOf, index, withAccounts)
  const whole = {
    customers: customerText,
    wallets: wallet(true),
    payouts: payoutText,
    checkouts: checkoutText,
    transactions: transactionText,
  }
  const inList = { ...whole, wallets: wallet(options.walletListHasBalances) }
  const patched = (stream: StreamName, index: number, text: string): string => {
    const { texts, patches } = changes.of(stream)
    const given = texts.get(index)
    if (given !== undefined) return given
    const fields = patches.get(index)
    return fields === undefined ? text : JSON.stringify({ ...JSON.parse(text), ...fields })
  }
  const idsOf = {
    customers: ids.customer,
    wallets: ids.wallet,
    payouts: ids.payout,
    checkouts: ids.checkout,
    transactions: ids.transaction,
  }
  const find: Records["find"] = (stream, id) => {
    const index = idsOf[stream].indexOf(id)
    if (index === undefined || index >= changes.size(stream)) return undefined
    const { removed, hidden } = changes.of(stream)
    return removed.has(index) && !hidden.has(index) ? undefined : index
  }
  return {
    ids: idsOf,
    ledgerOf,
    text: (stream, index) => patched(stream, index, whole[stream](world, index)),
    listed: (stream, index) => patched(stream, index, inList[stream](world, index)),
    find,
  }
}
