import { grouped, statusWords } from "../core/words.ts"

/** Builds the HTML pieces of the status page. Text from outside goes through `escape`. */

const ENTITIES: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
}

export const escape = (text: string): string => text.replace(/[&<>"']/g, character => ENTITIES[character]!)

export const ZERO = '<span class="zero">0</span>'

export const number = (value: number, mark = "") =>
  value === 0 ? ZERO : `<span>${mark}${grouped.format(value)}</span>`

export const clock = (iso: string) =>
  `<time datetime="${iso}">${iso.slice(0, 10)} ${iso.slice(11, 16)}</time>`

export const seconds = (from: string, to: string) =>
  Math.max(0, (new Date(to).getTime() - new Date(from).getTime()) / 1000)

const CHIPS: Readonly<Record<string, string>> = {
  complete: "good",
  complete_with_rejects: "warn",
  failed: "bad",
  dead: "bad",
  interrupted: "warn",
}

export const chip = (status: string) =>
  `<span class="chip ${CHIPS[status] ?? ""}">${escape(statusWords(status))}</span>`

interface Column {
  readonly name: string
  readonly isNumber?: boolean
}

/** Cells up to this index stay on a phone even if they hold 0: they count rows or records read. */
const FIGURES_KEPT = 3

/** Renders a table whose first column names its rows. The card layout on a phone needs the explicit roles. */
export const table = (
  caption: string,
  columns: ReadonlyArray<Column>,
  rows: ReadonlyArray<ReadonlyArray<string>>,
) => {
  const kind = ({ isNumber }: Column) => (isNumber ? ' class="number"' : "")
  const head = columns.map(column => `<th role="columnheader" scope="col"${kind(column)}>${column.name}</th>`)
  const body = rows.map(cells => {
    const [first, ...others] = cells
    const rest = others.map((cell, i) => {
      const column = columns[i + 1]!
      // On a phone empty cells and zeros are left out, except for the number of rows or records read.
      const isNothing = cell === "" || (cell === ZERO && i > FIGURES_KEPT)
      const classes = [column.isNumber ? "number" : "", isNothing ? "nothing" : ""].filter(
        name => name !== "",
      )
      const kinds = classes.length === 0 ? "" : ` class="${classes.join(" ")}"`
      return `<td role="cell" data-label="${column.name}"${kinds}><div>${cell}</div></td>`
    })
    return `<tr role="row"><th role="rowheader" scope="row">${first}</th>${rest.join("")}</tr>`
  })
  return `<table role="table"><caption>${caption}</caption><thead role="rowgroup"><tr role="row">${head.join("")}</tr></thead>
<tbody role="rowgroup">${body.join("\n")}</tbody></table>`
}
