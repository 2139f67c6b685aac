import { Effect } from "effect"
import type postgres from "postgres"
import type { ConfigurationError, WarehouseError } from "../../core/errors.ts"
import type { Verdict } from "../../core/verdict.ts"
import { query } from "../../postgres/statements.ts"
import { readVerdicts } from "../read/verdict.ts"
import { scopeOf } from "./scope.ts"
import { balancesOf, gapsOf, settlementsOf } from "./sections.ts"
import { accountIs, currencyIs, daysBefore, grainOf, listOf, where } from "./sql.ts"
import {
  DAYS_DEFAULT,
  type FreshnessRule,
  PANELS_MAX,
  type ReportData,
  type ReportFilter,
  type Row,
} from "./types.ts"

/** Reads a report's figures from `analytics`. Postgres computes the sums, and the number of fetched rows is bounded. */

/** Seconds after which a section logs that it is still being read. */
const SILENT_SECONDS = 3

/** Facts about a report that no view holds. */
export interface ReportContext {
  /** Version of the program that writes the report. */
  readonly version: string
  readonly isDemo: boolean
  /** Streams that every account should have. */
  readonly streams: ReadonlyArray<string>
  readonly rule: FreshnessRule
}

/** Adds a row for each stream that was never run. The view has none for it. */
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

/** Logs the name of a section if reading it takes longer than `SILENT_SECONDS`. */
const announced = <A, E>(section: string, work: Effect.Effect<A, E>): Effect.Effect<A, E> =>
  Effect.scoped(
    Effect.zipRight(
      Effect.forkScoped(Effect.delay(Effect.logInfo(`Adding up ${section}.`), `${SILENT_SECONDS} seconds`)),
      work,
    ),
  )

/**
 * Reads all figures of a report from the snapshot of the connection's transaction. Fails as `scopeOf` fails. `panels`
 * bounds the accounts and currencies with figures over time. The rows fetched are the first rows of each list, plus one
 * per panel and day, week, month or year of the period.
 */
export const reportData = (
  sql: postgres.Sql,
  filter: ReportFilter,
  { version, isDemo, streams, rule }: ReportContext,
  panels: number = PANELS_MAX,
): Effect.Effect<
  Omit<ReportData, "verdict"> & { readonly verdicts: ReadonlyArray<Verdict> },
  ConfigurationError | WarehouseError
> =>
  Effect.gen(function* () {
    const { at, today, timeZones, accounts, freshness } = yield* scopeOf(sql, filter)
    const verdicts = yield* query(() =>
      readVerdicts(sql, {
        accounts: rule.accounts,
        limits: rule.limits,
      }),
    )
    const isShown = ({ account }: Verdict) =>
      filter.accounts.length === 0 || filter.accounts.includes(account)
    const to = filter.to ?? today
    const from = filter.from ?? daysBefore(to, DAYS_DEFAULT - 1)
    const period = { ...filter, from, to, grain: grainOf(from, to), timeZones, panels }
    const unmapped = yield* listOf(
      sql,
      `SELECT account, event_type, event_name, currency, transaction_count, amount, fee_amount, foreign_fee_count
       FROM analytics.unmapped_event_type${where(...accountIs(filter), ...currencyIs(filter))}`,
      "transaction_count DESC, account, event_type, event_name, currency",
    )
    const assumed = yield* listOf(
      sql,
      `SELECT account, event_type, event_name, currency, rule, direction, transaction_count, amount
       FROM analytics.event_rule${where("is_assumed", ...accountIs(filter), ...currencyIs(filter))}`,
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
      timeZones,
      grain: period.grain,
      rule,
      verdicts: verdicts.filter(isShown),
      freshness: withNeverRun(freshness, accounts, streams),
      unmapped,
      assumed,
      gaps,
      settlements,
      balances,
    }
  })
