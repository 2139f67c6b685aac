/** Exact money: whole minor units (cents) in a number while they fit, otherwise in a bigint. */
export type Minor = number | bigint

export interface Currency {
  readonly code: string
  /** Digits after the decimal point: 2 for most, 0 for JPY, 3 for KWD. */
  readonly digits: number
}

export const CURRENCIES = [
  { code: "AUD", digits: 2 },
  { code: "EUR", digits: 2 },
  { code: "USD", digits: 2 },
  { code: "SGD", digits: 2 },
  { code: "JPY", digits: 0 },
  { code: "KWD", digits: 3 },
] as const satisfies ReadonlyArray<Currency>

/** Indices of currencies in `CURRENCIES`, which records are computed with. */
export const AUD = 0
export const EUR = 1
export const USD = 2

const POWERS = [1, 10, 100, 1_000] as const

const printLong = (minor: bigint, digits: number): string => {
  const sign = minor < 0n ? "-" : ""
  const text = String(minor < 0n ? -minor : minor).padStart(digits + 1, "0")
  const whole = text.slice(0, text.length - digits)
  const fraction = text.slice(text.length - digits).replace(/0+$/, "")
  return `${sign}${whole}${fraction === "" ? "" : `.${fraction}`}`
}

/**
 * Prints an amount in major units, as an exact decimal without trailing zeros: the text of a JSON number. A double
 * prints every decimal of up to 15 significant digits unchanged, so the division prints exactly.
 */
export const print = (minor: Minor, currency: number): string => {
  const { digits } = CURRENCIES[currency]!
  return typeof minor === "number" && Math.abs(minor) < 1e15
    ? String(minor / POWERS[digits])
    : printLong(BigInt(minor), digits)
}
