import { Effect } from "effect"
import type postgres from "postgres"
import { ConfigurationError, WarehouseError } from "../../core/errors.ts"
import { warehouseError } from "../../postgres/statements.ts"
import { type ValueType, valueTypesOf } from "../../postgres/valueTypes.ts"
import { allOf } from "../read/reader.ts"
import { scopeOf } from "./scope.ts"
import { accountIs, currencyIs, dayIs, dayOf, rowsOf, type TimeZones, where } from "./sql.ts"
import type { ReportFilter, Row } from "./types.ts"

/** Reads whole views of `analytics` in batches, because they may be larger than memory. */

const BATCH_ROWS = 2_000

export type Batch = ReadonlyArray<ReadonlyArray<string | null>>

/** Columns of a view and their types, in the same order. */
export interface ViewShape {
  readonly columns: ReadonlyArray<string>
  readonly types: ReadonlyArray<ValueType>
}

/** Consumes one view. The consumer sets the pace of the batches. */
export type TakeView = (
  view: string,
  shape: ViewShape,
  batches: AsyncIterable<Batch>,
  /** True if the filter's days apply to its rows. */
  isDated: boolean,
) => Promise<void>

/** Day of a row in the reporting time zone, per view. Views of the current state have none. */
const daysOf = (timeZones: TimeZones): Readonly<Record<string, string>> => ({
  settlement: dayOf(timeZones, "last_transaction_at"),
  settlement_transaction: "day",
  settlement_daily: "day",
  balance_history: "day",
  balance_daily: "day",
  balance_daily_total: "day",
  kyc_gap_daily: "day",
  wallet_balance_daily: "day",
  payout: "day",
  payout_daily: "day",
  checkout: "day",
  checkout_daily: "day",
})

/** Converts an error of a consumer. Its own `ConfigurationError` or `WarehouseError` passes unchanged. */
export const takingError = (error: unknown): ConfigurationError | WarehouseError =>
  error instanceof ConfigurationError || error instanceof WarehouseError ? error : warehouseError(error)

async function* texts(batches: AsyncIterable<ReadonlyArray<ReadonlyArray<Buffer | null>>>) {
  for await (const batch of batches) yield batch.map(row => row.map(value => value?.toString("utf8") ?? null))
}

/**
 * Passes every view to `take`, in the order of their names, from the snapshot of the connection's transaction. Rows are
 * narrowed to accounts, and to currencies and days if the view has them. Fails as `scopeOf` and `take` fail.
 */
export const eachView = (
  sql: postgres.Sql,
  filter: ReportFilter,
  take: TakeView,
): Effect.Effect<void, ConfigurationError | WarehouseError> =>
  Effect.gen(function* () {
    const days = daysOf((yield* scopeOf(sql, filter)).timeZones)
    const views = yield* rowsOf(
      sql,
      `SELECT relname AS view, string_agg(attname, ' ' ORDER BY attnum) AS columns,
         string_agg(atttypid::text, ' ' ORDER BY attnum) AS types
       FROM pg_catalog.pg_class JOIN pg_catalog.pg_attribute ON attrelid = pg_class.oid AND attnum > 0 AND NOT attisdropped
       WHERE relnamespace = 'analytics'::regnamespace AND relkind = 'v' GROUP BY relname ORDER BY relname`,
    )
    for (const { view, columns, types } of views) {
      const names = columns!.split(" ")
      const conditions = where(
        ...accountIs(filter),
        ...(names.includes("currency") ? currencyIs(filter) : []),
        ...(days[view!] === undefined ? [] : dayIs(filter, days[view!])),
      )
      yield* Effect.tryPromise({
        try: async () => {
          const shape = { columns: names, types: await valueTypesOf(sql, types!.split(" ").map(Number)) }
          const statement = sql.unsafe(`SELECT * FROM analytics.${view}${conditions}`).raw()
          return take(
            view!,
            shape,
            texts(allOf(sql, statement.cursor(BATCH_ROWS) as AsyncIterable<Array<Array<Buffer>>>)),
            days[view!] !== undefined,
          )
        },
        catch: takingError,
      })
    }
  })

/** Reads the rows of a statement in batches, in the form that a report's lists have. */
export const batchesOf = (sql: postgres.Sql, statement: string): AsyncIterable<ReadonlyArray<Row>> =>
  allOf(sql, sql.unsafe<Array<Row>>(statement).cursor(BATCH_ROWS))
