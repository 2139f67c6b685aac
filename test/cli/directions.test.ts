import { userInfo } from "node:os"
import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { connect } from "../../src/postgres/connect.ts"
import { cli, databaseEnvironment, hasTerminals, linesOf } from "../support/cli.ts"
import { testDatabase } from "../support/postgres.ts"
import { MIGRATED } from "../support/warehouse.ts"
import { given, lines } from "../views/rows.ts"

/** Tests `directions` as a person uses it, and that each view follows at once. */

const TRANSACTIONS = [
  { transaction_id: "t1", event_type: "PAYIN", event_name: "PAYIN_COMPLETED", amount: "100.10" },
  { transaction_id: "t2", event_type: "PAYIN", event_name: "PAYIN_APPROVED", amount: 20 },
  { transaction_id: "t3", event_type: "PAYIN", event_name: "PAYIN_APPROVED", amount: -5 },
  { transaction_id: "t4", event_type: "PAYIN", event_name: "PAYIN_PENDING", amount: 7 },
  { transaction_id: "t5", event_type: "PAYOUT", event_name: "PAYOUT_RETURNED", amount: 30 },
  { transaction_id: "t6", event_type: "TOPUP", amount: 40, currency: "EUR" },
  { transaction_id: "t7", event_type: "PAYIN", event_name: "PAYIN_FAILED", amount: 3 },
  { transaction_id: "t8", event_type: "REFUND", event_name: "REFUND_PAID", amount: -4 },
]

const USER = userInfo().username

const warehouse = (transactions: ReadonlyArray<object> = TRANSACTIONS) =>
  Effect.gen(function* () {
    const database = yield* testDatabase({ template: MIGRATED })
    const sql = yield* connect(database.ownerUrl)
    yield* given(
      sql,
      "transactions",
      ...transactions.map(transaction => ({ settlement_id: "s", ...transaction })),
    )
    const program = yield* cli(databaseEnvironment(database.ownerUrl))
    const run = (...args: ReadonlyArray<string>) => program.run(["directions", ...args])
    const rule = (type: string, name: string) =>
      Effect.map(
        Effect.promise(
          () => sql`SELECT direction::text, amount_sign, confirmed_at IS NOT NULL AS is_confirmed, confirmed_by
            FROM warehouse.event_directions WHERE event_type = ${type} AND event_name = ${name}`,
        ),
        ([row]) => (row === undefined ? undefined : { ...row }),
      )
    return { sql, run, rule, program, readerUrl: database.readerUrl }
  })

describe.concurrent("directions list", () => {
  it.scopedLive("shows each type and name with its rule, its money, and the commands that settle it", () =>
    Effect.gen(function* () {
      const { run } = yield* warehouse()
      const { code, stdout, stderr } = yield* run("list")
      expect(code).toBe(0)
      const rows = linesOf(stdout).map(line => line.split(/[\s│]{2,}/).join(" | "))
      const row = (name: string) => rows.find(line => line.includes(name))
      expect(row("PAYIN_COMPLETED")).toMatch(/USD \| 1 \| 100.10 \| in \| assumed: the rule for PAYIN/)
      expect(row("PAYIN_APPROVED")).toMatch(/USD \| 2 \| 25 \| not known \| no rule \| 2 not counted/)
      expect(row("PAYIN_FAILED")).toMatch(/\| none \| assumed: the name says that nothing moved/)
      expect(row("PAYOUT_RETURNED")).toMatch(/30 \| not known \| no rule \| 1 not counted; likely in/)
      expect(row("TOPUP")).toMatch(/TOPUP \| - \| EUR \| 1 \| 40 \| not known/)
      expect(stderr).toContain("`paycombat-sync directions set TYPE NAME in|out|none`")
      expect(stderr).toContain("`paycombat-sync directions confirm PAYIN`")

      const json = yield* run("list", "--json", "--account", "default")
      expect([json.code, json.stderr]).toEqual([0, ""])
      const kinds = JSON.parse(json.stdout) as ReadonlyArray<Record<string, unknown>>
      expect(kinds).toHaveLength(7)
      expect(kinds.find(({ eventName }) => eventName === "PAYOUT_RETURNED")).toMatchObject({
        rule: "none",
        direction: null,
        suggested: 1,
        amount: "30",
        confirmedAt: null,
        confirmedBy: null,
      })
      expect(JSON.parse((yield* run("list", "--json", "--account", "other")).stdout)).toEqual([])
    }),
  )

  it.scopedLive("says that there are no transactions if the warehouse is empty", () =>
    Effect.gen(function* () {
      const { run } = yield* warehouse([])
      expect(yield* run("list")).toMatchObject({
        code: 0,
        stdout: "There are no transactions yet.\n",
        stderr: "",
      })
    }),
  )
})

describe.concurrent("directions set", () => {
  it.scopedLive("sets a confirmed rule that every view follows at once", () =>
    Effect.gen(function* () {
      const { sql, run, rule } = yield* warehouse()
      const done = yield* run("set", "TOPUP", "*", "in")
      expect(done).toMatchObject({
        code: 0,
        stdout: "default: TOPUP (no name), 1 transaction of together 40 EUR: not known → in\n",
        stderr: "Set: TOPUP * (in). Figures follow at once.\n",
      })
      expect(yield* rule("TOPUP", "*")).toEqual({
        direction: "1",
        amount_sign: "absolute",
        is_confirmed: true,
        confirmed_by: USER,
      })
      expect(
        yield* lines(sql, "settlement_amount, unmapped_count", "settlement WHERE currency = 'EUR'"),
      ).toEqual(["40 | 0"])
      expect(yield* lines(sql, "ledger_balance", "balance_reconciliation WHERE currency = 'EUR'")).toEqual([
        "40",
      ])
      // The other way round, with the sign as sent.
      for (const direction of ["-1", "out"]) {
        expect((yield* run("set", "TOPUP", "*", direction)).code).toBe(0)
        expect(yield* lines(sql, "settlement_amount", "settlement WHERE currency = 'EUR'")).toEqual(["-40"])
      }
      const signed = yield* run("set", "PAYIN", "PAYIN_APPROVED", "in", "--as-sent", "--json")
      expect(JSON.parse(signed.stdout)).toEqual({
        rules: [{ eventType: "PAYIN", eventName: "PAYIN_APPROVED", direction: 1, amountSign: "as_sent" }],
        changes: [
          [false, "20", 1],
          [true, "5", -1],
        ].map(([isNegative, amount, after]) => ({
          account: "default",
          eventType: "PAYIN",
          eventName: "PAYIN_APPROVED",
          currency: "USD",
          isNegative,
          transactionCount: 1,
          amount,
          before: null,
          after,
        })),
      })
    }),
  )

  it.scopedLive("refuses bad input with one line, exit code 2 and no change", () =>
    Effect.gen(function* () {
      const { sql, run, program, readerUrl } = yield* warehouse()
      const before = yield* Effect.promise(() => sql`SELECT * FROM warehouse.event_directions ORDER BY 1, 2`)
      const refused = [
        [["set", "PAYIN", "*", "sideways"], /^The direction must be in, out or none .*, not sideways\./],
        [["set", " ", "*", "in"], /^The type must not be empty/],
        [["set", "PAYIN", "*", "none", "--as-sent"], /^--as-sent needs the direction in or out/],
        [["set", "PAYIN", "*"], /direction/],
        [
          ["confirm", "TOPUP"],
          /^No rule is for type TOPUP: .*`paycombat-sync directions set TOPUP '\*' in\|out\|none`/,
        ],
        [
          ["confirm", "PAYIN", "PAYIN_PENDING"],
          /^No rule decides PAYIN PAYIN_PENDING: .*directions set PAYIN PAYIN_PENDING/,
        ],
        [["confirm", "PAYIN", "PAYIN_UNSEEN"], /^No rule decides PAYIN PAYIN_UNSEEN/],
      ] as const
      for (const [args, message] of refused) {
        const { code, stdout, stderr } = yield* run(...args)
        expect([args, code, stdout, linesOf(stderr)]).toEqual([args, 2, "", [expect.stringMatching(message)]])
      }
      expect(
        yield* Effect.promise(() => sql`SELECT * FROM warehouse.event_directions ORDER BY 1, 2`),
      ).toEqual(before)
      const asReader = yield* program.run(
        ["directions", "set", "TOPUP", "*", "in"],
        databaseEnvironment(readerUrl),
      )
      expect([asReader.code, linesOf(asReader.stderr).length]).toEqual([2, 1])
    }),
  )
})

describe.concurrent("directions confirm", () => {
  it.scopedLive("confirms a type, and prints each name, count and amount that it newly counts", () =>
    Effect.gen(function* () {
      const { sql, run, rule } = yield* warehouse()
      const done = yield* run("confirm", "PAYIN")
      expect([done.code, linesOf(done.stdout), done.stderr]).toEqual([
        0,
        [
          "default: PAYIN PAYIN_APPROVED, 1 transaction of together 20 USD: not known → in",
          "default: PAYIN PAYIN_APPROVED, 1 transaction with a minus of together 5 USD: not known → in",
        ],
        "Confirmed: PAYIN * (in). Figures follow at once.\n",
      ])
      expect(yield* rule("PAYIN", "*")).toMatchObject({ is_confirmed: true, confirmed_by: USER })
      expect(yield* lines(sql, "settlement_amount", "settlement WHERE currency = 'USD'")).toEqual(["121.10"])
      expect((yield* run("list")).stdout).toContain(`confirmed by ${USER}: the rule for PAYIN`)
      const again = yield* run("confirm", "PAYIN")
      expect(again).toMatchObject({
        code: 0,
        stdout: "No transaction counts otherwise.\n",
        stderr: "All of these rules are confirmed already. Nothing was changed.\n",
      })
    }),
  )

  it.scopedLive("confirms what a name counts as now, also if all its amounts carry a minus", () =>
    Effect.gen(function* () {
      const { sql, run, rule } = yield* warehouse()
      expect((yield* run("confirm", "REFUND", "REFUND_PAID")).code).toBe(0)
      expect(yield* rule("REFUND", "REFUND_PAID")).toMatchObject({ direction: "-1", is_confirmed: true })
      expect(yield* rule("REFUND", "*")).toMatchObject({ is_confirmed: false })
      // A rule keeps the sign that amounts count with.
      yield* run("set", "SWAP", "*", "in", "--as-sent")
      yield* given(sql, "transactions", {
        transaction_id: "t9",
        event_type: "SWAP",
        event_name: "SWAP_DONE",
        amount: -9,
      })
      expect((yield* run("confirm", "SWAP", "SWAP_DONE")).code).toBe(0)
      expect(yield* rule("SWAP", "SWAP_DONE")).toMatchObject({ direction: "1", amount_sign: "as_sent" })
      const all = yield* run("confirm", "--json")
      expect(JSON.parse(all.stdout)).toMatchObject({
        rules: expect.arrayContaining([expect.objectContaining({ eventType: "DEBIT" })]),
      })
      expect(
        yield* lines(sql, "count(*)", "event_rule WHERE confirmed_at IS NULL AND rule <> 'none'"),
      ).toEqual(["0"])
    }),
  )

  it.scopedLive.skipIf(!hasTerminals)("asks first on a terminal, and changes nothing without a yes", () =>
    Effect.gen(function* () {
      const { program, rule } = yield* warehouse()
      for (const [answer, isConfirmed] of [
        ["n\n", false],
        ["y\n", true],
      ] as const) {
        const terminal = yield* program.onTerminal(["directions", "confirm", "PAYIN"])
        yield* terminal.printed("[y/N]")
        expect(terminal.stdout()).toContain("PAYIN_APPROVED, 1 transaction of together 20 USD")
        expect(yield* rule("PAYIN", "*")).toMatchObject({ is_confirmed: false })
        yield* terminal.type(answer)
        expect((yield* terminal.ended).code).toBe(0)
        expect(yield* rule("PAYIN", "*")).toMatchObject({ is_confirmed: isConfirmed })
      }
      const unasked = yield* program.onTerminal(["directions", "set", "TOPUP", "*", "in", "--yes"])
      expect((yield* unasked.ended).stdout).not.toContain("[y/N]")
    }),
  )
})
