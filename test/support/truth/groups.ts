import { CURRENCIES, type Minor } from "../../../src/sandbox/world/money.ts"
import { ORGANIZATION } from "../../../src/sandbox/world/owners.ts"
import { ORG_ID } from "../../../src/sandbox/world/samples.ts"
import { iso, type World } from "../../../src/sandbox/world/world.ts"

/**
 * Removed transactions and payouts count unless `removed` is false, because a warehouse that read them once keeps them.
 */
export interface Select {
  readonly removed?: boolean
}

export function* indices(
  { changes }: World,
  list: string,
  { removed = true }: Select = {},
): Generator<number> {
  for (let index = 0; index < changes.size(list); index++)
    if (removed || !changes.of(list).removed.has(index)) yield index
}

export const codeOf = (currency: number): string => CURRENCIES[currency]!.code

export const dayText = (millis: number): string => iso(millis).slice(0, 10)

export const ownerIdOf = (world: World, owner: number): string =>
  owner === ORGANIZATION ? ORG_ID : world.ids.customer.of(owner)

interface Groups<Key extends ReadonlyArray<string | number>, Group> {
  readonly at: (...key: Key) => Group
  readonly map: <Row>(row: (key: Key, group: Group) => Row) => ReadonlyArray<Row>
}

/** Groups by several values at once, in the order of their first use. */
export const groupsBy = <Key extends ReadonlyArray<string | number>, Group>(
  fresh: () => Group,
): Groups<Key, Group> => {
  const groups = new Map<string, { readonly key: Key; readonly group: Group }>()
  return {
    at: (...key) => {
      const text = key.join("|")
      const existing = groups.get(text)
      if (existing !== undefined) return existing.group
      const group = fresh()
      groups.set(text, { key, group })
      return group
    },
    map: row => [...groups.values()].map(({ key, group }) => row(key, group)),
  }
}

export interface CountAndAmount {
  count: number
  amount: bigint
}

export const nothing = (): CountAndAmount => ({ count: 0, amount: 0n })

export const add = (to: CountAndAmount, minor: Minor): void => {
  to.count += 1
  to.amount += BigInt(minor)
}

/** Returns the same decimal without trailing zeros or a negative zero, so that `1.50` and `1.5` are equal as text. */
export const normalizeDecimal = (text: string): string => {
  const trimmed = text.includes(".") ? text.replace(/\.?0+$/, "") : text
  return trimmed === "-0" ? "0" : trimmed
}
