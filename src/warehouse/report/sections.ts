import { Effect } from "effect"
import type postgres from "postgres"
import {
  accountIs,
  aged,
  currencyIs,
  dayIs,
  dayOf,
  listFrom,
  listOf,
  listPerAccount,
  overTime,
  type Period,
  rowsOf,
  second,
  statementOf,
  where,
  wholeSum,
} from "./sql.ts"
import { GAP_AGES, LIST_ROWS_MAX, UNSETTLED_AGES } from "./types.ts"

/** Statements of a report's three sections. Each view that adds up many transactions is read only once. */

/** True if a sum rests on a rule that is assumed, in rows and in sums of rows. */
const IS_ASSUMED = "bool_or(is_assumed) AS is_assumed"

export const gapsOf = (sql: postgres.Sql, filter: Period) => {
  const { timeZones } = filter
  const account = where(...accountIs(filter))
  return Effect.all({
    counts: rowsOf(
      sql,
      `SELECT account, count(*) AS customer_count, count(*) FILTER (WHERE is_active IS NOT FALSE) AS active_count,
         ${["missing_fields", "unspecified", "never_checked", "check_failed"].map(reason => `count(*) FILTER (WHERE reason = '${reason}') AS ${reason}_count`).join(", ")},
         ${aged(GAP_AGES, "gap_days", "count(*)", "age")}, count(*) FILTER (WHERE gap_days IS NULL) AS age_unknown,
         ${dayOf(timeZones, "min(gap_since)")} AS oldest_gap_since
       FROM analytics.kyc_gap${account} GROUP BY account ORDER BY account`,
    ),
    fields: listPerAccount(
      sql,
      `SELECT account, missing_field, customer_count, ${dayOf(timeZones, "oldest_gap_since")} AS oldest_gap_since, median_gap_days
       FROM analytics.kyc_gap_summary${account}`,
      "account, customer_count DESC, missing_field",
    ),
    trend: rowsOf(
      sql,
      `SELECT account, date_trunc('${filter.grain}', day)::date AS bucket,
         (array_agg(not_ready_count ORDER BY day DESC))[1] AS not_ready_count
       FROM analytics.kyc_gap_daily${where(...accountIs(filter), ...dayIs(filter))}
       GROUP BY account, bucket ORDER BY account, bucket`,
    ),
    volume: listOf(
      sql,
      `SELECT account, currency, count(*) AS customer_count, sum(open_checkout_count) AS open_checkout_count,
         sum(open_checkout_amount) AS open_checkout_amount, sum(unsettled_count) AS unsettled_count,
         sum(unsettled_amount) AS unsettled_amount, ${IS_ASSUMED}
       FROM analytics.kyc_gap_volume${where(...accountIs(filter), ...currencyIs(filter))} GROUP BY account, currency`,
      "account, currency",
    ),
    customers: listOf(
      sql,
      `SELECT account, customer_id, customer_type, is_active, reason, array_to_string(missing_fields, ', ') AS missing_fields,
         ${dayOf(timeZones, "gap_since")} AS gap_since, gap_since_is_lower_bound, gap_days, ${dayOf(timeZones, "checked_at")} AS checked_at
       FROM analytics.kyc_gap${account}`,
      "gap_days DESC NULLS LAST, gap_since, account, customer_id",
    ),
  })
}

const SETTLED_SUMS = [
  "sum(settled_count + unsettled_count) AS transaction_count",
  ...["settled_count", "settled_amount", "unsettled_count", "unsettled_amount", "unmapped_count"].map(
    column => `sum(${column}) AS ${column}`,
  ),
  IS_ASSUMED,
].join(", ")

export const settlementsOf = (sql: postgres.Sql, filter: Period) =>
  Effect.gen(function* () {
    const conditions = [...accountIs(filter), ...currencyIs(filter)]
    const { totals, series } = yield* overTime(sql, filter, {
      view: "analytics.settlement_daily",
      sums: SETTLED_SUMS,
      busiest: "transaction_count",
    })
    const ageing = yield* listOf(
      sql,
      `SELECT account, currency, count(*) AS unsettled_count,
         coalesce(sum(direction * abs(amount)), 0) AS unsettled_amount, count(*) FILTER (WHERE direction IS NULL) AS unmapped_count,
         ${aged(UNSETTLED_AGES, "unsettled_days", "count(*)", "count")},
         ${aged(UNSETTLED_AGES, "unsettled_days", "sum(direction * abs(amount))", "amount")}, min(day) AS oldest_day, ${IS_ASSUMED}
       FROM analytics.settlement_transaction${where("NOT is_settled", ...conditions)} GROUP BY account, currency`,
      "unsettled_count DESC, account, currency",
    )
    const states = yield* listOf(
      sql,
      `SELECT account, currency, fee_currency, status, count(*) AS settlement_count,
         sum(transaction_count) AS transaction_count, sum(unmapped_count) AS unmapped_count,
         sum(settlement_amount) AS settlement_amount,
         ${["fee_amount", "tax_amount", "payment_to_merchant_amount"].map(wholeSum).join(", ")}, ${IS_ASSUMED}
       FROM analytics.settlement${where(...conditions, ...dayIs(filter, dayOf(filter.timeZones, "last_transaction_at")))}
       GROUP BY account, currency, fee_currency, status`,
      "account, currency, fee_currency, status",
    )
    return { totals, series, ageing, states }
  })

/** Balance of a span of days: its first opening, its sums, its last closing. */
const BALANCE_SUMS = `(array_agg(opening_balance ORDER BY day))[1] AS opening_balance, ${wholeSum("credit_amount")},
  ${wholeSum("debit_amount")}, (array_agg(closing_balance ORDER BY day DESC))[1] AS closing_balance,
  count(*) FILTER (WHERE credit_amount <> 0 OR debit_amount <> 0) AS active_day_count, ${IS_ASSUMED}`

/** Compares the wallets with the payments: per currency, and per owner with a difference. */
const reconciliationOf = (sql: postgres.Sql, filter: Period) => {
  const conditions = [...accountIs(filter), ...currencyIs(filter)]
  const view = "analytics.balance_reconciliation"
  const sums = `count(*) AS owner_count, count(*) FILTER (WHERE difference <> 0) AS different_count,
    ${["wallet_balance", "ledger_balance", "difference"].map(wholeSum).join(", ")}, ${IS_ASSUMED}`
  // Takes the largest differences of each currency in turn. Differences of two currencies cannot be compared.
  const rank = "row_number() OVER (PARTITION BY account, currency ORDER BY abs(difference) DESC, owner_id)"
  const balances = "wallet_balance, ledger_balance, difference, is_assumed"
  const statements = {
    currency: statementOf(
      `SELECT account, currency, ${sums}, ${second("min(observed_at)")} AS observed_at
       FROM ${view}${where(...conditions)} GROUP BY account, currency`,
      "account, currency",
    ),
    owner: statementOf(
      `SELECT account, currency, owner_id, ${balances}, ${second("observed_at")} AS observed_at, ${rank} AS rank
       FROM ${view}${where("difference <> 0", ...conditions)}`,
      "rank, account, currency",
    ),
  }
  return Effect.map(
    rowsOf(
      sql,
      `WITH owner AS MATERIALIZED (
         SELECT account, currency, owner_id, ${balances}, observed_at FROM ${view}${where(...conditions)}
       ), different AS (
         SELECT *, ${rank} AS rank, count(*) OVER () AS list_total FROM owner WHERE difference <> 0
       )
       SELECT * FROM (
         (SELECT 'currency' AS kind, account, currency, ${sums}, ${second("min(observed_at)")} AS observed_at,
            NULL AS owner_id, NULL::bigint AS rank, count(*) OVER () AS list_total
          FROM owner GROUP BY account, currency ORDER BY account, currency LIMIT ${LIST_ROWS_MAX})
         UNION ALL
         (SELECT 'owner', account, currency, NULL, NULL, ${balances}, ${second("observed_at")}, owner_id, rank, list_total
          FROM different ORDER BY rank, account, currency LIMIT ${LIST_ROWS_MAX})
       ) AS answer ORDER BY kind, rank NULLS FIRST, account, currency`,
    ),
    rows => ({
      reconciliation: listFrom(
        rows.flatMap(({ kind, owner_id: _, rank: __, ...row }) => (kind === "currency" ? [row] : [])),
        statements.currency,
      ),
      differences: listFrom(
        rows.flatMap(({ kind, owner_count: _, different_count: __, ...row }) =>
          kind === "owner" ? [row] : [],
        ),
        statements.owner,
      ),
    }),
  )
}

export const balancesOf = (sql: postgres.Sql, filter: Period) =>
  Effect.gen(function* () {
    const daily = yield* overTime(sql, filter, {
      view: "analytics.balance_daily_total",
      sums: BALANCE_SUMS,
      busiest: "active_day_count",
    })
    return { ...daily, ...(yield* reconciliationOf(sql, filter)) }
  })
