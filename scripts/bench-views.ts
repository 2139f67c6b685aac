import { chmod, mkdtemp, readFile, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Effect } from "effect"
import type postgres from "postgres"
import { connect } from "../src/postgres/connect.ts"
import { embeddedPostgres } from "../src/postgres/embedded/embeddedPostgres.ts"
import { migrate } from "../src/warehouse/schema/migrator.ts"

/**
 * Milliseconds that each view takes on a filled warehouse, filtered as people filter it, and whole. The second
 * argument names a view whose plans are printed instead.
 *
 *   npm run bench:views -- 2000000
 *   npm run bench:views -- 2000000 balance_history
 */
const TRANSACTIONS = Number(process.argv[2] ?? 2_000_000)
const EXPLAINED = process.argv[3]

/** The middle one counts: the first reads from disk what the others find in memory. */
const REPETITIONS = 3

const OWNER = "owner_id = 'customer_' || md5('1233')"
const CUSTOMER = "customer_id = 'customer_' || md5('1233')"
const SETTLEMENT = "settlement_id = 'settlement_77'"
const PAYOUT = "account = 'default' AND payout_id = 'payout_1234'"
const PREVIEW = "true LIMIT 100"
const MONTH = "day >= current_date - 60 AND day < current_date - 30"
const WHOLE = "true"

const QUESTIONS: ReadonlyArray<readonly [view: string, filter: string]> = [
  ["balance_history", OWNER],
  ["balance_history", `account = 'default' AND ${OWNER} AND currency = 'USD'`],
  ["balance_daily", OWNER],
  ["balance_reconciliation", OWNER],
  ["settlement", SETTLEMENT],
  ["settlement_transaction", SETTLEMENT],
  ["settlement_transaction", CUSTOMER],
  ["settlement_daily", MONTH],
  ["payout_daily", MONTH],
  ["checkout_daily", MONTH],
  ["kyc_gap", CUSTOMER],
  ["kyc_gap", WHOLE],
  ["kyc_gap_field", WHOLE],
  ["kyc_gap_summary", WHOLE],
  ["kyc_gap_volume", CUSTOMER],
  ["kyc_gap_volume", WHOLE],
  ["kyc_gap_history", WHOLE],
  ["kyc_gap_daily", WHOLE],
  ["kyc_status", WHOLE],
  ["kyc_volume", CUSTOMER],
  ["kyc_volume", WHOLE],
  ["kyc_transacting", CUSTOMER],
  ["kyc_transacting", WHOLE],
  ["kyc_episode", WHOLE],
  ["kyc_ageing", WHOLE],
  ["kyc_field_funnel", WHOLE],
  ["customer", WHOLE],
  ["wallet", WHOLE],
  ["wallet_balance", WHOLE],
  ["wallet_balance_daily", OWNER],
  ["wallet_balance_daily", WHOLE],
  ["reserve", WHOLE],
  ["payout", PAYOUT],
  ["payout", PREVIEW],
  ["payout", WHOLE],
  ["payout_daily", WHOLE],
  ["payout_reconciliation", PAYOUT],
  ["payout_reconciliation", PREVIEW],
  ["payout_reconciliation", WHOLE],
  ["checkout", PREVIEW],
  ["checkout", WHOLE],
  ["checkout_item", WHOLE],
  ["checkout_daily", WHOLE],
  ["freshness", WHOLE],
  ["unmapped_event_type", WHOLE],
  ["settlement_daily", WHOLE],
  ["settlement", WHOLE],
  ["balance_daily_total", WHOLE],
  ["balance_daily", WHOLE],
  ["balance_reconciliation", WHOLE],
]

/** A row of the view as a whole is counted, so that no column is left out of the work. */
const countOf = (view: string, filter: string): string =>
  `SELECT count(*) AS all_rows, count(v) AS whole_rows FROM (SELECT * FROM analytics.${view} WHERE ${filter}) v`

const measure = async (sql: postgres.Sql, view: string, filter: string): Promise<void> => {
  const milliseconds: Array<number> = []
  let rows = "0"
  for (let i = 0; i < REPETITIONS; i++) {
    const startedAt = performance.now()
    const [counted] = await sql.unsafe<Array<{ all_rows: string }>>(countOf(view, filter))
    milliseconds.push(performance.now() - startedAt)
    rows = counted!.all_rows
  }
  const median = milliseconds.sort((a, b) => a - b)[Math.floor(REPETITIONS / 2)]!
  console.log(`${view.padEnd(24)}${median.toFixed(0).padStart(8)} ms ${rows.padStart(9)} rows   ${filter}`)
}

const explain = async (sql: postgres.Sql, view: string, filter: string): Promise<void> => {
  const plan = await sql.unsafe<Array<{ "QUERY PLAN": string }>>(
    `EXPLAIN (ANALYZE, BUFFERS) ${countOf(view, filter)}`,
  )
  console.log([`-- ${view} WHERE ${filter}`, ...plan.map(row => row["QUERY PLAN"])].join("\n"))
}

const scratchDirectory = Effect.acquireRelease(
  Effect.promise(async () => {
    const directory = await mkdtemp(join(tmpdir(), "paycombat-bench-"))
    // Postgres runs as another account when this is root.
    await chmod(directory, 0o755)
    return directory
  }),
  directory => Effect.promise(() => rm(directory, { recursive: true, force: true, maxRetries: 5 })),
)

const bench = Effect.gen(function* () {
  const directory = yield* scratchDirectory
  const { ownerUrl } = yield* embeddedPostgres(directory)
  const sql = yield* connect(ownerUrl)
  yield* migrate(sql)
  yield* Effect.promise(async () => {
    const script = await readFile(new URL("bench-views.sql", import.meta.url), "utf8")
    const session = await sql.reserve()
    const startedAt = performance.now()
    // One by one: VACUUM is refused among others.
    for (const statement of script.replaceAll(":transactions", String(TRANSACTIONS)).split(/;\n+/))
      if (statement.trim() !== "") await session.unsafe(statement)
    session.release()
    console.log(
      `filled with ${TRANSACTIONS} transactions in ${((performance.now() - startedAt) / 1000).toFixed(0)} s`,
    )
    for (const [view, filter] of QUESTIONS)
      if (EXPLAINED === undefined) await measure(sql, view, filter)
      else if (view === EXPLAINED) await explain(sql, view, filter)
  })
}).pipe(Effect.scoped)

await Effect.runPromise(bench)
