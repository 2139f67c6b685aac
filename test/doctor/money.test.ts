import { describe, expect, it } from "@effect/vitest"
import { decimal, isEqual, minus, plus, signOf } from "../../src/doctor/decimal.ts"
import {
  type DirectionOf,
  type EventMoney,
  eventsIn,
  type MoneyReport,
  moneyIn,
} from "../../src/doctor/money.ts"
import { moneyFindings } from "../../src/doctor/records.ts"
import transactions from "../../src/streams/transactions.ts"
import { json } from "../support/warehouse.ts"

const money = transactions.documented.money!

/** Fields of a record: type, amount, fee without tax, tax, fee with tax, net; as JSON texts. */
type Line = readonly [type: string, amount: string, bare: string, tax: string, fee: string, net: string]

const record = ([type, amount, bare, tax, fee, net]: Line, currency = "EUR", name = "DONE") =>
  json(
    `{"event_type":"${type}","event_name":"${name}","amount":${amount},"currency":"EUR","fees_currency":"${currency}",` +
      `"fees_without_tax":${bare},"tax_on_fees":${tax},"fees_including_tax":${fee},"net_amount":${net}}`,
  )

const NONE = { direction: null, isAssumed: false }
const seeds: DirectionOf = ({ type }) => {
  const direction = ({ PAYIN: 1, PAYOUT: -1 } as const)[type as "PAYIN"]
  return direction === undefined ? NONE : { direction, isAssumed: true }
}

const reportOf = (lines: ReadonlyArray<Line>, directionOf?: DirectionOf): MoneyReport =>
  moneyIn(
    lines.map(line => record(line)),
    money,
    directionOf,
  )!

const eventOf = (lines: ReadonlyArray<Line>, directionOf?: DirectionOf): EventMoney =>
  reportOf(lines, directionOf).events[0]!

const said = (report: MoneyReport) =>
  moneyFindings(report, money, { account: "a", stream: "transactions" }).map(
    ({ level, check, message }) => `${level} ${check}: ${message}`,
  )

describe("decimals", () => {
  it("are exact in every spelling", () => {
    const of = (text: string) => decimal(text)!
    expect(isEqual(plus(of("0.1"), of("0.2")), of("0.3"))).toBe(true)
    expect(isEqual(minus(of("9007199254740993.10"), of("0.1")), of("9007199254740993"))).toBe(true)
    expect(isEqual(of("1e3"), of("1000.00"))).toBe(true)
    expect(isEqual(of("-125e-2"), of("-1.25"))).toBe(true)
    expect(isEqual(of("0.1"), of("0.10000000000000000001"))).toBe(false)
    expect([of("-0.01"), of("-0"), of(" 3 ")].map(signOf)).toEqual([-1, 0, 1])
    for (const text of ["", "1,5", "NaN", "1e9999", "0x1", "1 2"]) expect(decimal(text)).toBeUndefined()
  })
})

describe("the relation of amount, fees and net amount", () => {
  const FORMULAS: ReadonlyArray<readonly [net: string, formula: string]> = [
    ["98.35", "net_amount = amount − fees_including_tax"],
    ["101.65", "net_amount = amount + fees_including_tax"],
    ["100", "net_amount = amount"],
    ["98.5", "net_amount = amount − fees_without_tax"],
    ["-101.65", "net_amount = −amount − fees_including_tax"],
    ["-98.35", "net_amount = fees_including_tax − amount"],
    ["-100", "net_amount = −amount"],
  ]
  it.each([...FORMULAS])("is derived from the figures: %s is %s", (net, formula) => {
    const { net: found, withFees } = eventOf([["PAYIN", "100", "1.5", "0.15", "1.65", net]])
    expect(found).toEqual({ formula, holds: 1, of: 1 })
    expect(withFees).toBe(1)
  })

  it("comes with the number of records in which it holds", () => {
    const fine: Line = ["PAYIN", "100", "1.5", "0.15", "1.65", "98.35"]
    const { net } = eventOf([fine, fine, ["PAYIN", "100", "1.5", "0.15", "1.65", "98.36"], fine])
    expect(net).toEqual({ formula: "net_amount = amount − fees_including_tax", holds: 3, of: 4 })
    expect(said(reportOf([fine, ["PAYIN", "100", "1.5", "0.15", "1.65", "98.36"]]))).toContainEqual(
      expect.stringMatching(
        /^warn money: PAYIN, 2 records: amounts are positive; net_amount = amount − fees_including_tax in 1 of 2, 2 with a fee; ask PayCombat/,
      ),
    )
  })

  it("is reported as unknown if no rule explains it", () => {
    expect(eventOf([["PAYIN", "100", "1.5", "0.15", "1.65", "42"]]).net).toEqual({
      formula: null,
      holds: 0,
      of: 1,
    })
  })

  it("says nothing about fees if there are none", () => {
    const { net, withFees } = eventOf([["DEBIT", "100", "0", "0", "0", "100"]])
    expect([net.formula, withFees]).toEqual(["net_amount = amount", 0])
  })

  it("is exact beyond a double, in texts and in numbers", () => {
    const lines: ReadonlyArray<Line> = [
      ["PAYIN", "9007199254740993.11", "0.01", "0", "0.01", "9007199254740993.10"],
      ["PAYIN", '"9007199254740993.11"', '"0.01"', '"0"', '"0.01"', '"9007199254740993.1"'],
      ["PAYIN", "9007199254740993.11", "0.01", "0", "0.01", "9007199254740993.11"],
    ]
    expect(eventOf(lines).net).toMatchObject({ holds: 2, of: 3 })
  })

  it("expects the fee with its tax to be the sum of both, and reports differences", () => {
    const { feeSum } = reportOf([
      ["PAYIN", "100", "0.1", "0.2", "0.3", "99.7"],
      ["PAYIN", "100", "0.1", "0.2", "0.31", "99.69"],
      ["PAYIN", "100", "0.1", "null", "0.1", "99.9"],
    ])
    expect(feeSum).toMatchObject({ holds: 1, of: 2 })
    expect(said(reportOf([["PAYIN", "100", "1", "1", "3", "97"]]))).toContainEqual(
      expect.stringMatching(/^warn fees: fees_including_tax = fees_without_tax \+ tax_on_fees in 0 of 1/),
    )
  })

  it("leaves fees of another currency out, and reports them", () => {
    const report = moneyIn(
      [
        record(["PAYIN", "100", "1", "0", "1", "100"], "USD"),
        record(["PAYIN", "100", "1", "0", "1", "99"], "USD"),
        record(["PAYIN", "100", "1", "0", "1", "99"]),
      ],
      money,
    )!
    expect(report.foreignFees).toEqual({ holds: 1, of: 2 })
    expect(report.events[0]!.net).toMatchObject({ holds: 1, of: 1 })
  })

  it("reports fees below zero", () => {
    expect(said(reportOf([["PAYIN", "100", "-1", "0", "-1", "101"]]))).toContainEqual(
      expect.stringMatching(/^warn fees: 1 fee below zero/),
    )
  })
})

describe("the sign of amounts", () => {
  const positive: Line = ["PAYIN", "100", "0", "0", "0", "100"]
  const negative: Line = ["PAYIN", "-100", "0", "0", "0", "-100"]

  it("is reported by event type", () => {
    expect(eventOf([positive, ["PAYIN", "0.00", "0", "0", "0", "0"], negative]).amounts).toEqual({
      negative: 1,
      zero: 1,
      positive: 1,
    })
    expect(said(reportOf([positive]))).toContainEqual(expect.stringContaining("amounts are positive"))
  })

  it("gets advice if it varies, or contradicts the direction", () => {
    const lines = said(reportOf([positive, negative], seeds))
    expect(lines).toContainEqual(
      expect.stringMatching(
        /^warn money: PAYIN \(\+1, assumed\), 2 records: amounts are negative in 1, positive in 1/,
      ),
    )
    expect(said(reportOf([negative], seeds))).toContainEqual(
      expect.stringMatching(/^warn money: PAYIN \(\+1, assumed\).*times the direction/),
    )
    expect(said(reportOf([["PAYOUT", "-100", "0", "0", "0", "-100"]], seeds))).toContainEqual(
      expect.stringMatching(/^pass money: PAYOUT \(-1, assumed\).*amounts are negative/),
    )
  })
})

describe("the direction of events", () => {
  const lines: ReadonlyArray<Line> = [
    ["PAYIN", "100", "0", "0", "0", "100"],
    ["TOPUP", "100", "0", "0", "0", "100"],
    ["TOPUP", "100", "0", "0", "0", "100"],
  ]

  it("is read once for each pair of type and name", () => {
    const records = [...lines.map(line => record(line)), record(lines[0]!, "EUR", "FAILED")]
    expect(eventsIn(records, money)).toEqual([
      { type: "PAYIN", name: "DONE", isNegative: false },
      { type: "TOPUP", name: "DONE", isNegative: false },
      { type: "PAYIN", name: "FAILED", isNegative: false },
    ])
  })

  it("is reported as missing, with the remedy", () => {
    expect(said(reportOf(lines, seeds))).toContainEqual(
      expect.stringMatching(
        /^warn directions: TOPUP has none in 2 of 2 records \(DONE\).*directions set TYPE NAME DIRECTION/,
      ),
    )
    const named = ["DONE", "Top-up for Anna Smith", "Anna"].map(name => record(lines[0]!, "EUR", name))
    const anonymous = said(moneyIn(named, money, () => NONE)!)
    expect(anonymous).toContainEqual(
      expect.stringContaining("(DONE, 2 more that are not shown): settlements"),
    )
    expect(anonymous.join()).not.toContain("Anna")
    expect(said(reportOf(lines.slice(0, 1), seeds))).toContainEqual(
      "pass directions: every event type of the sample has one.",
    )
    const confirmed: DirectionOf = () => ({ direction: 1, isAssumed: false })
    expect(said(reportOf(lines.slice(0, 1), confirmed)).join("\n")).not.toContain("assumed")
    expect(said(reportOf(lines))).toContainEqual(
      expect.stringMatching(/^warn directions: rules are applied to stored transactions/),
    )
  })

  it("is marked as assumed, with the command that confirms it", () => {
    expect(said(reportOf(lines, seeds))).toContainEqual(
      expect.stringMatching(
        /^pass directions: assumed until .*: PAYIN\. .*`paycombat-sync directions confirm TYPE`/,
      ),
    )
  })

  it("that takes money out together with a fee in the amount gets a note", () => {
    const paid: Line = ["PAYOUT", "100", "2", "0", "2", "98"]
    expect(said(reportOf([paid], seeds))).toContainEqual(
      expect.stringMatching(/^pass money: .*balance_reconciliation/),
    )
    expect(said(reportOf([["PAYOUT", "100", "2", "0", "2", "102"]], seeds)).join()).not.toContain(
      "reconciliation",
    )
  })

  it("is marked as assumed, with the command that confirms it", () => {
    expect(said(reportOf(lines, seeds))).toContainEqual(
      expect.stringMatching(
        /^pass directions: assumed until .*: PAYIN\. .*`paycombat-sync directions confirm TYPE`/,
      ),
    )
  })

  it("that takes money out by a negative amount gets no note, because the fee is on top of it", () => {
    expect(said(reportOf([["PAYOUT", "-100", "2", "0", "2", "-102"]], seeds)).join()).not.toContain(
      "reconciliation",
    )
  })

  it("shows a type only if it looks like a code", () => {
    const report = reportOf([["zyx@example.com", "1", "0", "0", "0", "1"]], seeds)
    expect(JSON.stringify([report, said(report)])).not.toContain("zyx")
  })

  it("bounds the number of reported types", () => {
    const many = Array.from({ length: 30 }, (_, i): Line => [`KIND_${i}`, "1", "0", "0", "0", "1"])
    const report = reportOf(many, seeds)
    expect([report.events.length, report.furtherTypes]).toEqual([20, 10])
  })
})

describe("records without money", () => {
  it("give no report", () => {
    expect(
      moneyIn([json("1"), json("{}"), json('{"event_type":"PAYIN","amount":null}')], money),
    ).toBeUndefined()
  })
})
