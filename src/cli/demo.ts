import * as Command from "@effect/cli/Command"
import { ConfigProvider, Console, Duration, Effect, Option, Redacted } from "effect"
import * as App from "../App.ts"
import * as Config from "../Config.ts"
import { allStreams } from "../registry.ts"
import { start } from "../sandbox/Sandbox.ts"
import { jsonOption, objects, printJson, table } from "./output.ts"
import { bookExitCode, printSummary, withProgress } from "./sync.ts"

/** The demo's own database: simulated money must never meet a real warehouse. */
export const demoDatabase: Config.DatabaseSettings = {
  url: Option.none(),
  dataDir: ".paycombat-demo",
  readerUrl: Option.none(),
}

interface Question {
  readonly title: string
  readonly sql: string
}

const QUESTIONS: ReadonlyArray<Question> = [
  {
    title: "Settlement: what is paid to the merchant, and what it cost (the latest eight)",
    sql: `SELECT settlement_id, status, currency, transaction_count AS transactions, settlement_amount AS amount,
  fee_amount AS fee, tax_amount AS tax, payment_to_merchant_amount AS to_merchant
FROM analytics.settlement ORDER BY last_transaction_at DESC, settlement_id, currency LIMIT 8`,
  },
  {
    title: "Balance: all owners, the latest day, per currency",
    sql: `SELECT DISTINCT ON (currency) currency, day, opening_balance AS opening, credit_amount AS credit,
  debit_amount AS debit, closing_balance AS closing
FROM analytics.balance_daily_total ORDER BY currency, day DESC`,
  },
  {
    title: "KYC gaps: what keeps customers from getting a wallet",
    sql: `SELECT missing_field, customer_count AS customers, oldest_gap_since AS oldest, median_gap_days AS median_days
FROM analytics.kyc_gap_summary ORDER BY customer_count DESC, missing_field`,
  },
]

const HINT = `Ask further:  npx paycombat-sync query --demo "SELECT * FROM analytics.kyc_gap"
Its views:    npx paycombat-sync query --demo "SELECT table_name FROM information_schema.views ORDER BY 1"
Your own data: set PAYCOMBAT_TOKEN, then npx paycombat-sync sync`

/** The sandbox is on this machine: nobody has to be polite to it. */
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

export const demo = Command.make("demo", { json: jsonOption }, ({ json }) =>
  Effect.gen(function* () {
    const { url, token } = yield* start()
    const settings = yield* Config.run
    const work = App.syncWith(
      { ...settings, full: false, accounts: [account(url, token)], streams: yield* allStreams },
      true,
    )
    const summary = yield* withProgress(work, process.stderr.isTTY === true && !json)
    const answers = yield* Effect.forEach(QUESTIONS, question =>
      Effect.map(App.query(question.sql), answer => ({ ...question, answer })),
    )
    if (json) {
      yield* printJson({
        summary,
        answers: answers.map(({ title, sql, answer }) => ({ title, sql, rows: objects(answer) })),
      })
    } else {
      yield* printSummary(summary)
      for (const { title, answer } of answers) yield* Console.log(`\n${title}\n${table(answer)}`)
      yield* Console.log(`\n${HINT}`)
    }
    yield* bookExitCode(summary, false)
  }).pipe(
    Effect.provide(App.http),
    Effect.provide(App.warehouse(demoDatabase)),
    Effect.scoped,
    Effect.withConfigProvider(ConfigProvider.fromMap(new Map())),
  ),
).pipe(
  Command.withDescription(
    "The product in one command: simulated API, embedded Postgres, one sync, three answers.",
  ),
)
