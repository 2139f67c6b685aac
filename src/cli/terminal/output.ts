import CliTable from "cli-table3"
import { Effect } from "effect"
import type { Level, Verdict } from "../../core/verdict.ts"
import { visible, visibleJson, visibleLines } from "./visible.ts"

/** Prints the output of commands: tables for people, JSON for programs. */

/** Prints an answer to stdout. Nothing else goes there. */
export const print = (text: string): Effect.Effect<void> => Effect.sync(() => console.log(visibleLines(text)))

export const printJson = (value: unknown): Effect.Effect<void> =>
  Effect.sync(() => console.log(visibleJson(JSON.stringify(value, null, 2))))

/** Prints a message about the command itself to stderr. */
export const say = (text: string): Effect.Effect<void> => Effect.sync(() => console.error(visibleLines(text)))

const NUMBER = /^-?\d+(\.\d+)?$/

interface Table {
  readonly columns: ReadonlyArray<string>
  readonly rows: ReadonlyArray<ReadonlyArray<string | null>>
}

/**
 * Renders a table for a terminal. Number columns are aligned right, and null is blank. Every cell is one line;
 * `visible` escapes its hidden characters.
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

/** True if stderr is a terminal that can redraw lines. */
export const isLive = (): boolean => process.stderr.isTTY === true && process.env.TERM !== "dumb"

export const MARKS: Readonly<Record<Level, string>> = { good: "✔", attention: "!", bad: "✖" }

/** Renders one line per account. The account is named only if there are several. */
export const verdictLines = (
  verdicts: ReadonlyArray<Pick<Verdict, "account" | "level" | "sentence">>,
): ReadonlyArray<string> =>
  verdicts.map(({ account, level, sentence }) =>
    visible(`${MARKS[level]} ${verdicts.length > 1 ? `${account}: ` : ""}${sentence}`),
  )
