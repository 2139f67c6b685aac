/** The dates of RFC 9110, and ISO 8601. Others are not left to `Date.parse`: to it, `soon 2099` is a date. */
const DATE = /^([A-Z][a-z]+,? .*\d\d:\d\d:\d\d.*|\d{4}-\d\d-\d\dT[\d:.]+(Z|[+-]\d\d:?\d\d))$/

/**
 * Both forms of RFC 9110: seconds (with decimals, as some send them), or a date, which is compared to the
 * answer's own clock where it tells it. Anything else, and what is past, asks for nothing.
 */
export const readRetryAfter = (headers: Readonly<Record<string, string>>, nowMillis: number): number => {
  const value = headers["retry-after"]?.trim() ?? ""
  if (/^\d+(\.\d+)?$/.test(value)) return Math.ceil(Number(value) * 1000)
  const until = DATE.test(value) ? Date.parse(value) : Number.NaN
  if (Number.isNaN(until)) return 0
  const serverMillis = Date.parse(headers.date ?? "")
  return Math.max(0, until - (Number.isNaN(serverMillis) ? nowMillis : serverMillis))
}
