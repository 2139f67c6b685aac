import { readFile } from "node:fs/promises"
import { Effect } from "effect"
import * as Config from "../Config.ts"
import type { ConfigurationError } from "../Errors.ts"
import { type Finding, finding } from "./Finding.ts"

/** Which variables are set, by name; never what they hold. */

/** Variables whose name holds no account and no stream. */
export const VARIABLES = [
  "PAYCOMBAT_TOKEN",
  "PAYCOMBAT_ACCOUNTS",
  "PAYCOMBAT_BASE_URL",
  "DATABASE_URL",
  "PAYCOMBAT_DATA_DIR",
  "PAYCOMBAT_READER_URL",
  "PAYCOMBAT_PAGING",
  "PAYCOMBAT_PAGE_SIZE",
  "PAYCOMBAT_RATE_PER_SECOND",
  "PAYCOMBAT_CONCURRENCY",
  "PAYCOMBAT_TIMEOUT_SECONDS",
  "PAYCOMBAT_READY_RECHECK",
  "PAYCOMBAT_READY_MAX_CALLS",
  "PAYCOMBAT_PII",
  "PAYCOMBAT_PII_KEY",
  "PAYCOMBAT_LEASE_SECONDS",
  "PAYCOMBAT_HTTP_HOST",
  "PAYCOMBAT_HTTP_PORT",
  "PAYCOMBAT_LOG_LEVEL",
  "PAYCOMBAT_SCHEDULE",
  "PAYCOMBAT_FULL_SCHEDULE",
  "PAYCOMBAT_TIMEZONE",
]

const ASSIGNMENT = /^\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)\s*=\s*(.*)$/
const OURS = /^PAYCOMBAT_|^DATABASE_URL$/

/** Names that are set to anything, in the environment or in `.env`. */
const namesSet = Effect.promise(async () => {
  const file = await readFile(".env", "utf8").catch(() => "")
  const inFile = file.split("\n").flatMap(line => {
    const [, name, value = ""] = ASSIGNMENT.exec(line) ?? []
    return name !== undefined && value.trim() !== "" ? [name] : []
  })
  const inEnvironment = Object.entries(process.env).flatMap(([name, value]) => (value?.trim() ? [name] : []))
  return [...new Set([...inEnvironment, ...inFile])].filter(name => OURS.test(name)).sort()
})

const isKnown = (accounts: ReadonlyArray<string>, lists: ReadonlyArray<string>) => {
  const known = new Set([...VARIABLES, ...lists.map(Config.pathVariable)])
  for (const account of accounts) for (const name of Config.accountVariables(account, lists)) known.add(name)
  return (name: string) => known.has(name)
}

/** Settings that do not decide what is examined, but would end another command. */
const OTHERS: ReadonlyArray<Effect.Effect<unknown, ConfigurationError>> = [
  Config.run,
  Config.schedule,
  Config.http,
  Config.logLevel,
]

/**
 * What is set and what is wrong with it. `problems` are what the settings of accounts and database said; `lists` names
 * the lists, whose paths can be set. The variables that are set are named where `isNaming`.
 */
export const settingsFindings = (
  problems: ReadonlyArray<string>,
  lists: ReadonlyArray<string>,
  isNaming: boolean,
): Effect.Effect<ReadonlyArray<Finding>> =>
  Effect.gen(function* () {
    const names = isNaming ? yield* namesSet : []
    const accounts = yield* Effect.orElseSucceed(Config.namedAccounts, () => [])
    const known = isKnown(accounts, lists)
    const more = yield* Effect.forEach(OTHERS, setting =>
      Effect.match(setting, { onSuccess: () => [], onFailure: ({ message }) => [message] }),
    )
    const wrong = [...new Set([...problems, ...more.flat()])]
    const unknown = names.filter(name => !known(name))
    const used = names.filter(known).join(", ") || "nothing; all defaults"
    return [
      ...wrong.map(message => finding("fail", "configuration", message)),
      ...(wrong.length > 0
        ? []
        : [finding("pass", "configuration", isNaming ? `set: ${used}.` : "no setting is wrong.")]),
      ...(unknown.length === 0
        ? []
        : [
            finding(
              "warn",
              "configuration",
              `${unknown.join(", ")}: no setting of this program, or not one of a configured account; see .env.example for how they are spelled.`,
            ),
          ]),
    ]
  })

const isLoopback = (hostname: string) => /^(localhost|127\.\d+\.\d+\.\d+|\[::1\])$/.test(hostname)

/** What an account's address and token say before anything is sent. */
export const addressFindings = (account: Config.AccountSettings): ReadonlyArray<Finding> => {
  const { protocol, hostname } = new URL(account.baseUrl)
  return protocol === "http:" && !isLoopback(hostname)
    ? [
        finding(
          "warn",
          "address",
          "the base URL is http:// and not this machine's: the token and all data travel in clear. Use https://.",
          { account: account.name },
        ),
      ]
    : []
}
