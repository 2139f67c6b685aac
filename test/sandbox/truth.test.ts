import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { start } from "../../src/sandbox/sandbox.ts"
import { truthOf } from "../support/truth/truth.ts"
import { ask, decimal, type Fields, millionths, PATHS, readAll } from "./reading.ts"

describe("truth", () => {
  const directions: Readonly<Record<string, bigint>> = {
    PAYIN: 1n,
    CREDIT: 1n,
    PAYOUT: -1n,
    REFUND: -1n,
    CHARGEBACK: -1n,
    DEBIT: -1n,
    RESERVE: 0n,
    RELEASE: 0n,
  }
  const directionOf = (record: Fields) =>
    /FAILED|CANCELLED|EXPIRED/.test(`${record.event_name}`) ? 0n : directions[`${record.event_type}`]
  const absolute = (value: bigint) => (value < 0n ? -value : value)

  it.scoped("has the balances that the served records add up to, and those that wallets state", () =>
    Effect.gen(function* () {
      const sandbox = yield* start()
      sandbox.insert("transactions", 30, "back")
      sandbox.touch("transactions", 1_990)
      const ledger = new Map<string, bigint>()
      const move = (owner: unknown, currency: unknown, by: bigint) =>
        ledger.set(`${owner} ${currency}`, (ledger.get(`${owner} ${currency}`) ?? 0n) + by)
      // Wallets follow what the API does, also where the contract gives an event no direction.
      const unmapped = new Set<string>()
      for (const record of yield* readAll(sandbox, "transactions", 1_000)) {
        const direction = directionOf(record)
        const owner = record.customer_id ?? record.org_id
        if (direction === undefined) {
          unmapped.add(`${owner} ${record.currency}`)
          continue
        }
        move(owner, record.currency, direction * absolute(millionths(record.amount)))
        move(owner, record.fees_currency, -millionths(record.fees_including_tax))
      }
      const wallets = new Map<string, bigint>()
      for (const wallet of yield* readAll(sandbox, "wallets"))
        for (const account of wallet.wallet_account as ReadonlyArray<Fields>)
          wallets.set(
            `${wallet.customer_id ?? wallet.org_id} ${account.currency}`,
            millionths(account.actual_balance),
          )
      const balances = truthOf(sandbox).balances()
      expect(new Set(balances.map(row => `${row.ownerId} ${row.currency}`))).toEqual(
        new Set([...ledger.keys(), ...wallets.keys()]),
      )
      for (const row of balances) {
        const key = `${row.ownerId} ${row.currency}`
        expect(row.ledgerBalance ?? "0").toBe(decimal(ledger.get(key) ?? 0n))
        expect(row.walletBalance ?? "0").toBe(decimal(wallets.get(key) ?? 0n))
        expect(row.difference).toBe(decimal((wallets.get(key) ?? 0n) - (ledger.get(key) ?? 0n)))
      }
      expect(unmapped.size).toBeGreaterThan(0)
      const differing = balances.filter(({ difference }) => difference !== "0")
      expect(new Set(differing.map(row => `${row.ownerId} ${row.currency}`))).toEqual(unmapped)
    }),
  )

  it.scoped("has the settlements that the served records add up to", () =>
    Effect.gen(function* () {
      const sandbox = yield* start()
      const sums = new Map<string, { count: number; amount: bigint; fee: bigint; tax: bigint }>()
      const inProgress = new Set<unknown>()
      for (const record of yield* readAll(sandbox, "transactions", 1_000)) {
        if (record.settlement_id === null) continue
        const key = [record.settlement_id, record.currency, record.fees_currency].join(" ")
        const sum = sums.get(key) ?? { count: 0, amount: 0n, fee: 0n, tax: 0n }
        sum.count += 1
        sum.amount += (directionOf(record) ?? 0n) * absolute(millionths(record.amount))
        sum.fee += millionths(record.fees_without_tax)
        sum.tax += millionths(record.tax_on_fees)
        sums.set(key, sum)
        if (record.is_settled === false && directionOf(record) !== 0n) inProgress.add(record.settlement_id)
      }
      const settlements = truthOf(sandbox).settlements()
      expect(settlements).toHaveLength(sums.size)
      for (const row of settlements) {
        const sum = sums.get(`${row.settlementId} ${row.currency} ${row.feeCurrency}`)!
        expect([row.transactionCount, row.settlementAmount, row.feeAmount, row.taxAmount]).toEqual([
          sum.count,
          decimal(sum.amount),
          decimal(sum.fee),
          decimal(sum.tax),
        ])
        expect(row.status).toBe(inProgress.has(row.settlementId) ? "In Progress" : "Done")
        expect(row.paymentToMerchantAmount).toBe(
          row.currency === row.feeCurrency ? decimal(sum.amount - sum.fee - sum.tax) : null,
        )
      }
      const done = settlements.filter(({ status }) => status === "Done").length
      expect(done).toBeGreaterThan(settlements.length / 2)
      expect(done).toBeLessThan(settlements.length)
      const count = (rows: ReadonlyArray<{ transactionCount: number }>) =>
        rows.reduce((sum, row) => sum + row.transactionCount, 0)
      const days = truthOf(sandbox).settlementDays()
      expect(
        days.reduce((sum, day) => sum + day.settledCount + day.unsettledCount + day.unmovingCount, 0),
      ).toBe(2_000)
      expect(count(truthOf(sandbox).unmapped())).toBe(
        [...truthOf(sandbox).transactions()].filter(({ direction }) => direction === null).length,
      )
    }),
  )

  it.scoped("keeps every digit of amounts that a double cannot hold", () =>
    Effect.gen(function* () {
      const sandbox = yield* start({ longAmounts: true })
      const { text } = yield* ask(sandbox, `${PATHS.transactions}?limit=1000`)
      const long = [...text.matchAll(/"amount":([\d.]{16,})/g)].map(([, literal]) => literal!)
      expect(long.length).toBeGreaterThan(0)
      expect(long.some(literal => String(Number(literal)) !== literal)).toBe(true)
      const amounts = [...truthOf(sandbox).transactions()].map(({ amount }) => amount)
      expect(amounts).toEqual(expect.arrayContaining(long))
      // Only money of an unknown direction, which has few digits, is in wallets and in no movement.
      const wrong = truthOf(sandbox)
        .balances()
        .filter(({ difference }) => difference !== "0")
      expect(wrong.every(({ difference }) => difference.length < 8)).toBe(true)
    }),
  )
})
