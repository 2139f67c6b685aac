import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import type { PostgresVersion } from "../support/postgres.ts"
import { testWarehouse } from "../support/warehouse.ts"
import { given, lines } from "./rows.ts"

const GONE = "2026-02-01T00:00:00Z"

describe.each<PostgresVersion>(["18", "14"])("views of wallets on Postgres %s", version => {
  const warehouse = testWarehouse(version)

  it.scopedLive("show what each wallet account holds and blocks, without those no longer listed", () =>
    Effect.gen(function* () {
      const sql = yield* warehouse
      yield* given(
        sql,
        "wallets",
        { wallet_id: "a", customer_id: "c1", category: "CUSTOMER", scope: "CUSTOMER", is_active: true },
        { wallet_id: "b", category: "PAYIN", scope: "ORG", is_deleted: true },
        { wallet_id: "c", org_id: null },
        { wallet_id: "d", removed_at: GONE },
        { wallet_id: "e" },
      )
      const held = { wallet_account_id: "a KWD", wallet_id: "a", currency: "KWD", actual_balance: "1.005" }
      yield* given(
        sql,
        "wallet_accounts",
        { ...held, available_balance: "0.002" },
        // Its available balance was not sent, or could not be read.
        { ...held, wallet_account_id: "a KRW", currency: "KRW", actual_balance: 5_000 },
        {
          ...held,
          wallet_account_id: "a EUR",
          currency: "EUR",
          actual_balance: -3,
          available_balance: -3,
          is_deleted: true,
        },
        { ...held, wallet_account_id: "a USD", currency: "USD", removed_at: GONE },
        { wallet_account_id: "b USD", wallet_id: "b", actual_balance: 7, available_balance: 7 },
        { wallet_account_id: "c USD", wallet_id: "c", org_id: "other", actual_balance: 8 },
        { wallet_account_id: "d USD", wallet_id: "d", actual_balance: 9 },
      )
      expect(
        yield* lines(
          sql,
          "wallet_id, owner_id, category, scope, currencies, is_deleted, wallet_account_count",
          "wallet ORDER BY wallet_id",
        ),
      ).toEqual([
        'a | c1 | CUSTOMER | CUSTOMER | ["EUR","KRW","KWD"] | false | 3',
        'b | org | PAYIN | ORG | ["USD"] | true | 1',
        'c | other | - | - | ["USD"] | false | 1',
        "e | org | - | - | [] | false | 0",
      ])
      expect(
        yield* lines(
          sql,
          "wallet_account_id, owner_id, currency, actual_balance, available_balance, blocked_balance, is_deleted",
          "wallet_balance ORDER BY wallet_account_id",
        ),
      ).toEqual([
        "a EUR | c1 | EUR | -3 | -3 | 0 | true",
        "a KRW | c1 | KRW | 5000 | - | - | false",
        "a KWD | c1 | KWD | 1.005 | 0.002 | 1.003 | false",
        "b USD | org | USD | 7 | 7 | 0 | true",
        "c USD | other | USD | 8 | - | - | false",
      ])
    }),
  )

  it.scopedLive("keep the balance of each day's end in the account's time zone, and how long it held", () =>
    Effect.gen(function* () {
      const sql = yield* warehouse
      yield* given(
        sql,
        "account_settings",
        { account: "seoul", report_timezone: "Asia/Seoul" },
        { account: "kathmandu", report_timezone: "Asia/Kathmandu" },
      )
      for (const account of ["default", "seoul", "kathmandu"]) {
        const one = { account, wallet_account_id: "a USD", actual_balance: 5 }
        yield* given(
          sql,
          "wallets",
          { account, wallet_id: "a" },
          { account, wallet_id: "b", removed_at: GONE },
        )
        yield* given(
          sql,
          "wallet_accounts",
          { ...one, wallet_id: "a" },
          { ...one, wallet_account_id: "b USD", wallet_id: "b" },
        )
        yield* given(
          sql,
          "wallet_balance_snapshots",
          { ...one, observed_at: "2026-01-01T14:59:59Z", actual_balance: 1, available_balance: 1 },
          { ...one, observed_at: "2026-01-01T15:00:00Z", actual_balance: 2, available_balance: 1 },
          { ...one, observed_at: "2026-01-01T18:14:59Z", actual_balance: 3 },
          { ...one, observed_at: "2026-01-01T18:15:00Z", actual_balance: 4, available_balance: 4 },
          { ...one, observed_at: "2026-01-05T12:00:00Z" },
          { ...one, wallet_account_id: "b USD", observed_at: "2026-01-05T12:00:00Z" },
        )
      }
      const columns =
        "day, actual_balance, available_balance, blocked_balance, to_char(read_at AT TIME ZONE 'UTC', 'HH24:MI:SS'), last_day"
      const of = (account: string) =>
        lines(sql, columns, `wallet_balance_daily WHERE account = '${account}' ORDER BY day`)
      expect(yield* of("default")).toEqual([
        "2026-01-01 | 4 | 4 | 0 | 18:15:00 | 2026-01-04",
        "2026-01-05 | 5 | - | - | 12:00:00 | -",
      ])
      expect(yield* of("seoul")).toEqual([
        "2026-01-01 | 1 | 1 | 0 | 14:59:59 | 2026-01-01",
        "2026-01-02 | 4 | 4 | 0 | 18:15:00 | 2026-01-04",
        "2026-01-05 | 5 | - | - | 12:00:00 | -",
      ])
      expect(yield* of("kathmandu")).toEqual([
        "2026-01-01 | 3 | - | - | 18:14:59 | 2026-01-01",
        "2026-01-02 | 4 | 4 | 0 | 18:15:00 | 2026-01-04",
        "2026-01-05 | 5 | - | - | 12:00:00 | -",
      ])
      expect(
        yield* lines(sql, "DISTINCT account, time_zone", "wallet_balance_daily ORDER BY account"),
      ).toEqual(["default | UTC", "kathmandu | Asia/Kathmandu", "seoul | Asia/Seoul"])
    }),
  )

  it.scopedLive("add up what each owner reserved and what was released, and leave out what failed", () =>
    Effect.gen(function* () {
      const sql = yield* warehouse
      const reserve = { event_type: "RESERVE", owner_id: "c1", customer_id: "c1" }
      const at = (day: number) => ({ created_at: `2026-01-0${day}T00:00:00Z` })
      yield* given(
        sql,
        "transactions",
        { transaction_id: "1", ...reserve, amount: 100, ...at(3) },
        { transaction_id: "2", ...reserve, event_name: "BALANCE_RESERVED", amount: 20, ...at(2) },
        { transaction_id: "3", ...reserve, event_name: "RESERVE_FAILED", amount: 1_000, ...at(1) },
        { transaction_id: "4", ...reserve, event_name: "RESERVE_REVERSED", amount: 2_000, ...at(1) },
        { transaction_id: "5", ...reserve, event_type: "RELEASE", amount: -30, ...at(4) },
        { transaction_id: "6", ...reserve, event_type: "PAYIN", amount: 500 },
        { transaction_id: "7", ...reserve, currency: "KWD", amount: "0.005", ...at(5) },
        { transaction_id: "8", event_type: "RELEASE", currency: "KRW", amount: 700 },
      )
      expect(
        yield* lines(
          sql,
          "owner_id, currency, reserved, released, outstanding, extract(day FROM oldest_at), unmapped_count",
          "reserve ORDER BY owner_id, currency",
        ),
      ).toEqual([
        "c1 | KWD | 0.005 | 0 | 0.005 | 5 | 0",
        "c1 | USD | 120 | 30 | 90 | 2 | 1",
        "org | KRW | 0 | 700 | -700 | - | 0",
      ])
    }),
  )
})
