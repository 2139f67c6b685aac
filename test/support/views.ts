import { Effect } from "effect"
import { expect } from "vitest"
import type { Sandbox } from "../../src/sandbox/sandbox.ts"
import { decimal, millionths } from "../sandbox/reading.ts"
import { normalizeDecimal, type Truth, truthOf } from "./truth/truth.ts"
import type { Bench } from "./warehouse.ts"

/** Compares the views with the sandbox's own knowledge of its records, computed without SQL. */

type Value = string | number | boolean | null | ReadonlyArray<string>
export type Row = Readonly<Record<string, Value>>

const DAY_MILLIS = 86_400_000

/** One spelling for what is equal: numbers without trailing zeros, times to the millisecond, in UTC. */
const spelled = (value: Value): string | null => {
  if (value === null) return null
  if (Array.isArray(value)) return value.join(",")
  const text = String(value)
  if (text.startsWith("[")) return spelled(JSON.parse(text) as ReadonlyArray<string>)
  if (/^-?\d+(\.\d+)?$/.test(text)) return normalizeDecimal(text)
  return /^\d{4}-\d\d-\d\d[T ]\d\d:/.test(text) ? new Date(text).toISOString() : text
}

const lines = (rows: ReadonlyArray<Row>, columns: ReadonlyArray<string>) =>
  rows.map(row => columns.map(column => `${column}=${spelled(row[column] ?? null)}`).join(" ")).sort()

/** A view has exactly these rows, in these columns. */
export const expectView = ({ rows }: Bench, view: string, expected: ReadonlyArray<Row>) =>
  Effect.gen(function* () {
    expect(expected.length, `${view}: nothing to compare`).toBeGreaterThan(0)
    const columns = Object.keys(expected[0]!)
    const found = yield* rows(`SELECT ${columns.join(", ")} FROM analytics.${view}`)
    expect(lines(found, columns), view).toEqual(lines(expected, columns))
  })

const dayOf = (time: string) => time.slice(0, 10)

interface Day {
  readonly key: ReadonlyArray<string>
  readonly day: string
  credit: bigint
  debit: bigint
  closing: bigint
}

/** Movements summed by a key and day, with the balance they leave. */
const days = (truth: Truth, isOfOwner: boolean): ReadonlyArray<Day> => {
  const found = new Map<string, Day>()
  for (const { ownerId, currency, movement, occurredAt } of truth.movements()) {
    if (movement === "0") continue
    const key = isOfOwner ? [ownerId, currency] : [currency]
    const day = dayOf(occurredAt)
    const id = [...key, day].join(" ")
    const entry = found.get(id) ?? { key, day, credit: 0n, debit: 0n, closing: 0n }
    const by = millionths(movement)
    if (by > 0n) entry.credit += by
    else entry.debit -= by
    found.set(id, entry)
  }
  const sorted = [...found.keys()].sort().map(id => found.get(id)!)
  const sums = new Map<string, bigint>()
  for (const entry of sorted) {
    const key = entry.key.join(" ")
    entry.closing = (sums.get(key) ?? 0n) + entry.credit - entry.debit
    sums.set(key, entry.closing)
  }
  return sorted
}

const amounts = ({ credit, debit, closing }: Day) => ({
  opening_balance: decimal(closing - credit + debit),
  credit_amount: decimal(credit),
  debit_amount: decimal(debit),
  closing_balance: decimal(closing),
})

/** Settlements, their transactions and days, and what they leave out. */
export const settlements = (b: Bench, truth = truthOf(b.sandbox)) =>
  Effect.gen(function* () {
    yield* expectView(
      b,
      "settlement",
      truth.settlements().map(row => ({
        settlement_id: row.settlementId,
        currency: row.currency,
        fee_currency: row.feeCurrency,
        status: row.status,
        transaction_count: row.transactionCount,
        unmapped_count: row.unmappedCount,
        unmoving_count: row.unmovingCount,
        settlement_amount: row.settlementAmount,
        fee_amount: row.feeAmount,
        tax_amount: row.taxAmount,
        payment_to_merchant_amount: row.paymentToMerchantAmount,
        first_transaction_at: row.firstTransactionAt,
        last_transaction_at: row.lastTransactionAt,
      })),
    )
    yield* expectView(
      b,
      "settlement_transaction",
      [...truth.transactions()].map(row => ({
        transaction_id: row.transactionId,
        settlement_id: row.settlementId,
        customer_id: row.customerId,
        event_type: row.eventType,
        event_name: row.eventName,
        direction: row.direction,
        currency: row.currency,
        amount: row.amount,
        fee_currency: row.feeCurrency,
        fee_amount: row.feeAmount,
        tax_amount: row.taxAmount,
        is_settled: row.isSettled,
        is_reconciled: row.isReconciled,
        created_at: row.createdAt,
      })),
    )
    yield* expectView(
      b,
      "settlement_daily",
      truth.settlementDays().map(row => ({
        day: row.day,
        currency: row.currency,
        settled_count: row.settledCount,
        settled_amount: row.settledAmount,
        unsettled_count: row.unsettledCount,
        unsettled_amount: row.unsettledAmount,
        unmoving_count: row.unmovingCount,
        settled_without_settlement_count: row.settledWithoutSettlementCount,
        settled_without_settlement_amount: row.settledWithoutSettlementAmount,
      })),
    )
    yield* expectView(
      b,
      "unmapped_event_type",
      truth.unmapped().map(row => ({
        event_type: row.eventType,
        event_name: row.eventName,
        currency: row.currency,
        transaction_count: row.transactionCount,
        amount: row.amount,
      })),
    )
  })

/** Movements, days, totals, and wallets against them. */
export const balances = (b: Bench, truth = truthOf(b.sandbox)) =>
  Effect.gen(function* () {
    const moved = [...truth.movements()].filter(({ movement }) => movement !== "0")
    const balance = new Map<string, bigint>()
    const order = (row: (typeof moved)[number]) => `${row.occurredAt} ${row.transactionId} ${row.kind}`
    yield* expectView(
      b,
      "balance_history",
      moved
        .toSorted((x, y) => (order(x) < order(y) ? -1 : 1))
        .map(({ ownerId, currency, transactionId, kind, occurredAt, movement }) => {
          const key = `${ownerId} ${currency}`
          balance.set(key, (balance.get(key) ?? 0n) + millionths(movement))
          return {
            owner_id: ownerId,
            currency,
            transaction_id: transactionId,
            kind,
            occurred_at: occurredAt,
            movement,
            balance: decimal(balance.get(key)!),
          }
        }),
    )
    yield* expectView(
      b,
      "balance_daily",
      days(truth, true).map(day => ({
        owner_id: day.key[0]!,
        currency: day.key[1]!,
        day: day.day,
        ...amounts(day),
      })),
    )
    yield* expectView(
      b,
      "balance_reconciliation",
      truth.balances().map(row => ({
        owner_id: row.ownerId,
        currency: row.currency,
        state:
          row.walletBalance === null
            ? "ledger_only"
            : row.ledgerBalance === null
              ? "wallet_only"
              : millionths(row.difference) === 0n
                ? "agrees"
                : "differs",
        wallet_count: row.walletCount,
        wallet_balance: row.walletBalance,
        ledger_balance: row.ledgerBalance,
        difference: row.difference,
      })),
    )
    const today = dayOf((yield* b.value("SELECT now() AT TIME ZONE 'UTC'"))!)
    const total = days(truth, false)
    const gapless = total.flatMap((day, i) => {
      const next = total[i + 1]
      const until = next?.key[0] === day.key[0] ? Date.parse(next!.day) : Date.parse(today) + DAY_MILLIS
      const count = (until - Date.parse(day.day)) / DAY_MILLIS
      const quiet = { ...day, credit: 0n, debit: 0n }
      return Array.from({ length: count }, (_, n) => ({
        currency: day.key[0]!,
        day: dayOf(new Date(Date.parse(day.day) + n * DAY_MILLIS).toISOString()),
        ...amounts(n === 0 ? day : quiet),
      }))
    })
    // Not a day that has begun since.
    yield* expectView(b, `balance_daily_total WHERE day <= '${today}'`, gapless)
  })

/** Customers who are not wallet-ready, and the money that waits for them. */
export const gaps = (b: Bench) =>
  Effect.gen(function* () {
    const truth = truthOf(b.sandbox)
    const notReady = [...truth.notReady()]
    yield* expectView(
      b,
      "kyc_gap",
      notReady.map(({ customerId, missingFields }) => ({
        customer_id: customerId,
        reason: missingFields.length === 0 ? "unspecified" : "missing_fields",
        missing_fields: missingFields,
        check_error: null,
        gap_days: 0,
      })),
    )
    const fields = notReady.flatMap(({ customerId, missingFields }) =>
      (missingFields.length === 0 ? ["(unspecified)"] : missingFields).map(field => ({
        customer_id: customerId,
        missing_field: field,
      })),
    )
    yield* expectView(b, "kyc_gap_field", fields)
    yield* expectView(
      b,
      "kyc_gap_summary",
      [...new Set(fields.map(row => row.missing_field))].map(field => ({
        missing_field: field,
        customer_count: fields.filter(row => row.missing_field === field).length,
        median_gap_days: 0,
      })),
    )
    yield* expectView(b, "kyc_gap_volume", volumes(b.sandbox, new Set(notReady.map(row => row.customerId))))
  })

/** Open checkouts and unsettled transactions of customers who are not ready. */
const volumes = (sandbox: Sandbox, notReady: ReadonlySet<string>): ReadonlyArray<Row> => {
  const truth = truthOf(sandbox)
  const found = new Map<string, { open: number; openAmount: string; unsettled: number; amount: bigint }>()
  const at = (customer: string, currency: string) => {
    const key = `${customer} ${currency}`
    const row = found.get(key) ?? { open: 0, openAmount: "0", unsettled: 0, amount: 0n }
    found.set(key, row)
    return row
  }
  for (const { customerId, currency, checkoutCount, amount } of truth.openCheckouts(new Date()))
    Object.assign(at(customerId, currency), { open: checkoutCount, openAmount: amount })
  for (const { customerId, currency, isSettled, amount, direction } of truth.transactions()) {
    // A transaction that moves nothing is never unsettled.
    if (isSettled || direction === 0 || customerId === null || !notReady.has(customerId)) continue
    const row = at(customerId, currency)
    row.unsettled += 1
    row.amount += BigInt(direction ?? 0) * millionths(amount.replace("-", ""))
  }
  return [...found].map(([key, row]) => ({
    customer_id: key.split(" ")[0]!,
    currency: key.split(" ")[1]!,
    open_checkout_count: row.open,
    open_checkout_amount: row.openAmount,
    unsettled_count: row.unsettled,
    unsettled_amount: decimal(row.amount),
  }))
}

/** Payouts and checkouts by day. */
export const others = (b: Bench) =>
  Effect.gen(function* () {
    const truth = truthOf(b.sandbox)
    yield* expectView(
      b,
      "payout_daily",
      truth.payoutDays().map(row => ({
        day: row.day,
        currency: row.currency,
        status: row.status,
        payout_count: row.payoutCount,
        payout_amount: row.amount,
        removed_count: row.removedCount,
      })),
    )
    yield* expectView(
      b,
      "checkout_daily",
      truth.checkoutDays().map(row => ({
        day: row.day,
        currency: row.currency,
        checkout_count: row.checkoutCount,
        checkout_amount: row.amount,
      })),
    )
  })
