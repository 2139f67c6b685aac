import { Duration, Effect, Redacted } from "effect"
import * as App from "../../app.ts"
import * as Config from "../../config/config.ts"
import { allStreams } from "../../registry.ts"
import { lastMidnight, start } from "../../sandbox/sandbox.ts"
import { jsonText } from "../terminal/jsonRows.ts"
import { print, printJson, table } from "../terminal/output.ts"
import { demoDatabase } from "./demoDatabase.ts"
import { printSummary, setExitCode, withProgress } from "./sync.ts"

interface Question {
  readonly title: string
  readonly sql: string
}

const QUESTIONS: ReadonlyArray<Question> = [
  {
    title: "Settlement: the payment to the merchant and its fees (the latest of each currency)",
    sql: `SELECT DISTINCT ON (status, currency) left(settlement_id, 19) || '…' AS settlement, status, currency,
  transaction_count AS payments, settlement_amount AS amount, fee_amount + tax_amount AS fees,
  payment_to_merchant_amount AS to_merchant, CASE WHEN is_assumed THEN 'assumed' ELSE 'confirmed' END AS directions
FROM analytics.settlement WHERE fee_currency = currency
ORDER BY status, currency, last_transaction_at DESC`,
  },
  {
    title: "Balance: all owners together, on the last whole day",
    sql: `SELECT DISTINCT ON (currency) currency, day, opening_balance AS opening, credit_amount AS credit,
  debit_amount AS debit, closing_balance AS closing, CASE WHEN is_assumed THEN 'assumed' ELSE 'confirmed' END AS directions
FROM analytics.balance_daily_total WHERE day < (now() AT TIME ZONE 'UTC')::date
ORDER BY currency, day DESC`,
  },
  {
    title: "KYC gaps: the details that customers most often lack for a wallet",
    sql: `SELECT missing_field, customer_count AS customers, oldest_gap_since::date AS known_since,
  median_gap_days AS median_days
FROM analytics.kyc_gap_summary ORDER BY customer_count DESC, missing_field LIMIT 10`,
  },
]

const HINT = `More answers:  npx paycombat-sync query --demo "SELECT * FROM analytics.kyc_gap"
Its views:     npx paycombat-sync query --demo "SELECT table_name FROM information_schema.views ORDER BY 1"
Directions:    assumed until you confirm them: npx paycombat-sync directions list --demo
Your own data: set PAYCOMBAT_TOKEN, then npx paycombat-sync sync`

/** Note for a stream without a generator, and so without a truth, in the sandbox. */
const NOT_COMPARED = "the sandbox served copies of its fixture's record, so its figures were not compared."

/** The demo's account. Its rate is high, because the sandbox runs on this machine. */
const account = (url: string, token: string): Config.AccountSettings => ({
  name: "demo",
  token: Redacted.make(token),
  baseUrl: url,
  pageSize: 100,
  ratePerSecond: 1_000,
  concurrency: 8,
  timeout: Duration.seconds(30),
  paths: {},
  paging: undefined,
})

export const run = ({ json }: { readonly json: boolean }) =>
  Effect.gen(function* () {
    const { url, token, sampled } = yield* start({ until: lastMidnight().toISOString() })
    const settings = yield* Config.run
    const work = App.syncWith(
      { ...settings, full: false, accounts: [account(url, token)], streams: yield* allStreams },
      true,
    )
    const summary = yield* withProgress(work, json)
    const answers = yield* Effect.forEach(QUESTIONS, question =>
      Effect.map(App.query(question.sql), answer => ({ ...question, answer })),
    )
    if (json) {
      yield* printJson({
        summary,
        notCompared: sampled,
        answers: answers.map(({ title, sql, answer }) => ({
          title,
          sql,
          rows: JSON.parse([...jsonText(answer)].join("")) as unknown,
        })),
      })
    } else {
      yield* printSummary(summary)
      for (const name of sampled) yield* print(`\n${name}: ${NOT_COMPARED}`)
      for (const { title, answer } of answers) yield* print(`\n${title}\n${table(answer)}`)
      yield* print(`\n${HINT}`)
    }
    yield* setExitCode(summary, false)
  }).pipe(Effect.provide(App.http), Effect.provide(App.warehouse(demoDatabase)), Effect.scoped)
