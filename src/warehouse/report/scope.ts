import { Effect } from "effect"
import type postgres from "postgres"
import { ConfigurationError, type WarehouseError } from "../../core/errors.ts"
import { neverSynced } from "../../core/words.ts"
import { accountIs, literal, rowsOf, second, type TimeZones, where } from "./sql.ts"
import type { ReportFilter, Row } from "./types.ts"

/** Checks what a report is asked for. A page, a document and files accept the same filters. */

/** Most currencies that a message names. */
const CURRENCIES_NAMED = 50

/** Columns that hold currencies, the quickest to search first. */
const CURRENCIES = [
  ["settlement_transaction", "currency"],
  ["settlement_transaction", "fee_currency"],
  ["payout_daily", "currency"],
  ["checkout_daily", "currency"],
  ["balance_reconciliation", "currency"],
] as const

export interface Scope {
  /** Time of the snapshot, in UTC. */
  readonly at: string
  /** Day of the snapshot, in the reporting time zone in which it is the latest. */
  readonly today: string
  readonly timeZones: TimeZones
  /** Accounts of the filter, or all that were ever synced if it names none. */
  readonly accounts: ReadonlyArray<string>
  /** One row per stream of these accounts. */
  readonly freshness: ReadonlyArray<Row>
}

const refuse = (message: string) => new ConfigurationError({ message })

/**
 * Looks up the accounts and currencies of a filter. Fails with `ConfigurationError` for text that is not a day, for
 * days in the wrong order, and for an account or a currency that the warehouse does not hold: an empty report would
 * look like no money.
 */
export const scopeOf = (
  sql: postgres.Sql,
  filter: ReportFilter,
): Effect.Effect<Scope, ConfigurationError | WarehouseError> =>
  Effect.gen(function* () {
    const { from, to } = filter
    for (const [name, day] of [["--from", from] as const, ["--to", to] as const])
      if (day !== undefined && !isDay(day))
        return yield* refuse(`${name} ${day} is not a day: it should look like 2026-01-31.`)
    const freshness = yield* freshnessOf(sql, filter)
    const timeZones = Object.fromEntries(freshness.map(row => [row.account!, row.time_zone!]))
    const zones = new Set(freshness.length === 0 ? ["UTC"] : Object.values(timeZones))
    const [now] = yield* rowsOf(
      sql,
      `SELECT ${second("now()")} AS at, max((now() AT TIME ZONE zone)::date) AS today
       FROM unnest(ARRAY[${[...zones].map(literal).join(", ")}]) AS zone`,
    )
    const { at, today } = { at: now!.at!, today: now!.today! }
    if (from !== undefined && to !== undefined && from > to)
      return yield* refuse(`--from ${from} is after --to ${to}: swap them.`)
    if (from !== undefined && to === undefined && from > today)
      return yield* refuse(`--from ${from} is after today, ${today}: name an earlier day, or --to.`)
    const synced = [...new Set(freshness.map(row => row.account!))]
    const unknown = filter.accounts.find(name => !synced.includes(name))
    if (unknown !== undefined) return yield* refuse(neverSynced(unknown))
    yield* refuseUnknownCurrency(sql, filter)
    const accounts = filter.accounts.length > 0 ? [...new Set(filter.accounts)] : synced
    return { at, today, timeZones, accounts, freshness }
  })

/** True for a day of the calendar in the form YYYY-MM-DD. */
const isDay = (text: string): boolean => {
  const date = new Date(`${text}T00:00:00Z`)
  return (
    /^\d{4}-\d{2}-\d{2}$/.test(text) &&
    text >= "1900" &&
    !Number.isNaN(date.getTime()) &&
    date.toISOString().startsWith(text)
  )
}

const freshnessOf = (sql: postgres.Sql, filter: ReportFilter) =>
  rowsOf(
    sql,
    `SELECT account, stream, last_run_status, last_ended_status, last_error,
       ${second("last_complete_at")} AS last_complete_at, floor(extract(epoch FROM lag))::bigint AS lag_seconds,
       ${second("last_full_at")} AS last_full_at,
       floor(extract(epoch FROM now() - last_full_at))::bigint AS full_lag_seconds,
       ${second("last_run_started_at")} AS last_run_started_at, left_over, open_rejects,
       extract(epoch FROM max_age)::bigint AS max_age_seconds, extract(epoch FROM full_max_age)::bigint AS full_max_age_seconds, time_zone
     FROM analytics.freshness${where(...accountIs(filter))} ORDER BY account, stream`,
  )

const refuseUnknownCurrency = (sql: postgres.Sql, filter: ReportFilter) =>
  Effect.gen(function* () {
    for (const currency of filter.currencies) {
      let isKnown = false
      // Asks one view after the other until one holds the currency. The first answers at once if there is money.
      for (const [view, column] of CURRENCIES) {
        const [answer] = yield* rowsOf(
          sql,
          `SELECT EXISTS (SELECT 1 FROM analytics.${view}${where(...accountIs(filter), `${column} = ${literal(currency)}`)}) AS yes`,
        )
        isKnown = answer?.yes === "t"
        if (isKnown) break
      }
      if (!isKnown) return yield* refuse(yield* unknownCurrency(sql, filter, currency))
    }
  })

const unknownCurrency = (sql: postgres.Sql, filter: ReportFilter, currency: string) =>
  Effect.map(
    rowsOf(
      sql,
      `${["settlement_daily", "balance_reconciliation", "payout_daily", "checkout_daily"]
        .map(view => `SELECT currency FROM analytics.${view}${where(...accountIs(filter))}`)
        .join(" UNION ")} ORDER BY 1 LIMIT ${CURRENCIES_NAMED}`,
    ),
    rows => {
      const names = rows.length === 0 ? "none yet" : rows.map(row => row.currency).join(", ")
      return `There is no amount in ${currency}: the currencies of the warehouse are ${names}.`
    },
  )
