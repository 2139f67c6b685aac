import { hash, KIND } from "./random.ts"
import { SAMPLE_INDEX } from "./samples.ts"

/**
 * Finds the owner of a transaction and the transactions of an owner, without a table. Transactions come in blocks of
 * one slot per owner, each block in its own order; some owners have two slots, and the organization has several.
 *
 * Every tenth customer is new: no wallet, no transaction. The documented sample customer has only the first
 * `FIXED_TRANSACTIONS`, so that the balance is the documented one.
 */
export interface Owners {
  /** Number of wallets at the start: the organization's, and one per customer with a wallet. */
  readonly wallets: number
  readonly ownerOf: (transaction: number) => number
  /** The transactions below `count` of one owner, the oldest block first. */
  readonly transactionsOf: (owner: number, count: number) => Generator<number>
  /** The customer with this wallet, or `ORGANIZATION`. */
  readonly ownerOfWallet: (wallet: number) => number
}

/** Owner of transactions that name no customer. */
export const ORGANIZATION = -1

export const FIXED_TRANSACTIONS = 3

const NEW_CUSTOMER_EVERY = 10

const greatestCommonDivisor = (a: number, b: number): number =>
  b === 0 ? a : greatestCommonDivisor(b, a % b)

/** A stride near the golden section that visits each of `count` places once. */
export const strideOf = (count: number): number => {
  let stride = Math.max(1, Math.floor(count * 0.618))
  while (greatestCommonDivisor(stride, count) !== 1) stride += 1
  return stride
}

/** The inverse of `value` modulo `modulus`, by Euclid's extended algorithm. */
export const inverseOf = (value: number, modulus: number): number => {
  let [r, next, x, nextX] = [modulus, value % modulus, 0, 1]
  while (next !== 0) {
    const quotient = Math.floor(r / next)
    ;[r, next] = [next, r - quotient * next]
    ;[x, nextX] = [nextX, x - quotient * nextX]
  }
  return ((x % modulus) + modulus) % modulus
}

export const makeOwners = (seed: number, customers: number): Owners => {
  const active = customers - Math.ceil(customers / NEW_CUSTOMER_EVERY)
  const perTen = NEW_CUSTOMER_EVERY - 1
  const customerOfRank = (rank: number) =>
    Math.floor(rank / perTen) * NEW_CUSTOMER_EVERY + 1 + (rank % perTen)
  const extra = Math.max(2, Math.ceil(active / 4))
  const slots = active + extra
  const stride = strideOf(slots)
  const undo = inverseOf(stride, slots)
  const shiftOf = (block: number) => hash(seed, KIND.owner, block) % slots

  const ownerOfSlot = (slot: number): number => {
    const above = slot - active
    const rank = above < 0 ? slot : above % 2 === 0 ? active : above >> 1
    const customer = rank < active ? customerOfRank(rank) : ORGANIZATION
    return customer === SAMPLE_INDEX.customer ? ORGANIZATION : customer
  }
  const ownerOf = (transaction: number): number => {
    if (transaction < FIXED_TRANSACTIONS) return SAMPLE_INDEX.customer
    const n = transaction - FIXED_TRANSACTIONS
    const block = Math.floor(n / slots)
    return ownerOfSlot(((n % slots) * stride + shiftOf(block)) % slots)
  }
  const slotsOf = (owner: number): ReadonlyArray<number> => {
    if (owner === ORGANIZATION)
      return Array.from({ length: slots }, (_, n) => n).filter(n => ownerOfSlot(n) === owner)
    const rank = Math.floor(owner / NEW_CUSTOMER_EVERY) * perTen + (owner % NEW_CUSTOMER_EVERY) - 1
    return [rank, active + 2 * rank + 1].filter(slot => slot < slots && ownerOfSlot(slot) === owner)
  }
  function* transactionsOf(owner: number, count: number): Generator<number> {
    if (owner === SAMPLE_INDEX.customer) for (let n = 0; n < Math.min(count, FIXED_TRANSACTIONS); n++) yield n
    const own = slotsOf(owner)
    const blocks = Math.ceil((count - FIXED_TRANSACTIONS) / slots)
    for (let block = 0; block < blocks; block++) {
      const shift = shiftOf(block)
      for (const slot of own) {
        const place = (((slot - shift + slots) % slots) * undo) % slots
        const transaction = FIXED_TRANSACTIONS + block * slots + place
        if (transaction < count) yield transaction
      }
    }
  }
  return {
    wallets: 1 + active,
    ownerOf,
    transactionsOf,
    ownerOfWallet: wallet => (wallet === 0 || wallet > active ? ORGANIZATION : customerOfRank(wallet - 1)),
  }
}
