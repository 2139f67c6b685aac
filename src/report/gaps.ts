import { ageName, GAP_AGES, type ReportData, type Row } from "../warehouse/report/types.ts"
import { COLOURS, draw } from "./charts.ts"
import { type Html, html } from "./html.ts"
import { pixels } from "./panels.ts"
import { type Column, listTable, rulesColumn, table } from "./table.ts"
import { bucketName, count, GRAIN_TITLES, isTrue, plural } from "./text.ts"

/** Renders the customers who are not known to be ready for a wallet. */

/** Most missing details that the chart shows; the table shows all. */
const BARS_MAX = 12

const REASONS: Readonly<Record<string, string>> = {
  missing_fields: "Details are missing",
  unspecified: "Not ready, and PayCombat does not say why",
  never_checked: "Not asked yet",
  check_failed: "Asked, never answered",
}

const account: Column = { title: "Account", of: "account" }

/** Adds the account column if the report covers more than one account. */
const withAccount = ({ accounts }: ReportData, columns: ReadonlyArray<Column>): ReadonlyArray<Column> =>
  accounts.length > 1 ? [account, ...columns] : columns

const since = (row: Row): string | null =>
  row.gap_since == null ? null : `${row.gap_since}${isTrue(row.gap_since_is_lower_bound) ? " or before" : ""}`

const ofAccount = (data: ReportData, name: string, rows: ReadonlyArray<Row>) => ({
  rows: rows.filter(row => row.account === name),
  suffix: data.accounts.length > 1 ? `, ${name}` : "",
})

const fieldsChart = (data: ReportData, name: string): Html | null => {
  const { rows, suffix } = ofAccount(data, name, data.gaps.fields.rows)
  const shown = rows.slice(0, BARS_MAX)
  if (shown.length === 0) return null
  const title = `Customers by missing detail${suffix}`
  return html`<figure class="panel"><figcaption>${title}</figcaption>${draw({
    title,
    kind: "ranking",
    description: `Most often missing: ${shown
      .slice(0, 3)
      .map(row => `${row.missing_field} (${count(row.customer_count)})`)
      .join(", ")}. The table below has all figures.`,
    names: shown.map(row => row.missing_field!),
    series: [{ name: title, colour: COLOURS.first, values: shown.map(row => pixels(row.customer_count)) }],
  })}</figure>`
}

const trendChart = (data: ReportData, name: string): Html | null => {
  const { rows, suffix } = ofAccount(data, name, data.gaps.trend)
  if (rows.length === 0) return null
  const title = `Customers known not to be ready${suffix}`
  const [first, last] = [rows[0]!, rows.at(-1)!]
  if (rows.length === 1)
    return html`<p class="panel">${title}: ${count(first.not_ready_count)} on ${first.bucket}, the first day that was recorded. A trend needs a second one.</p>`
  const columns: ReadonlyArray<Column> = [
    { title: GRAIN_TITLES[data.grain], of: "bucket" },
    { title: "Not ready at its end", of: "not_ready_count", kind: "count" },
  ]
  return html`<figure class="panel"><figcaption>${title}</figcaption>${draw({
    title,
    kind: "line",
    description: `${count(first.not_ready_count)} at the start (${first.bucket}), ${count(last.not_ready_count)} at the end (${last.bucket}).`,
    names: rows.map(row => bucketName(row.bucket!, data.grain)),
    series: [{ name: title, colour: COLOURS.first, values: rows.map(row => pixels(row.not_ready_count)) }],
  })}<details><summary>Figures<span class="hidden">: ${title}</span></summary>${table({ caption: title, columns, rows })}</details></figure>`
}

export const gapsSection = (data: ReportData): Html => {
  const { counts, fields, volume, customers } = data.gaps
  const total = counts.reduce((sum, row) => sum + Number(row.customer_count), 0)
  return html`<section id="gaps"><h2>KYC gaps: customers not ready for a wallet</h2>
<p class="lead">${total === 0 ? "Every customer is known to be ready." : html`<strong>${plural(total, "customer")}</strong> ${total === 1 ? "is" : "are"} not known to be ready.`}
Readiness says whether a wallet may be issued, and what is missing for that; it is not KYC approval. The tables show the state now, whatever the period; the trend covers the period.</p>
${
  total === 0
    ? null
    : html`<h3>How many, why, and since when</h3>
${table({
  caption: "Customers not known to be ready, by reason",
  columns: withAccount(data, [
    { title: "All", of: "customer_count", kind: "count" },
    ...Object.entries(REASONS).map(
      ([reason, title]): Column => ({ title, of: `${reason}_count`, kind: "count" }),
    ),
    { title: "Active ones", of: "active_count", kind: "count" },
    { title: "Oldest since", of: "oldest_gap_since" },
  ]),
  rows: counts,
})}
${table({
  caption: "The same customers, by the days that syncs have seen them not ready without a break",
  columns: withAccount(data, [
    ...GAP_AGES.map((age, i): Column => ({ title: ageName(age), of: `age_${i}`, kind: "count" })),
    { title: "Not known", of: "age_unknown", kind: "count" },
  ]),
  rows: counts,
})}
<h3>By missing detail</h3>
<div class="panels">${data.accounts.flatMap(name => fieldsChart(data, name) ?? [])}</div>
${listTable(fields, data.isDemo, {
  caption: "Missing details. A customer who lacks two details counts in two rows",
  empty: "PayCombat names none.",
  columns: withAccount(data, [
    { title: "Missing detail", of: "missing_field", kind: "code" },
    { title: "Customers", of: "customer_count", kind: "count" },
    { title: "Oldest since", of: "oldest_gap_since" },
    { title: "Median days", of: "median_gap_days", kind: "count" },
  ]),
})}`
}
<h3>Trend</h3>
<p>Customers whose latest answer was that no wallet may be issued, at the end of each ${data.grain}. A customer who left the list counts until that day. An erased customer does not count.</p>
${data.gaps.trend.length === 0 ? html`<p class="none">No customer was known not to be ready in the period.</p>` : html`<div class="panels">${data.accounts.flatMap(name => trendChart(data, name) ?? [])}</div>`}
${
  total === 0
    ? null
    : html`<h3>Money that waits for these customers</h3>
${listTable(volume, data.isDemo, {
  caption:
    "Open checkouts (an upper bound: paid ones may be among them) and unsettled payments of these customers",
  empty: "No open checkout and no unsettled payment.",
  columns: withAccount(data, [
    { title: "Currency", of: "currency" },
    { title: "Customers", of: "customer_count", kind: "count" },
    { title: "Open checkouts", of: "open_checkout_count", kind: "count" },
    { title: "Their amount", of: "open_checkout_amount", kind: "amount" },
    { title: "Unsettled payments", of: "unsettled_count", kind: "count" },
    { title: "Their amount", of: "unsettled_amount", kind: "amount" },
    rulesColumn,
  ]),
})}
<h3>Customers</h3>
${listTable(customers, data.isDemo, {
  caption: "Customers not known to be ready, the longest first",
  columns: [
    { title: "Customer", of: "customer_id", kind: "code" },
    ...withAccount(data, []),
    { title: "Type", of: row => `${row.customer_type ?? "–"}${row.is_active === "f" ? ", inactive" : ""}` },
    { title: "Why", of: row => REASONS[row.reason ?? ""] ?? row.reason ?? null },
    { title: "Missing", of: "missing_fields" },
    { title: "Since", of: since },
    { title: "Days", of: "gap_days", kind: "count" },
    { title: "Checked", of: "checked_at" },
  ],
})}`
}</section>`
}
