import type { Grain, Row } from "../warehouse/report/types.ts"

/** Figures and times as people read them. No digit is lost, and none is invented but zeros at the end. */

/** Narrow, and never broken at: as SI sets thousands apart, so that no country takes it for a decimal mark. */
const THOUSANDS = "\u202f"
const MINUS = "\u2212"

/** More places than this are not filled up: no currency has them, and some record does. */
const PLACES_MAX = 4

const placesOf = (text: string): number => text.length - (text.indexOf(".") + 1 || text.length)

/** Places after the decimal mark that each currency's amounts are shown with: the most that any of them has. */
export const placesByCurrency = (
  rows: ReadonlyArray<Row>,
  /** A column of amounts, and the one that says their currency. */
  columns: ReadonlyArray<readonly [amount: string, currency: string]>,
): ReadonlyMap<string, number> => {
  const places = new Map<string, number>()
  for (const row of rows)
    for (const [column, currencyColumn] of columns) {
      const found = Math.min(placesOf(row[column] ?? ""), PLACES_MAX)
      const currency = row[currencyColumn] ?? ""
      places.set(currency, Math.max(found, places.get(currency) ?? 0))
    }
  return places
}

/** `-1234567.8` as `−1 234 567.80`. Text that is no number is left as it is. */
export const amount = (text: string | null | undefined, places = 0): string => {
  const [, sign, whole, fraction = ""] = /^(-?)(\d+)(?:\.(\d+))?$/.exec(text ?? "") ?? []
  if (whole === undefined) return text ?? "–"
  const grouped = whole.replace(/\B(?=(\d{3})+$)/g, THOUSANDS)
  const filled = fraction.padEnd(places, "0")
  return `${sign === "-" ? MINUS : ""}${grouped}${filled === "" ? "" : `.${filled}`}`
}

/** A shown figure as a program reads it. */
export const plain = (shown: string): string => shown.replaceAll(THOUSANDS, "").replace(MINUS, "-")

/** A count, set apart in thousands. */
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

/** How long, in the largest unit of which there are two, or one. */
export const duration = (seconds: number): string => {
  const [unit, name] = unitOf(seconds)
  const n = Math.floor(seconds / unit)
  return n === 0 ? "less than a minute" : plural(n, name)
}

const exactUnitOf = (seconds: number) =>
  UNITS.find(([length]) => seconds >= 2 * length && seconds % length === 0) ?? SECOND

/** A limit, which must not be told as less than it is: in the largest unit that leaves nothing out. */
export const limit = (seconds: number): string => {
  const [unit, name] = exactUnitOf(seconds)
  return plural(seconds / unit, name)
}

/** How long ago, and that it is longer than a limit: in its unit where a larger one would not show that. */
export const beyond = (seconds: number, most: number): string => {
  const [unit] = unitOf(seconds)
  const [exact, name] = exactUnitOf(most)
  const shown =
    Math.floor(seconds / unit) * unit >= most ? duration(seconds) : plural(Math.floor(seconds / exact), name)
  return `${shown} ago, which is more than ${limit(most)}`
}

const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]

/** A bucket of time by its first day, short enough for an axis. */
export const bucketName = (day: string, grain: Grain): string => {
  const [year, month, date] = day.split("-")
  if (grain === "year") return year!
  const name = MONTHS[Number(month) - 1]!
  return grain === "month" ? `${name} ${year}` : `${Number(date)} ${name}`
}

/** What a column of buckets is called. */
export const GRAIN_TITLES: Readonly<Record<Grain, string>> = {
  day: "Day",
  week: "Week from",
  month: "Month from",
  year: "Year from",
}

/** Postgres prints booleans so. */
export const isTrue = (text: string | null | undefined): boolean => text === "t"
