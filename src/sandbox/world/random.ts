/**
 * Randomness without state: every value is a hash of (seed, kind, index), so that any record can be made
 * on its own, in any order, in any process, and comes out the same.
 */

/** What is hashed apart from each other. Numbers are part of "same seed, same bytes": add, never reorder. */
export const KIND = {
  customer: 1,
  wallet: 2,
  walletAccount: 3,
  payout: 4,
  providerPayout: 5,
  checkout: 6,
  transaction: 7,
  payin: 8,
  settlement: 9,
  owner: 10,
  token: 11,
  order: 12,
  fault: 13,
  sample: 14,
} as const

const GOLDEN = 0x9e3779b1

/** The 32-bit finalizer of MurmurHash3: every input bit moves every output bit. */
const finish = (value: number): number => {
  let x = value | 0
  x = Math.imul(x ^ (x >>> 16), 0x85ebca6b)
  x = Math.imul(x ^ (x >>> 13), 0xc2b2ae35)
  return (x ^ (x >>> 16)) >>> 0
}

/** An unsigned 32-bit hash of one thing: what kind it is, and which. */
export const hash = (seed: number, kind: number, index: number): number =>
  finish(finish(Math.imul(seed, GOLDEN) ^ Math.imul(kind + 1, 0x85ebca77)) + index)

/** The n-th further unsigned 32-bit value of a hash. */
export const lane = (of: number, n: number): number => finish(of + Math.imul(n + 1, GOLDEN))

const HEX = Array.from({ length: 0x10000 }, (_, word) => word.toString(16).padStart(4, "0"))

const hex = (word: number): string => HEX[word >>> 16]! + HEX[word & 0xffff]!

/** The inverse of `GOLDEN` modulo 2^32, by Newton's method: each step doubles the bits that are right. */
const INVERSE = Array.from({ length: 5 }).reduce<number>(x => Math.imul(x, 2 - Math.imul(GOLDEN, x)), GOLDEN)

/** The ids of one kind of thing, both ways: an index has one id, and an id tells its index. */
export interface Ids {
  readonly of: (index: number) => string
  /** The index that an id was made of, or undefined when it was not made here. */
  readonly indexOf: (id: string) => number | undefined
}

interface IdOptions {
  readonly prefix?: string
  /** Ids of the documented samples, by index. */
  readonly fixed?: Readonly<Record<number, string>>
}

/**
 * Ids of 32 hex digits after a prefix, or UUIDs without one. The last eight digits are the index, scrambled
 * by a bijection: looking a record up by its id needs no table. Good for indexes below 2^32.
 */
export const idsOf = (seed: number, kind: number, { prefix, fixed = {} }: IdOptions): Ids => {
  const key = hash(seed, kind, -1)
  const fixedIds = new Map(Object.entries(fixed).map(([index, id]) => [id, Number(index)]))
  const of = (index: number): string => {
    const known = fixed[index]
    if (known !== undefined) return known
    const own = hash(seed, kind, index)
    const tail = hex(Math.imul(index ^ key, GOLDEN) >>> 0)
    if (prefix !== undefined) return `${prefix}${hex(own)}${hex(lane(own, 1))}${hex(lane(own, 2))}${tail}`
    const middle = hex(lane(own, 1))
    const last = hex(lane(own, 2))
    return `${hex(own)}-${middle.slice(0, 4)}-4${middle.slice(5)}-a${last.slice(1, 4)}-${last.slice(4)}${tail}`
  }
  const indexOf = (id: string): number | undefined => {
    const known = fixedIds.get(id)
    if (known !== undefined) return known
    const tail = Number.parseInt(id.slice(-8), 16)
    const index = (Math.imul(tail, INVERSE) ^ key) >>> 0
    return of(index) === id ? index : undefined
  }
  return { of, indexOf }
}
