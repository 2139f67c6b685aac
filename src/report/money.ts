import { ageName, type ReportData, type Row, UNSETTLED_AGES } from "../warehouse/report/types.ts"
import { COLOURS, draw, legend } from "./charts.ts"
import { type Html, html } from "./html.ts"
import { nameOf, panels, pixels } from "./panels.ts"
import { type Column, listTable } from "./table.ts"
import { amount, count, placesByCurrency } from "./text.ts"

/** Settlements and balances. Nothing is added across currencies. */

const SETTLED = { name: "Settled", colour: COLOURS.first }
const UNSETTLED = { name: "Not settled yet", colour: COLOURS.second, isHatched: true }

const who = (data: ReportData): Column => ({
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
    what: "Settled and unsettled",
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

/** Payments may be counted over all currencies; their amounts may not. */
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
<p class="lead">Payments created from ${data.from} to ${data.to} (UTC days). An amount is the sum of what came in less what went out, before fees.</p>
<h3>Settled and unsettled</h3>
${listTable(totals, data.isDemo, {
  caption: "Payments of the period, by currency",
  empty: "no payment was created in the period.",
  columns: [
    who(data),
    { title: "Payments", of: "transaction_count", kind: "count" },
    { title: "Settled", of: "settled_count", kind: "count" },
    { title: "Amount settled", of: "settled_amount", kind: "amount" },
    { title: "Not settled", of: "unsettled_count", kind: "count" },
    { title: "Amount not settled", of: "unsettled_amount", kind: "amount" },
    { title: "Without direction", of: "unmapped_count", kind: "count" },
  ],
})}
${totals.rows.length === 0 ? null : settledChart(data)}
<h3>How long the unsettled has been waiting</h3>
<p>All that is not settled now, also from before the period. Counts in parentheses.</p>
${ageing.rows.length === 0 ? null : html`<div class="panels">${ageingChart(data)}</div>`}
${listTable(ageing, data.isDemo, {
  caption: "Unsettled amounts by age",
  empty: "everything is settled.",
  columns: [
    who(data),
    ...UNSETTLED_AGES.map((age, i): Column => ({ title: ageName(age), kind: "count", of: aged(i, places) })),
    { title: "All amounts", of: "unsettled_amount", kind: "amount" },
    { title: "All payments", of: "unsettled_count", kind: "count" },
    { title: "Oldest", of: "oldest_day" },
  ],
})}
<h3>Settlements by status</h3>
${listTable(states, data.isDemo, {
  caption:
    "Settlements whose last payment is of the period. To the merchant: amount less fee and tax, where these are in the same currency",
  empty: "no settlement in the period.",
  columns: [
    who(data),
    { title: "Fee currency", of: "fee_currency" },
    { title: "Status", of: "status" },
    { title: "Settlements", of: "settlement_count", kind: "count" },
    { title: "Payments", of: "transaction_count", kind: "count" },
    { title: "Amount", of: "settlement_amount", kind: "amount" },
    { title: "Fee", of: "fee_amount", kind: "amount", currency: "fee_currency" },
    { title: "Tax", of: "tax_amount", kind: "amount", currency: "fee_currency" },
    { title: "To the merchant", of: "payment_to_merchant_amount", kind: "amount" },
  ],
})}</section>`
}

export const balancesSection = (data: ReportData): Html => {
  const { totals, series, reconciliation, differences } = data.balances
  return html`<section id="balances"><h2>Balances</h2>
<p class="lead">All owners together, as the payments add up from the first that is known; from ${data.from} to ${data.to}. <em>Assumed</em>: how direction, amount and fee move a balance.</p>
<h3>Closing balance and movements</h3>
${listTable(totals, data.isDemo, {
  caption: "Balance in the period, by currency",
  empty: "no balance in the period.",
  columns: [
    who(data),
    { title: "Opening", of: "opening_balance", kind: "amount" },
    { title: "In", of: "credit_amount", kind: "amount" },
    { title: "Out", of: "debit_amount", kind: "amount" },
    { title: "Closing", of: "closing_balance", kind: "amount" },
    { title: "Movements", of: "movement_count", kind: "count" },
  ],
})}
${
  totals.rows.length === 0
    ? null
    : panels({
        data,
        totals: totals.rows,
        series,
        what: "Closing balance",
        chart: rows => ({
          kind: "line",
          description: `${amount(rows.find(row => row !== undefined)?.opening_balance)} in the beginning, ${amount(last(rows)?.closing_balance)} at the end.`,
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
<p>What the wallets say, against what the payments add up to. A difference is no error by itself: the list of payments may not reach back to a wallet's start.</p>
${listTable(reconciliation, data.isDemo, {
  caption: "Wallets and payments, by currency",
  empty: "no wallet holds a balance.",
  columns: [
    who(data),
    { title: "Owners", of: "owner_count", kind: "count" },
    { title: "With a difference", of: "different_count", kind: "count" },
    { title: "Wallets say", of: "wallet_balance", kind: "amount" },
    { title: "Payments say", of: "ledger_balance", kind: "amount" },
    { title: "Difference", of: "difference", kind: "amount" },
  ],
})}
${listTable(differences, data.isDemo, {
  caption: "Owners with a difference: the largest of each currency, then the second largest, and so on",
  columns: [
    { title: "Owner", of: "owner_id", kind: "code" },
    who(data),
    { title: "Wallets say", of: "wallet_balance", kind: "amount" },
    { title: "Payments say", of: "ledger_balance", kind: "amount" },
    { title: "Difference", of: "difference", kind: "amount" },
    { title: "Known to hold at", of: "observed_at" },
  ],
})}</section>`
}
