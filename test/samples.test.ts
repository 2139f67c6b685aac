import { describe, expect, it } from "@effect/vitest"
import { Effect, Either } from "effect"
import { isJsonObject, type Json, type JsonObject } from "../src/core/json.ts"
import { isList, isLookup } from "../src/core/stream.ts"
import { allStreams } from "../src/registry.ts"
import { decode, read } from "./support/conformance.ts"

const streams = await Effect.runPromise(allStreams)

describe("the documented samples", () => {
  const samples = [
    ["customers", "customer-detail", { first_name: "Jane", nationality: "KR", is_active: false }],
    ["customers", "customer-double-envelope", { first_name: "John", created_at: null }],
    ["wallets", "wallet.upstream", { category: "CUSTOMER" }],
    [
      "payouts",
      "payout-retrieve",
      { amount: "11", status: "PENDING", payout_method_name: "au_bank_acct", beneficiary: "" },
    ],
    [
      "payouts",
      "payout-webhook-success",
      { amount: "50", status: "SUCCESS", provider_payout_id: null, order_id: "27862467" },
    ],
    [
      "payouts",
      "payout-webhook-failed",
      { amount: "31", status: "FAILED", approval: "FAILED", type: "PAYOUT" },
    ],
    ["checkouts", "checkout-detail", { amount: "100", currency: "EUR" }],
    [
      "transactions",
      "transaction-find",
      { fees_including_tax: "1.65", owner_id: "customer_67d84b19d50b490a8fa75ab20bbf275a" },
    ],
  ] as const

  /** Returns the content of a body without its envelopes. */
  const payload = (body: Json): Json =>
    isJsonObject(body) && isJsonObject(body.data) ? payload(body.data) : body

  it.each(samples)("have %s in %s, which becomes a row", (name, file, expected) => {
    const stream = streams.find(candidate => candidate.name === name)!
    const record = payload(read(file))
    const { row } = Either.getOrThrow(decode(stream, record))
    expect(row).toMatchObject(expected)
    if (isList(stream)) expect(stream.source.recognizes(record as JsonObject)).toBe(true)
  })

  it("have an answer about wallet readiness, which becomes a state: not ready, without a reason", () => {
    const stream = streams.filter(isLookup).find(({ name }) => name === "wallet_readiness")!
    const answer = payload(read("wallet-ready")) as JsonObject
    const { row } = Either.getOrThrow(decode(stream, { ...answer, [stream.source.idField]: "c" }))
    expect(row).toEqual({ customer_id: "c", is_wallet_ready: false, missing_fields: [] })
  })
})
