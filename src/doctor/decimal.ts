export interface Decimal {
  /** The number is `units` / 10^`scale`. */
  readonly units: bigint
  readonly scale: number
}

const NUMBER = /^([+-]?)(\d+)(?:\.(\d+))?(?:[eE]([+-]?\d{1,3}))?$/

/** Reads a number with every digit; undefined if it is none, or its exponent is too large for an amount. */
export const decimal = (text: string): Decimal | undefined => {
  const [, sign, whole, fraction = "", exponent = "0"] = NUMBER.exec(text.trim()) ?? []
  if (whole === undefined) return undefined
  const digits = BigInt(`${whole}${fraction}`) * (sign === "-" ? -1n : 1n)
  const scale = fraction.length - Number(exponent)
  return scale < 0 ? { units: digits * 10n ** BigInt(-scale), scale: 0 } : { units: digits, scale }
}

const unitsAt = ({ units, scale }: Decimal, at: number): bigint => units * 10n ** BigInt(at - scale)

export const plus = (a: Decimal, b: Decimal): Decimal => {
  const scale = Math.max(a.scale, b.scale)
  return { units: unitsAt(a, scale) + unitsAt(b, scale), scale }
}

export const negated = ({ units, scale }: Decimal): Decimal => ({ units: -units, scale })

export const minus = (a: Decimal, b: Decimal): Decimal => plus(a, negated(b))

export const isEqual = (a: Decimal, b: Decimal): boolean => minus(a, b).units === 0n

export const signOf = ({ units }: Decimal): -1 | 0 | 1 => (units < 0n ? -1 : units > 0n ? 1 : 0)
