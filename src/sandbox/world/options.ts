import { Effect } from "effect"
import { ConfigurationError } from "../../core/errors.ts"
import type { FaultHook } from "./faults.ts"

/**
 * Where an answer holds its list. PayCombat documents the single and the double envelope for records (D),
 * none for lists (?). `named` puts the list under `listName`.
 */
export const ENVELOPES = ["data", "data.data", "data.named", "double", "double.named"] as const
export type Envelope = (typeof ENVELOPES)[number]

/** Which total a list states beside its records: none (U), or a common form of it (?). */
export const TOTALS = ["none", "total", "pagination", "meta"] as const
export type Totals = (typeof TOTALS)[number]

/** `updated-first` and `updated-last` sort all records anew after each change: for small lists. */
export const ORDERS = ["oldest-first", "newest-first", "shuffled", "updated-first", "updated-last"] as const
export type Order = (typeof ORDERS)[number]

/**
 * What a list answers beyond its last page: an empty list, 404, its last page again, 204, a 200 without a body, without
 * `data`, with `data: null`, or that says `status: false` and no more, 416, 400, 410 and 422. Those from 204 to 416 also
 * answer so for a list without records.
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

export const TIME_UNITS = ["seconds", "milliseconds"] as const
export const TIME_FIELDS = ["created_at", "updated_at"] as const

/** What `start_time` and `end_time` mean (U; the unit is ?), where a list knows them at all. Reads all records for each page. */
export interface TimeFilter {
  readonly unit: (typeof TIME_UNITS)[number]
  readonly by: (typeof TIME_FIELDS)[number]
}

/** A change that the sandbox makes by itself after every `every`-th answered page of a list, `times` times in all. */
export interface AutomaticChange {
  readonly every: number
  readonly times: number
  /** `remove` takes the first record of the page just answered; `touch` changes it. */
  readonly action: "insert-front" | "insert-back" | "remove" | "touch"
  readonly stream: string
}

/** The undocumented parts of lists that `reshape` can change while a sandbox is up: an API that changes its contract. */
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

/** A change of shape that the sandbox makes by itself once it was asked for so many pages. */
export interface AutomaticReshape {
  readonly afterPages: number
  readonly to: Partial<Shape>
}

/** How many records the lists of the simulated world hold at the start, in a demo; and how a command says so. */
export const SIZES = {
  customers: { count: 60, description: "How many; their wallets follow from them" },
  transactions: { count: 2_000, description: "How many" },
  payouts: { count: 270, description: "How many" },
  checkouts: { count: 120, description: "How many" },
} as const

type Sizes = Readonly<Record<keyof typeof SIZES, number>>

/** Sizes, made from each entry of the table. */
export const sizes = <A>(
  of: (name: keyof Sizes, size: (typeof SIZES)[keyof Sizes]) => A,
): Record<keyof Sizes, A> =>
  Object.fromEntries(
    Object.entries(SIZES).map(([name, size]) => [name, of(name as keyof Sizes, size)]),
  ) as Record<keyof Sizes, A>

export interface SandboxOptions extends Sizes {
  /** Same options and seed, same bytes. */
  readonly seed: number
  /** The end of the simulated time, ISO 8601 UTC: nothing but later changes is newer. */
  readonly until: string
  /** Days before `until` over which transactions, payouts and checkouts are spread. */
  readonly days: number

  readonly token: string
  readonly host: string
  /** 0 takes a free one. */
  readonly port: number

  /** The undocumented parts, each at its likeliest. */
  readonly listPaths: Readonly<Record<string, string>>
  /** By-id endpoints, with `{id}` for the id; null where there is none. */
  readonly detailPaths: Readonly<Record<string, string | null>>
  readonly envelope: Envelope
  /** Name of the list in a `named` envelope; the stream's own where null. */
  readonly listName: string | null
  readonly detailEnvelope: "single" | "double"
  readonly totals: Totals
  /** Added to the stated total: a total that is not true. */
  readonly totalSkew: number
  /** Number of the first page, where pages are counted. */
  readonly firstPage: 0 | 1
  /** Query parameters of position and size. A first name of `offset`, `skip`, `start` or `from` counts records from 0, any other pages from `firstPage`. */
  readonly pagingNames: readonly [position: string, size: string]
  readonly defaultPageSize: number
  /** A larger size is cut to it without a word. */
  readonly maxPageSize: number
  /** True if page n of a cut size starts after n−1 pages of the size asked for, or of the size served. */
  readonly offsetBy: "asked" | "served"
  readonly order: Order
  readonly timeFilter: TimeFilter | null
  readonly afterEnd: (typeof AFTER_ENDS)[number]
  /** True if a removed record leaves its page short (filtered after the limit) instead of pulling up the next. */
  readonly removedLeavesHoles: boolean
  /** True if list items carry `wallet_account`, or only the by-id answer does (U). */
  readonly walletListHasBalances: boolean
  /** Both shapes of a payout are documented: `wire_amount` number (older) and `original_amount` string (newer). */
  readonly payoutShape: "both" | "older" | "newer"
  /** Gives a few transactions amounts of more than 15 significant digits. */
  readonly longAmounts: boolean

  readonly change: AutomaticChange | null
  readonly reshape: AutomaticReshape | null
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
  timeFilter: null,
  afterEnd: "empty",
  removedLeavesHoles: false,
  walletListHasBalances: true,
  payoutShape: "both",
  longAmounts: false,
  change: null,
  reshape: null,
  fault: null,
}

const DAY_MILLIS = 86_400_000

/** The samples' customers, checkouts and wallets are all older than this: generated history starts here at the earliest. */
const HISTORY_FROM = "2025-04-01T00:00:00.000Z"

/** Beyond it a page number times a stride would leave the integers that a double holds. */
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

/** An end of simulated time that is recent, and the same for a whole day (UTC). */
export const lastMidnight = (): Date => new Date(new Date().setUTCHours(0, 0, 0, 0))

/** Fills in the defaults, or says which option cannot be. */
export const resolve = (
  given: Partial<SandboxOptions>,
): Effect.Effect<SandboxOptions, ConfigurationError> => {
  const options = { ...defaultOptions, ...given }
  const mistake = mistakeIn(options)
  return mistake === undefined
    ? Effect.succeed(options)
    : Effect.fail(new ConfigurationError({ message: `Sandbox option ${mistake}.` }))
}
