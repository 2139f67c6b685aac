import { Effect } from "effect"
import type postgres from "postgres"
import type { SqlEffect } from "../../postgres/shape.ts"
import { warehouseError } from "../../postgres/statements.ts"
import { type Grain, LIST_ROWS_MAX, type List, type ReportFilter, type Row } from "./types.ts"

/**
 * Builds the statements of a report. Values are written into the text instead of bound, because readers see the
 * statements and may run them.
 */

export type Period = ReportFilter & {
  readonly from: string
  readonly to: string
  readonly grain: Grain
  readonly timeZones: TimeZones
  /** Most accounts and currencies with figures over time, the busiest first. */
  readonly panels: number
}

export const rowsOf = (sql: postgres.Sql, statement: string): SqlEffect<ReadonlyArray<Row>> =>
  Effect.tryPromise({
    try: async signal => {
      const running = sql.unsafe<Array<Row>>(statement)
      signal.addEventListener("abort", () => void Promise.resolve(running.cancel()).catch(() => undefined))
      return [...(await running)]
    },
    catch: warehouseError,
  })

/** Reads the first rows of an ordered statement, and the number of all its rows. */
export const listOf = (sql: postgres.Sql, select: string, order: string): SqlEffect<List> =>
  Effect.map(
    rowsOf(
      sql,
      `SELECT answer.*, count(*) OVER () AS list_total FROM (${select}) AS answer ORDER BY ${order} LIMIT ${LIST_ROWS_MAX}`,
    ),
    rows => listFrom(rows, statementOf(select, order)),
  )

/** Reads the first rows of each account, so that a large account does not crowd out the others. */
export const listPerAccount = (sql: postgres.Sql, select: string, order: string): SqlEffect<List> =>
  Effect.map(
    rowsOf(
      sql,
      `SELECT * FROM (
         SELECT answer.*, count(*) OVER (PARTITION BY account) AS list_total,
           row_number() OVER (PARTITION BY account ORDER BY ${order}) AS list_place
         FROM (${select}) AS answer
       ) AS placed WHERE list_place <= ${LIST_ROWS_MAX} ORDER BY ${order}`,
    ),
    rows => {
      const totals = Object.fromEntries(rows.map(row => [row.account!, Number(row.list_total)]))
      const total = Object.values(totals).reduce((sum, n) => sum + n, 0)
      return { ...listFrom(rows, statementOf(select, order)), total, totals }
    },
  )

/** Joins a statement and its order on one line, for a user to type. */
export const statementOf = (select: string, order: string): string =>
  `${select} ORDER BY ${order}`.replace(/\s+/g, " ").trim()

/** Builds a list from its first rows. Each row carries the number of all rows in `list_total`. */
export const listFrom = (rows: ReadonlyArray<Row>, statement: string): List => ({
  rows: rows.map(({ list_total: _, list_place: __, ...row }) => row),
  total: Number(rows[0]?.list_total ?? 0),
  statement,
})

interface OverTime {
  /** View with a row per account, currency and `day`. */
  readonly view: string
  /** Aggregates, computed for the whole period and for each part of it. */
  readonly sums: string
  /** Aggregate that ranks accounts and currencies by activity. */
  readonly busiest: string
}

/** Reads the sums of the period, the busiest first, and for the busiest also the sums per day, week, month or year. */
export const overTime = (
  sql: postgres.Sql,
  filter: Period,
  { view, sums, busiest }: OverTime,
): SqlEffect<{ readonly totals: List; readonly series: ReadonlyArray<Row> }> => {
  const source = `${view}${where(...accountIs(filter), ...currencyIs(filter), ...dayIs(filter))}`
  const bucket = `date_trunc('${filter.grain}', day)::date`
  const order = `${busiest} DESC, account, currency`
  const statement = statementOf(
    `SELECT account, currency, ${sums} FROM ${source} GROUP BY account, currency`,
    order,
  )
  return Effect.map(
    rowsOf(
      sql,
      `WITH answer AS MATERIALIZED (
         SELECT account, currency, ${bucket} AS bucket, grouping(${bucket}) AS is_total, ${sums}
         FROM ${source} GROUP BY GROUPING SETS ((account, currency), (account, currency, ${bucket}))
       ), total AS (
         SELECT account, currency, count(*) OVER () AS list_total, row_number() OVER (ORDER BY ${order}) AS list_place
         FROM answer WHERE is_total = 1
       )
       SELECT * FROM answer JOIN total USING (account, currency)
       WHERE list_place <= CASE is_total WHEN 1 THEN ${LIST_ROWS_MAX} ELSE ${filter.panels} END
       ORDER BY is_total DESC, CASE is_total WHEN 1 THEN list_place END, account, currency, bucket`,
    ),
    rows => {
      const isTotal = ({ is_total }: Row) => is_total === "1"
      return {
        totals: listFrom(
          rows.filter(isTotal).map(({ is_total: _, bucket: __, ...row }) => row),
          statement,
        ),
        series: rows
          .filter(row => !isTotal(row))
          .map(({ is_total: _, list_total: __, list_place: ___, ...row }) => row),
      }
    },
  )
}

/** The sum of a column; null where a row does not know its amount, as SQL's own sum leaves such rows out. */
export const wholeSum = (column: string): string =>
  `CASE WHEN count(${column}) = count(*) THEN sum(${column}) END AS ${column}`

export const second = (time: string) => `to_char(${time} AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS')`

/** Reporting time zone of each account. */
export type TimeZones = Readonly<Record<string, string>>

/** The day of a time in the reporting time zone of the row's account. */
export const dayOf = (timeZones: TimeZones, time: string): string => {
  const names = new Set(Object.values(timeZones))
  const others = Object.entries(timeZones).map(
    ([account, zone]) => `WHEN ${literal(account)} THEN ${literal(zone)}`,
  )
  const zone = names.size > 1 ? `CASE account ${others.join(" ")} END` : literal([...names][0] ?? "UTC")
  return `(${time} AT TIME ZONE ${zone})::date`
}

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

/** Restricts rows to the filter's days. `day` is an expression of type date. */
export const dayIs = ({ from, to }: ReportFilter, day = "day"): ReadonlyArray<string> => [
  ...(from === undefined ? [] : [`${day} >= ${literal(from)}`]),
  ...(to === undefined ? [] : [`${day} <= ${literal(to)}`]),
]

export const where = (...conditions: ReadonlyArray<string>): string =>
  conditions.length === 0 ? "" : ` WHERE ${conditions.join(" AND ")}`

/** Most points of a chart by day, week or month before it uses the next larger unit. */
const DAYS_MAX = 92
const WEEKS_MAX_DAYS = 2 * 366
const MONTHS_MAX_DAYS = 20 * 366

const DAY_MILLIS = 86_400_000

/** Counts the days from one day to another, both included. */
const daysBetween = (from: string, to: string): number =>
  Math.round((Date.parse(to) - Date.parse(from)) / DAY_MILLIS) + 1

/** Chooses the time unit of a chart over these days. */
export const grainOf = (from: string, to: string): Grain => {
  const days = daysBetween(from, to)
  if (days <= DAYS_MAX) return "day"
  if (days <= WEEKS_MAX_DAYS) return "week"
  return days <= MONTHS_MAX_DAYS ? "month" : "year"
}

export const daysBefore = (day: string, days: number): string =>
  new Date(Date.parse(day) - days * DAY_MILLIS).toISOString().slice(0, 10)
