import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { connect } from "../../src/postgres/connect.ts"
import { migrate } from "../../src/warehouse/schema/migrator.ts"
import { type PostgresVersion, testDatabase } from "../support/postgres.ts"
import { printed, testWarehouse } from "../support/warehouse.ts"
import { given } from "./rows.ts"

/** The columns that are promised, in their order; a view may have more after them. */
const PROMISED: Record<string, string> = {
  settlement:
    "account settlement_id currency fee_currency status transaction_count unmapped_count unmoving_count settlement_amount fee_amount tax_amount payment_to_merchant_amount first_transaction_at last_transaction_at settled_seen_at settled_seen_at_is_upper_bound changed_since_done",
  settlement_change:
    "account settlement_id transaction_id from_settlement_id to_settlement_id was_settled is_settled seen_at",
  kyc_evidence:
    "account customer_id is_wallet_ready missing_fields first_asked_at first_run_id first_answer last_asked_at",
  settlement_transaction:
    "account transaction_id settlement_id customer_id event_id event_type event_name direction direction_rule currency amount fee_currency fee_amount tax_amount net_amount is_settled is_reconciled created_at day settled_seen_at settled_seen_at_is_upper_bound unsettled_days",
  settlement_payment:
    "account settlement_id currency amount fee_and_tax payment_to_merchant_amount transaction_count unmapped_count",
  settlement_breakdown:
    "account settlement_id currency event_type transaction_count amount fee_amount tax_amount net_amount_as_sent unsettled_count",
  unsettled_ageing: "account owner_id currency",
  balance_activity: "account currency month category line_count amount",
  daily_overview: "account currency day payin_count payin_amount",
  ledger_check:
    "account check currency left_amount right_amount difference row_count state explanation checked_at",
  customer_overview: "account customer_id currency first_payment_at last_payment_at",
  balance_check: "account currency owner_count",
  event_direction: "event_type event_name is_negative rule direction",
  event_rule:
    "account event_type event_name currency rule direction transaction_count amount negative_count net_differs_count net_difference confirmed_at",
  settlement_daily:
    "account day currency settled_count settled_amount unsettled_count unsettled_amount unmoving_count settled_without_settlement_count settled_without_settlement_amount",
  balance_history:
    "account owner_id scope currency transaction_id kind occurred_at event_type movement balance",
  balance_daily: "account owner_id currency day opening_balance credit_amount debit_amount closing_balance",
  balance_daily_total: "account currency day opening_balance credit_amount debit_amount closing_balance",
  balance_reconciliation:
    "account owner_id currency state wallet_balance available_balance blocked_balance ledger_balance difference difference_without_fees unmapped_count unmapped_amount observed_at ledger_complete_to deleted_wallet_count deleted_wallet_balance",
  kyc_gap:
    "account customer_id customer_type is_active reason missing_fields gap_since gap_since_is_lower_bound gap_days checked_at check_error",
  kyc_gap_field: "account customer_id missing_field gap_since customer_type is_active",
  kyc_gap_summary: "account missing_field customer_count active_count oldest_gap_since median_gap_days",
  kyc_gap_volume:
    "account customer_id currency open_checkout_count open_checkout_amount unsettled_count unsettled_amount",
  kyc_gap_history: "account customer_id is_wallet_ready missing_fields valid_from valid_to removed_at",
  kyc_gap_daily: "account day not_ready_count",
  kyc_status:
    "account customer_id customer_type is_active removed_at is_wallet_ready missing_fields checked_at answer_age check_error ready_but_check_fails list_differs",
  kyc_volume: "account customer_id currency state transaction_count amount unsettled_count unsettled_amount",
  kyc_transacting: "account customer_id currency transaction_count money_in money_out",
  kyc_episode: "account customer_id not_ready_from ready_at days is_regression first_missing_fields",
  kyc_ageing: "account bucket customer_type reason customer_count",
  kyc_field_funnel: "account missing_field ever_missing_count still_missing_count resolved_count median_days",
  wallet: "account wallet_id owner_id category scope",
  wallet_balance:
    "account wallet_account_id wallet_id owner_id category scope currency actual_balance available_balance blocked_balance read_at",
  wallet_balance_daily:
    "account wallet_account_id day wallet_id owner_id category scope currency actual_balance available_balance blocked_balance read_at",
  reserve: "account owner_id currency reserved released outstanding oldest_at",
  customer:
    "account customer_id type is_active status organization_reference_id gca_activation_status created_at removed_at is_wallet_ready",
  payout:
    "account payout_id status approval method currency amount fee_taken fee_expected order_id created_at updated_at pending_seen_at success_seen_at failed_seen_at returned_seen_at status_seen_at removed_at",
  payout_reconciliation: "account payout_id status amount ledger_lines ledger_movement state time_to_success",
  payout_daily:
    "account day currency status payout_count payout_amount fee_taken_amount fee_expected_amount removed_count",
  checkout: "account checkout_id customer_id currency amount is_expired sum_differs",
  checkout_item: "account checkout_id position customer_id currency quantity unit_price amount",
  checkout_daily: "account day currency",
  unmapped_event_type: "account event_type event_name currency transaction_count amount",
  freshness: "account stream last_complete_at last_run_status lag",
  verdict: "account level sentence findings since",
}

/** Filters that must be answered from an index, whatever the size of the table under the view. */
const SELECTIVE = [
  { view: "balance_history", filter: "owner_id = 'c1'", table: "transactions" },
  { view: "balance_history", filter: "owner_id = 'c1' AND currency = 'USD'", table: "transactions" },
  { view: "balance_daily", filter: "owner_id = 'c1'", table: "transactions" },
  { view: "balance_reconciliation", filter: "owner_id = 'c1'", table: "transaction_owners" },
  { view: "customer_overview", filter: "customer_id = 'c1'", table: "transaction_owners" },
  { view: "settlement", filter: "settlement_id = 's1'", table: "transaction_settlements" },
  { view: "settlement_payment", filter: "settlement_id = 's1'", table: "transaction_settlements" },
  { view: "settlement_breakdown", filter: "settlement_id = 's1'", table: "transaction_settlements" },
  { view: "settlement_transaction", filter: "settlement_id = 's1'", table: "transactions" },
  { view: "settlement_transaction", filter: "customer_id = 'c1'", table: "transactions" },
  {
    view: "settlement_transaction",
    filter: "day BETWEEN '2026-01-01' AND '2026-01-31'",
    table: "transactions",
  },
  { view: "payout_daily", filter: "day BETWEEN '2026-01-01' AND '2026-01-31'", table: "payouts" },
  { view: "checkout_daily", filter: "day BETWEEN '2026-01-01' AND '2026-01-31'", table: "checkouts" },
  {
    view: "kyc_gap_volume",
    filter: "account = 'default' AND customer_id = 'c1'",
    table: "transaction_owners",
  },
  {
    view: "payout_reconciliation",
    filter: "account = 'default' AND payout_id = 'p1'",
    table: "transactions",
  },
  { view: "payout", filter: "account = 'default' AND payout_id = 'p1'", table: "payout_status_history" },
  { view: "checkout", filter: "account = 'default' AND checkout_id = 'k1'", table: "checkout_items" },
  { view: "checkout", filter: "account = 'default' AND customer_id = 'c1'", table: "checkout_items" },
  { view: "checkout", filter: "day = '2026-01-01'", table: "checkout_items" },
  { view: "wallet_balance_daily", filter: "wallet_account_id = 'a1'", table: "wallet_balance_snapshots" },
  { view: "kyc_transacting", filter: "account = 'default' AND customer_id = 'c1'", table: "transactions" },
  { view: "kyc_volume", filter: "customer_id = 'c1'", table: "transaction_owners" },
  {
    view: "kyc_episode",
    filter: "account = 'default' AND customer_id = 'c1'",
    table: "wallet_readiness_history",
  },
  {
    view: "kyc_gap_field",
    filter: "account = 'default' AND customer_id = 'c1'",
    table: "wallet_readiness_history",
  },
]

interface Plan {
  readonly "Relation Name"?: string
  readonly "Index Name"?: string
  readonly "Index Cond"?: string
  readonly Filter?: string
  readonly "Actual Loops"?: number
  readonly Plans?: ReadonlyArray<Plan>
}

/** The condition that an index needs on its first column. */
const leads = (first: string, condition: string | undefined): boolean =>
  condition?.replaceAll(/[() ]/g, "").includes(first.replaceAll(/[() ]/g, "")) ?? false

const isOfOrganization = (node: Plan): boolean =>
  /org_id|account_settings\.account/.test(`${node.Filter} ${node["Index Cond"]}`)

const nodes = (plan: Plan): ReadonlyArray<Plan> => [plan, ...(plan.Plans ?? []).flatMap(nodes)]

const SECRET = "do not show"

describe.each<PostgresVersion>(["18", "14"])("the views of analytics on Postgres %s", version => {
  const warehouse = testWarehouse(version)

  it.scopedLive("have the promised columns first, in order", () =>
    Effect.gen(function* () {
      const rows = yield* printed(
        yield* warehouse,
        `SELECT relname AS view, string_agg(attname, ' ' ORDER BY attnum) AS columns
         FROM pg_class JOIN pg_attribute ON attrelid = pg_class.oid AND attnum > 0
         WHERE relnamespace = 'analytics'::regnamespace GROUP BY 1 ORDER BY 1`,
      )
      expect(rows.map(row => row.view)).toEqual(Object.keys(PROMISED).sort())
      for (const { view, columns } of rows) expect(`${columns} `).toMatch(new RegExp(`^${PROMISED[view!]} `))
    }),
  )

  it.scopedLive("count in whole numbers: a tool would show another type as money", () =>
    Effect.gen(function* () {
      const rows = yield* printed(
        yield* warehouse,
        `SELECT DISTINCT format_type(atttypid, atttypmod) AS type
         FROM pg_class JOIN pg_attribute ON attrelid = pg_class.oid AND attnum > 0
         WHERE relnamespace = 'analytics'::regnamespace AND attname LIKE '%\\_count'`,
      )
      expect(rows).toEqual([{ type: "bigint" }])
    }),
  )

  it.scopedLive("are described, and so is each column", () =>
    Effect.gen(function* () {
      const silent = yield* printed(
        yield* warehouse,
        `SELECT relname || coalesce('.' || attname, '') AS name
         FROM pg_class c
         CROSS JOIN LATERAL (
           SELECT 0 AS attnum, NULL AS attname
           UNION ALL SELECT attnum, attname FROM pg_attribute WHERE attrelid = c.oid AND attnum > 0
         ) part
         WHERE relnamespace = 'analytics'::regnamespace
           AND coalesce(CASE attnum WHEN 0 THEN obj_description(c.oid, 'pg_class') ELSE col_description(c.oid, attnum) END, '') = ''`,
      )
      expect(silent).toEqual([])
    }),
  )

  it.scopedLive("show nothing of a person and nothing that opens a payment page", () =>
    Effect.gen(function* () {
      const sql = yield* warehouse
      const raw = JSON.stringify({ email: SECRET, checkout_token: SECRET, checkout_url: SECRET })
      yield* given(sql, "customers", {
        customer_id: "c1",
        raw,
        description: SECRET,
        company_domain: SECRET,
        first_name: SECRET,
        last_name: SECRET,
        dob: SECRET,
        email: SECRET,
        identification_value: SECRET,
        address_line1: SECRET,
        phone_number: SECRET,
        company_name: SECRET,
        company_registration_number: SECRET,
        company_email: SECRET,
        created_by: SECRET,
      })
      const state = { customer_id: "c1", is_wallet_ready: false, missing_fields: ["dob"] }
      yield* given(sql, "wallet_readiness", { ...state, raw })
      yield* given(sql, "wallet_readiness_history", { ...state, valid_from: "2026-01-01T00:00:00Z" })
      yield* given(sql, "wallets", {
        wallet_id: "w1",
        customer_id: "c1",
        raw,
        wallet_alias: SECRET,
        description: SECRET,
      })
      yield* given(sql, "wallet_accounts", { wallet_account_id: "a1", wallet_id: "w1", actual_balance: 1 })
      yield* given(sql, "wallet_balance_snapshots", {
        wallet_account_id: "a1",
        actual_balance: 1,
        observed_at: "2026-01-01T00:00:00Z",
      })
      yield* given(sql, "payouts", {
        payout_id: "p1",
        raw,
        payee_name: SECRET,
        beneficiary: SECRET,
        beneficiary_account_number: SECRET,
        beneficiary_account_iban: SECRET,
      })
      yield* given(sql, "checkouts", { checkout_id: "k1", customer_id: "c1", raw, description: SECRET })
      yield* given(sql, "checkout_items", { checkout_id: "k1", position: 1, product_name: SECRET })
      yield* given(sql, "checkout_fees", { checkout_id: "k1", position: 1, fee_name: SECRET })
      const transaction = {
        customer_id: "c1",
        owner_id: "c1",
        settlement_id: "s1",
        raw,
        event_description: SECRET,
      }
      yield* given(
        sql,
        "transactions",
        { transaction_id: "t1", amount: 1, ...transaction },
        { transaction_id: "t2", amount: 1, event_type: "MYSTERY", ...transaction },
        { transaction_id: "t3", amount: 1, event_type: "RESERVE", ...transaction },
      )
      yield* given(
        sql,
        "transaction_settlement_history",
        { transaction_id: "t1", valid_from: "2026-01-01T00:00:00Z", valid_to: "2026-01-02T00:00:00Z" },
        { transaction_id: "t1", valid_from: "2026-01-02T00:00:00Z", settlement_id: "s1" },
      )
      const isShown = Object.keys(PROMISED).map(
        view => `SELECT '${view}' AS view, count(*) AS rows, count(*) FILTER (WHERE strpos(v::text, '${SECRET}') > 0) AS leaks
                 FROM analytics.${view} v`,
      )
      const rows = yield* printed(sql, isShown.join(" UNION ALL "))
      expect(rows.filter(row => row.leaks !== "0")).toEqual([])
      // Not a test of empty views; these three read the ledger, which is empty.
      expect(rows.filter(row => row.rows === "0").map(row => row.view)).toEqual([
        "ledger_check",
        "freshness",
        "verdict",
      ])
    }),
  )

  it.scopedLive("are all that the reader's login can read", () =>
    Effect.gen(function* () {
      const database = yield* testDatabase({ version })
      yield* migrate(yield* connect(database.ownerUrl))
      const reader = yield* connect(database.readerUrl)
      for (const view of Object.keys(PROMISED)) yield* printed(reader, `SELECT * FROM analytics.${view}`)
      const readable = yield* printed(
        reader,
        `SELECT DISTINCT relnamespace::regnamespace AS schema FROM pg_class
         WHERE relkind IN ('r', 'v', 'm', 'p', 'f', 'S') AND has_table_privilege(oid, 'SELECT, INSERT, UPDATE, DELETE, TRUNCATE')
           AND relnamespace NOT IN ('pg_catalog'::regnamespace, 'information_schema'::regnamespace)`,
      )
      expect(readable).toEqual([{ schema: "analytics" }])
      const denied = yield* Effect.tryPromise(() => reader`SELECT * FROM warehouse.customers`).pipe(
        Effect.flip,
      )
      expect(String(denied.cause)).toContain("permission denied")
    }),
  )

  it.scopedLive("answer about one owner, settlement or month from an index", () =>
    Effect.gen(function* () {
      const sql = yield* warehouse
      // Empty tables are read whole, whatever their indexes: ask for the plan of one that is not.
      const session = yield* Effect.acquireRelease(
        Effect.promise(() => sql.reserve()),
        reserved => Effect.sync(() => reserved.release()),
      )
      yield* Effect.promise(() => session`SET enable_seqscan = off`)
      yield* Effect.promise(() => session`SET enable_bitmapscan = off`)
      const firsts = yield* printed(
        sql,
        `SELECT relname AS index, pg_get_indexdef(oid, 1, true) AS first FROM pg_class
         WHERE relkind = 'i' AND relnamespace = 'warehouse'::regnamespace`,
      )
      const firstOf = new Map(firsts.map(row => [row.index, row.first!]))
      const missed: Array<string> = []
      for (const { view, filter, table } of SELECTIVE) {
        const [row] = yield* Effect.promise(() =>
          session.unsafe<Array<{ "QUERY PLAN": string | ReadonlyArray<{ Plan: Plan }> }>>(
            `EXPLAIN (ANALYZE, FORMAT json) SELECT * FROM analytics.${view} WHERE ${filter}`,
          ),
        )
        const explained = row!["QUERY PLAN"]
        const [{ Plan: plan }] = typeof explained === "string" ? JSON.parse(explained) : explained
        // Fees that an organization pays are read only where an account is set so: here that part of the plan does not run.
        const reads = nodes(plan).filter(
          node => node["Relation Name"] === table && !(isOfOrganization(node) && node["Actual Loops"] === 0),
        )
        expect(reads, `${view}: ${filter}`).not.toEqual([])
        for (const read of reads)
          if (!leads(firstOf.get(read["Index Name"] ?? "") ?? "an index", read["Index Cond"]))
            missed.push(`${view} WHERE ${filter}: ${read["Index Name"]} ${read["Index Cond"]}`)
      }
      expect(missed).toEqual([])
    }),
  )
})
