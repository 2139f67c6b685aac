import { type Grain, PANELS_MAX, type ReportData, type Row } from "../warehouse/report/types.ts"
import { type Chart, draw } from "./charts.ts"
import { type Html, html } from "./html.ts"
import { type Column, table } from "./table.ts"
import { bucketName, count, GRAIN_TITLES } from "./text.ts"

/** Renders small charts side by side, one per account and currency. Two currencies never share an axis. */

/** Names a panel `eu · EUR`; the account appears only if the report covers several. */
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

/** Lists every bucket from the first row's to the last row's, including days without a row. */
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
  /** Subject of every panel, such as "Settled and unsettled". */
  readonly subject: string
  /** Builds a chart from the rows by bucket. A bucket without a row is undefined. */
  readonly chart: (
    rows: ReadonlyArray<Row | undefined>,
    name: string,
  ) => Pick<Chart, "kind" | "description" | "series">
  readonly columns: ReadonlyArray<Column>
}

/** Converts a figure to a double for drawing; it may be rounded. */
export const pixels = (text: string | null | undefined): number | null => (text == null ? null : Number(text))

export const panels = ({ data, totals, series, subject, chart, columns }: Panels): Html => {
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
${draw({ ...drawn, title: `${subject}, ${name}`, names: buckets.map(bucket => bucketName(bucket, data.grain)) })}
<details><summary>Figures<span class="hidden">: ${subject}, ${name}</span></summary>
${table({ caption: `${subject}, ${name}`, columns: [first, ...columns], rows: own })}</details></figure>\n`
  }
  return html`<div class="panels">${shown.map(one)}</div>${
    totals.length > shown.length
      ? html`<p class="more">Charts of the ${count(shown.length)} with the most transactions; the table has all. For another one: <code>paycombat-sync report --currency …</code></p>`
      : null
  }`
}
