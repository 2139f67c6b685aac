import * as Command from "@effect/cli/Command"
import * as Options from "@effect/cli/Options"
import { Console, Effect } from "effect"
import { defaultOptions, type SandboxOptions, start } from "../sandbox/Sandbox.ts"
import { jsonOption, printJson } from "./output.ts"

/** Where a sandbox listens unless told otherwise. */
const SANDBOX_PORT = 8788

const size = (name: "seed" | "customers" | "transactions" | "payouts" | "checkouts") =>
  Options.integer(name).pipe(Options.withDefault(defaultOptions[name]))

const variant = <A extends string>(
  name: string,
  choices: ReadonlyArray<A>,
  fallback: A,
  description: string,
) => Options.choice(name, choices).pipe(Options.withDefault(fallback), Options.withDescription(description))

export const sandbox = Command.make(
  "sandbox",
  {
    port: Options.integer("port").pipe(Options.withDefault(SANDBOX_PORT)),
    token: Options.text("token").pipe(Options.withDefault(defaultOptions.token)),
    seed: size("seed"),
    customers: size("customers"),
    transactions: size("transactions"),
    payouts: size("payouts"),
    checkouts: size("checkouts"),
    envelope: variant(
      "envelope",
      ["data", "data.data", "data.named", "double", "double.named"],
      defaultOptions.envelope,
      "Where the list is in an answer.",
    ),
    totals: variant(
      "totals",
      ["none", "total", "pagination", "meta"],
      defaultOptions.totals,
      "How the length of a list is stated.",
    ),
    order: variant(
      "order",
      ["oldest-first", "newest-first", "shuffled"],
      defaultOptions.order,
      "Order of the lists.",
    ),
    maxPageSize: Options.integer("max-page-size").pipe(
      Options.withDefault(defaultOptions.maxPageSize),
      Options.withDescription("A larger page size is cut to it without a word."),
    ),
    walletListHasBalances: Options.boolean("wallet-list-without-balances").pipe(
      Options.withDescription("Wallets carry their balances only when asked for by id."),
      Options.map(without => !without),
    ),
    json: jsonOption,
  },
  ({ json, ...options }: Partial<SandboxOptions> & { readonly json: boolean }) =>
    Effect.gen(function* () {
      const { url, token } = yield* start(options)
      yield* json
        ? printJson({ url, token })
        : Console.log(`export PAYCOMBAT_BASE_URL=${url}\nexport PAYCOMBAT_TOKEN=${token}`)
      yield* Console.error("Serving simulated data until Ctrl-C.")
      yield* Effect.never
    }).pipe(Effect.scoped),
).pipe(
  Command.withDescription(
    "Serves a simulated PayCombat API: deterministic data of any size, no token needed.",
  ),
)
