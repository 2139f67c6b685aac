/** Reads moments in the API's possible spellings exactly, for decoder, redactor and the order of a list. */

const ZONE = String.raw` ?(?:([Zz]|[Uu][Tt][Cc]|[Gg][Mm][Tt])|([+-]\d\d)(?::?(\d\d))?)?`
/** The extended and the basic format of ISO 8601. */
const INSTANTS = [
  new RegExp(String.raw`^(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d)(?::(\d\d)(?:[.,](\d+))?)?${ZONE}$`),
  new RegExp(String.raw`^(\d{4})(\d\d)(\d\d)[Tt](\d\d)(\d\d)(?:(\d\d)(?:[.,](\d+))?)?${ZONE}$`),
]

const MINUTE_MILLIS = 60_000
/** Length of `2025-01-01T00:00:00.000Z`; times after the year 9999 are longer. */
const ISO_LENGTH = 24

/** Postgres accepts zones of less than 16 hours; real ones go up to 14. */
const ZONE_HOURS_MAX = 15
/** Digits of a fraction of a second that are kept; Postgres rounds them to six. */
const FRACTION_DIGITS_MAX = 30

const isCalendarDay = (year: number, month: number, day: number): boolean => {
  const date = new Date(Date.UTC(2000, month - 1, day))
  date.setUTCFullYear(year, month - 1, day)
  return year > 0 && date.getUTCMonth() === month - 1 && date.getUTCDate() === day
}

/**
 * Returns a moment as `2025-01-01T00:00:00.000000Z` (or `+05:30`), which Postgres and JavaScript read alike. Undefined
 * if the text is no moment, or a day. A time without a zone is UTC (assumed).
 */
export const instantText = (sent: string): string | undefined => {
  const text = sent.trim()
  const match = INSTANTS.map(format => format.exec(text)).find(found => found !== null)
  if (match == null) return undefined
  const [, year, month, day, hour, minute, second = "00", fraction = "", , zoneHours, zoneMinutes = "00"] =
    match
  const isMidnight = Number(hour) === 24 && Number(minute) === 0 && !/[1-9]/.test(second + fraction)
  const isLeapSecond = second === "60"
  const isValid =
    isCalendarDay(Number(year), Number(month), Number(day)) &&
    (Number(hour) < 24 || isMidnight) &&
    Number(minute) < 60 &&
    (Number(second) < 60 || isLeapSecond) &&
    Math.abs(Number(zoneHours ?? 0)) <= ZONE_HOURS_MAX &&
    Number(zoneMinutes) < 60
  if (!isValid) return undefined
  const digits = fraction.slice(0, FRACTION_DIGITS_MAX)
  const zone = zoneHours === undefined ? "Z" : `${zoneHours}:${zoneMinutes}`
  const rest = `${digits === "" ? "" : `.${digits}`}${zone}`
  if (!isMidnight && !isLeapSecond) return `${year}-${month}-${day}T${hour}:${minute}:${second}${rest}`
  // The end of a day, and a leap second, are the beginning of the next day or minute, as in Postgres.
  const date = new Date(`${year}-${month}-${day}T00:00:00Z`)
  const minutes = Number(hour) * 60 + Number(minute) + (isLeapSecond ? 1 : 0)
  const next = new Date(date.getTime() + minutes * MINUTE_MILLIS).toISOString()
  return next.length > ISO_LENGTH ? undefined : `${next.slice(0, 19)}${rest}`
}

/** Returns a moment in milliseconds since 1970, truncated; null if the value is no moment. */
export const instantMillis = (value: unknown): number | null => {
  const text = typeof value === "string" ? instantText(value) : undefined
  const millis = text === undefined ? Number.NaN : Date.parse(text)
  return Number.isNaN(millis) ? null : millis
}

/**
 * Times up to here mean "none". Many programs write an unset time as the zero of their clock, in some time zone
 * (assumed of this API: `1970-01-01T00:00:00Z` and `0001-01-01T00:00:00Z`). PayCombat has no record of that age.
 */
const UNSET_MILLIS_MAX = 86_400_000

/** Largest distance of a time of change after its reading: clocks and zones differ. */
const AHEAD_MAX_MILLIS = 86_400_000

/** Returns a time of change for the order of versions. Null for a clock's zero, and for a time after the reading. */
export const timeOfChange = (time: string | null, readAt: string): string | null => {
  const millis = instantMillis(time)
  const isNone =
    millis !== null && (millis <= UNSET_MILLIS_MAX || millis > new Date(readAt).getTime() + AHEAD_MAX_MILLIS)
  return isNone ? null : time
}
