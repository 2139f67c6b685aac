import { setTimeout } from "node:timers/promises"
import { Effect } from "effect"
import type postgres from "postgres"
import { beforeAll } from "vitest"
import { STREAM_NAMES } from "./lists.ts"

/**
 * Builds a warehouse as many days of syncs would leave it, for reports. It is written in SQL, so it can be
 * large.
 */

/** Hostile text that the API could send, for a page that does not escape it. */
export const HOSTILE = `<img src=x onerror="alert('1')">&amp;`

const DAY_MILLIS = 86_400_000
/** Longer than the tests of a file take. */
const SPARE_MILLIS = 5 * 60_000

/** Delays tests that start near midnight, so that their "today" does not change under them. */
export const onOneDay = (): void =>
  beforeAll(async () => {
    const left = DAY_MILLIS - (Date.now() % DAY_MILLIS)
    if (left < SPARE_MILLIS) await setTimeout(left + 1_000)
  }, 2 * SPARE_MILLIS)

export interface Run {
  readonly hoursAgo?: number
  readonly status?: string
  readonly error?: string
  readonly mode?: string
  readonly rejects?: number
  readonly leftOver?: number
}

/** One run per stream, complete and half an hour old unless overridden. `null` leaves a stream out. */
export const bookRuns = (
  sql: postgres.Sql,
  account: string,
  runs: Readonly<Record<string, Run | null>>,
): Effect.Effect<void> =>
  Effect.promise(async () => {
    for (const stream of STREAM_NAMES) {
      const run = runs[stream]
      if (run === null) continue
      const {
        hoursAgo = 0.5,
        status = "complete",
        error = null,
        mode = "full",
        rejects = 0,
        leftOver = 0,
      } = run ?? {}
      const at = new Date(Date.now() - hoursAgo * 3_600_000).toISOString()
      await sql`
        INSERT INTO sync.stream_runs (run_id, account, stream, mode, status, started_at, finished_at, error, left_over)
        VALUES (gen_random_uuid(), ${account}, ${stream}, ${mode}, ${status}, ${at}, ${at}, ${error}, ${leftOver})`
      await sql`
        INSERT INTO sync.rejects (account, stream, record_id, reason, raw, content_hash, read_at, first_seen_at, run_id)
        SELECT ${account}, ${stream}, 'r' || n, 'Expected a number', '{}', 'h' || n, ${at}, ${at}, gen_random_uuid()
        FROM generate_series(1, ${rejects}::int) AS n`
    }
  })

export interface Filling {
  readonly accounts: ReadonlyArray<string>
  /** Days that the data reach back. */
  readonly days: number
  readonly currencies?: ReadonlyArray<string>
  /** Payments per day and currency of each account. */
  readonly perDay?: number
  readonly customers?: number
  /** Leaves out rejects, unknown event types and hostile text. */
  readonly isSound?: boolean
}

const MANY = ["USD", "EUR", "GBP", "JPY", "KWD", "SGD"]

/** Builds the same data for the same arguments on the same day. */
export const fill = (
  sql: postgres.Sql,
  { accounts, days, currencies = MANY, perDay = 4, customers = 40, isSound = false }: Filling,
): Effect.Effect<void> =>
  Effect.gen(function* () {
    for (const account of accounts) {
      yield* bookRuns(sql, account, isSound ? {} : { payouts: { rejects: 3 }, wallets: { hoursAgo: 30 } })
      yield* Effect.promise(() => insert(sql, account, { days, currencies, perDay, customers, isSound }))
    }
  })

const quoted = (text: string): string => `'${text.replaceAll("'", "''")}'`

const BOOKKEEPING = "raw, content_hash, read_at, first_seen_at, run_id"
const BOOKED = "'{}'::jsonb, 'h', now() - interval '1 hour', now() - interval '1 hour', gen_random_uuid()"

const insert = async (
  sql: postgres.Sql,
  name: string,
  { days, currencies, perDay, customers, isSound }: Required<Omit<Filling, "accounts">>,
): Promise<void> => {
  const account = quoted(name)
  const ofAll = `ARRAY[${currencies.map(quoted).join(", ")}]`
  const odd = quoted(HOSTILE)
  const daysBack = (n: string) => `(${n} * 7 % ${Math.max(1, days)})::int`
  await sql.unsafe(`
    INSERT INTO warehouse.customers (account, customer_id, type, is_active, ${BOOKKEEPING})
    SELECT ${account}, CASE WHEN n = 1 AND NOT ${isSound} THEN ${odd} ELSE 'customer_' || md5(n::text) END,
      CASE WHEN n % 3 = 0 THEN 'company' ELSE 'individual' END, n % 7 <> 0, ${BOOKED}
    FROM generate_series(1, ${customers}) AS n`)
  // A third is ready by now, the others lack one or two details, and every tenth was never asked.
  await sql.unsafe(`
    INSERT INTO warehouse.wallet_readiness_history (account, customer_id, valid_from, valid_to, is_wallet_ready, missing_fields)
    SELECT account, customer_id, now() - make_interval(days => ${daysBack("n")}, hours => 2),
      CASE WHEN n % 3 = 0 THEN now() - make_interval(days => ${daysBack("n")} / 2) END, false,
      CASE WHEN n % 3 = 1 THEN '{dob}' WHEN n % 5 = 0 THEN '{}'
        ELSE ARRAY[(ARRAY['address_line1', 'email', 'nationality', ${isSound ? "'phone_number'" : odd}])[1 + n % 4], 'dob'] END
    FROM (SELECT *, row_number() OVER (ORDER BY customer_id) AS n FROM warehouse.customers WHERE account = ${account}) AS c
    WHERE n % 10 <> 0`)
  await sql.unsafe(`
    INSERT INTO warehouse.wallet_readiness_history (account, customer_id, valid_from, is_wallet_ready, missing_fields)
    SELECT account, customer_id, valid_to, true, '{}' FROM warehouse.wallet_readiness_history
    WHERE account = ${account} AND valid_to IS NOT NULL`)
  await sql.unsafe(`
    INSERT INTO warehouse.wallet_readiness (account, customer_id, is_wallet_ready, missing_fields, checked_at, run_id)
    SELECT account, customer_id, is_wallet_ready, missing_fields, now(), gen_random_uuid()
    FROM warehouse.wallet_readiness_history WHERE account = ${account} AND valid_to IS NULL`)
  await sql.unsafe(`
    INSERT INTO warehouse.transactions (account, transaction_id, org_id, owner_id, customer_id, settlement_id, amount, currency,
      event_type, event_name, is_settled, created_at, fees_currency, fees_without_tax, tax_on_fees, ${BOOKKEEPING})
    SELECT ${account}, format('t-%s-%s-%s', currency, day, n), 'org', coalesce(customer_id, 'org'), customer_id,
      format('s-%s-%s', currency, day / 7), round(((day * 3701 + n * 100907) % 90000 + 100) / 100.0, 2), currency,
      CASE WHEN n % 6 = 5 THEN 'REFUND' WHEN n = 2 AND day % 9 = 0 AND NOT ${isSound} THEN ${odd} ELSE 'PAYIN' END,
      'payment_completed', day > 4 + n % 3 AND NOT (day % 17 = 0 AND n = 1),
      date_trunc('day', now(), 'UTC') - make_interval(days => day), currency, 0.35, 0.05, ${BOOKED}
    FROM unnest(${ofAll}) AS currency, generate_series(0, ${days - 1}) AS day, generate_series(1, ${perDay}) AS n
    LEFT JOIN (SELECT customer_id, row_number() OVER (ORDER BY customer_id) AS place FROM warehouse.customers
      WHERE account = ${account}) AS customer ON customer.place = n * 3`)
  await sql.unsafe(`
    INSERT INTO warehouse.wallets (account, wallet_id, customer_id, org_id, ${BOOKKEEPING})
    SELECT account, 'wallet-' || customer_id, customer_id, 'org', ${BOOKED} FROM warehouse.customers
    WHERE account = ${account}`)
  await sql.unsafe(`
    INSERT INTO warehouse.wallet_accounts (account, wallet_account_id, wallet_id, currency, actual_balance, available_balance,
      read_at, first_seen_at, run_id)
    SELECT wallet.account, currency || wallet_id, wallet_id, currency,
      coalesce(held.balance, 0) + CASE WHEN right(wallet_id, 1) IN ('1', '7') THEN 12.5 ELSE 0 END, 0, now(), now(),
      gen_random_uuid()
    FROM warehouse.wallets AS wallet CROSS JOIN unnest(${ofAll}) AS currency
    LEFT JOIN (SELECT account, owner_id, currency AS held_currency, sum(movement) AS balance
      FROM analytics.balance_history GROUP BY 1, 2, 3) AS held
      ON held.account = wallet.account AND held.owner_id = wallet.customer_id AND held_currency = currency
    WHERE wallet.account = ${account}`)
  await sql.unsafe(`
    INSERT INTO warehouse.checkouts (account, checkout_id, customer_id, amount, currency, ${BOOKKEEPING})
    SELECT account, 'checkout-' || customer_id, customer_id, 19.99, (${ofAll})[1], ${BOOKED}
    FROM warehouse.customers WHERE account = ${account} AND is_active`)
}
