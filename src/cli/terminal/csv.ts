import type { ValueType } from "../../postgres/valueTypes.ts"

/**
 * Writes CSV like `psql --csv`: `,` between cells, LF after each row, nothing for null and for empty text, quotes only
 * around a cell that needs them. One difference: text that a spreadsheet would run as a formula gets a leading `'`.
 */

/** Starts of a formula. A spreadsheet skips a leading tab or line break, and accepts full-width forms too. */
const FORMULA = /^[=+\-@\t\r\n＝＋－＠]/
const NEGATIVE_NUMBER = /^-(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$/

const isFormula = (text: string): boolean => FORMULA.test(text) && !NEGATIVE_NUMBER.test(text)

/** Quotes a cell like psql's `csv_print_field`. A lone `\.` is quoted because it would end the data of a COPY. */
const quoted = (text: string): string =>
  /[",\r\n]/.test(text) || text === "\\." ? `"${text.replaceAll('"', '""')}"` : text

const cell = (text: string | null, type: ValueType | undefined): string => {
  if (text === null) return ""
  return quoted(type?.kind === "text" && isFormula(text) ? `'${text}` : text)
}

export const csvHead = (columns: ReadonlyArray<string>): string => `${columns.map(quoted).join(",")}\n`

/** Renders rows as lines. `types` are the types of the columns, in their order. */
export const csvRows = (
  rows: ReadonlyArray<ReadonlyArray<string | null>>,
  types: ReadonlyArray<ValueType>,
): string => rows.map(row => `${row.map((text, i) => cell(text, types[i])).join(",")}\n`).join("")
