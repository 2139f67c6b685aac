import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import type { Breach } from "../../src/sandbox/world/options.ts"
import { computeDueChecks } from "../../src/warehouse/checks/ledgerChecks.ts"
import { confirmDirections, setDirection } from "../../src/warehouse/maintain/directions.ts"
import { deltaTruth, ledgerTruth, sideLines, spelledDecimal } from "../support/ledgerTruth.ts"
import { type Bench, bench, type SyncOptions } from "../support/warehouse.ts"

/** The equations of `ledger_check`: each is seen to hold on data that keep the assumptions, and to fail on data that break one. */

const SIZE = { customers: 12, transactions: 200, payouts: 26, checkouts: 2 }
const PAGES: SyncOptions = { account: { pageSize: 500 } }

const BOTH_SIDES = ["wallet_balance", "net_amount", "reserve", "payouts", "settlements", "fees", "totals"]
const UNREAD = ["merchant_balance", "payins"]

const BY = { by: "test", isPreview: false }

/** A warehouse and a sandbox in which every kind of transaction has a direction, or is made by the test to have none. */
const arranged = (...breaches: ReadonlyArray<Breach>) =>
  Effect.gen(function* () {
    const b = yield* bench({ ...SIZE, breaches })
    yield* setDirection(b.sql, { eventType: "ADJUSTMENT", eventName: "*", direction: 1, asSent: false }, BY)
    return b
  })

interface Result {
  readonly states: ReadonlyArray<string>
  readonly sides: ReadonlyArray<string>
  readonly text: string
}

/** The stored results of an equation: its states, its sides by currency, and its explanations. */
const check = ({ rows }: Bench, name: string) =>
  Effect.map(rows(`SELECT * FROM analytics.ledger_check WHERE "check" = '${name}'`), (found): Result => {
    for (const { left_amount: left, right_amount: right, difference } of found)
      if (difference !== null) expect(Number(difference)).toBeCloseTo(Number(left) - Number(right))
    return {
      states: [...new Set(found.map(({ state }) => state!))].sort(),
      sides: found
        .map(
          row => `${row.currency} ${spelledDecimal(row.left_amount!)} ${spelledDecimal(row.right_amount!)}`,
        )
        .sort(),
      text: found.map(({ explanation }) => explanation ?? "").join(" "),
    }
  })

const findingsOf = (b: Bench) =>
  Effect.map(b.value("SELECT findings FROM analytics.verdict"), findings =>
    (
      JSON.parse(findings!) as ReadonlyArray<{ kind: string; stream: string; text: string; level: string }>
    ).filter(({ kind }) => kind === "ledger_check"),
  )

describe("on data that keep the assumptions", () => {
  it.scopedLive("every equation holds, with the sums of the records on both sides", () =>
    Effect.gen(function* () {
      const b = yield* arranged()
      yield* b.sync(PAGES)
      const first = yield* check(b, "wallet_delta")
      expect(first.states).toEqual(["not_comparable"])
      expect(first.text).toContain("read only once")
      const before = ledgerTruth(b.sandbox)
      b.sandbox.insert("transactions", 30, "back")
      yield* b.sync(PAGES)
      const truth = ledgerTruth(b.sandbox)
      for (const name of BOTH_SIDES) {
        const { states, sides } = yield* check(b, name)
        expect([name, ...states]).toEqual([name, "ok"])
        expect(sides, name).toEqual(sideLines(truth.get(name)))
      }
      const delta = yield* check(b, "wallet_delta")
      expect(delta.states).toEqual(["ok"])
      expect(delta.sides).toEqual(sideLines(deltaTruth(before, truth)))
      for (const name of UNREAD) {
        const { states, text } = yield* check(b, name)
        expect([name, ...states]).toEqual([name, "not_comparable"])
        expect(text).toContain("not read yet")
      }
      expect(yield* findingsOf(b)).toEqual([])
    }),
  )

  it.scopedLive("a run that changed nothing computes only what waits for another run", () =>
    Effect.gen(function* () {
      const b = yield* arranged()
      const at = b.value("SELECT min(checked_at) FROM analytics.ledger_check")
      yield* b.sync(PAGES)
      const first = yield* at
      yield* b.sync(PAGES)
      expect((yield* check(b, "wallet_delta")).states).toEqual(["ok"])
      const second = yield* at
      expect(second! > first!).toBe(true)
      yield* b.sync(PAGES)
      expect(yield* at).toBe(second)
    }),
  )
})

describe("on data that break an assumption", () => {
  it.scopedLive("the equation that rests on it differs, and the verdict says so", () =>
    Effect.gen(function* () {
      const failing: Readonly<Record<string, readonly [breach: Breach, words: string]>> = {
        net_amount: ["fees-inside", "PAYOUT, REFUND"],
        fees: ["fee-sums", "fee with tax is not the sum"],
        payouts: ["returned-payouts", "failed_but_moved"],
        settlements: ["payouts-in-settlements", "add up to 0"],
        reserve: ["other-holds", "held back"],
        wallet_balance: ["wallet-differences", "see balance_reconciliation"],
      }
      const b = yield* arranged(...Object.values(failing).map(([breach]) => breach))
      yield* b.sync(PAGES)
      const truth = ledgerTruth(b.sandbox)
      for (const [name, [, words]] of Object.entries(failing)) {
        const { states, sides, text } = yield* check(b, name)
        expect([name, ...states]).toContain("differs")
        expect(sides, name).toEqual(sideLines(truth.get(name)))
        expect(text).toContain(words)
      }
      expect((yield* check(b, "totals")).states).toEqual(["ok"])
      const findings = yield* findingsOf(b)
      expect(findings.map(({ stream, level }) => `${stream} ${level}`).sort()).toEqual([
        "payouts attention",
        ...Array.from({ length: 3 }, () => "transactions attention"),
        ...Array.from({ length: 2 }, () => "wallets attention"),
      ])
      for (const name of Object.keys(failing))
        expect(findings.some(({ text }) => text.startsWith(`equation ${name} differs in `))).toBe(true)
    }),
  )

  it.scopedLive(
    "fees from a wallet of the organization: owners differ, all together agree, and the setting mends it",
    () =>
      Effect.gen(function* () {
        const b = yield* arranged("fees-wallet")
        yield* b.sync(PAGES)
        b.sandbox.insert("transactions", 30, "back")
        yield* b.sync(PAGES)
        const balance = yield* check(b, "wallet_balance")
        expect(balance.states).toEqual(["differs"])
        expect(balance.sides).toEqual(sideLines(ledgerTruth(b.sandbox).get("wallet_balance")))
        expect(balance.text).toContain("All owners together agree")
        expect(balance.text).toContain("PAYCOMBAT_FEE_OWNER=organization")
        expect((yield* check(b, "wallet_delta")).states).toContain("differs")

        yield* b.sync({ account: { pageSize: 500, feeOwner: "organization" } })
        expect((yield* check(b, "wallet_balance")).states).toEqual(["ok"])
        expect((yield* check(b, "wallet_delta")).states).toEqual(["ok"])
      }),
  )

  it.scopedLive(
    "signed amounts: not comparable while their direction is unknown, differing by a wrong rule, equal by the right one",
    () =>
      Effect.gen(function* () {
        const b = yield* arranged("signed-amounts")
        yield* b.sync(PAGES)
        const open = yield* check(b, "wallet_balance")
        expect(open.states).toContain("not_comparable")
        expect(open.states).not.toContain("differs")
        expect(open.text).toContain("directions list")

        yield* confirmDirections(b.sql, { eventType: "PAYIN" }, BY)
        for (const name of ["wallet_balance", "net_amount"])
          expect((yield* check(b, name)).states, name).toContain("differs")

        yield* setDirection(b.sql, { eventType: "PAYIN", eventName: "*", direction: 1, asSent: true }, BY)
        for (const name of ["wallet_balance", "net_amount"])
          expect((yield* check(b, name)).states, name).toEqual(["ok"])
      }),
  )

  it.scopedLive("a list of transactions that lags behind: wallets hold what it does not show", () =>
    Effect.gen(function* () {
      const b = yield* arranged("lagging-transactions")
      yield* b.sync(PAGES)
      const { states, sides } = yield* check(b, "wallet_balance")
      expect(states).toContain("differs")
      expect(sides).toEqual(sideLines(ledgerTruth(b.sandbox).get("wallet_balance")))
    }),
  )

  it.scopedLive("a wallet that changes without a transaction: wallet_delta differs by as much", () =>
    Effect.gen(function* () {
      const b = yield* arranged()
      yield* b.sync(PAGES)
      const before = ledgerTruth(b.sandbox)
      b.sandbox.touch("wallets", 3)
      yield* b.sync(PAGES)
      const { states, sides, text } = yield* check(b, "wallet_delta")
      expect(states).toEqual(["differs", "ok"])
      expect(sides).toEqual(sideLines(deltaTruth(before, ledgerTruth(b.sandbox))))
      expect(text).toContain("1 of ")
    }),
  )

  it.scopedLive("totals that part from their rows: totals and settlements differ", () =>
    Effect.gen(function* () {
      const b = yield* arranged()
      yield* b.sync(PAGES)
      yield* Effect.promise(() => b.sql`UPDATE warehouse.transaction_settlements SET amount = amount + 1`)
      yield* Effect.promise(
        () => b.sql`UPDATE warehouse.transaction_owners SET unsettled_amount = unsettled_amount + 1`,
      )
      b.sandbox.touch("wallets", 3)
      yield* b.sync({ ...PAGES, only: ["wallets"] })
      expect((yield* check(b, "totals")).text).toContain("transaction_owners, transaction_settlements")
      expect((yield* check(b, "settlements")).states).toContain("differs")
    }),
  )
})

describe("an equation that cannot be compared says why", () => {
  it.scopedLive("a stream that was never read, and transactions that were read before the wallets", () =>
    Effect.gen(function* () {
      const b = yield* arranged()
      yield* b.sync({ ...PAGES, only: ["transactions"] })
      for (const name of ["wallet_balance", "wallet_delta", "reserve", "payouts"]) {
        const { states, text } = yield* check(b, name)
        expect([name, ...states]).toEqual([name, "not_comparable"])
        expect(text).toContain(`Not read to its end yet: ${name === "payouts" ? "payouts" : "wallets"}.`)
      }
      yield* Effect.promise(
        () =>
          b.sql`INSERT INTO sync.unavailable VALUES ('default', 'payouts', 'no list found', '{}', now(), now())`,
      )
      yield* computeDueChecks(b.sql)
      expect(yield* check(b, "payouts")).toMatchObject({
        states: ["not_comparable"],
        text: expect.stringContaining("payouts is not available to this token: no list found."),
      })
      b.sandbox.touch("wallets", 3)
      yield* b.sync({ ...PAGES, only: ["wallets"] })
      const late = yield* check(b, "wallet_balance")
      expect(late.states).toEqual(["not_comparable", "ok"])
      expect(late.text).toContain("read later than the transactions")
    }),
  )
})
