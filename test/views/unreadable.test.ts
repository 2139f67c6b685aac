import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { printed, testWarehouse } from "../support/warehouse.ts"
import { given } from "./rows.ts"

/** An amount that was sent and could not be read is null in its row. It is not known, and so is each sum that uses it. */

const at = (day: number) => `2026-01-0${day}T10:00:00Z`
const FEES = { fees_without_tax: 1, tax_on_fees: 0.5, fees_including_tax: 1.5 }
const sent = (raw: object) => ({ raw: JSON.stringify(raw) })

describe("an amount that could not be read", () => {
  it.scopedLive("makes the sums of its settlement unknown, and no other", () =>
    Effect.gen(function* () {
      const sql = yield* testWarehouse()
      const inSettlement = (id: string, row: object) =>
        given(sql, "transactions", {
          transaction_id: `${id} unread`,
          settlement_id: id,
          amount: 10,
          ...FEES,
          ...row,
        })
      yield* inSettlement("fee", { fees_without_tax: null, ...sent({ fees_without_tax: "1,50" }) })
      yield* inSettlement("tax", { tax_on_fees: null, ...sent({ tax_on_fees: { value: 1 } }) })
      yield* inSettlement("currency", { fees_currency: null, ...sent({ fees_currency: ["USD"] }) })
      yield* inSettlement("not sent", { fees_without_tax: null, ...sent({ tax_on_fees: 0.5 }) })
      yield* inSettlement("empty", { fees_without_tax: null, ...sent({ fees_without_tax: " " }) })
      // The whole fee says nothing where both of its parts do.
      yield* inSettlement("whole", { fees_including_tax: null, ...sent({ fees_including_tax: "1,50" }) })
      yield* inSettlement("tax of whole", {
        fees_without_tax: null,
        tax_on_fees: null,
        ...sent({ tax_on_fees: "x" }),
      })
      yield* inSettlement("no direction", {
        fees_without_tax: null,
        event_type: "MYSTERY",
        ...sent({ fees_without_tax: "1,50" }),
      })
      for (const id of [
        "fee",
        "tax",
        "currency",
        "not sent",
        "empty",
        "no direction",
        "whole",
        "tax of whole",
      ])
        yield* given(sql, "transactions", { transaction_id: id, settlement_id: id, amount: 10, ...FEES })
      const found = yield* printed(
        sql,
        `SELECT settlement_id, settlement_amount AS amount, fee_amount AS fee, tax_amount AS tax,
           payment_to_merchant_amount AS paid
         FROM analytics.settlement`,
      )
      const expected = {
        currency: ["20", null, null, null],
        empty: ["20", "2.0", "1.0", "17.0"],
        fee: ["20", null, "1.0", null],
        "no direction": ["10", "1", "0.5", "8.5"],
        "not sent": ["20", "2.0", "1.0", "17.0"],
        tax: ["20", "2", null, null],
        "tax of whole": ["20", null, null, null],
        whole: ["20", "2", "1.0", "17.0"],
      }
      expect(
        Object.fromEntries(
          found.map(({ settlement_id, amount, fee, tax, paid }) => [settlement_id, [amount, fee, tax, paid]]),
        ),
      ).toEqual(expected)
      const unmapped = `SELECT fee_amount FROM analytics.unmapped_event_type`
      expect(yield* printed(sql, unmapped)).toEqual([{ fee_amount: null }])
    }),
  )

  it.scopedLive("makes the balance of its owner unknown from there on", () =>
    Effect.gen(function* () {
      const sql = yield* testWarehouse()
      const unreadFee = { fees_without_tax: null, ...sent({ fees_without_tax: "1,50" }) }
      yield* given(
        sql,
        "transactions",
        { transaction_id: "t1", owner_id: "a", amount: 10, created_at: at(1), ...FEES },
        { transaction_id: "t2", owner_id: "a", amount: 10, created_at: at(2), ...FEES, ...unreadFee },
        { transaction_id: "t3", owner_id: "a", amount: 10, created_at: at(2), ...FEES },
        { transaction_id: "t4", owner_id: "a", amount: 10, created_at: at(3), ...FEES },
        { transaction_id: "t5", owner_id: "b", amount: 10, created_at: at(3), ...FEES },
        // Its fee is a movement of its own, in another currency.
        {
          transaction_id: "t6",
          owner_id: "b",
          amount: 10,
          created_at: at(4),
          fees_currency: "EUR",
          ...unreadFee,
        },
      )
      yield* given(
        sql,
        "wallets",
        { wallet_id: "wa", customer_id: "a" },
        { wallet_id: "wb", customer_id: "b" },
      )
      yield* given(
        sql,
        "wallet_accounts",
        { wallet_account_id: "wa", wallet_id: "wa", actual_balance: 5 },
        { wallet_account_id: "wb", wallet_id: "wb", actual_balance: 5 },
        { wallet_account_id: "wb2", wallet_id: "wb", currency: "EUR", actual_balance: 5 },
      )
      /** One text for each row, with a question mark for null. */
      const lines = (columns: ReadonlyArray<string>, from: string) =>
        Effect.map(printed(sql, `SELECT ${columns.join(", ")} FROM analytics.${from}`), rows =>
          rows.map(row => columns.map(column => row[column.split(" AS ").at(-1)!] ?? "?").join(" ")),
        )
      expect(
        yield* lines(
          ["owner_id", "transaction_id", "kind", "movement", "balance"],
          "balance_history ORDER BY transaction_id, kind",
        ),
      ).toEqual([
        "a t1 amount 8.5 8.5",
        "a t2 amount ? ?",
        "a t3 amount 8.5 ?",
        "a t4 amount 8.5 ?",
        "b t5 amount 8.5 8.5",
        "b t6 amount 10 18.5",
        "b t6 fee ? ?",
      ])
      const amounts = [
        "extract(day FROM day) AS n",
        "opening_balance",
        "credit_amount",
        "debit_amount",
        "closing_balance",
      ]
      expect(
        yield* lines(["owner_id", "currency", ...amounts], "balance_daily ORDER BY owner_id, currency, day"),
      ).toEqual([
        "a USD 1 0.0 8.5 0 8.5",
        "a USD 2 8.5 ? ? ?",
        "a USD 3 ? 8.5 0 ?",
        "b EUR 4 0 ? ? ?",
        "b USD 3 0.0 8.5 0 8.5",
        "b USD 4 8.5 10 0 18.5",
      ])
      expect(
        yield* lines(
          ["currency", ...amounts],
          "balance_daily_total WHERE day < '2026-01-06' ORDER BY currency, day",
        ),
      ).toEqual([
        "EUR 4 0 ? ? ?",
        "EUR 5 ? 0 0 ?",
        "USD 1 0.0 8.5 0.0 8.5",
        "USD 2 8.5 ? ? ?",
        "USD 3 ? 17.0 0.0 ?",
        "USD 4 ? 10 0 ?",
        "USD 5 ? 0 0 ?",
      ])
      expect(
        yield* lines(
          ["owner_id", "currency", "ledger_balance", "difference"],
          "balance_reconciliation ORDER BY owner_id, currency",
        ),
      ).toEqual(["a USD ? ?", "b EUR ? ?", "b USD 18.5 -13.5"])
    }),
  )

  it.scopedLive("makes the balance of a wallet unknown in its currency, or in each where it names none", () =>
    Effect.gen(function* () {
      const sql = yield* testWarehouse()
      const accounts = (id: string, broken: object) =>
        Effect.gen(function* () {
          const items = [{ wallet_account_id: `${id} usd` }, { wallet_account_id: `${id} eur` }, broken]
          yield* given(sql, "wallets", {
            wallet_id: id,
            customer_id: id,
            ...sent({ wallet_account: items }),
          })
          for (const currency of ["USD", "EUR"])
            yield* given(sql, "wallet_accounts", {
              wallet_account_id: `${id} ${currency}`,
              wallet_id: id,
              currency,
              actual_balance: 5,
            })
          yield* Effect.promise(
            () => sql`
            INSERT INTO sync.rejects
              (account, stream, run_id, kind, record_id, field, reason, raw, content_hash, read_at, first_seen_at)
            VALUES ('default', 'wallets', gen_random_uuid(), 'item', ${id}, 'wallet_account.2', '', '', ${id}, now(), now())`,
          )
        })
      yield* accounts("a", { currency: "USD", actual_balance: "1,50" })
      yield* accounts("b", { actual_balance: 1 })
      expect(
        yield* printed(
          sql,
          `SELECT owner_id, currency, wallet_balance, difference FROM analytics.balance_reconciliation ORDER BY 1, 2`,
        ),
      ).toEqual([
        { owner_id: "a", currency: "EUR", wallet_balance: "5", difference: "5" },
        { owner_id: "a", currency: "USD", wallet_balance: null, difference: null },
        { owner_id: "b", currency: "EUR", wallet_balance: null, difference: null },
        { owner_id: "b", currency: "USD", wallet_balance: null, difference: null },
      ])
    }),
  )

  it.scopedLive("makes the fees of payouts unknown on its day", () =>
    Effect.gen(function* () {
      const sql = yield* testWarehouse()
      yield* given(
        sql,
        "payouts",
        { payout_id: "p1", created_at: at(1), fee_taken: 1, fee_expected: 1 },
        { payout_id: "p2", created_at: at(1), fee_expected: 1, ...sent({ fee_taken: "2,50" }) },
        { payout_id: "p3", created_at: at(2), fee_taken: 1, ...sent({ fee_expected: null }) },
      )
      expect(
        yield* printed(
          sql,
          "SELECT fee_taken_amount AS taken, fee_expected_amount AS expected FROM analytics.payout_daily ORDER BY day",
        ),
      ).toEqual([
        { taken: null, expected: "2" },
        { taken: "1", expected: "0" },
      ])
    }),
  )
})
