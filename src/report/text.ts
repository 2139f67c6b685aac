import type { Grain, Row } from "../warehouse/report/types.ts"

/** Formats figures and times for people. No digit is lost, and only trailing zeros are added. */

/** Thousands separator: a narrow no-break space, as in SI, so that no reader takes it for a decimal mark. */
const THOUSANDS = "\u202f"
const MINUS = "\u2212"

/** Most decimal places that zeros are added up to. No currency has more, but single records do. */
const PLACES_MAX = 4

const placesOf = (text: string): number => text.length - (text.indexOf(".") + 1 || text.length)

/** Finds the decimal places for each currency: the most that any of its amounts has. */
export const placesByCurrency = (
  rows: ReadonlyArray<Row>,
  /** Columns of amounts, each with the column of its currency. */
  columns: ReadonlyArray<readonly [amount: string, currency: string]>,
): ReadonlyMap<string, number> => {
  const places = new Map<string, number>()
  for (const row of rows)
    for (const [column, currencyColumn] of columns) {
      const digits = Math.min(placesOf(row[column] ?? ""), PLACES_MAX)
      const currency = row[currencyColumn] ?? ""
      places.set(currency, Math.max(digits, places.get(currency) ?? 0))
    }
  return places
}

/** Formats `-1234567.8` as `−1 234 567.80`. Text that is not a number stays as it is. */
export const amount = (text: string | null | undefined, places = 0): string => {
  const [, sign, whole, fraction = ""] = /^(-?)(\d+)(?:\.(\d+))?$/.exec(text ?? "") ?? []
  if (whole === undefined) return text ?? "–"
  const grouped = whole.replace(/\B(?=(\d{3})+$)/g, THOUSANDS)
  const filled = fraction.padEnd(places, "0")
  return `${sign === "-" ? MINUS : ""}${grouped}${filled === "" ? "" : `.${filled}`}`
}

/** Converts a formatted figure back to what a program reads. */
export const plain = (shown: string): string => shown.replaceAll(THOUSANDS, "").replace(MINUS, "-")

/** Formats a count with thousands separators. */
export const count = (text: string | number | null | undefined): string => amount(String(text ?? "0"))

export const plural = (n: number | string, one: string, many = `${one}s`): string =>
  `${count(n)} ${Number(n) === 1 ? one : many}`

const UNITS = [
  [86_400, "day"],
  [3_600, "hour"],
  [60, "minute"],
] as const

const MINUTE = [60, "minute"] as const
const SECOND = [1, "second"] as const

const unitOf = (seconds: number) => UNITS.find(([length]) => seconds >= 2 * length) ?? MINUTE

/** Formats a duration in the largest unit that it fills twice, else in minutes. */
export const duration = (seconds: number): string => {
  const [unit, name] = unitOf(seconds)
  const n = Math.floor(seconds / unit)
  return n === 0 ? "less than a minute" : plural(n, name)
}

const exactUnitOf = (seconds: number) =>
  UNITS.find(([length]) => seconds >= 2 * length && seconds % length === 0) ?? SECOND

/** Formats a limit in the largest unit that divides it, so that it never looks smaller than it is. */
export const limit = (seconds: number): string => {
  const [unit, name] = exactUnitOf(seconds)
  return plural(seconds / unit, name)
}

/**
 * Tells how long ago something was, and that this exceeds the limit `most`. Uses the limit's unit if a larger unit
 * would hide the excess.
 */
export const beyond = (seconds: number, most: number): string => {
  const [unit] = unitOf(seconds)
  const [exact, name] = exactUnitOf(most)
  const shown =
    Math.floor(seconds / unit) * unit >= most ? duration(seconds) : plural(Math.floor(seconds / exact), name)
  return `${shown} ago, which is more than ${limit(most)}`
}

const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]

/** Names a bucket of time by its first day, short enough for an axis. */
export const bucketName = (day: string, grain: Grain): string => {
  const [year, month, date] = day.split("-")
  if (grain === "year") return year!
  const name = MONTHS[Number(month) - 1]!
  return grain === "month" ? `${name} ${year}` : `${Number(date)} ${name}`
}

/** Titles of the bucket column. */
export const GRAIN_TITLES: Readonly<Record<Grain, string>> = {
  day: "Day",
  week: "Week from",
  month: "Month from",
  year: "Year from",
}

/** True for the text that Postgres prints for `true`. */
export const isTrue = (text: string | null | undefined): boolean => text === "t"
