import { ConfigProvider, Duration, Effect, Redacted } from "effect"
import { serveSettings } from "./app.ts"
import { DEFAULT_BASE_URL, pathVariable, suffixed } from "./config/config.ts"
import { declaredStreams, lookupVariables } from "./config/lookups.ts"
import { ConfigurationError } from "./core/errors.ts"
import { isList } from "./core/stream.ts"

/** Settings that a host application gives in code: the same ones, with the same bounds and messages, as the variables. */

/** How the API is asked, by default or for one account. */
export interface AskingGiven {
  /** List paths by stream, where discovery cannot find them. */
  readonly paths?: Readonly<Record<string, string>>
  /** Names of the two paging parameters. */
  readonly paging?: readonly [page: string, size: string]
  readonly pageSize?: number
  /** Ids of the merchants or organizations whose records are an account's; those of its first pass where absent. */
  readonly merchants?: ReadonlyArray<string>
  /** Requests per second of each account. */
  readonly ratePerSecond?: number
  /** Requests under way at once, of each account. */
  readonly concurrency?: number
  /** Whole seconds. */
  readonly timeout?: Duration.DurationInput
}

/** One merchant's token, where it is good, and what of the settings is this account's own. */
export interface AccountGiven extends AskingGiven {
  /** Leads every key of the warehouse: it must stay the same. Small letters, digits, - and _; `default` where absent. */
  readonly name?: string
  readonly token: Redacted.Redacted
  /** PayCombat's own where absent. */
  readonly baseUrl?: string | undefined
}

/** The Postgres that holds the warehouse: one that is there, or an embedded one under a directory. */
export type DatabaseGiven =
  | {
      /** `postgres://owner:password@host:port/database` */
      readonly url: Redacted.Redacted
      /** Login that `query` uses: must be able to read `analytics` and no more. */
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
  /** How old a *ready* answer may grow. */
  readonly readyRecheck?: Duration.DurationInput
  /** Readiness calls per run. */
  readonly readyMaxCalls?: number
  /** What else look-ups can be set to, by the variables that they declare. */
  readonly lookups?: Readonly<Record<string, string | number>>
  readonly leaseSeconds?: number
  /** Share of a pass's records, from 0 to 1: a stream fails where more are rejected. */
  readonly rejectsMax?: number
  /** What is stored of personal data; everything where absent. */
  readonly privacy?:
    | { readonly mode: "keep" }
    | { readonly mode: "hash"; readonly key: Redacted.Redacted }
    | { readonly mode: "drop"; readonly key?: Redacted.Redacted }
  /** For `serve`, and for what `status` and `report` call stale: two cron expressions, the time zone they are read in, and where it listens. */
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

/** Of an account: its own, else what holds for all. */
const askingOf = (settings: Settings, account: AccountGiven): ReadonlyArray<Variable> => {
  const { paging, merchants, pageSize, ratePerSecond, concurrency, timeout } = {
    ...settings,
    ...defined(account),
  }
  const paths = { ...settings.paths, ...account.paths }
  return [
    ...Object.entries(paths).map(([stream, path]) => [pathVariable(stream), path] as const),
    ["PAYCOMBAT_PAGING", paging?.join(",")],
    ["PAYCOMBAT_MERCHANTS", merchants?.join(",")],
    ["PAYCOMBAT_PAGE_SIZE", pageSize],
    ["PAYCOMBAT_RATE_PER_SECOND", ratePerSecond],
    ["PAYCOMBAT_CONCURRENCY", concurrency],
    ["PAYCOMBAT_TIMEOUT_SECONDS", timeout === undefined ? undefined : Duration.toSeconds(timeout)],
  ]
}

/** Without what is given as undefined, which counts as not given. */
const defined = (given: AskingGiven): AskingGiven =>
  Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined))

/** Variables that both ways of configuring end in, so that there is one set of rules. */
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

/** The variables of `default` are those of all accounts: what is its own would be another's, too. */
const spilled = (settings: Settings): string | undefined => {
  const named = (account: AccountGiven) =>
    askingOf(settings, account).flatMap(([name, value]) => (value === undefined ? [] : [name]))
  const own = settings.accounts.filter(account => nameOf(account) === DEFAULT_ACCOUNT).flatMap(named)
  const others = settings.accounts.filter(account => nameOf(account) !== DEFAULT_ACCOUNT)
  return own.find(name => others.some(account => !named(account).includes(name)))
}

/** What the environment of a host says of these variables is its own business: only what is given counts. */
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
      // In an environment that is "not set", and the default holds; in code it is a secret that did not arrive.
      if (value.trim() === "")
        return yield* wrong(`${name} is given, and empty. Give a value, or leave it out.`)
      variables.set(name, value)
    }
    const given = ConfigProvider.fromMap(variables)
    // What is wrong is said before a database is opened.
    yield* Effect.withConfigProvider(serveSettings(), given)
    return given
  })
