import { Effect } from "effect"
import type postgres from "postgres"
import type { ConfigurationError, WarehouseError } from "../../core/errors.ts"
import type { Verdict } from "../../core/verdict.ts"
import { attempt } from "../../postgres/connect.ts"
import { readVerdicts } from "../read/verdict.ts"
import { scopeOf } from "./scope.ts"
import { balancesOf, gapsOf, settlementsOf } from "./sections.ts"
import { accountIs, currencyIs, dayOf, daysBefore, grainOf, listOf, where } from "./sql.ts"
import {
  DAYS_DEFAULT,
  type FreshnessRule,
  PANELS_MAX,
  type ReportData,
  type ReportFilter,
  type Row,
} from "./types.ts"

/** Reads a report's figures from `analytics`: sums are made by Postgres, and what is fetched is bounded. */

/** A section that takes longer says that it is being read. */
const SILENT_SECONDS = 3

/** What a report says that no view does. */
export interface About {
  /** Version of the program that writes it. */
  readonly version: string
  readonly isDemo: boolean
  /** Those that an account should have. */
  readonly streams: ReadonlyArray<string>
  readonly rule: FreshnessRule
}

/** Streams that an account was never asked for have no row in the view. */
const withNeverRun = (
  rows: ReadonlyArray<Row>,
  accounts: ReadonlyArray<string>,
  streams: ReadonlyArray<string>,
): ReadonlyArray<Row> =>
  accounts.flatMap(account => [
    ...rows.filter(row => row.account === account),
    ...streams
      .filter(stream => !rows.some(row => row.account === account && row.stream === stream))
      .map(stream => ({ account, stream, last_run_status: null })),
  ])

/** Says what is being read when that takes its time. */
const announced = <A, E>(what: string, work: Effect.Effect<A, E>): Effect.Effect<A, E> =>
  Effect.scoped(
    Effect.zipRight(
      Effect.forkScoped(Effect.delay(Effect.logInfo(`Adding up ${what}.`), `${SILENT_SECONDS} seconds`)),
      work,
    ),
  )

/**
 * All figures of a report, of the one snapshot that the connection's transaction sees. Refuses what `scopeOf` refuses.
 * `panels` bounds the accounts and currencies that have figures over time: what is fetched is no more than the lists'
 * first rows, and so many times the days, weeks, months or years of the period.
 */
export const reportData = (
  sql: postgres.Sql,
  filter: ReportFilter,
  { version, isDemo, streams, rule }: About,
  panels: number = PANELS_MAX,
): Effect.Effect<
  Omit<ReportData, "verdict"> & { readonly verdicts: ReadonlyArray<Verdict> },
  ConfigurationError | WarehouseError
> =>
  Effect.gen(function* () {
    const { at, today, accounts, freshness } = yield* scopeOf(sql, filter)
    const verdicts = yield* attempt(() =>
      readVerdicts(sql, {
        accounts: rule.accounts,
        limits: rule.limits,
      }),
    )
    const isShown = ({ account }: Verdict) =>
      filter.accounts.length === 0 || filter.accounts.includes(account)
    const to = filter.to ?? today
    const from = filter.from ?? daysBefore(to, DAYS_DEFAULT - 1)
    const period = { ...filter, from, to, grain: grainOf(from, to), panels }
    const unmapped = yield* listOf(
      sql,
      `SELECT account, event_type, event_name, currency, transaction_count, amount, fee_amount, foreign_fee_count,
         ${dayOf("first_transaction_at")} AS first_day, ${dayOf("last_transaction_at")} AS last_day
       FROM analytics.unmapped_event_type${where(...accountIs(filter), ...currencyIs(filter))}`,
      "transaction_count DESC, account, event_type, event_name, currency",
    )
    const gaps = yield* announced("the KYC gaps", gapsOf(sql, period))
    const settlements = yield* announced("the settlements", settlementsOf(sql, period))
    const balances = yield* announced("the balances", balancesOf(sql, period))
    return {
      version,
      snapshotAt: `${at} UTC`,
      isDemo,
      accounts,
      currencies: filter.currencies,
      from,
      to,
      grain: period.grain,
      rule,
      verdicts: verdicts.filter(isShown),
      freshness: withNeverRun(freshness, accounts, streams),
      unmapped,
      gaps,
      settlements,
      balances,
    }
  })
