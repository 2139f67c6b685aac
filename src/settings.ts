import { ConfigProvider, Duration, Effect, Redacted } from "effect"
import { serveSettings } from "./app.ts"
import { DEFAULT_BASE_URL, pathVariable } from "./config/config.ts"
import { declaredStreams, lookupVariables } from "./config/lookups.ts"
import { suffixed } from "./config/variable.ts"
import type { FeeOwner } from "./core/account.ts"
import { ConfigurationError } from "./core/errors.ts"
import { isList } from "./core/stream.ts"

/** Settings in code, with the bounds and messages of the variables. */

/** Settings of requests to the API, by default or for one account. */
export interface AskingGiven {
  /** List paths by stream, if discovery cannot find them. */
  readonly paths?: Readonly<Record<string, string>>
  /** Names of the two paging parameters. */
  readonly paging?: readonly [page: string, size: string]
  readonly pageSize?: number
  /** Ids of an account's merchants or organizations; if absent, those of its first pass. */
  readonly merchants?: ReadonlyArray<string>
  /** IANA name of the zone of an account's days, months and ages; what is stored where absent, at first UTC. */
  readonly reportTimezone?: string
  /** Owner of the balance that a fee moves; what is stored where absent, at first the owner of the amount. */
  readonly feeOwner?: FeeOwner
  /** Requests per second of each account. */
  readonly ratePerSecond?: number
  /** Most requests at the same time, of each account. */
  readonly concurrency?: number
  /** Whole seconds. */
  readonly timeout?: Duration.DurationInput
}

/** One merchant's token, and the settings of this account only. */
export interface AccountGiven extends AskingGiven {
  /** Leads every key of the warehouse, so it must stay the same: a-z, 0-9, - and _; `default` if absent. */
  readonly name?: string
  readonly token: Redacted.Redacted
  /** PayCombat's own if absent. */
  readonly baseUrl?: string | undefined
}

/** The Postgres of the warehouse: an existing one, or an embedded one under a directory. */
export type DatabaseGiven =
  | {
      /** `postgres://owner:password@host:port/database` */
      readonly url: Redacted.Redacted
      /** Login of `query`. It must be able to read `analytics` and nothing else. */
      readonly readerUrl?: Redacted.Redacted
    }
  | { readonly dataDir: string }

/**
 * Settings in code instead of the environment. Defaults and bounds are those of the variables in docs/configuration.md.
 * A wrong setting is a `ConfigurationError` that names its variable.
 */
export interface Settings extends AskingGiven {
  /** At least one, each with a name of its own. */
  readonly accounts: ReadonlyArray<AccountGiven>
  readonly database: DatabaseGiven
  /** Largest age of the answer *ready*. */
  readonly readyRecheck?: Duration.DurationInput
  /** Readiness calls per run. */
  readonly readyMaxCalls?: number
  /** Other settings of look-ups, by the variables that they declare. */
  readonly lookups?: Readonly<Record<string, string | number>>
  readonly leaseSeconds?: number
  /** Share of a pass's records, from 0 to 1. A stream fails if more of them are rejected. */
  readonly rejectsMax?: number
  /** Form in which personal data is stored; unchanged if absent. */
  readonly privacy?:
    | { readonly mode: "keep" }
    | { readonly mode: "hash"; readonly key: Redacted.Redacted }
    | { readonly mode: "drop"; readonly key?: Redacted.Redacted }
  /** For `serve`, and for staleness in `status` and `report`. */
  readonly schedule?: string
  readonly fullSchedule?: string
  readonly timezone?: string
  readonly http?: { readonly host?: string; readonly port?: number }
}

const DEFAULT_ACCOUNT = "default"

const wrong = (message: string) => Effect.fail(new ConfigurationError({ message }))

type Given = string | number | Redacted.Redacted | undefined

type Variable = readonly [name: string, value: Given]

const nameOf = ({ name = DEFAULT_ACCOUNT }: AccountGiven): string => name

/** The settings of an account: its own, else those of all accounts. */
const askingOf = (settings: Settings, account: AccountGiven): ReadonlyArray<Variable> => {
  const asked = { ...settings, ...defined(account) }
  const { paging, merchants, pageSize, ratePerSecond, concurrency, timeout } = asked
  const paths = { ...settings.paths, ...account.paths }
  return [
    ...Object.entries(paths).map(([stream, path]) => [pathVariable(stream), path] as const),
    ["PAYCOMBAT_PAGING", paging?.join(",")],
    ["PAYCOMBAT_MERCHANTS", merchants?.join(",")],
    ["PAYCOMBAT_REPORT_TIMEZONE", asked.reportTimezone],
    ["PAYCOMBAT_FEE_OWNER", asked.feeOwner],
    ["PAYCOMBAT_PAGE_SIZE", pageSize],
    ["PAYCOMBAT_RATE_PER_SECOND", ratePerSecond],
    ["PAYCOMBAT_CONCURRENCY", concurrency],
    ["PAYCOMBAT_TIMEOUT_SECONDS", timeout === undefined ? undefined : Duration.toSeconds(timeout)],
  ]
}

/** Removes settings that are given as undefined, because they count as not given. */
const defined = (given: AskingGiven): AskingGiven =>
  Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined))

/** The variables behind both ways of configuring, so that there is one set of rules. */
const variablesOf = (settings: Settings): ReadonlyArray<Variable> => {
  const { accounts, database, privacy, readyMaxCalls, readyRecheck } = settings
  const key = privacy !== undefined && "key" in privacy ? privacy.key : undefined
  return [
    ["PAYCOMBAT_ACCOUNTS", accounts.map(nameOf).join(",")],
    ...accounts.flatMap(account => {
      const variables: ReadonlyArray<Variable> = [
        ["PAYCOMBAT_TOKEN", account.token],
        ["PAYCOMBAT_BASE_URL", account.baseUrl ?? DEFAULT_BASE_URL],
        ...askingOf(settings, account),
      ]
      return variables.map(([name, value]) => [suffixed(name, nameOf(account)), value] as const)
    }),
    ...("url" in database
      ? [["DATABASE_URL", database.url] as const, ["PAYCOMBAT_READER_URL", database.readerUrl] as const]
      : [["PAYCOMBAT_DATA_DIR", database.dataDir] as const]),
    [
      "PAYCOMBAT_READY_RECHECK",
      readyRecheck === undefined ? undefined : `${Duration.toMillis(readyRecheck)} millis`,
    ],
    ["PAYCOMBAT_READY_MAX_CALLS", readyMaxCalls === Number.POSITIVE_INFINITY ? undefined : readyMaxCalls],
    ...Object.entries(settings.lookups ?? {}),
    ["PAYCOMBAT_LEASE_SECONDS", settings.leaseSeconds],
    [
      "PAYCOMBAT_REJECTS_MAX",
      // A share such as 0.07 times 100 is 7.000000000000001.
      settings.rejectsMax === undefined ? undefined : `${Number((settings.rejectsMax * 100).toFixed(4))}%`,
    ],
    ["PAYCOMBAT_PII", privacy?.mode],
    ["PAYCOMBAT_PII_KEY", key],
    ["PAYCOMBAT_SCHEDULE", settings.schedule],
    ["PAYCOMBAT_FULL_SCHEDULE", settings.fullSchedule],
    ["PAYCOMBAT_TIMEZONE", settings.timezone],
    ["PAYCOMBAT_HTTP_HOST", settings.http?.host],
    ["PAYCOMBAT_HTTP_PORT", settings.http?.port],
  ]
}

/** The variables of `default` apply to all accounts, so a setting of its own would apply to others, too. */
const spilled = (settings: Settings): string | undefined => {
  const named = (account: AccountGiven) =>
    askingOf(settings, account).flatMap(([name, value]) => (value === undefined ? [] : [name]))
  const own = settings.accounts.filter(account => nameOf(account) === DEFAULT_ACCOUNT).flatMap(named)
  const others = settings.accounts.filter(account => nameOf(account) !== DEFAULT_ACCOUNT)
  return own.find(name => others.some(account => !named(account).includes(name)))
}

/** Ignores these variables in the environment of the host. Only given settings count. */
export const settingsProvider = (settings: Settings) =>
  Effect.gen(function* () {
    const { accounts } = settings
    if (accounts.length === 0) return yield* wrong("No account is given: name at least one, with its token.")
    const names = accounts.map(nameOf)
    const twice = names.find((name, position) => names.indexOf(name) !== position)
    if (twice !== undefined)
      return yield* wrong(`Two accounts are named ${twice}: give each a name of its own.`)
    const declared = yield* declaredStreams
    const known = lookupVariables(declared)
    const unset = Object.keys(settings.lookups ?? {}).find(name => !known.includes(name))
    if (unset !== undefined)
      return yield* wrong(`lookups: no look-up has a variable ${unset}; there are ${known.join(", ")}.`)
    const streams = declared.filter(isList).map(({ name }) => name)
    const unknown = [settings, ...accounts]
      .flatMap(({ paths = {} }) => Object.keys(paths))
      .find(stream => !streams.includes(stream))
    if (unknown !== undefined)
      return yield* wrong(`paths: there is no list stream ${unknown}; there are ${streams.join(", ")}.`)
    const shared = spilled(settings)
    if (shared !== undefined)
      return yield* wrong(
        `${shared} of the account ${DEFAULT_ACCOUNT} would hold for the others, too: say it of each of them, or give this account another name.`,
      )
    const variables = new Map<string, string>()
    for (const [name, given] of variablesOf(settings)) {
      if (given === undefined) continue
      const value = Redacted.isRedacted(given) ? Redacted.value(given) : String(given)
      // In an environment that means "not set", and the default applies. In code it is a secret that did not arrive.
      if (value.trim() === "")
        return yield* wrong(`${name} is given, and empty. Give a value, or leave it out.`)
      variables.set(name, value)
    }
    const given = ConfigProvider.fromMap(variables)
    // Errors are reported before a database is opened.
    yield* Effect.withConfigProvider(serveSettings(), given)
    return given
  })
