import { ageName, type ReportData, type Row, UNSETTLED_AGES } from "../warehouse/report/types.ts"
import { COLOURS, draw, legend } from "./charts.ts"
import { type Html, html } from "./html.ts"
import { nameOf, panels, pixels } from "./panels.ts"
import { type Column, listTable, rulesColumn } from "./table.ts"
import { amount, count, placesByCurrency } from "./text.ts"

/** Renders settlements and balances. No amount is added across currencies. */

const SETTLED = { name: "Settled", colour: COLOURS.first }
const UNSETTLED = { name: "Not settled yet", colour: COLOURS.second, isHatched: true }

const currencyColumn = (data: ReportData): Column => ({
  title: data.accounts.length > 1 ? "Account, currency" : "Currency",
  of: row => nameOf(data, row),
})

const last = (rows: ReadonlyArray<Row | undefined>): Row | undefined =>
  rows.findLast(row => row !== undefined)

const settledChart = (data: ReportData): Html =>
  html`${legend([SETTLED, UNSETTLED])}${panels({
    data,
    totals: data.settlements.totals.rows,
    series: data.settlements.series,
    subject: "Settled and unsettled",
    chart: (rows, name) => {
      const total = data.settlements.totals.rows.find(row => nameOf(data, row) === name)
      return {
        kind: "bars",
        description: `In all ${amount(total?.settled_amount)} settled and ${amount(total?.unsettled_amount)} not settled yet, by the ${data.grain} of creation.`,
        series: [
          { ...SETTLED, values: rows.map(row => pixels(row?.settled_amount)) },
          { ...UNSETTLED, values: rows.map(row => pixels(row?.unsettled_amount)) },
        ],
      }
    },
    columns: [
      { title: "Settled", of: "settled_count", kind: "count" },
      { title: "Amount", of: "settled_amount", kind: "amount" },
      { title: "Not settled", of: "unsettled_count", kind: "count" },
      { title: "Amount", of: "unsettled_amount", kind: "amount" },
    ],
  })}`

/** Draws the payments by age. Counts may be added over all currencies; amounts may not. */
const ageingChart = (data: ReportData): Html => {
  const values = UNSETTLED_AGES.map((_, i) =>
    data.settlements.ageing.rows.reduce((sum, row) => sum + Number(row[`count_${i}`]), 0),
  )
  const names = UNSETTLED_AGES.map(ageName)
  return html`<figure class="panel"><figcaption>Unsettled payments by age, all currencies</figcaption>${draw({
    title: "Unsettled payments by age, all currencies",
    kind: "ranking",
    description: names.map((name, i) => `${name}: ${count(values[i]!)}`).join("; "),
    names,
    series: [{ ...UNSETTLED, values }],
  })}</figure>`
}

const agedAmounts = UNSETTLED_AGES.map((_, i) => [`amount_${i}`, "currency"] as const)

const aged = (i: number, places: ReadonlyMap<string, number>) => (row: Row) =>
  row[`count_${i}`] === "0"
    ? "–"
    : html`<span>${amount(row[`amount_${i}`] ?? "0", places.get(row.currency ?? ""))} <small>(${count(row[`count_${i}`])})</small></span>`

export const settlementsSection = (data: ReportData): Html => {
  const { totals, ageing, states } = data.settlements
  const places = placesByCurrency(ageing.rows, agedAmounts)
  return html`<section id="settlements"><h2>Settlements</h2>
<p class="lead">Payments created from ${data.from} to ${data.to}. An amount is the money that came in minus the money that went out, before fees.</p>
<h3>Settled and unsettled</h3>
${listTable(totals, data.isDemo, {
  caption: "Payments of the period, by currency",
  empty: "no payment was created in the period.",
  columns: [
    currencyColumn(data),
    { title: "Payments", of: "transaction_count", kind: "count" },
    { title: "Settled", of: "settled_count", kind: "count" },
    { title: "Amount settled", of: "settled_amount", kind: "amount" },
    { title: "Not settled", of: "unsettled_count", kind: "count" },
    { title: "Amount not settled", of: "unsettled_amount", kind: "amount" },
    { title: "Without direction", of: "unmapped_count", kind: "count" },
    rulesColumn,
  ],
})}
${totals.rows.length === 0 ? null : settledChart(data)}
<h3>Age of unsettled payments</h3>
<p>All payments that are not settled now, including those from before the period. Counts are in parentheses.</p>
${ageing.rows.length === 0 ? null : html`<div class="panels">${ageingChart(data)}</div>`}
${listTable(ageing, data.isDemo, {
  caption: "Unsettled amounts by age",
  empty: "everything is settled.",
  columns: [
    currencyColumn(data),
    ...UNSETTLED_AGES.map((age, i): Column => ({ title: ageName(age), kind: "count", of: aged(i, places) })),
    { title: "All amounts", of: "unsettled_amount", kind: "amount" },
    { title: "All payments", of: "unsettled_count", kind: "count" },
    { title: "Oldest", of: "oldest_day" },
    rulesColumn,
  ],
})}
<h3>Settlements by status</h3>
${listTable(states, data.isDemo, {
  caption:
    "Settlements whose last payment falls in the period. To the merchant: amount minus fee and tax, if these are in the same currency",
  empty: "no settlement in the period.",
  columns: [
    currencyColumn(data),
    { title: "Fee currency", of: "fee_currency" },
    { title: "Status", of: "status" },
    { title: "Settlements", of: "settlement_count", kind: "count" },
    { title: "Payments", of: "transaction_count", kind: "count" },
    { title: "Amount", of: "settlement_amount", kind: "amount" },
    { title: "Fee", of: "fee_amount", kind: "amount", currency: "fee_currency" },
    { title: "Tax", of: "tax_amount", kind: "amount", currency: "fee_currency" },
    { title: "To the merchant", of: "payment_to_merchant_amount", kind: "amount" },
    rulesColumn,
  ],
})}</section>`
}

export const balancesSection = (data: ReportData): Html => {
  const { totals, series, reconciliation, differences } = data.balances
  return html`<section id="balances"><h2>Balances</h2>
<p class="lead">All owners together, from ${data.from} to ${data.to}. A balance is the sum of all known payments.</p>
<h3>Closing balance and movements</h3>
${listTable(totals, data.isDemo, {
  caption: "Balance in the period, by currency",
  empty: "no balance in the period.",
  columns: [
    currencyColumn(data),
    { title: "Opening", of: "opening_balance", kind: "amount" },
    { title: "In", of: "credit_amount", kind: "amount" },
    { title: "Out", of: "debit_amount", kind: "amount" },
    { title: "Closing", of: "closing_balance", kind: "amount" },
    { title: "Days with movements", of: "active_day_count", kind: "count" },
    rulesColumn,
  ],
})}
${
  totals.rows.length === 0
    ? null
    : panels({
        data,
        totals: totals.rows,
        series,
        subject: "Closing balance",
        chart: rows => ({
          kind: "line",
          description: `${amount(rows.find(row => row !== undefined)?.opening_balance)} at the start, ${amount(last(rows)?.closing_balance)} at the end.`,
          series: [
            {
              name: "Closing balance",
              colour: COLOURS.first,
              values: rows.map(row => pixels(row?.closing_balance)),
            },
          ],
        }),
        columns: [
          { title: "Opening", of: "opening_balance", kind: "amount" },
          { title: "In", of: "credit_amount", kind: "amount" },
          { title: "Out", of: "debit_amount", kind: "amount" },
          { title: "Closing", of: "closing_balance", kind: "amount" },
        ],
      })
}
<h3>Reconciliation with the wallets</h3>
<p>The balances of the wallets, compared with the sums of the payments. A difference is not an error by itself: the list of payments may not reach back to the start of a wallet.</p>
${listTable(reconciliation, data.isDemo, {
  caption: "Wallets and payments, by currency",
  empty: "no wallet holds a balance.",
  columns: [
    currencyColumn(data),
    { title: "Owners", of: "owner_count", kind: "count" },
    { title: "With a difference", of: "different_count", kind: "count" },
    { title: "Wallets say", of: "wallet_balance", kind: "amount" },
    { title: "Payments say", of: "ledger_balance", kind: "amount" },
    { title: "Difference", of: "difference", kind: "amount" },
    rulesColumn,
  ],
})}
${listTable(differences, data.isDemo, {
  caption: "Owners with a difference: the largest of each currency, then the second largest, and so on",
  columns: [
    { title: "Owner", of: "owner_id", kind: "code" },
    currencyColumn(data),
    { title: "Wallets say", of: "wallet_balance", kind: "amount" },
    { title: "Payments say", of: "ledger_balance", kind: "amount" },
    { title: "Difference", of: "difference", kind: "amount" },
    { title: "Read at", of: "observed_at" },
    rulesColumn,
  ],
})}</section>`
}
