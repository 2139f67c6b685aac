import type { ValueType } from "../../postgres/valueTypes.ts"

/**
 * CSV as `psql --csv` writes it: `,` between cells, LF after each row, null and empty text both as nothing, quotes only
 * around a cell that needs them. One difference: text that a spreadsheet would run as a formula gets `'` in front.
 */

/** Starts of a formula; a spreadsheet skips a tab or a line break, and knows full-width forms too. */
const FORMULA = /^[=+\-@\t\r\n＝＋－＠]/
const NEGATIVE_NUMBER = /^-(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$/

const isFormula = (text: string): boolean => FORMULA.test(text) && !NEGATIVE_NUMBER.test(text)

/** As in psql's `csv_print_field`; a lone `\.` would end the data of a COPY. */
const quoted = (text: string): string =>
  /[",\r\n]/.test(text) || text === "\\." ? `"${text.replaceAll('"', '""')}"` : text

const cell = (text: string | null, type: ValueType | undefined): string => {
  if (text === null) return ""
  return quoted(type?.kind === "text" && isFormula(text) ? `'${text}` : text)
}

/** The line with the names of the columns. */
export const csvHead = (columns: ReadonlyArray<string>): string => `${columns.map(quoted).join(",")}\n`

/** Rows as lines, each with its end. `types` are those of the columns, in their order. */
export const csvRows = (
  rows: ReadonlyArray<ReadonlyArray<string | null>>,
  types: ReadonlyArray<ValueType>,
): string => rows.map(row => `${row.map((text, i) => cell(text, types[i])).join(",")}\n`).join("")
