import type { List, Row } from "../warehouse/report/types.ts"
import { type Html, html, NOTHING } from "./html.ts"
import { amount, count, placesByCurrency } from "./text.ts"

/** Tables: of a few columns on paper and screen, and each row a block of its own on a phone. */

export interface Column {
  readonly title: string
  /** Text is set left, figures right. `amount` fills up decimal places by the row's currency. */
  readonly kind?: "text" | "count" | "amount" | "code"
  /** Name of the column with an amount's currency, where that is not `currency`. */
  readonly currency?: string
  /** Name of the row's value, or what is made of it. */
  readonly of: string | ((row: Row) => Html | string | null)
}

export interface TableOptions {
  readonly caption: string
  readonly columns: ReadonlyArray<Column>
  readonly rows: ReadonlyArray<Row>
  /** What is said where there is no row. */
  readonly empty?: string
}

/** A figure of so many characters may be broken, else it would widen its table beyond the page. */
const LONG_CHARACTERS = 22

const isLong = (shown: Html | string): boolean => typeof shown === "string" && shown.length > LONG_CHARACTERS

/** A word that may be broken anywhere: an id, or whatever somebody sent. */
const LONG_WORD = /[^\s-]{25,}/

/** A day must not be broken at its dashes. */
const isDay = (shown: Html | string): boolean =>
  typeof shown === "string" && /^\d{4}-\d{2}-\d{2}$/.test(shown)

const isFigure = ({ kind }: Column) => kind === "count" || kind === "amount"

export const table = ({ caption, columns, rows, empty = "None." }: TableOptions): Html => {
  if (rows.length === 0) return html`<p class="none">${caption}: ${empty}</p>`
  const amounts = columns.flatMap(({ kind, of, currency = "currency" }) =>
    kind === "amount" && typeof of === "string" ? [[of, currency] as const] : [],
  )
  const places = placesByCurrency(rows, amounts)
  const cell = (column: Column, row: Row, isHead: boolean): Html => {
    const { kind, of, title, currency = "currency" } = column
    const value = typeof of === "function" ? of(row) : (row[of] ?? null)
    const shown =
      typeof value !== "string"
        ? (value ?? "–")
        : kind === "amount"
          ? amount(value, places.get(row[currency] ?? ""))
          : kind === "count"
            ? count(value)
            : kind === "code"
              ? html`<code>${value}</code>`
              : value
    const look = isFigure(column)
      ? isLong(shown)
        ? "n long"
        : "n"
      : isDay(shown)
        ? "d"
        : typeof value === "string" && LONG_WORD.test(value)
          ? "wide"
          : undefined
    const styled = look === undefined ? NOTHING : html` class="${look}"`
    // What starts a row names it.
    return isHead
      ? html`<th scope="row"${styled} data-title="${title}">${shown}</th>`
      : html`<td${styled} data-title="${title}">${shown}</td>`
  }
  return html`<table>
<caption>${caption}</caption>
<thead><tr>${columns.map(column => html`<th scope="col"${isFigure(column) ? html` class="n"` : NOTHING}>${column.title}</th>`)}</tr></thead>
<tbody>
${rows.map(row => html`<tr>${columns.map((column, i) => cell(column, row, i === 0))}</tr>\n`)}</tbody>
</table>`
}

/** For a shell: between double quotes nothing but these has a meaning. */
const inShell = (text: string): string => `"${text.replace(/[\\"$`]/g, found => `\\${found}`)}"`

/** How many rows there are beyond those shown: in all, or of each account where each has its first ones. */
const beyond = ({ rows, total, totals }: List): string => {
  if (totals === undefined || Object.keys(totals).length < 2) return `${count(total - rows.length)} more`
  return Object.entries(totals)
    .map(([account, n]) => [account, n - rows.filter(row => row.account === account).length] as const)
    .flatMap(([account, n]) => (n > 0 ? [`${count(n)} more of ${account}`] : []))
    .join(", ")
}

/** Where a list is cut: how many there are beyond it, and how to see them. */
export const more = (list: List, isDemo: boolean): Html =>
  list.total <= list.rows.length
    ? NOTHING
    : html`<p class="more">${beyond(list)}: <code>paycombat-sync query ${isDemo ? "--demo " : ""}${inShell(list.statement)}</code>, or every list whole: <code>paycombat-sync report ${isDemo ? "--demo " : ""}--format csv</code></p>`

export const listTable = (list: List, isDemo: boolean, options: Omit<TableOptions, "rows">): Html =>
  html`${table({ ...options, rows: list.rows })}${more(list, isDemo)}`
