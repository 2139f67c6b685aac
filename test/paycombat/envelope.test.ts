import { readFileSync } from "node:fs"
import { describe, expect, it } from "@effect/vitest"
import { type Json, type JsonObject, parseJson } from "../../src/core/json.ts"
import { findList, isNothingAt, listAt, unwrap } from "../../src/paycombat/client/envelope.ts"

const fixture = (name: string) =>
  parseJson(readFileSync(new URL(`../fixtures/${name}.json`, import.meta.url), "utf8"))

const A: Json = [{ id: "a" }, { id: "b" }]

describe("unwrap", () => {
  it.each([
    ["customer-detail", "customer_id"],
    ["customer-double-envelope", "customer_id"],
    ["checkout-detail", "checkout_token"],
    ["payout-retrieve", "wire_id"],
    ["transaction-find", "transaction_id"],
    ["wallet-ready", "is_wallet_ready"],
    ["wallet.upstream", "wallet_id"],
  ])("finds the record of the documented sample %s", (name, field) => {
    expect(unwrap(fixture(name))).toHaveProperty(["payload", field])
  })

  it("takes upstream's error body for a failure", () => {
    expect(unwrap(fixture("error.upstream"))).toEqual({
      isOk: false,
      code: 400,
      words: ["400", "4001", "BAD_REQUEST"],
      saysNothing: false,
      saysEmpty: false,
      saysOther: false,
    })
  })

  it.each<[Json, number | undefined, ReadonlyArray<string>]>([
    [{ status: false, message: "No." }, undefined, []],
    [{ status: false, message: "No.", data: [] }, undefined, []],
    [{ status: true, data: { success: false, status_code: 429, data: null } }, 429, ["429"]],
    [{ status: true, data: { success: false, message: "try later", data: [] } }, undefined, []],
    [{ status: true, data: { status: false, data: { id: "a" } } }, undefined, []],
    [{ error: { code: 503, name: "X", message: ["a", "b"] } }, 503, ["503", "X"]],
    [{ error: { code: 4001, name: "NO_SUCH_ID" } }, undefined, ["4001", "NO_SUCH_ID"]],
    [{ status: false, error: "broken" }, undefined, []],
    [{ status: false, error: { code: 4915112345678, name: "DE89370400440532013000" } }, undefined, []],
    [{ status: false, error: { code: "A".repeat(65), name: "JOHN DOE" } }, undefined, []],
  ])("takes %j for a failure", (body, code, words) => {
    expect(unwrap(body)).toMatchObject({ isOk: false, code, words })
  })

  it.each<Json>([
    { status: false, message: "No data found" },
    { status: false, message: "No data found", data: null },
    { status: false, data: [] },
    { success: false, data: { items: [], total: 0, page: 7 }, error: null },
    { status: false, status_code: 200, data: "" },
    { status: false, status_code: 404, error: { code: 404, name: "NOT_FOUND", message: ["none"] } },
    { status: true, data: { success: false, status_code: 404, error: { code: 404 }, data: null } },
    { status: false, error: "Not found" },
    { status: false, code: "NO_DATA", data: [] },
    { status: false, errors: ["No data found"] },
    { status: false, error: { code: "RECORDS_NOT_FOUND", message: "Records not found." } },
    { status: false, data: { message: "No more records" } },
    { status: false, data: 0 },
    { status: false, message: "No data", code: 1404, data: null },
    { status: false, message: "No wallets found.", code: "E17" },
    { status: false, data: "No more payout beneficiaries available" },
  ])("hears in %j that there is nothing", body => {
    expect(unwrap(body)).toMatchObject({ isOk: false, saysNothing: true })
  })

  it.each<Json>([
    { status: false, message: "No.", data: [{ id: "a" }] },
    { status: false, data: { items: [], cursor: "x" } },
    { status: false, data: "try later" },
    { status: false, error: "broken" },
    { status: false, errors: ["broken"] },
    { status: false, error: "Merchant not found" },
    { status: false, error: "No data: the database is away" },
    { status: false, code: "NO_ACCESS", data: [] },
    { status: false, code: "E17", data: null },
    { status: false, code: 4001, data: [] },
    { status: false, error: { code: 4040, name: "X" } },
    { status: false, error: { code: 404 }, code: 500 },
    { status: true, data: { success: false, status_code: 500, data: null } },
    { status: false, code: 500, data: { success: false, data: null } },
    { error: { message: "broken" } },
    { status: false, message: "No data found", code: 503 },
    { status: false, message: "No permission found", code: 1404 },
    { status: false, code: 1404, data: null },
  ])("hears in %j that something failed", body => {
    expect(unwrap(body)).toMatchObject({ isOk: false, saysNothing: false })
  })

  it.each<[Json, Json]>([
    [
      { status: true, data: { id: "a", status: "FAILED" } },
      { id: "a", status: "FAILED" },
    ],
    [
      { status: true, data: { id: "a", success: false } },
      { id: "a", success: false },
    ],
    [
      { status: true, data: { id: "a", data: { b: 1 } } },
      { id: "a", data: { b: 1 } },
    ],
    [{ status: true, data: null }, null],
    [A, A],
  ])("does not take %j for one", (body, payload) => {
    expect(unwrap(body)).toEqual({ isOk: true, payload })
  })
})

describe("findList", () => {
  it.each<[string, Json]>([
    ["", A],
    ["data", { status: true, data: A }],
    ["data.data", { status: true, data: { data: A } }],
    ["data.wallets", { status: true, data: { wallets: A } }],
    ["data.result.rows", { status: true, data: { result: { rows: A } } }],
    ["data.data", { status: true, data: { success: true, data: A } }],
    ["data.data.items", { status: true, data: { success: true, data: { items: A } } }],
    ["data.data.page.items", { status: true, data: { success: true, data: { page: { items: A } } } }],
    ["items", { items: A, total: 2 }],
  ])("finds the records at %j", (at, body) => {
    expect(findList(body)).toMatchObject({ at, records: A })
    expect(listAt(body, at)?.records).toEqual(A)
  })

  it.each<[string, Json]>([
    ["a list of objects to one of texts", { data: { rows: A, names: ["x", "y", "z"] } }],
    ["records to none", { data: { rows: A, items: [] } }],
    ["a usual name", { data: { links: [{ a: 1 }, { b: 1 }, { c: 1 }], rows: A } }],
    ["the longer one", { data: { aaa: [{ x: 1 }], rows: A } }],
    ["the nearer one", { data: { x: { rows: A }, rows: A } }],
  ])("prefers %s", (_, body) => {
    expect(findList(body)?.at).toBe("data.rows")
  })

  it("prefers the longer one of two unusual names, whatever their order", () => {
    const longer = [{ a: 1 }, { a: 2 }, { a: 3 }]
    expect(findList({ data: { one: A, other: longer } })?.at).toBe("data.other")
    expect(findList({ data: { other: longer, one: A } })?.at).toBe("data.other")
  })

  it.each<Json>([
    { status: true, data: { id: "a" } },
    { status: true, data: "text" },
    { status: true, data: ["a", "b"] },
    { status: true },
    "text",
    null,
  ])("finds none in %j", body => {
    expect(findList(body)).toBeUndefined()
  })

  it.each<[number | undefined, number | undefined, JsonObject]>([
    [7, undefined, { data: { items: A, total: 7 } }],
    [7, undefined, { total_count: 7, data: A }],
    [7, undefined, { data: { items: A, totalRecords: "7" } }],
    [7, 4, { data: A, pagination: { total: 7, total_pages: 4 } }],
    [7, 4, { data: { items: A, meta: { total: 7, last_page: 4 } } }],
    [7, 4, { data: { success: true, data: { items: A }, paging: { totalItems: 7, pageCount: 4 } } }],
    [7, undefined, { total: 99, data: { items: A, total: 7 } }],
    [undefined, undefined, { data: { items: A, count: 2, total: 12.5, total_pages: "many" } }],
  ])("reads the total %j and page count %j from %j", (total, pageCount, body) => {
    expect(findList(body)).toMatchObject({ records: A, total, pageCount })
  })
})

describe("listAt", () => {
  it.each<Json>([
    { status: true, data: null },
    { status: true, data: {} },
    { status: true, data: { items: null } },
    { status: true, data: { items: [] } },
  ])("takes %j for an empty list", body => {
    expect(listAt(body, "data.items")?.records).toEqual([])
  })

  it.each<Json>([
    { status: true, message: "OK" },
    { status: true, data: { total: 0 } },
    { status: true, data: { items: "none" } },
    { status: true, data: { items: { a: 1 } } },
    {},
    "text",
  ])("does not take %j for one", body => {
    expect(listAt(body, "data.items")).toBeUndefined()
  })
})

describe("isNothingAt", () => {
  it.each<Json>([
    null,
    {},
    { status: true, message: "OK" },
    { status: true, data: null },
    { status: true, data: { total: 0 } },
    { status: true, data: { items: null } },
    { status: true, data: { items: {} } },
    { status: true, data: { items: "" } },
    { status: true, data: { success: true, message: "none" } },
    { status: true, data: "No data found" },
    { status: true, data: { status: true, data: { success: true, data: [] } } },
  ])("finds nothing in %j", body => {
    expect(isNothingAt(body, "data.items")).toBe(true)
  })

  it.each<Json>([
    "text",
    [{ id: "a" }],
    { status: true, data: "try again" },
    { status: true, data: { items: "none" } },
    { status: true, data: { items: { 0: { id: "a" } } } },
    { status: true, data: { rows: [{ id: "a" }] } },
    { status: true, data: { items: [], rows: [{ id: "a" }] } },
  ])("does not take %j for nothing", body => {
    expect(isNothingAt(body, "data.items")).toBe(false)
  })
})
