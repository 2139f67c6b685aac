import { Effect, Redacted } from "effect"
import * as Config from "../config/config.ts"
import { Origins } from "../config/environment.ts"
import { declaredStreams, lookupVariables } from "../config/lookups.ts"
import { settingNames } from "../config/variables.ts"
import type { ConfigurationError } from "../core/errors.ts"
import { checkOf, type Finding } from "./finding.ts"

/** Examines the names of the set variables, and never their values. */

const OURS = /^PAYCOMBAT_|^DATABASE_URL$/

const namesSet = Effect.map(Origins, ({ origins }) =>
  [...origins.keys()].filter(name => OURS.test(name)).sort(),
)

/** Settings that do not affect the examination, but would end another command. */
const OTHERS: ReadonlyArray<Effect.Effect<unknown, ConfigurationError>> = [
  Config.run,
  Config.schedule,
  Config.http,
  Config.logLevel,
]

/**
 * Reports the set variables and their faults. `problems` are those of the settings of accounts and database. `lists`
 * names the lists, whose paths can be set. `isNaming` is true if the set variables are named.
 */
export const settingsFindings = (
  problems: ReadonlyArray<string>,
  lists: ReadonlyArray<string>,
  isNaming: boolean,
): Effect.Effect<ReadonlyArray<Finding>> =>
  Effect.gen(function* () {
    const names = isNaming ? yield* namesSet : []
    const accounts = yield* Effect.orElseSucceed(Config.namedAccounts, () => [])
    const streams = yield* Effect.orElseSucceed(declaredStreams, () => [])
    const settings = new Set(settingNames(accounts, lists, lookupVariables(streams)))
    const more = yield* Effect.forEach(OTHERS, setting =>
      Effect.match(setting, { onSuccess: () => [], onFailure: ({ message }) => [message] }),
    )
    const wrong = [...new Set([...problems, ...more.flat()])]
    const unknown = names.filter(name => !settings.has(name))
    const used = names.filter(name => settings.has(name)).join(", ") || "nothing; all defaults"
    return [
      ...wrong.map(message => checkOf("configuration").fail(message)),
      ...(wrong.length > 0
        ? []
        : [checkOf("configuration").pass(isNaming ? `set: ${used}.` : "no setting is wrong.")]),
      ...(unknown.length === 0
        ? []
        : [
            checkOf("configuration").warn(
              `${unknown.join(", ")}: no setting of this program, or not one of a configured account; see .env.example for how they are spelled.`,
            ),
          ]),
    ]
  })

const isLoopback = (hostname: string) => /^(localhost|127\.\d+\.\d+\.\d+|\[::1\])$/.test(hostname)

/** Examines an account's address and token before any request. */
export const addressFindings = (account: Config.AccountSettings): ReadonlyArray<Finding> => {
  const { protocol, hostname } = new URL(account.baseUrl)
  return protocol === "http:" && !isLoopback(hostname)
    ? [
        checkOf("address", { account: account.name }).warn(
          "the base URL is http:// and not this machine's: the token and all data travel in clear. Use https://.",
        ),
      ]
    : []
}

/** Finds accounts with the same token. Each name has a lease and a rate of its own. */
export const sharedTokenFindings = (
  accounts: ReadonlyArray<Config.AccountSettings>,
): ReadonlyArray<Finding> => {
  const named = new Map<string, Array<string>>()
  for (const { name, token, baseUrl } of accounts) {
    const key = JSON.stringify([new URL(baseUrl).origin, Redacted.value(token)])
    named.set(key, [...(named.get(key) ?? []), name])
  }
  return [...named.values()]
    .filter(names => names.length > 1)
    .map(names =>
      checkOf("token").warn(
        `${names.join(" and ")} have the same token: each of them keeps to the rate by itself, so that together they can pass it, and every record is stored once for each. See which of them is needed, and remove the others.`,
      ),
    )
}
