import { Effect } from "effect"
import { ConfigurationError } from "../../core/errors.ts"
import type { FaultHook } from "./faults.ts"

/** Place of the list in an answer (?). Both envelopes are documented for records (D). `named` uses `listName`. */
export const ENVELOPES = ["data", "data.data", "data.named", "double", "double.named"] as const
export type Envelope = (typeof ENVELOPES)[number]

/** Total that a list states beside its records: none (U), or a common form (?). */
export const TOTALS = ["none", "total", "pagination", "meta"] as const
export type Totals = (typeof TOTALS)[number]

/** `updated-first` and `updated-last` sort all records after each change: for small lists. */
export const ORDERS = ["oldest-first", "newest-first", "shuffled", "updated-first", "updated-last"] as const
export type Order = (typeof ORDERS)[number]

/**
 * Answer of a list beyond its last page: an empty list, 404, its last page again, 204, a 200 without a body, without
 * `data`, with `data: null`, or with only `status: false`, 416, 400, 410 and 422. For those from 204 to 416, a list
 * without records answers in the same way.
 */
export const AFTER_ENDS = [
  "empty",
  "404",
  "repeat",
  "204",
  "no-body",
  "no-data",
  "null-data",
  "status-false",
  "416",
  "400",
  "410",
  "422",
] as const

/**
 * Assumptions of the figures that the simulated API breaks, each with what it does:
 *
 * - `fees-wallet`: all fees are taken from a wallet of the organization
 * - `signed-amounts`: some payins are corrections that are sent with a minus
 * - `fees-inside`: the net of a payout or a refund is its amount less the fee
 * - `fee-sums`: some fees with tax are not the sum of fee and tax
 * - `returned-payouts`: some payouts are returned, and no transaction says so
 * - `lagging-transactions`: the list of transactions lacks the newest, which are in the wallets
 * - `payouts-in-settlements`: some settlements hold the payout that pays them
 * - `other-holds`: some wallets hold back more than was reserved
 * - `wallet-differences`: some wallets state another balance than their owner's transactions add up to
 */
export const BREACHES = [
  "fees-wallet",
  "signed-amounts",
  "fees-inside",
  "fee-sums",
  "returned-payouts",
  "lagging-transactions",
  "payouts-in-settlements",
  "other-holds",
  "wallet-differences",
] as const

export type Breach = (typeof BREACHES)[number]

/** A change that the sandbox makes after every `every`-th answered page of a list, `times` times in total. */
export interface AutomaticChange {
  readonly every: number
  readonly times: number
  /** `remove` takes the first record of the page just answered; `touch` changes it. */
  readonly action: "insert-front" | "insert-back" | "remove" | "touch"
  readonly stream: string
}

/** The undocumented parts of lists that `reshape` can change in a running sandbox: an API that changes its contract. */
export type Shape = Pick<
  SandboxOptions,
  | "listPaths"
  | "envelope"
  | "listName"
  | "totals"
  | "totalSkew"
  | "firstPage"
  | "pagingNames"
  | "defaultPageSize"
  | "maxPageSize"
  | "offsetBy"
  | "afterEnd"
>

/** Number of records of each list at the start of a demo, and its description in the command. */
export const SIZES = {
  customers: { count: 60, description: "How many; their wallets follow from them" },
  transactions: { count: 2_000, description: "How many" },
  payouts: { count: 270, description: "How many" },
  checkouts: { count: 120, description: "How many" },
} as const

type Sizes = Readonly<Record<keyof typeof SIZES, number>>

export const sizes = <A>(
  of: (name: keyof Sizes, size: (typeof SIZES)[keyof Sizes]) => A,
): Record<keyof Sizes, A> =>
  Object.fromEntries(
    Object.entries(SIZES).map(([name, size]) => [name, of(name as keyof Sizes, size)]),
  ) as Record<keyof Sizes, A>

export interface SandboxOptions extends Sizes {
  /** The same options and seed give the same bytes. */
  readonly seed: number
  /** End of the simulated time, ISO 8601 UTC. Only later changes are newer. */
  readonly until: string
  /** Days before `until` over which transactions, payouts and checkouts are spread. */
  readonly days: number

  readonly token: string
  readonly host: string
  /** 0 takes a free port. */
  readonly port: number

  /** The undocumented parts, each with its likeliest value. */
  readonly listPaths: Readonly<Record<string, string>>
  /** By-id endpoints, with `{id}` for the id; null if there is none. */
  readonly detailPaths: Readonly<Record<string, string | null>>
  readonly envelope: Envelope
  /** Name of the list in a `named` envelope; null: the stream's own name. */
  readonly listName: string | null
  readonly detailEnvelope: "single" | "double"
  readonly totals: Totals
  /** Number added to the stated total, for a wrong total. */
  readonly totalSkew: number
  /** Number of the first page, if pages are counted. */
  readonly firstPage: 0 | 1
  /** Names of position and size. `offset`, `skip`, `start` and `from` count records from 0; others pages from `firstPage`. */
  readonly pagingNames: readonly [position: string, size: string]
  readonly defaultPageSize: number
  /** A larger size is silently reduced to it. */
  readonly maxPageSize: number
  /**
   * `asked`: page n of a reduced size starts after n−1 pages of the requested size. `served`: after n−1 pages of the
   * reduced size.
   */
  readonly offsetBy: "asked" | "served"
  readonly order: Order
  readonly afterEnd: (typeof AFTER_ENDS)[number]
  /** True if a removed record leaves its page shorter (filtered after the limit). False if the next record moves up. */
  readonly removedLeavesHoles: boolean
  /** True if list items carry `wallet_account`; false if only the by-id answer does (U). */
  readonly walletListHasBalances: boolean
  /** Documented shapes of a payout: `wire_amount` as a number (older) and `original_amount` as a string (newer). */
  readonly payoutShape: "both" | "older" | "newer"
  /** Gives a few transactions amounts of more than 15 significant digits. */
  readonly longAmounts: boolean
  readonly breaches: ReadonlyArray<Breach>

  readonly change: AutomaticChange | null
  readonly fault: FaultHook | null
}

/** The size of a demo: a few dozen customers, two months of payments. */
export const defaultOptions: SandboxOptions = {
  seed: 1,
  ...sizes((_, { count }) => count),
  until: "2025-10-01T00:00:00.000Z",
  days: 60,
  token: "sandbox-token",
  host: "127.0.0.1",
  port: 0,
  listPaths: {},
  detailPaths: {},
  envelope: "data",
  listName: null,
  detailEnvelope: "single",
  totals: "none",
  totalSkew: 0,
  firstPage: 1,
  pagingNames: ["page", "limit"],
  defaultPageSize: 10,
  maxPageSize: 1_000,
  offsetBy: "served",
  order: "oldest-first",
  afterEnd: "empty",
  removedLeavesHoles: false,
  walletListHasBalances: true,
  payoutShape: "both",
  longAmounts: false,
  breaches: [],
  change: null,
  fault: null,
}

const DAY_MILLIS = 86_400_000

/** The samples are older than this, and generated history starts here at the earliest. */
const HISTORY_FROM = "2025-04-01T00:00:00.000Z"

/** A larger page number times a stride would exceed the integers that a double holds. */
const RECORDS_MAX = 50_000_000

const mistakeIn = (options: SandboxOptions): string | undefined => {
  const count = Object.values(sizes(name => name)).find(
    name => !Number.isInteger(options[name]) || options[name] < 0 || options[name] > RECORDS_MAX,
  )
  if (count !== undefined) return `${count} must be a whole number from 0 to ${RECORDS_MAX}`
  if (!Number.isSafeInteger(options.seed)) return "seed must be a whole number"
  const size = (["days", "defaultPageSize", "maxPageSize"] as const).find(
    name => !Number.isInteger(options[name]) || options[name] < 1,
  )
  if (size !== undefined) return `${size} must be a whole number from 1`
  if (Number.isNaN(Date.parse(options.until))) return "until must be an ISO 8601 time"
  const earliest = Date.parse(HISTORY_FROM) + options.days * DAY_MILLIS
  if (Date.parse(options.until) < earliest)
    return `until must be ${new Date(earliest).toISOString().slice(0, 10)} or later`
  if (options.token === "") return "token must not be empty"
  return undefined
}

/** A recent end of simulated time, at the start of a day (UTC). */
export const lastMidnight = (): Date => new Date(new Date().setUTCHours(0, 0, 0, 0))

export const resolve = (
  given: Partial<SandboxOptions>,
): Effect.Effect<SandboxOptions, ConfigurationError> => {
  const options = { ...defaultOptions, ...given }
  const mistake = mistakeIn(options)
  return mistake === undefined
    ? Effect.succeed(options)
    : Effect.fail(new ConfigurationError({ message: `Sandbox option ${mistake}.` }))
}
