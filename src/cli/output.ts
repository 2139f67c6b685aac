import * as Options from "@effect/cli/Options"
import CliTable from "cli-table3"
import { stringify } from "csv-stringify/sync"
import { Console, type Effect } from "effect"
import type { QueryAnswer } from "../warehouse/query.ts"

/** What several commands print, and how: tables for people, CSV and JSON for programs. */

export const jsonOption = Options.boolean("json").pipe(Options.withDescription("Print JSON."))

export const accountOption = Options.text("account").pipe(
  Options.withDescription("Only this account (repeatable)."),
  Options.repeated,
)

export const streamOption = Options.text("stream").pipe(
  Options.withDescription("Only this stream (repeatable)."),
  Options.repeated,
)

export const printJson = (value: unknown): Effect.Effect<void> => Console.log(JSON.stringify(value, null, 2))

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
