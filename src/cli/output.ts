import CliTable from "cli-table3"
import { stringify } from "csv-stringify/sync"
import { Effect } from "effect"
import type { QueryAnswer } from "../warehouse/query.ts"

/** What commands print, and how: tables for people, CSV and JSON for programs. */

/** What was asked: stdout, and nothing else goes there. */
export const print = (text: string): Effect.Effect<void> => Effect.sync(() => console.log(text))

export const printJson = (value: unknown): Effect.Effect<void> => print(JSON.stringify(value, null, 2))

/** What a command has to say about itself. */
export const say = (text: string): Effect.Effect<void> => Effect.sync(() => console.error(text))

const NUMBER = /^-?\d+(\.\d+)?$/

/** A table for a terminal; columns of numbers are set flush right, null is left blank. */
export const table = ({ columns, rows }: QueryAnswer): string => {
  const isNumeric = (i: number) => rows.every(row => row[i] == null || NUMBER.test(row[i]))
  const drawn = new CliTable({
    head: [...columns],
    colAligns: columns.map((_, i) => (rows.length > 0 && isNumeric(i) ? "right" : "left")),
    style: { head: [], border: [], compact: true },
  })
  drawn.push(...rows.map(row => row.map(value => value ?? "")))
  return drawn.toString()
}

export const csv = ({ columns, rows }: QueryAnswer): string => stringify([columns, ...rows]).trimEnd()

/** One object per row; every value is the text that Postgres prints, so that no digit is lost, or null. */
export const objects = ({ columns, rows }: QueryAnswer): ReadonlyArray<Record<string, string | null>> =>
  rows.map(row => Object.fromEntries(columns.map((column, i) => [column, row[i] ?? null])))

/** Whether somebody looks on, at a terminal that can take back what it shows. */
export const isLive = (): boolean => process.stderr.isTTY === true && process.env.TERM !== "dumb"
