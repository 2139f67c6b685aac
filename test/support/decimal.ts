/** Decimals of any size as pairs of integers: another way to the same value than the program's, and no doubles. */

export interface Decimal {
  readonly digits: bigint
  /** Digits after the point; negative where zeros before it are left out. */
  readonly scale: number
}

/** Reads a decimal as JSON, a person or Postgres writes it. */
export const decimalOf = (text: string): Decimal => {
  const [, sign, whole, fraction = "", exponent = "0"] =
    /^\s*([+-]?)(\d+)(?:\.(\d+))?(?:[eE]([+-]?\d+))?\s*$/.exec(text) ?? []
  if (whole === undefined) throw new Error(`Not a decimal: ${text.slice(0, 80)}`)
  const digits = BigInt(whole + fraction)
  return { digits: sign === "-" ? -digits : digits, scale: fraction.length - Number(exponent) }
}

const at = ({ digits, scale }: Decimal, wanted: number) => digits * 10n ** BigInt(wanted - scale)

export const plus = (one: Decimal, other: Decimal): Decimal => {
  const scale = Math.max(one.scale, other.scale)
  return { digits: at(one, scale) + at(other, scale), scale }
}

export const absolute = ({ digits, scale }: Decimal): Decimal => ({
  digits: digits < 0n ? -digits : digits,
  scale,
})

/** The one text of a value: no trailing zeros, no exponent, no negative zero. */
export const textOf = (decimal: Decimal): string => {
  const scale = Math.max(0, decimal.scale)
  const digits = at(decimal, scale)
  const text = String(digits < 0n ? -digits : digits).padStart(scale + 1, "0")
  const fraction = text.slice(text.length - scale).replace(/0+$/, "")
  const sign = digits < 0n ? "-" : ""
  return `${sign}${text.slice(0, text.length - scale)}${scale === 0 || fraction === "" ? "" : `.${fraction}`}`
}

export const normal = (text: string): string => textOf(decimalOf(text))

/** Sums by key. */
export const sums = (
  entries: Iterable<readonly [key: string, text: string]>,
): ReadonlyMap<string, string> => {
  const totals = new Map<string, Decimal>()
  for (const [key, text] of entries) {
    const amount = decimalOf(text)
    const before = totals.get(key)
    totals.set(key, before === undefined ? amount : plus(before, amount))
  }
  return new Map([...totals].map(([key, total]) => [key, textOf(total)]))
}
