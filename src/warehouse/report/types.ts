import type { Level, Limits, Verdict } from "../../core/verdict.ts"

/** What a report is made of: figures as the text that Postgres printed, so that no digit passes through a number. */

/** A row of an answer, by the names of its columns. */
export type Row = Readonly<Record<string, string | null>>

/** Rows in their order. Where there are more than a page can bear, the first of them, and how to see all. */
export interface List {
  readonly rows: ReadonlyArray<Row>
  /** How many there are in all: where that is more than `rows`, the list is cut. */
  readonly total: number
  /** How many each account has, where the first rows of each are taken. */
  readonly totals?: Readonly<Record<string, number>>
  /** The statement that answers with all of them. */
  readonly statement: string
}

/** What a chart shows of each of: the day, the week that begins on it, the month, or the year. */
export type Grain = "day" | "week" | "month" | "year"

export interface ReportFilter {
  /** Names of accounts; all where none is named. */
  readonly accounts: ReadonlyArray<string>
  /** Only these currencies; all where none is named. */
  readonly currencies: ReadonlyArray<string>
  /** First and last UTC day, as YYYY-MM-DD. */
  readonly from?: string | undefined
  readonly to?: string | undefined
}

/** What a report is judged by beyond what is stored. */
export interface FreshnessRule {
  /** Limits of freshness that the environment or --max-age gives; those that are stored where absent. */
  readonly limits: Partial<Limits>
  /** Accounts that are judged: those asked for, else those that are configured; all where none is. */
  readonly accounts: ReadonlyArray<string>
}

/** The verdict over the accounts of a report. */
export interface Trust extends Pick<Verdict, "level" | "sentence"> {
  readonly findings: ReadonlyArray<{ readonly level: Level; readonly text: string }>
  /** The verdicts that it sums up, one per account. */
  readonly accounts: ReadonlyArray<Verdict>
}

export interface ReportData {
  /** Version of the program that wrote it. */
  readonly version: string
  /** When the snapshot was taken that all figures are of, in UTC. */
  readonly snapshotAt: string
  /** Whether these are the demo's simulated figures. */
  readonly isDemo: boolean
  readonly accounts: ReadonlyArray<string>
  readonly currencies: ReadonlyArray<string>
  readonly from: string
  readonly to: string
  readonly grain: Grain
  readonly rule: FreshnessRule
  /** Whether the figures can be trusted, as `analytics.verdict` has it. */
  readonly verdict: Trust
  /** Every stream of every account, those too that were never run. */
  readonly freshness: ReadonlyArray<Row>
  readonly unmapped: List
  readonly gaps: {
    /** Per account: how many, why, and for how long. */
    readonly counts: ReadonlyArray<Row>
    /** The most frequent of each account. */
    readonly fields: List
    /** Customers known not to be ready, at the end of each day, week, month or year. */
    readonly trend: ReadonlyArray<Row>
    readonly volume: List
    readonly customers: List
  }
  readonly settlements: {
    /** Of the whole period, busiest first. */
    readonly totals: List
    /** Of the first of these, over time. */
    readonly series: ReadonlyArray<Row>
    /** Of all that is not settled now, whenever it was created. */
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

/** Rows of one list that a page shows; of each account, where a list has `totals`. */
export const LIST_ROWS_MAX = 200
/** Accounts and currencies that have a chart and a table of their days; the totals have them all. */
export const PANELS_MAX = 24

/** Days that are reported when none are named. */
export const DAYS_DEFAULT = 90

/** Ages of what is unsettled, in whole days: from, to. */
export const UNSETTLED_AGES = [
  [0, 2],
  [3, 7],
  [8, 14],
  [15, 30],
  [31, 90],
  [91, null],
] as const

/** Ages of gaps, in whole days. */
export const GAP_AGES = [
  [0, 7],
  [8, 30],
  [31, 90],
  [91, null],
] as const

export const ageName = ([from, to]: readonly [number, number | null]): string =>
  to === null ? `${from} days and more` : `${from} to ${to} days`
