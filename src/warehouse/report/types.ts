import type { Level, Limits, Verdict } from "../../core/verdict.ts"

/** Types of a report. Figures stay the text that Postgres printed, so that no digit passes through a number. */

/** A row of a result, by column name. */
export type Row = Readonly<Record<string, string | null>>

/** Rows in their order. A list that is too long for a page holds only its first rows, and the statement for all. */
export interface List {
  readonly rows: ReadonlyArray<Row>
  /** Number of all rows. The list is cut if this exceeds `rows.length`. */
  readonly total: number
  /** Number of all rows per account, if the first rows of each account are taken. */
  readonly totals?: Readonly<Record<string, number>>
  /** Statement that returns all rows. */
  readonly statement: string
}

/** Time unit of a chart's points. A bucket is named by its first day. */
export type Grain = "day" | "week" | "month" | "year"

export interface ReportFilter {
  /** Names of accounts; empty means all. */
  readonly accounts: ReadonlyArray<string>
  /** Currencies; empty means all. */
  readonly currencies: ReadonlyArray<string>
  /** First and last day in the reporting time zones of the accounts, as YYYY-MM-DD. */
  readonly from?: string | undefined
  readonly to?: string | undefined
}

/** Limits and accounts for a report's verdict, beyond what is stored. */
export interface FreshnessRule {
  /** Freshness limits from the environment or `--max-age`; a stored limit applies where one is absent. */
  readonly limits: Partial<Limits>
  /** Accounts to judge: the requested ones, else the configured ones; empty means all. */
  readonly accounts: ReadonlyArray<string>
}

/** Combined verdict on the accounts of a report. */
export interface Trust extends Pick<Verdict, "level" | "sentence"> {
  readonly findings: ReadonlyArray<{ readonly level: Level; readonly text: string }>
  /** Verdicts behind it, one per account. */
  readonly accounts: ReadonlyArray<Verdict>
}

export interface ReportData {
  /** Version of the program that wrote the report. */
  readonly version: string
  /** Time of the snapshot of all figures, in UTC. */
  readonly snapshotAt: string
  /** True for the demo's simulated figures. */
  readonly isDemo: boolean
  readonly accounts: ReadonlyArray<string>
  readonly currencies: ReadonlyArray<string>
  readonly from: string
  readonly to: string
  /** Reporting time zone of each account. */
  readonly timeZones: Readonly<Record<string, string>>
  readonly grain: Grain
  readonly rule: FreshnessRule
  /** Verdict of `analytics.verdict` on the figures. */
  readonly verdict: Trust
  /** Every stream of every account, including those that were never run. */
  readonly freshness: ReadonlyArray<Row>
  readonly unmapped: List
  /** Kinds of transactions whose direction rests on a rule that no person has confirmed. */
  readonly assumed: List
  readonly gaps: {
    /** Per account: how many customers, why, and for how long. */
    readonly counts: ReadonlyArray<Row>
    /** Most frequent missing details of each account. */
    readonly fields: List
    /** Customers known not to be ready at the end of each day, week, month or year. */
    readonly trend: ReadonlyArray<Row>
    readonly volume: List
    readonly customers: List
  }
  readonly settlements: {
    /** Sums of the whole period, the busiest first. */
    readonly totals: List
    /** Sums over time of the busiest of these. */
    readonly series: ReadonlyArray<Row>
    /** Everything that is not settled now, whenever it was created. */
    readonly ageing: List
    readonly states: List
  }
  readonly balances: {
    readonly totals: List
    readonly series: ReadonlyArray<Row>
    readonly reconciliation: List
    readonly differences: List
  }
}

/** Most rows of one list that a page shows, or most rows of each account if the list has `totals`. */
export const LIST_ROWS_MAX = 200
/** Most accounts and currencies with a chart and a table by day; the totals show all. */
export const PANELS_MAX = 24

/** Days of a report without `--from`. */
export const DAYS_DEFAULT = 90

/** Age classes of unsettled payments, in whole days: from, to. */
export const UNSETTLED_AGES = [
  [0, 2],
  [3, 7],
  [8, 14],
  [15, 30],
  [31, 90],
  [91, null],
] as const

/** Age classes of gaps, in whole days. */
export const GAP_AGES = [
  [0, 7],
  [8, 30],
  [31, 90],
  [91, null],
] as const

export const ageName = ([from, to]: readonly [number, number | null]): string =>
  to === null ? `${from} days and more` : `${from} to ${to} days`
