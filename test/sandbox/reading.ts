import { readFileSync } from "node:fs"
import { Effect } from "effect"
import type { Sandbox, SandboxOptions } from "../../src/sandbox/sandbox.ts"
import { normalizeDecimal } from "../support/truth/truth.ts"

/** Reads a sandbox over HTTP as any client would, with none of its code. */

export type Fields = Readonly<Record<string, unknown>>

export const PATHS = {
  customers: "/api/v1/customer/get-all",
  wallets: "/api/v1/wallet/get-all",
  payouts: "/api/v1/payout/get-all",
  checkouts: "/api/v1/checkout/get-all",
  transactions: "/api/v1/transaction/get-all",
}

const ID_FIELDS = {
  customers: "customer_id",
  wallets: "wallet_id",
  payouts: "id",
  checkouts: "id",
  transactions: "transaction_id",
}

/** The lists whose generators these tests are about. */
export type List = keyof typeof PATHS
export const LISTS = Object.keys(PATHS) as ReadonlyArray<List>

export const small: Partial<SandboxOptions> = {
  customers: 23,
  transactions: 120,
  payouts: 20,
  checkouts: 12,
  days: 10,
}

export const ask = (sandbox: Sandbox, path: string, init: RequestInit = {}) =>
  Effect.tryPromise(async () => {
    const response = await fetch(sandbox.url + path, { headers: { "x-token": sandbox.token }, ...init })
    return { status: response.status, headers: response.headers, text: await response.text() }
  })

export const askJson = (sandbox: Sandbox, path: string) =>
  Effect.map(ask(sandbox, path), ({ text }) => JSON.parse(text) as Fields)

/** The list of an answer, wherever its envelope holds it. */
const listIn = (body: unknown): ReadonlyArray<Fields> | undefined => {
  if (Array.isArray(body)) return body as ReadonlyArray<Fields>
  if (typeof body !== "object" || body === null) return undefined
  return Object.values(body)
    .map(listIn)
    .find(list => list !== undefined)
}

export const page = (sandbox: Sandbox, stream: List, query: string) =>
  Effect.map(askJson(sandbox, `${PATHS[stream]}?${query}`), body => listIn(body)!)

export const idsOf = (stream: List, records: ReadonlyArray<Fields>) =>
  records.map(record => record[ID_FIELDS[stream]] as string)

/** Reads a list page by page, as its paging parameters say, until an empty page. */
export const readAll = (sandbox: Sandbox, stream: List, size = 50) =>
  Effect.gen(function* () {
    const [position, limit] = sandbox.options.pagingNames
    const isOffset = position === "offset" || position === "skip"
    const records: Array<Fields> = []
    for (let n = 0; n < 1_000; n++) {
      const found = yield* page(
        sandbox,
        stream,
        `${position}=${isOffset ? records.length : n + 1}&${limit}=${size}`,
      )
      if (found.length === 0) return records
      records.push(...found)
    }
    return records
  })

export const fixture = (name: string) =>
  JSON.parse(readFileSync(new URL(`../fixtures/${name}.json`, import.meta.url), "utf8")) as Fields

/** A decimal as an integer of millionths: exact sums without any code of the sandbox. */
export const millionths = (decimal: unknown): bigint => {
  const [whole = "", fraction = ""] = String(decimal).split(".")
  return BigInt(whole + fraction.padEnd(6, "0"))
}

export const decimal = (value: bigint): string => {
  const digits = String(value < 0n ? -value : value).padStart(7, "0")
  return normalizeDecimal(`${value < 0n ? "-" : ""}${digits.slice(0, -6)}.${digits.slice(-6)}`)
}
