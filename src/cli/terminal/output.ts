import CliTable from "cli-table3"
import { Effect } from "effect"
import { visible, visibleJson, visibleLines } from "./visible.ts"

/** What commands print, and how: tables for people, JSON for programs. */

/** Prints an answer. Stdout gets answers and nothing else. */
export const print = (text: string): Effect.Effect<void> => Effect.sync(() => console.log(visibleLines(text)))

export const printJson = (value: unknown): Effect.Effect<void> =>
  Effect.sync(() => console.log(visibleJson(JSON.stringify(value, null, 2))))

/** Says something about the command itself, on stderr. */
export const say = (text: string): Effect.Effect<void> => Effect.sync(() => console.error(visibleLines(text)))

const NUMBER = /^-?\d+(\.\d+)?$/

interface Table {
  readonly columns: ReadonlyArray<string>
  readonly rows: ReadonlyArray<ReadonlyArray<string | null>>
}

/**
 * A table for a terminal; columns of numbers are set flush right, null is left blank. Every cell is one line: its hidden
 * characters are shown as `visible` shows them.
 */
export const table = ({ columns, rows }: Table): string => {
  const isNumeric = (i: number) => rows.every(row => row[i] == null || NUMBER.test(row[i]))
  const drawn = new CliTable({
    head: columns.map(visible),
    colAligns: columns.map((_, i) => (rows.length > 0 && isNumeric(i) ? "right" : "left")),
    style: { head: [], border: [], compact: true },
  })
  drawn.push(...rows.map(row => row.map(value => visible(value ?? ""))))
  return drawn.toString()
}

/** True where stderr is a terminal that can take back what it shows. */
export const isLive = (): boolean => process.stderr.isTTY === true && process.env.TERM !== "dumb"
