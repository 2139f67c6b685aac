import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { driftOf } from "../../src/doctor/drift.ts"
import { allStreams } from "../../src/registry.ts"
import { json } from "../support/warehouse.ts"

const stream = (name: string) =>
  Effect.map(allStreams, streams => streams.find(candidate => candidate.name === name)!)

const transaction = (fields: object = {}): string =>
  JSON.stringify({
    transaction_id: "t1",
    org_id: "org_1",
    amount: 100,
    fees_currency: "AUD",
    fees_without_tax: 1.5,
    tax_on_fees: 0.15,
    fees_including_tax: 1.65,
    net_amount: 98.35,
    currency: "AUD",
    event_id: "payin_1",
    event_type: "PAYIN",
    event_name: "PAYIN_COMPLETED",
    event_description: "Payin completed",
    scope: "CUSTOMER",
    customer_id: "customer_1",
    invoice_id: null,
    is_settled: false,
    settlement_id: null,
    is_reconciled: false,
    additional_data: null,
    created_at: "2024-12-27T10:54:35.965Z",
    updated_at: "2024-12-27T10:54:36.299Z",
    ...fields,
  })

const driftIn = (name: string, ...records: ReadonlyArray<string>) =>
  Effect.map(stream(name), found => driftOf(found, records.map(json)))

describe("drift", () => {
  it.effect("is none in the documented record", () =>
    Effect.gen(function* () {
      expect(yield* driftIn("transactions", transaction())).toMatchObject({
        records: 1,
        undocumented: [],
        oddKeys: 0,
        missing: [],
        types: [],
        learned: [{ field: "event_id", types: ["string"], count: 1 }],
        rejects: [],
      })
    }),
  )

  it.effect("names new fields with the kinds of their values, and none of their content", () =>
    Effect.gen(function* () {
      const drift = yield* driftIn(
        "transactions",
        transaction({ risk_score: 3, device: { owner: "Zyx", deep: [1] } }),
        transaction({ risk_score: "high" }),
      )
      expect(drift.undocumented).toEqual([
        { field: "risk_score", types: ["number", "string"], count: 2 },
        { field: "device", types: ["object"], count: 1 },
      ])
      expect(JSON.stringify(drift)).not.toMatch(/owner|deep|Zyx|high/)
    }),
  )

  it.effect("counts keys that may be data themselves, and shows none", () =>
    Effect.gen(function* () {
      const drift = yield* driftIn(
        "transactions",
        transaction({
          "zyx@example.com": 1,
          "Zyx at home": 2,
          tel_491511234567: 3,
          [`z${"y".repeat(80)}`]: 4,
        }),
      )
      expect(drift.oddKeys).toBe(4)
      expect(JSON.stringify(drift)).not.toMatch(/zyx|Zyx|4915|yyy/)
    }),
  )

  it.effect(
    "names documented fields that no record has, also in objects and in lists, if their parent is there",
    () =>
      Effect.gen(function* () {
        const { scope: _, ...without } = JSON.parse(transaction())
        expect((yield* driftIn("transactions", JSON.stringify(without))).missing).toEqual(["scope"])
        expect((yield* driftIn("transactions", JSON.stringify(without), transaction())).missing).toEqual([])
        const checkout = {
          id: "c",
          amount: 1,
          currency: "EUR",
          order_summary: { order_items: [{ quantity: 1 }] },
        }
        const { missing } = yield* driftIn("checkouts", JSON.stringify(checkout))
        expect(missing).toEqual(
          expect.arrayContaining([
            "order_summary.order_items[].unit_price",
            "order_summary.order_fees",
            "checkout_token",
          ]),
        )
        expect(missing).not.toContain("order_summary.order_fees[].fee_name")
      }),
  )

  it.effect("does not report fields that may be absent: upstream's own, and one of two shapes", () =>
    Effect.gen(function* () {
      const { missing } = yield* driftIn(
        "customers",
        JSON.stringify({ customer_id: "c", individual: { first_name: "Zyx" } }),
      )
      for (const field of ["company", "company.name", "status", "is_url_expired", "individual"])
        expect(missing).not.toContain(field)
      expect(missing).toContain("individual.last_name")
      expect(missing).toContain("webhook_url")
    }),
  )

  it.effect("names types that differ; number and text are both right for an amount", () =>
    Effect.gen(function* () {
      const drift = yield* driftIn(
        "transactions",
        transaction({ amount: "12.50", is_reconciled: "yes", customer_id: 7, net_amount: 1e21 }),
        '{"transaction_id":"t2","amount":9007199254740993.12345}',
      )
      expect(drift.types).toEqual([
        { field: "customer_id", types: ["number"], count: 1, documented: ["string", "null"] },
        { field: "is_reconciled", types: ["string"], count: 1, documented: ["boolean", "null"] },
      ])
    }),
  )

  it.effect("names the types of fields that are documented without one", () =>
    Effect.gen(function* () {
      const { learned, types } = yield* driftIn(
        "transactions",
        transaction({ additional_data: { note: "x" }, invoice_id: 12 }),
        transaction({ additional_data: "x" }),
      )
      expect(learned).toEqual([
        { field: "event_id", types: ["string"], count: 2 },
        { field: "invoice_id", types: ["number"], count: 1 },
        { field: "additional_data", types: ["object", "string"], count: 2 },
      ])
      expect(types).toEqual([])
    }),
  )

  it.effect("shows values of code fields only, and only those that look like a code", () =>
    Effect.gen(function* () {
      const { values } = yield* driftIn(
        "payouts",
        ...[
          "PENDING",
          "ON_HOLD",
          "ON_HOLD",
          "zyx@example.com",
          "call +49 151 1234567",
          "x".repeat(65),
          "a b c d e f",
          "Anna",
          "Anna Smith",
          "Anna-Maria.Smith",
          "Returned",
          "Returned",
          "Returned",
          "payout.onHold",
        ].map(status =>
          JSON.stringify({ id: "p", status, currency: "EUR", wire_amount: 1, payee_name: "Zyx" }),
        ),
      )
      expect(values.find(({ field }) => field === "status")).toEqual({
        field: "status",
        documented: ["PENDING", "SUCCESS", "FAILED", "RETURNED"],
        unknown: [
          { value: "Returned", count: 3 },
          { value: "ON_HOLD", count: 2 },
          { value: "payout.onHold", count: 1 },
        ],
        further: 7,
      })
      expect(JSON.stringify(values)).not.toMatch(/zyx|Zyx|49 151|xxxx|Anna|Smith/)
    }),
  )

  it.effect("shows at most a dozen values of a field, the most frequent first", () =>
    Effect.gen(function* () {
      const records = Array.from({ length: 40 }, (_, i) =>
        transaction({ event_type: `KIND_${Math.min(i, 30)}` }),
      )
      const { values } = yield* driftIn("transactions", ...records)
      const types = values.find(({ field }) => field === "event_type")!
      expect(types.unknown).toHaveLength(12)
      expect(types.unknown[0]).toEqual({ value: "KIND_30", count: 10 })
      expect(types.further).toBe(19)
    }),
  )

  it.effect("counts records that would be rejects, by field and without their values", () =>
    Effect.gen(function* () {
      const drift = yield* driftIn(
        "wallets",
        JSON.stringify({
          wallet_id: "w",
          wallet_account: [{ wallet_account_id: "a", currency: "EUR", actual_balance: "Zyx" }],
        }),
        JSON.stringify({ wallet_id: "w", wallet_account: {} }),
        '"Zyx"',
        "[]",
      )
      expect(drift.rejects).toEqual([
        { field: "wallet_account", count: 1 },
        { field: "(record)", count: 2 },
      ])
      expect(drift.unread).toEqual([{ field: "wallet_account[]", count: 1 }])
      expect(JSON.stringify(drift)).not.toContain("Zyx")
    }),
  )

  it.effect("finds every declared field in the fixture, because a wrong name would never match", () =>
    Effect.gen(function* () {
      for (const { name, documented } of yield* allStreams) {
        const known = yield* driftIn(name, JSON.stringify(recordWith(Object.keys(documented.others ?? {}))))
        expect([name, known.undocumented]).toEqual([name, []])
        const coded = yield* driftIn(name, JSON.stringify(recordWith(Object.keys(documented.values ?? {}))))
        expect([name, coded.undocumented]).toEqual([name, []])
        for (const field of documented.mayLack ?? [])
          expect([name, (yield* driftIn(name, JSON.stringify(recordWith([field])))).undocumented]).toEqual([
            name,
            [],
          ])
      }
    }),
  )
})

/** A record with something at each of these places. */
const recordWith = (paths: ReadonlyArray<string>): object => {
  const record: Record<string, unknown> = {}
  for (const path of paths) {
    const keys = path.split(".")
    let object = record
    for (const key of keys.slice(0, -1)) {
      const name = key.replace("[]", "")
      const child = (object[name] as Record<string, unknown> | [Record<string, unknown>] | undefined) ?? {}
      const inner = Array.isArray(child) ? child[0] : child
      object[name] = key.endsWith("[]") ? [inner] : inner
      object = inner
    }
    object[keys.at(-1)!] = null
  }
  return record
}
