import { Effect } from "effect"
import type postgres from "postgres"
import { ConfigurationError, type WarehouseError } from "../Errors.ts"
import { DAYS_DEFAULT, type ReportData, type ReportFilter, type Row } from "../report/data.ts"
import { balancesOf, gapsOf, settlementsOf } from "./reportSections.ts"
import {
  accountIs,
  currencyIs,
  dayOf,
  daysBefore,
  grainOf,
  listOf,
  rowsOf,
  second,
  where,
} from "./reportSql.ts"

/** Reads a report's figures from `analytics`: sums are made by Postgres, and what is fetched is bounded. */

/** A section that takes longer says that it is being read. */
const SILENT_SECONDS = 3

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

const freshnessOf = (sql: postgres.Sql, filter: ReportFilter) =>
  rowsOf(
    sql,
    `SELECT account, stream, last_run_status, last_ended_status, last_error,
       ${second("last_complete_at")} AS last_complete_at, floor(extract(epoch FROM lag))::bigint AS lag_seconds,
       ${second("last_full_at")} AS last_full_at,
       floor(extract(epoch FROM now() - last_full_at))::bigint AS full_lag_seconds,
       ${second("last_run_started_at")} AS last_run_started_at, left_over, open_rejects
     FROM analytics.freshness${where(...accountIs(filter))} ORDER BY account, stream`,
  )

/** Says what is being read when that takes its time. */
const announced = <A, E>(what: string, work: Effect.Effect<A, E>): Effect.Effect<A, E> =>
  Effect.scoped(
    Effect.zipRight(
      Effect.forkScoped(Effect.delay(Effect.logInfo(`Adding up ${what}.`), `${SILENT_SECONDS} seconds`)),
      work,
    ),
  )

/**
 * All figures of a report, of the one snapshot that the connection's transaction sees. Asked for an account or a
 * currency that the warehouse does not hold, fails with `ConfigurationError`: an empty report would look like no money.
 * `streams` are those that an account should have.
 */
export const reportData = (
  sql: postgres.Sql,
  filter: ReportFilter,
  about: { readonly version: string; readonly isDemo: boolean; readonly streams: ReadonlyArray<string> },
): Effect.Effect<ReportData, ConfigurationError | WarehouseError> =>
  Effect.gen(function* () {
    const [now] = yield* rowsOf(sql, `SELECT ${second("now()")} AS at, ${dayOf("now()")} AS today`)
    const to = filter.to ?? now!.today!
    const from = filter.from ?? daysBefore(to, DAYS_DEFAULT - 1)
    if (from > to)
      return yield* new ConfigurationError({ message: `--from ${from} is after --to ${to}: swap them.` })
    const period = { ...filter, from, to, grain: grainOf(from, to) }
    const fresh = yield* freshnessOf(sql, filter)
    const accounts =
      filter.accounts.length > 0 ? filter.accounts : [...new Set(fresh.map(row => row.account!))]
    yield* refuseUnknownAccount(accounts, fresh)
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
    yield* refuseUnknownCurrency(sql, filter, [
      ...settlements.ageing.rows,
      ...settlements.totals.rows,
      ...balances.totals.rows,
      ...balances.reconciliation.rows,
      ...gaps.volume.rows,
    ])
    return {
      version: about.version,
      snapshotAt: `${now!.at} UTC`,
      isDemo: about.isDemo,
      accounts,
      currencies: filter.currencies,
      from,
      to,
      grain: period.grain,
      freshness: withNeverRun(fresh, accounts, about.streams),
      unmapped,
      gaps,
      settlements,
      balances,
    }
  })

const refuseUnknownAccount = (accounts: ReadonlyArray<string>, fresh: ReadonlyArray<Row>) => {
  const unknown = accounts.find(name => !fresh.some(({ account }) => account === name))
  return unknown === undefined
    ? Effect.void
    : new ConfigurationError({
        message: `Nothing was synced yet for an account ${unknown}: check the name, or run \`paycombat-sync sync\`.`,
      })
}

const refuseUnknownCurrency = (sql: postgres.Sql, filter: ReportFilter, rows: ReadonlyArray<Row>) =>
  Effect.gen(function* () {
    const unknown = filter.currencies.find(name => !rows.some(({ currency }) => currency === name))
    if (unknown === undefined) return
    const known = yield* rowsOf(
      sql,
      `SELECT currency FROM analytics.settlement_daily${where(...accountIs(filter))}
       UNION SELECT currency FROM analytics.balance_reconciliation${where(...accountIs(filter))} ORDER BY 1 LIMIT 50`,
    )
    if (known.some(({ currency }) => currency === unknown)) return
    const names = known.length === 0 ? "none yet" : known.map(({ currency }) => currency).join(", ")
    return yield* new ConfigurationError({
      message: `There is no amount in ${unknown}: the currencies of the warehouse are ${names}.`,
    })
  })
