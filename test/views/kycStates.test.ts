import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import type { PostgresVersion } from "../support/postgres.ts"
import { printed, testWarehouse } from "../support/warehouse.ts"
import { daysAgo, given, lines } from "./rows.ts"

/** Readiness views over every customer and over time; those of the gaps of now are in kyc.test.ts. */

const at = (day: number, hour = 12) => `2026-01-${String(day).padStart(2, "0")}T${hour}:00:00Z`

/** A readiness state from one day of January 2026 to another, or until now. */
const state = (
  customer_id: string,
  from: number,
  to: number | null,
  missing: "ready" | ReadonlyArray<string>,
) => ({
  customer_id,
  valid_from: at(from),
  valid_to: to === null ? null : at(to),
  is_wallet_ready: missing === "ready",
  missing_fields: missing === "ready" ? [] : missing,
})

describe.each<PostgresVersion>(["18", "14"])("readiness over time on Postgres %s", version => {
  const warehouse = testWarehouse(version)

  it.scopedLive("tells the state of every customer, and how old the answer is where checks fail", () =>
    Effect.gen(function* () {
      const sql = yield* warehouse
      yield* given(
        sql,
        "customers",
        {
          customer_id: "a ready",
          is_wallet_ready: true,
          status: "APPROVED",
          organization_reference_id: "ref",
        },
        { customer_id: "b ready, checks fail", is_wallet_ready: false, is_active: false },
        { customer_id: "c not ready", type: "company", is_wallet_ready: true },
        { customer_id: "d never checked", is_wallet_ready: true },
        { customer_id: "e never answered", is_wallet_ready: null },
        { customer_id: "f removed", is_wallet_ready: false, removed_at: daysAgo(1) },
        { customer_id: "g not ready, checks fail" },
      )
      const failed = { check_error: "503", checked_at: daysAgo(0) }
      yield* given(
        sql,
        "wallet_readiness",
        { customer_id: "a ready", is_wallet_ready: true, checked_at: daysAgo(2) },
        { customer_id: "b ready, checks fail", is_wallet_ready: true, ...failed },
        {
          customer_id: "c not ready",
          is_wallet_ready: false,
          missing_fields: ["dob"],
          checked_at: daysAgo(0),
        },
        { customer_id: "e never answered", is_wallet_ready: null, ...failed },
        { customer_id: "f removed", is_wallet_ready: false, checked_at: daysAgo(3) },
        { customer_id: "g not ready, checks fail", is_wallet_ready: false, ...failed },
      )
      const since = (customer_id: string, is_wallet_ready: boolean, days: number) =>
        given(sql, "wallet_readiness_history", { customer_id, is_wallet_ready, valid_from: daysAgo(days) })
      yield* since("a ready", true, 9)
      yield* since("b ready, checks fail", true, 5)
      yield* since("c not ready", false, 9)
      yield* since("f removed", false, 9)
      yield* since("g not ready, checks fail", false, 4)
      expect(
        yield* lines(
          sql,
          "customer_id, customer_type, is_active, removed_at IS NOT NULL, is_wallet_ready, missing_fields, round(extract(epoch FROM answer_age) / 86400) AS age, check_error, ready_but_check_fails, list_differs, state",
          "kyc_status ORDER BY customer_id",
        ),
      ).toEqual([
        "a ready | individual | true | false | true | [] | 2 | - | false | false | ready",
        "b ready, checks fail | individual | false | false | true | [] | 5 | 503 | true | true | ready",
        'c not ready | company | true | false | false | ["dob"] | 0 | - | false | true | not_ready',
        "d never checked | individual | true | false | - | [] | - | - | false | false | never_checked",
        "e never answered | individual | true | false | - | [] | - | 503 | false | false | check_failed",
        "f removed | individual | true | true | false | [] | 3 | - | false | false | removed",
        "g not ready, checks fail | individual | true | false | false | [] | 4 | 503 | false | false | not_ready",
      ])
      expect(
        yield* lines(
          sql,
          "customer_id, type, is_active, status, organization_reference_id, removed_at IS NOT NULL, is_wallet_ready",
          "customer ORDER BY customer_id LIMIT 2",
        ),
      ).toEqual([
        "a ready | individual | true | APPROVED | ref | false | true",
        "b ready, checks fail | individual | false | - | - | false | true",
      ])
      expect(yield* lines(sql, "count(*)", "customer")).toEqual(["7"])
    }),
  )

  it.scopedLive("shows all money by the state of the customer behind it, whether listed or not", () =>
    Effect.gen(function* () {
      const sql = yield* warehouse
      const answered = {
        ready: { is_wallet_ready: true },
        "ready, checks fail": { is_wallet_ready: true, check_error: "503" },
        "not ready": { is_wallet_ready: false },
        "never answered": { is_wallet_ready: null, check_error: "503" },
        "never checked": null,
        gone: { is_wallet_ready: false },
      }
      for (const [customer_id, answer] of Object.entries(answered)) {
        yield* given(sql, "customers", {
          customer_id,
          removed_at: customer_id === "gone" ? daysAgo(1) : null,
        })
        if (answer !== null) yield* given(sql, "wallet_readiness", { customer_id, ...answer })
      }
      let count = 0
      const line = (customer_id: string | null, others = {}) =>
        given(sql, "transactions", {
          transaction_id: `t${count++}`,
          customer_id,
          owner_id: customer_id ?? "org",
          amount: 10,
          is_settled: true,
          ...others,
        })
      for (const customer of [...Object.keys(answered), "ghost", null]) yield* line(customer)
      yield* line("gone", { event_type: "PAYOUT", amount: 3, is_settled: false, removed_at: daysAgo(1) })
      yield* line("ghost", { amount: "0.005", currency: "KWD", is_settled: false })
      yield* line("ready", { event_type: "MYSTERY", is_settled: false })
      yield* line("ready", { event_name: "PAYIN_FAILED", is_settled: false })
      yield* line(null, {
        event_type: "PAYOUT",
        amount: 40,
        is_settled: false,
        org_id: "org 2",
        owner_id: "org 2",
      })
      expect(
        yield* lines(
          sql,
          "customer_id, currency, state, transaction_count, amount, unsettled_count, unsettled_amount, unmapped_count",
          'kyc_volume ORDER BY customer_id COLLATE "C", currency',
        ),
      ).toEqual([
        "ghost | KWD | not_listed | 1 | 0.005 | 1 | 0.005 | 0",
        "ghost | USD | not_listed | 1 | 10 | 0 | 0 | 0",
        "gone | USD | removed | 2 | 7 | 1 | -3 | 0",
        "never answered | USD | check_failed | 1 | 10 | 0 | 0 | 0",
        "never checked | USD | never_checked | 1 | 10 | 0 | 0 | 0",
        "not ready | USD | not_ready | 1 | 10 | 0 | 0 | 0",
        "ready | USD | ready | 3 | 10 | 1 | 0 | 1",
        "ready, checks fail | USD | ready | 1 | 10 | 0 | 0 | 0",
        "- | USD | organization | 2 | -30 | 1 | -40 | 0",
      ])
    }),
  )

  it.scopedLive("counts money that moved while the customer was not ready, and no other", () =>
    Effect.gen(function* () {
      const sql = yield* warehouse
      yield* given(sql, "customers", { customer_id: "a" }, { customer_id: "b", removed_at: daysAgo(1) })
      yield* given(
        sql,
        "wallet_readiness_history",
        state("a", 2, 4, ["dob"]),
        state("a", 4, 6, "ready"),
        state("a", 6, 8, ["dob"]),
        state("a", 8, null, ["email"]),
        state("b", 2, null, []),
      )
      let count = 0
      const line = (customer_id: string, created_at: string, others = {}) =>
        given(sql, "transactions", {
          transaction_id: `t${count++}`,
          customer_id,
          owner_id: customer_id,
          amount: 10,
          created_at,
          ...others,
        })
      yield* line("a", at(1))
      yield* line("a", at(2), { amount: 1 })
      yield* line("a", at(4), { amount: 100 })
      yield* line("a", at(5), { amount: 1_000 })
      yield* line("a", at(6), { amount: 2 })
      yield* line("a", at(9), { event_type: "PAYOUT", amount: 5 })
      yield* line("a", at(9), { event_type: "CHARGEBACK", amount: -7 })
      yield* line("a", at(9), { event_name: "PAYIN_FAILED" })
      yield* line("a", at(10), { event_type: "MYSTERY" })
      yield* line("a", at(9), { currency: "KRW", amount: 900 })
      yield* line("a", at(9), { currency: "EUR", event_name: "PAYIN_EXPIRED" })
      yield* line("b", at(9))
      expect(
        yield* lines(
          sql,
          "customer_id, currency, transaction_count, money_in, money_out, extract(day FROM first_at) AS first, extract(day FROM last_at) AS last, unmapped_count, removed_at IS NOT NULL",
          "kyc_transacting ORDER BY customer_id, currency",
        ),
      ).toEqual([
        "a | KRW | 1 | 900 | 0 | 9 | 9 | 0 | false",
        "a | USD | 4 | 3 | 12 | 2 | 10 | 1 | false",
        "b | USD | 1 | 10 | 0 | 9 | 9 | 0 | true",
      ])
    }),
  )

  it.scopedLive("tells each unbroken not-ready time, and how many customers got past each field", () =>
    Effect.gen(function* () {
      const sql = yield* warehouse
      const histories = [
        state("back", 1, 3, ["dob", "email"]),
        state("back", 3, 5, ["dob"]),
        state("back", 5, 9, "ready"),
        state("back", 9, 11, ["dob"]),
        state("back", 11, 12, "ready"),
        state("gone", 2, null, ["dob"]),
        state("ready", 1, null, "ready"),
        state("stuck", 4, 6, "ready"),
        state("stuck", 6, 7, ["email"]),
        state("stuck", 7, null, []),
        state("third", 1, 11, ["email"]),
        state("third", 11, null, "ready"),
      ]
      for (const customer_id of new Set(histories.map(one => one.customer_id)))
        yield* given(sql, "customers", { customer_id, removed_at: customer_id === "gone" ? at(8) : null })
      yield* given(sql, "wallet_readiness_history", ...histories)
      const [today] = yield* printed(
        sql,
        "SELECT (now() AT TIME ZONE 'UTC')::date - '2026-01-06'::date AS since_the_sixth",
      )
      expect(
        yield* lines(
          sql,
          "customer_id, extract(day FROM not_ready_from) AS from, extract(day FROM ready_at) AS to, days, is_regression, first_missing_fields, last_missing_fields, not_ready_from_is_lower_bound, removed_at IS NOT NULL",
          "kyc_episode ORDER BY customer_id, not_ready_from",
        ),
      ).toEqual([
        'back | 1 | 5 | 4 | false | ["dob","email"] | ["dob"] | true | false',
        'back | 9 | 11 | 2 | true | ["dob"] | ["dob"] | false | false',
        'gone | 2 | - | 6 | false | ["dob"] | ["dob"] | true | true',
        `stuck | 6 | - | ${today!.since_the_sixth} | true | ["email"] | [] | false | false`,
        'third | 1 | 11 | 10 | false | ["email"] | ["email"] | true | false',
      ])
      expect(
        yield* lines(
          sql,
          "missing_field, ever_missing_count, still_missing_count, resolved_count, removed_count, median_days",
          'kyc_field_funnel ORDER BY missing_field COLLATE "C"',
        ),
      ).toEqual([
        "(unspecified) | 1 | 1 | 0 | 0 | -",
        // Missing from the 1st to the 5th, and from the 9th to the 11th.
        "dob | 2 | 0 | 1 | 1 | 3",
        "email | 3 | 0 | 3 | 0 | 2",
      ])
      expect(
        yield* lines(
          sql,
          "customer_id, count(*), bool_and(removed_at IS NOT NULL)",
          "kyc_gap_history GROUP BY 1 ORDER BY 1",
        ),
      ).toEqual([
        "back | 5 | false",
        "gone | 1 | true",
        "ready | 1 | false",
        "stuck | 3 | false",
        "third | 2 | false",
      ])
    }),
  )

  it.scopedLive("groups the gaps by age, type and reason", () =>
    Effect.gen(function* () {
      const sql = yield* warehouse
      const ages: ReadonlyArray<readonly [string, number | null, object?]> = [
        ["a", 0],
        ["b", 7, { is_active: false }],
        ["c", 8],
        ["d", 30],
        ["e", 31, { type: "company" }],
        ["f", 90],
        ["g", 91],
        ["h", 400, { removed_at: daysAgo(1) }],
        ["i", null],
      ]
      for (const [customer_id, days, others] of ages) {
        yield* given(sql, "customers", { customer_id, ...others })
        if (days === null) continue
        yield* given(sql, "wallet_readiness", {
          customer_id,
          is_wallet_ready: false,
          missing_fields: ["dob"],
        })
        const one = { customer_id, is_wallet_ready: false, missing_fields: ["dob"] }
        yield* given(sql, "wallet_readiness_history", { ...one, valid_from: daysAgo(days) })
      }
      yield* given(sql, "wallet_readiness_history", {
        customer_id: "c",
        is_wallet_ready: true,
        valid_from: daysAgo(10),
        valid_to: daysAgo(8),
      })
      expect(
        yield* lines(
          sql,
          "bucket, customer_type, reason, customer_count, active_count, lower_bound_count",
          "kyc_ageing ORDER BY from_days, customer_type",
        ),
      ).toEqual([
        "0-7 | individual | missing_fields | 2 | 1 | 2",
        "8-30 | individual | missing_fields | 2 | 2 | 1",
        "31-90 | company | missing_fields | 1 | 1 | 1",
        "31-90 | individual | missing_fields | 1 | 1 | 1",
        "91+ | individual | missing_fields | 1 | 1 | 1",
        "unknown | individual | never_checked | 1 | 1 | 0",
      ])
    }),
  )

  it.scopedLive("reckons days and ages in the account's time zone", () =>
    Effect.gen(function* () {
      const sql = yield* warehouse
      // Auckland is always ahead of Honolulu by 22 or 23 hours: it is nearly always another day there.
      const zones = ["Pacific/Auckland", "Pacific/Honolulu"]
      const late = {
        valid_from: "2026-01-10T05:00:00Z",
        valid_to: "2026-01-12T15:00:00Z",
        is_wallet_ready: false,
      }
      for (const account of zones) {
        const one = { account, customer_id: "a" }
        yield* given(sql, "account_settings", { account, report_timezone: account })
        yield* given(sql, "customers", one)
        yield* given(sql, "wallet_readiness", { ...one, is_wallet_ready: false, missing_fields: ["dob"] })
        yield* given(
          sql,
          "wallet_readiness_history",
          { ...one, ...late },
          { ...one, valid_from: late.valid_to, valid_to: "2026-01-13T00:00:00Z", is_wallet_ready: true },
          { ...one, valid_from: "2026-01-13T00:00:00Z", is_wallet_ready: false, missing_fields: ["dob"] },
        )
      }
      expect(
        yield* lines(sql, "time_zone, days", "kyc_episode WHERE ready_at IS NOT NULL ORDER BY time_zone"),
      ).toEqual(["Pacific/Auckland | 3", "Pacific/Honolulu | 3"])
      expect(
        yield* lines(
          sql,
          "time_zone, min(day), max(day) = (now() AT TIME ZONE time_zone)::date AS ends_today",
          "kyc_gap_daily GROUP BY time_zone ORDER BY time_zone",
        ),
      ).toEqual(["Pacific/Auckland | 2026-01-10 | true", "Pacific/Honolulu | 2026-01-09 | true"])
      for (const view of ["kyc_gap", "kyc_gap_field"])
        expect(
          yield* lines(
            sql,
            "time_zone, gap_days - ((now() AT TIME ZONE time_zone)::date - (timestamptz '2026-01-13 00:00Z' AT TIME ZONE time_zone)::date) AS off",
            `${view} ORDER BY time_zone`,
          ),
        ).toEqual(["Pacific/Auckland | 0", "Pacific/Honolulu | 0"])
    }),
  )
})
