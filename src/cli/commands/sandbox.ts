import * as Command from "@effect/cli/Command"
import * as Options from "@effect/cli/Options"
import { HashMap } from "effect"
import { defaultOptions } from "../../sandbox/options.ts"
import { onDemand } from "./onDemand.ts"
import { json } from "./shared.ts"

/** Where a sandbox listens unless told otherwise. */
const SANDBOX_PORT = 8788

const size = (name: "seed" | "customers" | "transactions" | "payouts" | "checkouts", description: string) =>
  Options.integer(name).pipe(
    Options.withDefault(defaultOptions[name]),
    Options.withDescription(`${description} (${defaultOptions[name]}).`),
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
    seed: size("seed", "Same seed, same data"),
    customers: size("customers", "How many; their wallets follow from them"),
    transactions: size("transactions", "How many"),
    payouts: size("payouts", "How many"),
    checkouts: size("checkouts", "How many"),
    envelope: variant(
      "envelope",
      ["data", "data.data", "data.named", "double", "double.named"],
      defaultOptions.envelope,
      "Where the list is in an answer",
    ),
    totals: variant(
      "totals",
      ["none", "total", "pagination", "meta"],
      defaultOptions.totals,
      "How the length of a list is stated",
    ),
    order: variant(
      "order",
      ["oldest-first", "newest-first", "shuffled"],
      defaultOptions.order,
      "Order of the lists",
    ),
    maxPageSize: Options.integer("max-page-size").pipe(
      Options.withDefault(defaultOptions.maxPageSize),
      Options.withDescription("A larger page size is cut to it without a word."),
    ),
    walletListHasBalances: Options.boolean("wallet-list-without-balances").pipe(
      Options.withDescription("Wallets carry their balances only when asked for by id."),
      Options.map(without => !without),
    ),
    faults: Options.keyValueMap("fault").pipe(
      Options.withDefault(HashMap.empty<string, string>()),
      Options.withDescription(
        "A fault and its chance per request, such as server-error=0.05 (repeatable); a wrong name lists them all.",
      ),
    ),
    json,
  },
  onDemand(() => import("../sandbox.ts")),
).pipe(
  Command.withDescription(
    "Serves a simulated PayCombat API: deterministic data of any size, no token needed.",
  ),
)
