import { Effect } from "effect"
import type postgres from "postgres"
import type { Json } from "../../src/core/json.ts"
import { finishStream } from "../../src/warehouse/ledger/runs.ts"
import { listStream, loading } from "../support/warehouse.ts"

/** Rows as a sync would have left them, made by hand: what a test does not name has a value that no view shows. */

type Value = string | number | boolean | null | ReadonlyArray<string>
type Given = Readonly<Record<string, Value>>

const RUN = "00000000-0000-0000-0000-000000000001"
const READ_AT = "2026-03-01T00:00:00Z"

const bookkeeping = { account: "default", read_at: READ_AT, first_seen_at: READ_AT, run_id: RUN }
const record = { ...bookkeeping, raw: "{}", content_hash: "h" }

const DEFAULTS = {
  customers: { ...record, type: "individual", is_active: true },
  wallets: { ...record, org_id: "org" },
  wallet_accounts: { ...bookkeeping, currency: "USD" },
  payouts: { ...record, status: "SUCCESS", currency: "USD", amount: 0 },
  checkouts: { ...record, currency: "USD", amount: 0 },
  transactions: {
    ...record,
    org_id: "org",
    owner_id: "org",
    amount: 0,
    currency: "USD",
    event_type: "PAYIN",
    is_settled: false,
    created_at: "2026-01-01T12:00:00Z",
  },
  settlement_history: { account: "default" },
  transaction_settlement_history: { account: "default", is_settled: true },
  wallet_balance_snapshots: { account: "default", currency: "USD" },
  payout_status_history: { account: "default" },
  checkout_items: { account: "default" },
  checkout_fees: { account: "default" },
  account_settings: { account: "default" },
  wallet_readiness: { account: "default", missing_fields: [], checked_at: READ_AT, run_id: RUN },
  wallet_readiness_history: { account: "default", missing_fields: [] },
  event_directions: {},
} satisfies Record<string, Given>

const literal = (value: Value): string =>
  typeof value === "object" && value !== null
    ? `ARRAY[${value.map(literal).join(", ")}]::text[]`
    : value === null
      ? "NULL"
      : `'${String(value).replaceAll("'", "''")}'`

/** Inserts rows into a table of `warehouse`. */
export const given = (
  sql: postgres.Sql,
  table: keyof typeof DEFAULTS,
  ...rows: ReadonlyArray<Given>
): Effect.Effect<void> =>
  Effect.promise(async () => {
    for (const row of rows) {
      const filled: Given = { ...DEFAULTS[table], ...row }
      await sql.unsafe(
        `INSERT INTO warehouse.${table} (${Object.keys(filled).join(", ")})
         VALUES (${Object.values(filled).map(literal).join(", ")})`,
      )
    }
  })

/** One for all rows of a file: they are whole days apart. */
const NOW = Date.now()

/** A point in time so many days ago to the second: on a day of the calendar that is as many days ago in any zone without changes of the clock. */
export const daysAgo = (days: number): string => new Date(NOW - days * 86_400_000).toISOString()

/** Rows of a view of `analytics`, each as one text with a dash for null. */
export const lines = (
  sql: postgres.Sql,
  columns: string,
  from: string,
): Effect.Effect<ReadonlyArray<string>> =>
  Effect.promise(async () => {
    const rows = await sql.unsafe<Array<{ line: string }>>(
      `SELECT (SELECT string_agg(coalesce(value, '-'), ' | ' ORDER BY ordinality)
         FROM json_each_text(row_to_json(q)) WITH ORDINALITY) AS line
       FROM (SELECT ${columns} FROM analytics.${from}) AS q`,
    )
    return rows.map(({ line }) => line)
  })

const ENDED = { removed: 0, leftOver: 0, requests: 0, retries: 0, error: null, note: null } as const

/** A complete run of one list, which reads these records as one page. */
export const readList = (sql: postgres.Sql, list: string, records: ReadonlyArray<unknown>, at: string) =>
  Effect.gen(function* () {
    const { load, close, lease } = yield* loading(sql, yield* listStream(list))
    yield* load(...records.map(record => [record as Json, at] as const))
    yield* close(false)
    yield* finishStream(sql, lease, { ...ENDED, status: "complete" })
  })
