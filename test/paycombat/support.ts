import * as FetchHttpClient from "@effect/platform/FetchHttpClient"
import * as HttpClient from "@effect/platform/HttpClient"
import * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import * as UrlParams from "@effect/platform/UrlParams"
import { expect } from "@effect/vitest"
import { Duration, Effect, Option, Redacted, Stream } from "effect"
import type { Account } from "../../src/core/account.ts"
import type { JsonObject } from "../../src/core/json.ts"
import type { ListSource } from "../../src/core/stream.ts"
import { type Client, make } from "../../src/paycombat/client/client.ts"
import type { Contract } from "../../src/paycombat/lists/contract.ts"
import { type DiscoveryOptions, discover } from "../../src/paycombat/lists/discovery.ts"
import type { Page, Position } from "../../src/paycombat/lists/page.ts"
import { pages } from "../../src/paycombat/lists/pager.ts"
import { type Sandbox, type SandboxOptions, start } from "../../src/sandbox/sandbox.ts"

/** Sources of these tests' own: what the streams declare may change without changing what is tested here. */
export const SOURCES = {
  customers: {
    kind: "list",
    paths: ["/api/v1/customer/list", "/api/v1/customer/get-all", "/api/v1/customer"],
    idField: "customer_id",
    merchantField: null,
    recognizes: record => "is_wallet_ready" in record,
    detail: null,
  },
  wallets: {
    kind: "list",
    paths: ["/api/v1/wallet/get-all"],
    idField: "wallet_id",
    merchantField: null,
    recognizes: () => true,
    detail: {
      isNeeded: record => !Array.isArray(record.wallet_account),
      paths: id => [`/api/v1/wallet/wallet/${id}`, `/api/v1/wallet/${id}`],
    },
  },
  payouts: {
    kind: "list",
    paths: ["/api/v1/payout/get-all"],
    idField: "id",
    merchantField: null,
    recognizes: record => "wire_id" in record,
    detail: null,
  },
  checkouts: {
    kind: "list",
    paths: ["/api/v1/checkout/get-all"],
    idField: "id",
    merchantField: null,
    recognizes: record => "checkout_token" in record,
    detail: null,
  },
  transactions: {
    kind: "list",
    paths: ["/api/v1/transaction/get-all"],
    idField: "transaction_id",
    merchantField: null,
    recognizes: record => "event_type" in record,
    detail: null,
  },
} satisfies Readonly<Record<string, ListSource>>

type List = keyof typeof SOURCES

/** A small world: pages of 20 make six of 120 transactions. */
export const startSandbox = (options: Partial<SandboxOptions> = {}) =>
  start({ customers: 23, transactions: 120, payouts: 20, checkouts: 12, days: 10, ...options })

type Server = Pick<Sandbox, "url" | "token">

/** An account whose bounds do not slow tests down, and that no slow machine makes ask twice. */
export const accountOf = ({ url, token }: Server, account: Partial<Account> = {}): Account => ({
  name: "default",
  token: Redacted.make(token),
  baseUrl: url,
  pageSize: 20,
  ratePerSecond: 5_000,
  concurrency: 8,
  timeout: Duration.minutes(1),
  ...account,
})

export const clientOf = (server: Server, account: Partial<Account> = {}): Effect.Effect<Client> =>
  make(accountOf(server, account)).pipe(Effect.provide(FetchHttpClient.layer))

export const discoverFrom = (
  client: Client,
  stream: List,
  options: Omit<DiscoveryOptions, "pathVariable"> = {},
) => discover(client, SOURCES[stream], { pathVariable: `PAYCOMBAT_PATH_${stream.toUpperCase()}`, ...options })

export const idsOf = (stream: List, read: Iterable<Page>): ReadonlyArray<string> =>
  [...read].flatMap(page =>
    page.records.map(record => String((record as JsonObject)[SOURCES[stream].idField])),
  )

/** Discovers and reads a whole list; the ids as they came, and the pages. */
export const readAll = (
  client: Client,
  stream: List,
  { contract, from }: { contract?: Contract; from?: Position } = {},
) =>
  Effect.gen(function* () {
    const through = contract ?? (yield* discoverFrom(client, stream))
    const read = [...(yield* Stream.runCollect(pages(client, through, SOURCES[stream], from)))]
    return { contract: through, pages: read, ids: idsOf(stream, read) }
  })

export const truthOf = (sandbox: Sandbox, stream: List = "transactions") =>
  [...sandbox.truth.ids(stream)].sort()

export const unique = (ids: Iterable<string>) => [...new Set(ids)].sort()

/** Reads all transactions of such a sandbox, and expects each that is listed in the end. */
export const expectAll = (options: Partial<SandboxOptions>, pageSize = 20) =>
  Effect.gen(function* () {
    const sandbox = yield* startSandbox(options)
    const client = yield* clientOf(sandbox, { pageSize })
    const read = yield* readAll(client, "transactions")
    expect(unique(read.ids)).toEqual(truthOf(sandbox))
    expect(read.pages.filter(page => page.isLast)).toEqual([read.pages.at(-1)])
    expect(read.pages.filter(page => page.next === null)).toEqual([read.pages.at(-1)])
    return { ...read, sandbox }
  })

export const variants = <A extends object>(choices: { readonly [K in keyof A]: ReadonlyArray<A[K]> }) =>
  Object.entries(choices).reduce<ReadonlyArray<Partial<A>>>(
    (rows, [key, values]) =>
      rows.flatMap(row =>
        (values as ReadonlyArray<unknown>).map(value => ({ ...row, [key]: value }) as Partial<A>),
      ),
    [{}],
  )

export const label = (options: object) => JSON.stringify(options)

/** A client of the sandbox, as if that counted pages from 0: the page asked for goes up by one on its way. */
export const zeroBased = (server: Server): Effect.Effect<Client> =>
  Effect.flatMap(HttpClient.HttpClient, http =>
    make(accountOf(server)).pipe(
      Effect.provideService(
        HttpClient.HttpClient,
        HttpClient.mapRequest(http, request => {
          const page = UrlParams.getFirst(request.urlParams, "page")
          return Option.isSome(page)
            ? HttpClientRequest.setUrlParam(request, "page", String(Number(page.value) + 1))
            : request
        }),
      ),
    ),
  ).pipe(Effect.provide(FetchHttpClient.layer))
