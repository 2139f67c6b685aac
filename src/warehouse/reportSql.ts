import { Effect } from "effect"
import type postgres from "postgres"
import type { WarehouseError } from "../Errors.ts"
import { type Grain, LIST_ROWS_MAX, type List, type ReportFilter, type Row } from "../report/data.ts"
import { warehouseError } from "./Database.ts"

/** What a report's statements are made of. Values are written out and not bound: a reader sees the statement, and may run it. */

export type Period = ReportFilter & {
  readonly from: string
  readonly to: string
  readonly grain: Grain
}

export const rowsOf = (
  sql: postgres.Sql,
  statement: string,
): Effect.Effect<ReadonlyArray<Row>, WarehouseError> =>
  Effect.tryPromise({
    try: async signal => {
      const running = sql.unsafe<Array<Row>>(statement)
      signal.addEventListener("abort", () => void Promise.resolve(running.cancel()).catch(() => undefined))
      return [...(await running)]
    },
    catch: warehouseError,
  })

/** The first rows of an ordered statement, and how many there are. */
export const listOf = (
  sql: postgres.Sql,
  select: string,
  order: string,
  limit = LIST_ROWS_MAX,
): Effect.Effect<List, WarehouseError> =>
  Effect.map(
    rowsOf(
      sql,
      `SELECT answer.*, count(*) OVER () AS total_rows FROM (${select}) AS answer ORDER BY ${order} LIMIT ${limit}`,
    ),
    found => ({
      rows: found.map(({ total_rows: _, ...row }) => row),
      total: Number(found[0]?.total_rows ?? 0),
      statement: `${select} ORDER BY ${order}`.replace(/\s+/g, " "),
    }),
  )

export const second = (time: string) => `to_char(${time} AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS')`
export const dayOf = (time: string) => `(${time} AT TIME ZONE 'UTC')::date`

export const aged = (
  ages: ReadonlyArray<readonly [number, number | null]>,
  days: string,
  aggregate: string,
  name: string,
) =>
  ages
    .map(([from, to], i) => {
      const isOfAge = to === null ? `${days} >= ${from}` : `${days} BETWEEN ${from} AND ${to}`
      return `${aggregate} FILTER (WHERE ${isOfAge}) AS ${name}_${i}`
    })
    .join(", ")

export const literal = (text: string): string => {
  const quoted = text.replaceAll("'", "''")
  return quoted.includes("\\") ? `E'${quoted.replaceAll("\\", "\\\\")}'` : `'${quoted}'`
}

const oneOf = (column: string, values: ReadonlyArray<string>): ReadonlyArray<string> =>
  values.length === 0 ? [] : [`${column} IN (${values.map(literal).join(", ")})`]

export const accountIs = ({ accounts }: ReportFilter) => oneOf("account", accounts)

export const currencyIs = ({ currencies }: ReportFilter) => oneOf("currency", currencies)

/** `day` is an expression of type date. */
export const dayIs = ({ from, to }: ReportFilter, day = "day"): ReadonlyArray<string> => [
  ...(from === undefined ? [] : [`${day} >= ${literal(from)}`]),
  ...(to === undefined ? [] : [`${day} <= ${literal(to)}`]),
]

export const where = (...conditions: ReadonlyArray<string>): string =>
  conditions.length === 0 ? "" : ` WHERE ${conditions.join(" AND ")}`

/** Most points that one chart shows before they are taken together. */
const DAYS_MAX = 92
const WEEKS_MAX_DAYS = 2 * 366
const MONTHS_MAX_DAYS = 20 * 366

const DAY_MILLIS = 86_400_000

/** Days from one to the other, both counted. */
export const daysBetween = (from: string, to: string): number =>
  Math.round((Date.parse(to) - Date.parse(from)) / DAY_MILLIS) + 1

/** How fine a chart of these days is. */
export const grainOf = (from: string, to: string): Grain => {
  const days = daysBetween(from, to)
  if (days <= DAYS_MAX) return "day"
  if (days <= WEEKS_MAX_DAYS) return "week"
  return days <= MONTHS_MAX_DAYS ? "month" : "year"
}

export const daysBefore = (day: string, days: number): string =>
  new Date(Date.parse(day) - days * DAY_MILLIS).toISOString().slice(0, 10)
