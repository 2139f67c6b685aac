import * as Command from "@effect/cli/Command"
import * as Options from "@effect/cli/Options"
import {
  AFTER_ENDS,
  BREACHES,
  defaultOptions,
  ENVELOPES,
  ORDERS,
  sizes,
  TOTALS,
} from "../../sandbox/world/options.ts"
import { onDemand } from "./onDemand.ts"
import { json } from "./shared.ts"

/** Pages between two changes, which affect any sync, and are few enough that every list ends. */
const CHANGE_EVERY_PAGES = 2
const CHANGE_TIMES = 5
/** The longest list. */
const CHANGE_STREAM = "transactions"

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
      Options.withDescription(`Port to listen on; 0 takes a free one (${SANDBOX_PORT}).`),
    ),
    token: Options.text("token").pipe(
      Options.withDefault(defaultOptions.token),
      Options.withDescription("The X-token that it requires."),
    ),
    seed: count("seed", defaultOptions.seed, "Seed of the data"),
    ...sizes((name, size) => count(name, size.count, size.description)),
    until: Options.date("until").pipe(
      Options.optional,
      Options.withDescription(
        "Day (UTC) at whose start the simulated time ends (today). The same seed and day give the same data.",
      ),
    ),
    envelope: variant("envelope", ENVELOPES, defaultOptions.envelope, "Envelope of the list in an answer"),
    totals: variant("totals", TOTALS, defaultOptions.totals, "Way to state the length of a list"),
    order: variant(
      "order",
      ORDERS,
      defaultOptions.order,
      "Order of the lists; with the newest record or update first, syncs can stop early",
    ),
    maxPageSize: Options.integer("max-page-size").pipe(
      Options.withDefault(defaultOptions.maxPageSize),
      Options.withDescription("Largest page size; a larger one is silently reduced."),
    ),
    breaches: Options.choice("break", BREACHES).pipe(
      Options.repeated,
      Options.withDescription(
        "Break an assumption of the figures, so that `ledger_check` differs (repeatable).",
      ),
    ),
    walletListHasBalances: Options.boolean("wallet-list-without-balances").pipe(
      Options.withDescription("Show the balances of wallets only by id, not in the list."),
      Options.map(without => !without),
    ),
    paths: Options.text("path").pipe(
      Options.repeated,
      Options.withDescription("Path of a list, such as payouts=/api/v1/payout/list (repeatable)."),
    ),
    byIdPaths: Options.text("by-id").pipe(
      Options.repeated,
      Options.withDescription(
        "Path of a list's records by id, such as payouts=/api/v1/payout/{id} (repeatable). A list without a documented endpoint has none by default.",
      ),
    ),
    paging: Options.text("paging").pipe(
      Options.withDefault(defaultOptions.pagingNames.join(",")),
      Options.withDescription(
        `Names of the position and the size parameter; offset and skip count records (${defaultOptions.pagingNames}).`,
      ),
    ),
    firstPage: variant("first-page", ["0", "1"], "1", "Number of the first page"),
    offsetBy: variant(
      "offset-by",
      ["asked", "served"],
      defaultOptions.offsetBy,
      "With a reduced page size: distance of two pages, the requested size or the served size",
    ),
    afterEnd: variant("after-end", AFTER_ENDS, defaultOptions.afterEnd, "Answer after the last page"),
    change: Options.choice("change", ["insert-front", "insert-back", "touch", "remove"]).pipe(
      Options.optional,
      Options.withDescription("Change a list like this while it is paged through."),
    ),
    changeStream: Options.text("change-stream").pipe(
      Options.withDefault(CHANGE_STREAM),
      Options.withDescription(`With --change: the list (${CHANGE_STREAM}).`),
    ),
    changeEvery: Options.integer("change-every").pipe(
      Options.withDefault(CHANGE_EVERY_PAGES),
      Options.withDescription(`With --change: number of pages between two changes (${CHANGE_EVERY_PAGES}).`),
    ),
    changeTimes: Options.integer("change-times").pipe(
      Options.withDefault(CHANGE_TIMES),
      Options.withDescription(`With --change: number of changes in total (${CHANGE_TIMES}).`),
    ),
    faults: Options.text("fault").pipe(
      Options.repeated,
      Options.withDescription(
        "A fault and its chance per request, such as server-error=0.05 (repeatable). A wrong name prints all names.",
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
