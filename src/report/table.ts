import type { List, Row } from "../warehouse/report/types.ts"
import { type Html, html, NOTHING } from "./html.ts"
import { amount, count, isTrue, placesByCurrency } from "./text.ts"

/** Renders tables: a few columns on paper and screen, and one block per row on a phone. */

export interface Column {
  readonly title: string
  /**
   * Alignment and format: text on the left, figures on the right. `amount` adds zeros up to the decimal places of the
   * row's currency.
   */
  readonly kind?: "text" | "count" | "amount" | "code"
  /** Name of the column with an amount's currency, if it is not `currency`. */
  readonly currency?: string
  /** Name of the value in the row, or a function that renders the row. */
  readonly of: string | ((row: Row) => Html | string | null)
}

/** Marks rows whose money rests on a rule of direction that no person has confirmed. */
export const rulesColumn: Column = {
  title: "Directions",
  of: row => (isTrue(row.is_assumed) ? html`<em>assumed</em>` : "confirmed"),
}

export interface TableOptions {
  readonly caption: string
  readonly columns: ReadonlyArray<Column>
  readonly rows: ReadonlyArray<Row>
  /** Text that replaces an empty table. */
  readonly empty?: string
}

/** Length from which a figure may break. Otherwise it would make its table wider than the page. */
const LONG_CHARACTERS = 22

const isLong = (shown: Html | string): boolean => typeof shown === "string" && shown.length > LONG_CHARACTERS

/** A word that may break anywhere: an id, or text from outside. */
const LONG_WORD = /[^\s-]{25,}/

/** True for a day, which must not break at its hyphens. */
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
    // The first cell names its row.
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

/** Quotes text for a shell. Only these characters have a meaning between double quotes. */
const inShell = (text: string): string => `"${text.replace(/[\\"$`]/g, character => `\\${character}`)}"`

/** Counts the rows that a cut list does not show: in all, or per account if each account has its own first rows. */
const beyond = ({ rows, total, totals }: List): string => {
  if (totals === undefined || Object.keys(totals).length < 2) return `${count(total - rows.length)} more`
  return Object.entries(totals)
    .map(([account, n]) => [account, n - rows.filter(row => row.account === account).length] as const)
    .flatMap(([account, n]) => (n > 0 ? [`${count(n)} more of ${account}`] : []))
    .join(", ")
}

/** Tells how many rows a cut list leaves out, and the command that shows them. */
export const more = (list: List, isDemo: boolean): Html =>
  list.total <= list.rows.length
    ? NOTHING
    : html`<p class="more">${beyond(list)}: <code>paycombat-sync query ${isDemo ? "--demo " : ""}${inShell(list.statement)}</code>, or every list in full: <code>paycombat-sync report ${isDemo ? "--demo " : ""}--format csv</code></p>`

export const listTable = (list: List, isDemo: boolean, options: Omit<TableOptions, "rows">): Html =>
  html`${table({ ...options, rows: list.rows })}${more(list, isDemo)}`
