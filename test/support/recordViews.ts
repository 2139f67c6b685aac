import { Effect } from "effect"
import { expect } from "vitest"
import type { Sandbox } from "../../src/sandbox/sandbox.ts"
import { decimal, millionths } from "../sandbox/reading.ts"
import { normalizeDecimal, truthOf } from "./truth/truth.ts"
import type { Bench } from "./warehouse.ts"

/** Views of single records and of readiness, against sums over the records that a sandbox serves, made without any SQL. */

type Fields = Readonly<Record<string, unknown>>
type Line = ReadonlyArray<unknown>

interface Held extends Fields {
  readonly isRemoved: boolean
}

/** Every number becomes text first: a double cannot hold all of these. */
const parse = (text: string): Fields =>
  JSON.parse(text.replaceAll(/:(-?\d+(?:\.\d+)?)(?=[,}\]])/g, ':"$1"')) as Fields

/** All records that a list has ever shown, the removed ones marked. */
const recordsOf = ({ truth, indexOf, idOf }: Sandbox, list: string): ReadonlyArray<Held> => {
  const listed = new Set(truth.ids(list))
  const size = 1 + Math.max(...[...listed].map(id => indexOf(list, id)!))
  return Array.from({ length: size }, (_, index) => ({
    ...parse(truth.text(list, index)),
    isRemoved: !listed.has(idOf(list, index)),
  }))
}

const listedOf = (sandbox: Sandbox, list: string) =>
  recordsOf(sandbox, list).filter(({ isRemoved }) => !isRemoved)

/** One spelling for what is equal. */
const spelled = (value: unknown): string => {
  if (value === null || value === undefined) return "-"
  const text = String(value)
  if (/^-?\d+(\.\d+)?$/.test(text)) return normalizeDecimal(text)
  return /^\d{4}-\d\d-\d\dT\d\d:/.test(text) ? new Date(text).toISOString() : text
}

/** A view has exactly these rows: one value per column, in any order of rows. */
const expectRows = (
  { rows }: Bench,
  columns: ReadonlyArray<string>,
  from: string,
  expected: ReadonlyArray<Line>,
) =>
  Effect.gen(function* () {
    expect(expected.length, `${from}: nothing to compare`).toBeGreaterThan(0)
    const named = columns.map((column, n) => `${column} AS c${n}`)
    const found = yield* rows(`SELECT ${named.join(", ")} FROM analytics.${from}`)
    const line = (values: Line) => values.map(spelled).join(" | ")
    expect(found.map(row => line(columns.map((_, n) => row[`c${n}`]))).sort(), from).toEqual(
      expected.map(line).sort(),
    )
  })

const absolute = (amount: unknown): bigint => {
  const value = millionths(amount)
  return value < 0n ? -value : value
}

/** Sums by a key, in the order of columns that the key names. */
const sumsBy = () => {
  const sums = new Map<string, Array<bigint>>()
  return {
    add: (key: Line, ...values: ReadonlyArray<bigint>) => {
      const text = JSON.stringify(key)
      const known = sums.get(text) ?? values.map(() => 0n)
      sums.set(
        text,
        known.map((sum, n) => sum + values[n]!),
      )
    },
    lines: (print: ReadonlyArray<(sum: bigint) => string>): ReadonlyArray<Line> =>
      [...sums].map(([key, values]) => [
        ...(JSON.parse(key) as Line),
        ...values.map((value, n) => print[n]!(value)),
      ]),
  }
}

const whole = (sum: bigint) => String(sum)

const ownerOf = (record: Fields) => record.customer_id ?? record.org_id

export const walletViews = (b: Bench) =>
  Effect.gen(function* () {
    const wallets = listedOf(b.sandbox, "wallets")
    const accounts = wallets.flatMap(wallet =>
      (wallet.wallet_account as ReadonlyArray<Fields>).map(account => ({ wallet, account })),
    )
    yield* expectRows(
      b,
      ["wallet_id", "owner_id", "category", "scope", "array_to_string(currencies, ' ')", "is_deleted"],
      "wallet",
      wallets.map(wallet => [
        wallet.wallet_id,
        ownerOf(wallet),
        wallet.category,
        wallet.scope,
        accounts
          .flatMap(one => (one.wallet === wallet ? [one.account.currency] : []))
          .sort()
          .join(" "),
        wallet.is_deleted,
      ]),
    )
    const balances = accounts.map(({ wallet, account }) => [
      account.wallet_account_id,
      ownerOf(wallet),
      account.currency,
      account.actual_balance,
      account.available_balance,
      decimal(millionths(account.actual_balance) - millionths(account.available_balance)),
    ])
    const columns = [
      "wallet_account_id",
      "owner_id",
      "currency",
      "actual_balance",
      "available_balance",
      "blocked_balance",
    ]
    yield* expectRows(b, columns, "wallet_balance", balances)
    yield* expectRows(b, columns, "wallet_balance_daily WHERE last_day IS NULL", balances)
    const reserves = sumsBy()
    for (const line of recordsOf(b.sandbox, "transactions")) {
      if (line.event_type !== "RESERVE" && line.event_type !== "RELEASE") continue
      const amount = absolute(line.amount)
      const [reserved, released] = line.event_type === "RESERVE" ? [amount, 0n] : [0n, amount]
      reserves.add([ownerOf(line), line.currency], reserved, released, reserved - released)
    }
    yield* expectRows(
      b,
      ["owner_id", "currency", "reserved", "released", "outstanding"],
      "reserve",
      reserves.lines([decimal, decimal, decimal]),
    )
  })

/** A payout that went through should have one line that takes its amount; one that did not should have moved nothing. */
const stateOf = (status: unknown, amount: bigint, lines: ReadonlyArray<Fields>): string => {
  const moves = lines.filter(line => line.event_name === "PAYOUT_COMPLETED")
  if (status === "SUCCESS" && lines.length === 0) return "missing_in_ledger"
  if (status === "FAILED" || status === "RETURNED") return moves.length > 0 ? "failed_but_moved" : "agrees"
  if (moves.length > 1) return "several_lines"
  if (moves.length === 0) return status === "SUCCESS" ? "amount_differs" : "agrees"
  return absolute(moves[0]!.amount) === amount ? "agrees" : "amount_differs"
}

/** Views of payouts. `states`: how each payout compares with its transactions, where it is written down by hand. */
export const payoutViews = (b: Bench, states?: ReadonlyMap<string, string>) =>
  Effect.gen(function* () {
    const payouts = recordsOf(b.sandbox, "payouts").map(payout => ({
      ...payout,
      amount: payout.wire_amount ?? payout.original_amount,
    }))
    yield* expectRows(
      b,
      [
        ...["payout_id", "status", "approval", "method", "currency", "amount", "fee_taken", "fee_expected"],
        ...["order_id", "created_at", "updated_at", "removed_at IS NOT NULL", "status_seen_at IS NOT NULL"],
      ],
      "payout",
      payouts.map((payout: Fields) => [
        ...[
          payout.id,
          payout.status,
          payout.approval,
          payout.beneficiary_bank,
          payout.currency,
          payout.amount,
        ],
        ...[payout.fee_taken, payout.fee_expected, payout.order_id, payout.created_at, payout.updated_at],
        ...[payout.isRemoved, true],
      ]),
    )
    const lines = recordsOf(b.sandbox, "transactions")
    yield* expectRows(
      b,
      ["payout_id", "ledger_lines", "state"],
      "payout_reconciliation",
      payouts.map((payout: Fields) => {
        const ids = [payout.id, payout.payout_id_finmo ?? payout.reply_code_id_pg]
        const own = lines.filter(line => ids.includes(line.event_id))
        const state = states?.get(String(payout.id)) ?? stateOf(payout.status, absolute(payout.amount), own)
        return [payout.id, own.length, state]
      }),
    )
    const days = sumsBy()
    for (const payout of payouts as ReadonlyArray<Fields>)
      days.add(
        [String(payout.created_at ?? payout.updated_at).slice(0, 10), payout.currency, payout.status],
        1n,
        absolute(payout.amount),
        millionths(payout.fee_taken ?? 0),
        millionths(payout.fee_expected ?? 0),
        payout.isRemoved === true ? 1n : 0n,
      )
    yield* expectRows(
      b,
      [
        ...["day", "currency", "status", "payout_count", "payout_amount", "fee_taken_amount"],
        ...["fee_expected_amount", "removed_count"],
      ],
      "payout_daily",
      days.lines([whole, decimal, decimal, decimal, whole]),
    )
  })

const itemsOf = (checkout: Fields) =>
  (checkout.order_summary as { order_items?: ReadonlyArray<Fields> } | null)?.order_items ?? []
const feesOf = (checkout: Fields) =>
  (checkout.order_summary as { order_fees?: ReadonlyArray<Fields> } | null)?.order_fees ?? []

/** Quantities are whole numbers. */
const priceOf = (item: Fields): bigint => BigInt(String(item.quantity)) * millionths(item.unit_price)

export const checkoutViews = (b: Bench) =>
  Effect.gen(function* () {
    const now = Date.now()
    const checkouts = listedOf(b.sandbox, "checkouts")
    yield* expectRows(
      b,
      [
        ...["checkout_id", "customer_id", "currency", "amount", "is_expired", "sum_differs", "is_deleted"],
        ...["item_count", "fee_count"],
      ],
      "checkout",
      checkouts.map(checkout => {
        const items = itemsOf(checkout)
        const fees = feesOf(checkout)
        const sum = [...items.map(priceOf), ...fees.map(fee => millionths(fee.fee_amount))].reduce(
          (x, y) => x + y,
          0n,
        )
        return [
          ...[checkout.id, checkout.customer_id, checkout.currency, checkout.amount],
          Date.parse(String(checkout.expire_at)) <= now,
          items.length + fees.length === 0 ? null : sum !== millionths(checkout.amount),
          checkout.deleted_at !== null,
          ...[items.length, fees.length],
        ]
      }),
    )
    yield* expectRows(
      b,
      ["checkout_id", "currency", "quantity", "unit_price", "amount"],
      "checkout_item",
      checkouts.flatMap(checkout =>
        itemsOf(checkout).map(item => [
          ...[checkout.id, checkout.currency, item.quantity, item.unit_price],
          decimal(priceOf(item)),
        ]),
      ),
    )
    const days = sumsBy()
    for (const checkout of checkouts) {
      const amount = millionths(checkout.amount)
      const isDeleted = checkout.deleted_at !== null
      days.add(
        [String(checkout.created_at).slice(0, 10), checkout.currency],
        ...[1n, amount, isDeleted ? 1n : 0n, isDeleted ? amount : 0n],
      )
    }
    yield* expectRows(
      b,
      ["day", "currency", "checkout_count", "checkout_amount", "deleted_count", "deleted_amount"],
      "checkout_daily",
      days.lines([whole, decimal, whole, decimal]),
    )
  })

/** Readiness of the customers who are listed: the sandbox answers for no others. */
export const readinessViews = (b: Bench) =>
  Effect.gen(function* () {
    const customers = recordsOf(b.sandbox, "customers")
    const missing = new Map(
      [...truthOf(b.sandbox).notReady()].map(one => [one.customerId, one.missingFields]),
    )
    const stateOf = (customer: Held) =>
      customer.isRemoved ? "removed" : missing.has(String(customer.customer_id)) ? "not_ready" : "ready"
    yield* expectRows(
      b,
      [
        ...[
          "customer_id",
          "type",
          "is_active",
          "status",
          "organization_reference_id",
          "gca_activation_status",
        ],
        ...["created_at", "removed_at IS NOT NULL"],
      ],
      "customer",
      customers.map(one => [
        ...[one.customer_id, one.type, one.is_active, one.status, one.organization_reference_id],
        ...[one.gca_activation_status, one.created_at, one.isRemoved],
      ]),
    )
    yield* expectRows(
      b,
      ["customer_id", "customer_type", "is_active", "state", "removed_at IS NOT NULL"],
      "kyc_status",
      customers.map(one => [one.customer_id, one.type, one.is_active, stateOf(one), one.isRemoved]),
    )
    const listed = customers.filter(one => !one.isRemoved)
    yield* expectRows(
      b,
      [
        ...["customer_id", "is_wallet_ready", "array_to_string(missing_fields, ' ')", "check_error"],
        ...["list_differs", "ready_but_check_fails", "answer_age < interval '1 hour'"],
      ],
      "kyc_status WHERE removed_at IS NULL",
      listed.map(one => {
        const isReady = !missing.has(String(one.customer_id))
        const fields = missing.get(String(one.customer_id)) ?? []
        return [
          one.customer_id,
          isReady,
          fields.join(" "),
          null,
          one.is_wallet_ready !== isReady,
          false,
          true,
        ]
      }),
    )
    const ageing = sumsBy()
    for (const one of listed) {
      const fields = missing.get(String(one.customer_id))
      if (fields === undefined) continue
      const reason = fields.length === 0 ? "unspecified" : "missing_fields"
      ageing.add(["0-7", one.type, reason], 1n, one.is_active === false ? 0n : 1n)
    }
    yield* expectRows(
      b,
      ["bucket", "customer_type", "reason", "customer_count", "active_count"],
      "kyc_ageing",
      ageing.lines([whole, whole]),
    )
    const summary = sumsBy()
    for (const one of listed)
      for (const field of missing.get(String(one.customer_id))?.concat() ?? [])
        summary.add([field], 1n, one.is_active === false ? 0n : 1n)
    yield* expectRows(
      b,
      ["missing_field", "customer_count", "active_count"],
      "kyc_gap_summary WHERE missing_field <> '(unspecified)'",
      summary.lines([whole, whole]),
    )
    yield* expectRows(
      b,
      ["missing_field", "still_missing_count"],
      "kyc_field_funnel WHERE still_missing_count > 0 AND missing_field <> '(unspecified)'",
      summary.lines([whole, whole]).map(([field, count]) => [field, count]),
    )
    yield* expectRows(
      b,
      ["customer_id", "array_to_string(last_missing_fields, ' ')", "days"],
      "kyc_episode WHERE ready_at IS NULL AND removed_at IS NULL",
      [...missing].map(([customer, fields]) => [customer, fields.join(" "), 0]),
    )
    const volume = sumsBy()
    for (const { customerId, currency, amount, direction, isSettled } of truthOf(b.sandbox).transactions()) {
      const customer = customers.find(one => one.customer_id === customerId)
      const state =
        customerId === null ? "organization" : customer === undefined ? "not_listed" : stateOf(customer)
      const signed = BigInt(direction ?? 0) * absolute(amount)
      const isUnsettled = !isSettled && direction !== 0
      volume.add(
        [customerId, currency, state],
        ...[1n, signed, isUnsettled ? 1n : 0n, isUnsettled ? signed : 0n, direction === null ? 1n : 0n],
      )
    }
    yield* expectRows(
      b,
      [
        ...["customer_id", "currency", "state", "transaction_count", "amount", "unsettled_count"],
        ...["unsettled_amount", "unmapped_count"],
      ],
      "kyc_volume",
      volume.lines([whole, decimal, whole, decimal, whole]),
    )
  })

/** Money that moved after `from` of customers who are not ready, and were not from then on. */
export const transactingView = (b: Bench, from: string) => {
  const missing = new Set([...truthOf(b.sandbox).notReady()].map(one => one.customerId))
  const moved = sumsBy()
  for (const { customerId, currency, amount, direction, createdAt } of truthOf(b.sandbox).transactions()) {
    if (customerId === null || !missing.has(customerId) || direction === 0 || createdAt < from) continue
    const sum = absolute(amount)
    moved.add(
      [customerId, currency],
      ...[direction === null ? 0n : 1n, direction === 1 ? sum : 0n, direction === -1 ? sum : 0n],
    )
  }
  return expectRows(
    b,
    ["customer_id", "currency", "transaction_count", "money_in", "money_out"],
    "kyc_transacting",
    moved.lines([whole, decimal, decimal]),
  )
}
