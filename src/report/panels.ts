import { type Grain, PANELS_MAX, type ReportData, type Row } from "../warehouse/report/types.ts"
import { type Chart, draw } from "./charts.ts"
import { type Html, html } from "./html.ts"
import { type Column, table } from "./table.ts"
import { bucketName, count, GRAIN_TITLES } from "./text.ts"

/** Small charts side by side, one of each account and currency: amounts of two currencies share no axis. */

/** `eu · EUR`; the account only where there is more than one. */
export const nameOf = ({ accounts }: Pick<ReportData, "accounts">, row: Row): string =>
  accounts.length > 1 ? `${row.account} · ${row.currency}` : (row.currency ?? "")

const DAY_MILLIS = 86_400_000

const nextOf = (day: string, grain: Grain): string => {
  const date = new Date(Date.parse(day))
  if (grain === "month") date.setUTCMonth(date.getUTCMonth() + 1)
  else if (grain === "year") date.setUTCFullYear(date.getUTCFullYear() + 1)
  else date.setTime(date.getTime() + (grain === "week" ? 7 : 1) * DAY_MILLIS)
  return date.toISOString().slice(0, 10)
}

/** Every bucket from the first of these rows to the last: a day without a row is a day, too. */
const bucketsOf = (rows: ReadonlyArray<Row>, grain: Grain): ReadonlyArray<string> => {
  const days = rows.map(row => row.bucket!).sort()
  const buckets: Array<string> = []
  for (let day = days[0]; day !== undefined && day <= days.at(-1)!; day = nextOf(day, grain))
    buckets.push(day)
  return buckets
}

export interface Panels {
  readonly data: ReportData
  readonly totals: ReadonlyArray<Row>
  readonly series: ReadonlyArray<Row>
  /** What a panel shows: "Settled and unsettled". */
  readonly what: string
  /** Of the rows by bucket; a bucket without a row has undefined. */
  readonly chart: (
    rows: ReadonlyArray<Row | undefined>,
    name: string,
  ) => Pick<Chart, "kind" | "description" | "series">
  readonly columns: ReadonlyArray<Column>
}

/** A figure for pixels: as near as a double comes. */
export const pixels = (text: string | null | undefined): number | null => (text == null ? null : Number(text))

export const panels = ({ data, totals, series, what, chart, columns }: Panels): Html => {
  const buckets = bucketsOf(series, data.grain)
  const shown = totals.slice(0, PANELS_MAX)
  const first: Column = { title: GRAIN_TITLES[data.grain], of: "bucket" }
  const one = (total: Row): Html => {
    const name = nameOf(data, total)
    const own = series.filter(row => row.account === total.account && row.currency === total.currency)
    const byBucket = new Map(own.map(row => [row.bucket, row]))
    const drawn = chart(
      buckets.map(bucket => byBucket.get(bucket)),
      name,
    )
    return html`<figure class="panel"><figcaption>${name}</figcaption>
${draw({ ...drawn, title: `${what}, ${name}`, names: buckets.map(bucket => bucketName(bucket, data.grain)) })}
<details><summary>Figures<span class="hidden">: ${what}, ${name}</span></summary>
${table({ caption: `${what}, ${name}`, columns: [first, ...columns], rows: own })}</details></figure>\n`
  }
  return html`<div class="panels">${shown.map(one)}</div>${
    totals.length > shown.length
      ? html`<p class="more">Charts of the ${count(shown.length)} with most transactions; the table has all. Another one: <code>paycombat-sync report --currency …</code></p>`
      : null
  }`
}
