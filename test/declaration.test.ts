import { describe, expect, it } from "@effect/vitest"
import { Effect, Either } from "effect"
import type { LookupSource, Open } from "../src/core/lookup.ts"
import type { ListSource, ListStream } from "../src/core/stream.ts"
import { allStreams } from "../src/registry.ts"
import { fixtureIn } from "../src/sandbox/fixture.ts"
import { fixtureOf } from "./support/conformance.ts"
import { type Declared, mistakesIn } from "./support/declaration.ts"

/** Each mistake in a declaration is named, with the part of the declaration that it is in. */

const known: ReadonlyArray<Declared> = (await Effect.runPromise(allStreams)).map(stream => ({
  stream,
  fixture: fixtureOf(stream),
}))

const named = (name: string) => known.find(({ stream }) => stream.name === name)!

/** The mistakes that a changed declaration has. */
const mistakesOf = (name: string, change: (stream: ListStream) => Partial<ListStream>) => {
  const { stream, fixture } = named(name)
  return mistakesIn({ stream: { ...stream, ...change(stream as ListStream) }, fixture }, known)
}

const source =
  (change: Partial<ListSource>) =>
  (stream: ListStream): Partial<ListStream> => ({ source: { ...stream.source, ...change } })

const times = (change: Partial<NonNullable<ListSource["times"]>>) => (stream: ListStream) =>
  source({ times: { ...stream.source.times!, ...change } })(stream)

const open = (open: Open) => times({ open })

/** A change of a look-up's source. */
const lookup = (change: Partial<LookupSource>) => (stream: ListStream) =>
  ({ source: { ...stream.source, ...change } }) as unknown as Partial<ListStream>

const documented =
  (change: Partial<ListStream["documented"]>) =>
  (stream: ListStream): Partial<ListStream> => ({ documented: { ...stream.documented, ...change } })

const personal =
  (change: Partial<ListStream["personal"]>) =>
  (stream: ListStream): Partial<ListStream> => ({ personal: { ...stream.personal, ...change } })

type Mistake = readonly [
  part: string,
  word: string,
  stream: string,
  change: (stream: ListStream) => Partial<ListStream>,
]

const MISTAKES: ReadonlyArray<Mistake> = [
  ["source.recognizes", "never find", "payouts", source({ recognizes: record => "wire_idd" in record })],
  ["source.recognizes", "checkouts", "payouts", source({ recognizes: () => true })],
  [
    "source.recognizes",
    "mayLack",
    "payouts",
    source({ recognizes: record => "wire_amount" in record || "original_amount" in record }),
  ],
  ["source.idField", '"payout_id"', "payouts", source({ idField: "payout_id" })],
  ["source.idField", '"merchant_id"', "payouts", source({ idField: "merchant_id" })],
  ["source.idField", '"wire_id"', "payouts", source({ idField: "wire_id" })],
  ["idColumn", '"id"', "payouts", () => ({ idColumn: "id" })],
  ["source.merchantField", '"merchant"', "payouts", source({ merchantField: "merchant" })],
  ["source.merchantField", '"reply_code_id_pg"', "payouts", source({ merchantField: "reply_code_id_pg" })],
  ["source.merchantField", '"customer_id"', "transactions", source({ merchantField: "customer_id" })],
  ["source.merchantField", '"transaction_id"', "transactions", source({ merchantField: "transaction_id" })],
  ["source.merchantField", '"org_id"', "transactions", source({ merchantField: null })],
  [
    "source.merchantField",
    "personal.plain",
    "customers",
    stream => personal({ plain: { ...stream.personal.plain, org_id: {} } })(stream),
  ],
  ["source.times.created", '"createdAt"', "payouts", times({ created: "createdAt" })],
  ["source.times.updated", '"last_update"', "payouts", times({ updated: "last_update" })],
  ["source.times.updated", '"status"', "payouts", times({ updated: "status" })],
  ["source.times.updated", '"approved_at"', "payouts", times({ updated: "approved_at" })],
  ["source.times", '"updated_at"', "payouts", times({ created: "updated_at" })],
  [
    "source.times.created",
    '"updated_at"',
    "payouts",
    times({ created: "updated_at", updated: "created_at" }),
  ],
  ["source.times.open.column", '"state"', "payouts", open({ column: "state", noneOf: ["SUCCESS"] })],
  ["source.times.open.column", '"due_date"', "payouts", open({ column: "due_date", noneOf: ["SUCCESS"] })],
  ["source.times.open.column", '"status"', "payouts", open({ column: "status", is: true })],
  ["source.times.open.column", '"status"', "payouts", open({ column: "status", isAhead: true })],
  ["source.times.open.column", "personal", "payouts", open({ column: "payee_name", noneOf: ["A"] })],
  [
    "source.times.open.noneOf",
    '"SUCESS"',
    "payouts",
    open({ column: "status", noneOf: ["SUCESS", "FAILED"] }),
  ],
  ["source.times.open.noneOf", "no value", "payouts", open({ column: "status", noneOf: [] })],
  [
    "source.times.open.noneOf",
    "every value",
    "payouts",
    open({ column: "status", noneOf: ["PENDING", "SUCCESS", "FAILED", "RETURNED"] }),
  ],
  ["source.times.open", "source.detail", "payouts", source({ detail: null })],
  ["source.keyField", '"customer"', "wallet_readiness", lookup({ keyField: "customer" })],
  ["source.keyField", '"is_wallet_ready"', "wallet_readiness", lookup({ keyField: "is_wallet_ready" })],
  ["source.paths", "/ready", "wallet_readiness", lookup({ paths: () => ["/ready"] })],
  [
    "source.recheck.open.column",
    '"missing_fields"',
    "wallet_readiness",
    lookup({
      recheck: { open: { column: "missing_fields", is: false }, pace: "each run", afterChange: true },
    }),
  ],
  ["source.paths", "empty", "payouts", source({ paths: [] })],
  ["source.detail.isNeeded", "yes", "payouts", source({ detail: { isNeeded: () => true, paths: () => [] } })],
  [
    "source.detail.paths",
    "/api/v1/payout",
    "payouts",
    source({ detail: { isNeeded: () => false, paths: () => ["/api/v1/payout"] } }),
  ],
  ["documented.values", '"state"', "payouts", documented({ values: { state: ["PENDING"] } })],
  ["documented.values", '"SUCCESS"', "payouts", documented({ values: { status: ["APPROVED"] } })],
  ["documented.mayLack", '"typ"', "payouts", documented({ mayLack: ["typ"] })],
  ["documented.mayLack", '"currency"', "payouts", documented({ mayLack: ["currency"] })],
  ["documented.standIns", '"amount"', "payouts", documented({ standIns: [["wire_amount", "amount"]] })],
  ["documented.standIns", "one field", "payouts", documented({ standIns: [["wire_amount"]] })],
  ["documented.others", '"metadat"', "customers", documented({ others: { metadat: "null" } })],
  ["documented.others", '"status"', "customers", documented({ others: { status: "string" } })],
  [
    "documented.others",
    '"is_url_expired"',
    "customers",
    documented({ others: { is_url_expired: "string" } }),
  ],
  [
    "documented.money",
    '"net"',
    "transactions",
    stream => documented({ money: { ...stream.documented.money!, netAmount: "net" } })(stream),
  ],
  [
    "documented.money",
    "netAmount",
    "transactions",
    stream =>
      documented({
        money: { ...stream.documented.money!, amount: "net_amount", netAmount: "amount" },
      })(stream),
  ],
  [
    "documented.money",
    "add up",
    "transactions",
    stream =>
      documented({
        money: {
          ...stream.documented.money!,
          feesWithoutTax: "fees_including_tax",
          feesIncludingTax: "fees_without_tax",
        },
      })(stream),
  ],
  [
    "personal.plain",
    '"curency"',
    "payouts",
    stream => personal({ plain: { ...stream.personal.plain, curency: "code" } })(stream),
  ],
  [
    "personal.plain",
    '"status"',
    "payouts",
    stream => personal({ plain: { ...stream.personal.plain, status: "time" } })(stream),
  ],
  [
    "personal.subject",
    '"customer"',
    "transactions",
    personal({ subject: { kind: "named", of: "customers", field: "customer" } }),
  ],
  [
    "personal.subject.ids",
    '"payoutId"',
    "payouts",
    personal({ subject: { kind: "referred", ids: { id: "payoutId" } } }),
  ],
  [
    "histories",
    '"seen_at"',
    "payouts",
    stream => ({ histories: stream.histories.map(history => ({ ...history, timeColumn: "seen_at" })) }),
  ],
  [
    "children.parentColumn",
    '"wallet"',
    "wallets",
    stream => ({ children: stream.children.map(child => ({ ...child, parentColumn: "wallet" })) }),
  ],
]

describe("a declaration", () => {
  it("is without a mistake for each stream", () => {
    for (const one of known) expect([one.stream.name, mistakesIn(one, known)]).toEqual([one.stream.name, []])
  })

  it.each(MISTAKES)("with a mistake in %s fails with a sentence: %s", (part, word, name, change) => {
    const mistakes = mistakesOf(name, change)
    const found = mistakes.filter(sentence => sentence.startsWith(part) && sentence.includes(word))
    expect([mistakes, found.length > 0]).toEqual([mistakes, true])
    for (const sentence of mistakes) expect(sentence).toMatch(/^[a-z][A-Za-z.]+: .+\.$/)
  })
})

describe("a fixture", () => {
  const whole = { required: ["id"], record: { id: "1" }, sourceUpdatedAt: null, row: { refund_id: "1" } }
  const mistakeIn = (text: string | undefined) => Either.getOrThrow(Either.flip(fixtureIn("refunds", text)))

  it("that is missing gives a sentence with the file to write and its form", () => {
    const sentence = mistakeIn(undefined)
    expect(sentence).toMatch(
      /^Stream refunds has no fixture\. Write test\/fixtures\/streams\/refunds\.json in this form: \{/,
    )
    const form = JSON.parse(sentence.slice(sentence.indexOf("{"))) as object
    expect(Object.keys(form)).toEqual(["required", "record", "sourceUpdatedAt", "row", "children"])
  })

  it.each(["required", "record", "sourceUpdatedAt", "row"])(
    "without %s gives a sentence with its form",
    part => {
      const { [part as "row"]: _, ...rest } = whole
      expect(mistakeIn(JSON.stringify(rest))).toContain(`test/fixtures/streams/refunds.json needs "${part}"`)
    },
  )

  it("that is not JSON gives a sentence with its name", () => {
    expect(mistakeIn("{")).toMatch(/^test\/fixtures\/streams\/refunds\.json is not JSON: /)
    expect(Either.isRight(fixtureIn("refunds", JSON.stringify(whole)))).toBe(true)
  })
})
