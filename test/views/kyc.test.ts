import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import type { PostgresVersion } from "../support/postgres.ts"
import { printed, testWarehouse } from "../support/warehouse.ts"
import { daysAgo, given } from "./rows.ts"

const MONTH = (month: number) => `2026-0${month}-01T00:00:00Z`

/** Readiness states in order, a month each from January on; the last is the current one. */
const states = (customer_id: string, ...fields: ReadonlyArray<"ready" | ReadonlyArray<string>>) =>
  fields.map((missing, i) => ({
    customer_id,
    valid_from: MONTH(i + 1),
    valid_to: i === fields.length - 1 ? null : MONTH(i + 2),
    is_wallet_ready: missing === "ready",
    missing_fields: missing === "ready" ? [] : missing,
  }))

/** The latest answer that belongs to such states. */
const latest = (history: ReturnType<typeof states>) => {
  const { customer_id, is_wallet_ready, missing_fields } = history.at(-1)!
  return { customer_id, is_wallet_ready, missing_fields }
}

describe.each<PostgresVersion>(["18", "14"])("readiness views on Postgres %s", version => {
  const warehouse = testWarehouse(version)

  it.scopedLive("lists customers not known to be ready, and says why", () =>
    Effect.gen(function* () {
      const sql = yield* warehouse
      yield* given(
        sql,
        "customers",
        { customer_id: "a never", is_wallet_ready: true },
        { customer_id: "b failed" },
        { customer_id: "c missing", type: "company", is_active: false },
        { customer_id: "d unspecified" },
        { customer_id: "e ready, then failed" },
        { customer_id: "f not ready, then failed" },
        { customer_id: "g removed", removed_at: MONTH(2) },
      )
      yield* given(
        sql,
        "wallet_readiness",
        { customer_id: "b failed", is_wallet_ready: null, check_error: "503" },
        { customer_id: "c missing", is_wallet_ready: false, missing_fields: ["dob", "email"] },
        { customer_id: "d unspecified", is_wallet_ready: false },
        { customer_id: "e ready, then failed", is_wallet_ready: true, check_error: "503" },
        {
          customer_id: "f not ready, then failed",
          is_wallet_ready: false,
          missing_fields: ["dob"],
          check_error: "503",
        },
        { customer_id: "g removed", is_wallet_ready: false },
      )
      const rows = yield* printed(
        sql,
        `SELECT customer_id AS id, customer_type AS type, is_active AS active, reason, missing_fields AS missing,
           checked_at IS NOT NULL AS checked, check_error AS error, coalesce(gap_since::text, gap_days::text) AS since
         FROM analytics.kyc_gap ORDER BY customer_id`,
      )
      const one = {
        type: "individual",
        active: "true",
        missing: "[]",
        checked: "true",
        error: null,
        since: null,
      }
      expect(rows).toEqual([
        { ...one, id: "a never", reason: "never_checked", checked: "false" },
        { ...one, id: "b failed", reason: "check_failed", error: "503" },
        {
          ...one,
          id: "c missing",
          reason: "missing_fields",
          type: "company",
          active: "false",
          missing: '["dob", "email"]',
        },
        { ...one, id: "d unspecified", reason: "unspecified" },
        {
          ...one,
          id: "f not ready, then failed",
          reason: "missing_fields",
          missing: '["dob"]',
          error: "503",
        },
      ])
    }),
  )

  it.scopedLive("dates a gap from the start of the unbroken not-ready time, a field's from its own", () =>
    Effect.gen(function* () {
      const sql = yield* warehouse
      const histories = [
        states("always", ["dob", "email"], ["dob"], ["dob", "phone"]),
        states("broken", ["dob"], "ready", ["dob"], ["dob", "email"]),
        states("back and forth", ["dob"], ["email"], ["dob"]),
        states("unnamed", ["dob"], [], []),
        states("ready", ["dob"], "ready"),
      ]
      for (const history of histories) {
        yield* given(sql, "customers", { customer_id: history[0]!.customer_id })
        yield* given(sql, "wallet_readiness", latest(history))
        yield* given(sql, "wallet_readiness_history", ...history)
      }
      const gaps = yield* printed(
        sql,
        `SELECT concat_ws(' | ', customer_id, to_char(gap_since AT TIME ZONE 'UTC', 'Mon'), gap_since_is_lower_bound) AS row
         FROM analytics.kyc_gap ORDER BY customer_id`,
      )
      expect(gaps.map(({ row }) => row)).toEqual([
        "always | Jan | t",
        "back and forth | Jan | t",
        "broken | Mar | f",
        "unnamed | Jan | t",
      ])
      const fields = yield* printed(
        sql,
        `SELECT concat_ws(' | ', customer_id, missing_field, to_char(gap_since AT TIME ZONE 'UTC', 'Mon'), gap_since_is_lower_bound, customer_type, is_active) AS row
         FROM analytics.kyc_gap_field ORDER BY customer_id, missing_field`,
      )
      expect(fields.map(({ row }) => row)).toEqual([
        "always | dob | Jan | t | individual | t",
        "always | phone | Mar | f | individual | t",
        "back and forth | dob | Mar | f | individual | t",
        "broken | dob | Mar | f | individual | t",
        "broken | email | Apr | f | individual | t",
        "unnamed | (unspecified) | Feb | f | individual | t",
      ])
      expect(yield* printed(sql, "SELECT count(*) AS periods FROM analytics.kyc_gap_history")).toEqual([
        { periods: "15" },
      ])
    }),
  )

  it.scopedLive("sums up per field how many customers lack it, and for how long", () =>
    Effect.gen(function* () {
      const sql = yield* warehouse
      for (const [id, days] of [
        ["c1", 1],
        ["c2", 10],
        ["c3", 40],
      ] as const) {
        yield* given(sql, "customers", { customer_id: id, is_active: id === "c1" ? null : id === "c2" })
        const state = { customer_id: id, is_wallet_ready: false, missing_fields: ["dob"] }
        yield* given(sql, "wallet_readiness", state)
        yield* given(sql, "wallet_readiness_history", { ...state, valid_from: daysAgo(days) })
      }
      yield* given(sql, "customers", { customer_id: "c4" })
      yield* given(sql, "wallet_readiness", { customer_id: "c4", is_wallet_ready: false })
      const rows = yield* printed(
        sql,
        `SELECT missing_field, customer_count, active_count, median_gap_days,
           oldest_gap_since < now() - interval '39 days' AS is_old FROM analytics.kyc_gap_summary ORDER BY 1`,
      )
      expect(rows).toEqual([
        {
          missing_field: "(unspecified)",
          customer_count: "1",
          active_count: "1",
          median_gap_days: null,
          is_old: null,
        },
        {
          missing_field: "dob",
          customer_count: "3",
          active_count: "2",
          median_gap_days: "10",
          is_old: "true",
        },
      ])
    }),
  )

  it.scopedLive("adds up the money that waits behind a gap, per currency", () =>
    Effect.gen(function* () {
      const sql = yield* warehouse
      yield* given(
        sql,
        "customers",
        { customer_id: "gap" },
        { customer_id: "ready" },
        { customer_id: "idle" },
      )
      yield* given(sql, "wallet_readiness", { customer_id: "ready", is_wallet_ready: true })
      const open = { customer_id: "gap", amount: 10 }
      yield* given(
        sql,
        "checkouts",
        { ...open, checkout_id: "1", expire_at: daysAgo(-9) },
        { ...open, checkout_id: "2" },
        { ...open, checkout_id: "3", currency: "EUR" },
        { ...open, checkout_id: "4", expire_at: daysAgo(1) },
        { ...open, checkout_id: "5", deleted_at: daysAgo(1) },
        { ...open, checkout_id: "6", removed_at: daysAgo(1) },
        { ...open, checkout_id: "7", customer_id: "ready" },
      )
      const unsettled = { customer_id: "gap", owner_id: "gap", amount: 3 }
      yield* given(
        sql,
        "transactions",
        { ...unsettled, transaction_id: "1" },
        { ...unsettled, transaction_id: "2", event_type: "PAYOUT", amount: 1 },
        { ...unsettled, transaction_id: "3", event_type: "MYSTERY" },
        { ...unsettled, transaction_id: "4", is_settled: true },
        { ...unsettled, transaction_id: "5", currency: "GBP", removed_at: daysAgo(1) },
        { ...unsettled, transaction_id: "6", customer_id: "ready", owner_id: "ready" },
        { ...unsettled, transaction_id: "7", event_name: "PAYIN_FAILED" },
        { ...unsettled, transaction_id: "8", currency: "KRW", event_type: "RESERVE" },
      )
      const rows = yield* printed(
        sql,
        `SELECT concat_ws(' ', customer_id, currency, open_checkout_count, open_checkout_amount, unsettled_count, unsettled_amount, unmapped_count) AS row
         FROM analytics.kyc_gap_volume ORDER BY currency`,
      )
      expect(rows.map(({ row }) => row)).toEqual([
        "gap EUR 1 10 0 0 0",
        "gap GBP 0 0 1 3 0",
        "gap USD 2 20 3 2 1",
      ])
    }),
  )

  it.scopedLive("shows how old each stream is, by its last complete run", () =>
    Effect.gen(function* () {
      const sql = yield* warehouse
      const runs = [
        ["customers", "complete", 5],
        ["customers", "complete_with_rejects", 3],
        ["customers", "failed", 1],
        ["wallets", "dead", 2],
      ] as const
      for (const [stream, status, days] of runs)
        yield* Effect.promise(
          () => sql`
            INSERT INTO sync.stream_runs (run_id, account, stream, mode, status, started_at, finished_at)
            VALUES (gen_random_uuid(), 'default', ${stream}, 'full', ${status}, ${daysAgo(days)}, ${daysAgo(days)})`,
        )
      const rows = yield* printed(
        sql,
        `SELECT stream, last_run_status AS status, extract(day FROM lag) AS days, last_complete_at IS NULL AS never
         FROM analytics.freshness ORDER BY stream`,
      )
      expect(rows).toEqual([
        { stream: "customers", status: "failed", days: "3", never: "false" },
        { stream: "wallets", status: "dead", days: null, never: "true" },
      ])
    }),
  )

  it.scopedLive(
    "freshness shows the outcome behind a run under way, the latest full pass, and records that no figure counts",
    () =>
      Effect.gen(function* () {
        const sql = yield* warehouse
        const runs = [
          ["full", "complete", 5, null, 0],
          ["incremental", "complete", 2, null, 0],
          ["incremental", "failed", 1, "The list was away.", 7],
          ["incremental", "running", 0, null, 0],
        ] as const
        for (const [mode, status, days, error, left] of runs)
          yield* Effect.promise(
            () => sql`
            INSERT INTO sync.stream_runs (run_id, account, stream, mode, status, started_at, finished_at, error, left_over)
            VALUES (gen_random_uuid(), 'default', 'payouts', ${mode}, ${status}, ${daysAgo(days)}, ${daysAgo(days)}, ${error}, ${left})`,
          )
        for (const [id, stream, unlisted] of [
          ["p1", "payouts", null],
          ["p2", "payouts", daysAgo(1)],
          ["t1", "transactions", null],
        ] as const)
          yield* Effect.promise(
            () => sql`
            INSERT INTO sync.rejects (account, stream, record_id, reason, raw, content_hash, read_at, first_seen_at, run_id, unlisted_at)
            VALUES ('default', ${stream}, ${id}, 'Expected a number', '{}', ${id}, ${daysAgo(5)}, ${daysAgo(5)}, gen_random_uuid(), ${unlisted})`,
          )
        const rows = yield* printed(
          sql,
          `SELECT last_run_status, last_ended_status, last_error, left_over, open_rejects,
           extract(day FROM lag) AS days, extract(day FROM now() - last_full_at) AS days_whole
         FROM analytics.freshness`,
        )
        expect(rows).toEqual([
          {
            last_run_status: "running",
            last_ended_status: "failed",
            last_error: "The list was away.",
            left_over: "7",
            open_rejects: "1",
            days: "2",
            days_whole: "5",
          },
        ])
      }),
  )

  it.scopedLive(
    "counts the not ready at the end of each day, and rewrites no past when a customer is removed",
    () =>
      Effect.gen(function* () {
        const sql = yield* warehouse
        const at = (day: number) => `2026-01-0${day}T12:00:00Z`
        yield* given(
          sql,
          "customers",
          { customer_id: "stays" },
          { customer_id: "goes" },
          { customer_id: "recovers" },
        )
        yield* given(
          sql,
          "wallet_readiness_history",
          {
            customer_id: "stays",
            valid_from: at(1),
            valid_to: at(3),
            is_wallet_ready: false,
            missing_fields: ["dob"],
          },
          { customer_id: "stays", valid_from: at(3), is_wallet_ready: false, missing_fields: ["email"] },
          { customer_id: "goes", valid_from: at(2), is_wallet_ready: false, missing_fields: ["dob"] },
          { customer_id: "recovers", valid_from: at(2), valid_to: at(4), is_wallet_ready: false },
          { customer_id: "recovers", valid_from: at(4), is_wallet_ready: true },
        )
        const counts = Effect.map(
          printed(
            sql,
            "SELECT day, not_ready_count AS n FROM analytics.kyc_gap_daily WHERE day <= '2026-01-07' ORDER BY day",
          ),
          rows => rows.map(({ n }) => Number(n)),
        )
        expect(yield* counts).toEqual([1, 3, 3, 2, 2, 2, 2])
        const remove = (id: string, day: number) =>
          Effect.promise(
            () => sql`UPDATE warehouse.customers SET removed_at = ${at(day)} WHERE customer_id = ${id}`,
          )
        yield* remove("goes", 6)
        expect(yield* counts).toEqual([1, 3, 3, 2, 2, 1, 1])
        // Ready again before that, or not asked until after it: nothing to count from then on.
        yield* remove("recovers", 5)
        expect(yield* counts).toEqual([1, 3, 3, 2, 2, 1, 1])
        yield* remove("goes", 1)
        expect(yield* counts).toEqual([1, 2, 2, 1, 1, 1, 1])
        const [ends] = yield* printed(
          sql,
          "SELECT count(*) = max(day) - min(day) + 1 AS gapless, max(day) = (now() AT TIME ZONE 'UTC')::date AS today FROM analytics.kyc_gap_daily",
        )
        expect(ends).toEqual({ gapless: "true", today: "true" })
      }),
  )
})
