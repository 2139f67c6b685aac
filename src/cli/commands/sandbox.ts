import * as Command from "@effect/cli/Command"
import * as Options from "@effect/cli/Options"
import {
  AFTER_ENDS,
  defaultOptions,
  ENVELOPES,
  ORDERS,
  sizes,
  TIME_FIELDS,
  TIME_UNITS,
  TOTALS,
} from "../../sandbox/world/options.ts"
import { onDemand } from "./onDemand.ts"
import { json } from "./shared.ts"

/** A change often enough to meet any sync, and few enough that every list comes to its end. */
const CHANGE_EVERY_PAGES = 2
const CHANGE_TIMES = 5
/** The longest list. */
const CHANGE_STREAM = "transactions"

/** In the middle of the first sync of a sandbox of the usual size. */
const RESHAPE_AFTER_PAGES = 20

/** Where a sandbox listens unless told otherwise. */
const SANDBOX_PORT = 8788

const count = (name: string, fallback: number, description: string) =>
  Options.integer(name).pipe(
    Options.withDefault(fallback),
    Options.withDescription(`${description} (${fallback}).`),
  )

const variant = <A extends string>(
  name: string,
  choices: ReadonlyArray<A>,
  fallback: A,
  description: string,
) =>
  Options.choice(name, choices).pipe(
    Options.withDefault(fallback),
    Options.withDescription(`${description} (${fallback}).`),
  )

export const sandbox = Command.make(
  "sandbox",
  {
    port: Options.integer("port").pipe(
      Options.withDefault(SANDBOX_PORT),
      Options.withDescription(`Where it listens; 0 takes a free one (${SANDBOX_PORT}).`),
    ),
    token: Options.text("token").pipe(
      Options.withDefault(defaultOptions.token),
      Options.withDescription("The X-token it asks for."),
    ),
    seed: count("seed", defaultOptions.seed, "Another one, other data"),
    ...sizes((name, size) => count(name, size.count, size.description)),
    until: Options.date("until").pipe(
      Options.optional,
      Options.withDescription(
        "Day (UTC) at whose start the simulated time ends (today); same seed and day, same data.",
      ),
    ),
    envelope: variant("envelope", ENVELOPES, defaultOptions.envelope, "Where the list is in an answer"),
    totals: variant("totals", TOTALS, defaultOptions.totals, "How the length of a list is stated"),
    order: variant(
      "order",
      ORDERS,
      defaultOptions.order,
      "Order of the lists; a newest or latest update first lets syncs stop early",
    ),
    timeFilter: Options.choice("time-filter", TIME_FIELDS).pipe(
      Options.optional,
      Options.withDescription("Lists heed start_time and end_time, going by this time of a record."),
    ),
    timeUnit: variant("time-unit", TIME_UNITS, "seconds", "With --time-filter: what the two are given in"),
    maxPageSize: Options.integer("max-page-size").pipe(
      Options.withDefault(defaultOptions.maxPageSize),
      Options.withDescription("A larger page size is cut to it without a word."),
    ),
    walletListHasBalances: Options.boolean("wallet-list-without-balances").pipe(
      Options.withDescription("Wallets carry their balances only when asked for by id."),
      Options.map(without => !without),
    ),
    paths: Options.text("path").pipe(
      Options.repeated,
      Options.withDescription("Where a list is, such as payouts=/api/v1/payout/list (repeatable)."),
    ),
    byIdPaths: Options.text("by-id").pipe(
      Options.repeated,
      Options.withDescription(
        "Where a list's records are asked for by id, such as payouts=/api/v1/payout/{id} (repeatable); a list without a documented endpoint has none unless told.",
      ),
    ),
    paging: Options.text("paging").pipe(
      Options.withDefault(defaultOptions.pagingNames.join(",")),
      Options.withDescription(
        `Names of the parameters of position and size; an offset or skip counts records (${defaultOptions.pagingNames}).`,
      ),
    ),
    firstPage: variant("first-page", ["0", "1"], "1", "Number of the first page"),
    offsetBy: variant(
      "offset-by",
      ["asked", "served"],
      defaultOptions.offsetBy,
      "Whether pages of a cut size lie as far apart as the size asked for, or the size served",
    ),
    afterEnd: variant("after-end", AFTER_ENDS, defaultOptions.afterEnd, "What follows the last page"),
    change: Options.choice("change", ["insert-front", "insert-back", "touch", "remove"]).pipe(
      Options.optional,
      Options.withDescription("A list changes like this while it is paged through."),
    ),
    changeStream: Options.text("change-stream").pipe(
      Options.withDefault(CHANGE_STREAM),
      Options.withDescription(`With --change: the list (${CHANGE_STREAM}).`),
    ),
    changeEvery: Options.integer("change-every").pipe(
      Options.withDefault(CHANGE_EVERY_PAGES),
      Options.withDescription(`With --change: after every so many of its pages (${CHANGE_EVERY_PAGES}).`),
    ),
    changeTimes: Options.integer("change-times").pipe(
      Options.withDefault(CHANGE_TIMES),
      Options.withDescription(`With --change: so many times in all (${CHANGE_TIMES}).`),
    ),
    reshape: Options.text("reshape").pipe(
      Options.repeated,
      Options.withDescription(
        "The lists change their contract, such as paging=offset,limit or max-page-size=4 (repeatable); a wrong name lists them all.",
      ),
    ),
    reshapeAfter: Options.integer("reshape-after").pipe(
      Options.withDefault(RESHAPE_AFTER_PAGES),
      Options.withDescription(`With --reshape: after so many pages of any list (${RESHAPE_AFTER_PAGES}).`),
    ),
    faults: Options.text("fault").pipe(
      Options.repeated,
      Options.withDescription(
        "A fault and its chance per request, such as server-error=0.05 (repeatable); a wrong name lists them all.",
      ),
    ),
    json,
  },
  onDemand(() => import("../run/sandbox.ts")),
).pipe(
  Command.withDescription(
    "Serves a simulated PayCombat API: deterministic data of any size, no token needed.",
  ),
)
