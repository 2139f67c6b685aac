import { Config, ConfigError, Duration, Effect, Either, Option, Redacted } from "effect"
import { type Account, FEE_OWNERS, type FeeOwner } from "../core/account.ts"
import { ConfigurationError } from "../core/errors.ts"
import type { Privacy } from "../core/privacy.ts"
import { declaredStreams, type LookupSettings, lookups } from "./lookups.ts"
import {
  directory,
  headerSecret,
  httpUrl,
  idList,
  ifSet,
  inOneLine,
  isTimezone,
  oneOf,
  ownOrAll,
  paging,
  parsed,
  path,
  postgresUrl,
  suffixed,
  text,
  wholeNumber,
  zoneName,
} from "./variable.ts"

/**
 * Reads the settings. Each is documented here with its default and its bounds. `.env` is read too; the environment
 * wins. Every error is one line that names the variable.
 */

/** Host of PayCombat's public reference (D). */
export const DEFAULT_BASE_URL = "https://api.paycombat.com"
export const DEFAULT_DATA_DIR = ".paycombat"
/** Default share of records that may be rejected before their stream fails. */
export const REJECTS_MAX_SHARE = 0.05

/** An account, with its settings for the undocumented part of the API. */
export interface AccountSettings extends Account {
  /** List paths by stream, for lists that discovery must not search for. */
  readonly paths: Readonly<Record<string, string>>
  readonly paging: readonly [page: string, size: string] | undefined
  /** Ids of the merchants or organizations of this account's records. Default: those of its first pass. */
  readonly merchants?: ReadonlyArray<string> | undefined
  /** IANA name of the zone of the account's days, months and ages. Default: what is stored, at first UTC. */
  readonly reportTimezone?: string | undefined
  /** Owner of the balance that a fee moves. Default: what is stored, at first the owner of the amount. */
  readonly feeOwner?: FeeOwner | undefined
}

export interface DatabaseSettings {
  /** Address of a given Postgres. Without it, the embedded one is used. */
  readonly url: Option.Option<Redacted.Redacted>
  readonly dataDir: string
  /** Login for `query`. The embedded server creates one by itself. */
  readonly readerUrl: Option.Option<Redacted.Redacted>
}

export interface RunSettings {
  /** By stream; a look-up that is not named has its defaults. */
  readonly lookups: Readonly<Record<string, LookupSettings>>
  readonly leaseSeconds: number
  /** Share of a pass's records, from 0 to 1. The stream fails if more are rejected. Default: 5%. */
  readonly rejectsMax?: number
  readonly privacy: Privacy
}

const ACCOUNT_NAME = /^[a-z][a-z0-9_-]{0,62}$/

/** Settings that an account may override, beside its list paths. */
const ACCOUNT_VARIABLES = [
  "PAYCOMBAT_TOKEN",
  "PAYCOMBAT_BASE_URL",
  "PAYCOMBAT_PAGE_SIZE",
  "PAYCOMBAT_RATE_PER_SECOND",
  "PAYCOMBAT_CONCURRENCY",
  "PAYCOMBAT_TIMEOUT_SECONDS",
  "PAYCOMBAT_PAGING",
  "PAYCOMBAT_MERCHANTS",
  "PAYCOMBAT_REPORT_TIMEZONE",
  "PAYCOMBAT_FEE_OWNER",
]

/** Lists every variable of one account. `lists` names the list streams, whose paths can be configured. */
export const accountVariables = (account: string, lists: ReadonlyArray<string>): ReadonlyArray<string> =>
  [...ACCOUNT_VARIABLES, ...lists.map(pathVariable)].map(name => suffixed(name, account))

const accountSettings = <T>(
  account: string,
  streams: ReadonlyArray<string>,
  token: (name: string) => Config.Config<T>,
) => {
  const bound = (name: string, bounds: { readonly min: number; readonly max: number }, otherwise: number) =>
    Config.withDefault(
      ownOrAll(account, name, own => wholeNumber(own, bounds)),
      otherwise,
    )
  return Config.all({
    name: Config.succeed(account),
    token: token(suffixed("PAYCOMBAT_TOKEN", account)),
    baseUrl: Config.withDefault(ownOrAll(account, "PAYCOMBAT_BASE_URL", httpUrl), DEFAULT_BASE_URL),
    pageSize: bound("PAYCOMBAT_PAGE_SIZE", { min: 1, max: 10_000 }, 100),
    ratePerSecond: bound("PAYCOMBAT_RATE_PER_SECOND", { min: 1, max: 100_000 }, 10),
    concurrency: bound("PAYCOMBAT_CONCURRENCY", { min: 1, max: 256 }, 8),
    timeout: Config.map(bound("PAYCOMBAT_TIMEOUT_SECONDS", { min: 1, max: 600 }, 30), Duration.seconds),
    paths: Config.map(
      Config.all(streams.map(stream => Config.option(ownOrAll(account, pathVariable(stream), path)))),
      (paths): Record<string, string> =>
        Object.fromEntries(
          streams.flatMap((stream, i) =>
            Option.match(paths[i]!, { onNone: () => [], onSome: path => [[stream, path]] }),
          ),
        ),
    ),
    paging: ifSet(ownOrAll(account, "PAYCOMBAT_PAGING", paging)),
    merchants: ifSet(merchantsSetting(account)),
    reportTimezone: ifSet(ownOrAll(account, "PAYCOMBAT_REPORT_TIMEZONE", zoneName)),
    feeOwner: ifSet(ownOrAll(account, "PAYCOMBAT_FEE_OWNER", oneOf(FEE_OWNERS))),
  })
}

export const pathVariable = (stream: string): string => `PAYCOMBAT_PATH_${stream.toUpperCase()}`

const merchantsSetting = (account: string) => ownOrAll(account, "PAYCOMBAT_MERCHANTS", idList)

export const merchants = (account: string): Effect.Effect<ReadonlyArray<string>, ConfigurationError> =>
  Effect.mapError(Config.withDefault(merchantsSetting(account), []), inOneLine)

const givenAccountNames = parsed(
  "PAYCOMBAT_ACCOUNTS",
  "different account names such as eu,apac (small letters, digits, - and _)",
  value => {
    const names = [...new Set(value.split(",").map(part => part.trim()))]
    // `eu-1` and `eu_1` would share their variables.
    const tokens = new Set(names.map(name => suffixed("PAYCOMBAT_TOKEN", name)))
    return names.every(name => ACCOUNT_NAME.test(name)) && tokens.size === names.length ? names : undefined
  },
)

const accountNames = Config.withDefault(givenAccountNames, ["default"])

/** Reads the accounts in PAYCOMBAT_ACCOUNTS; empty if it is not set. Needs no token. */
export const namedAccounts: Effect.Effect<ReadonlyArray<string>, ConfigurationError> = Config.withDefault(
  givenAccountNames,
  [],
).pipe(Effect.mapError(error => inOneLine(error)))

/**
 * Refuses account names that would give two settings the same variable: with streams `a` and `a_b`, PAYCOMBAT_PATH_A_B
 * is the path of `a_b` for all accounts, and the path of `a` for an account `b`.
 */
const unambiguous = (
  names: ReadonlyArray<string>,
  streams: ReadonlyArray<string>,
): Effect.Effect<void, ConfigurationError> => {
  const others = names.filter(name => name !== "default")
  const all = ["default", ...others].flatMap(name => accountVariables(name, streams))
  const twice = all.find((variable, position) => all.indexOf(variable) !== position)
  if (twice === undefined) return Effect.void
  return Effect.fail(
    new ConfigurationError({
      message: `PAYCOMBAT_ACCOUNTS names an account for which ${twice} would be ambiguous: rename the account.`,
    }),
  )
}

/** Names of the accounts to sync, with or without a token. Empty on a machine that only reads a warehouse. */
export const configuredAccounts: Effect.Effect<ReadonlyArray<string>, ConfigurationError> = Config.all([
  Config.withDefault(givenAccountNames, []),
  Config.option(text("PAYCOMBAT_TOKEN")),
]).pipe(
  Effect.map(([named, token]) => (named.length === 0 && Option.isSome(token) ? ["default"] : named)),
  Effect.mapError(error => inOneLine(error)),
)

const eachAccount = <A>(
  streams: ReadonlyArray<string>,
  settingsOf: (name: string) => Config.Config<A>,
): Effect.Effect<ReadonlyArray<A>, ConfigurationError> =>
  accountNames.pipe(
    Effect.tap(names => unambiguous(names, streams)),
    Effect.flatMap(names => Effect.forEach(names, settingsOf)),
    Effect.mapError(error => (error instanceof ConfigurationError ? error : inOneLine(error))),
  )

/** Reads the accounts to sync, in order. `streams` names the list streams, whose paths can be configured. */
export const accounts = (streams: ReadonlyArray<string>) =>
  eachAccount<AccountSettings>(streams, name => accountSettings(name, streams, headerSecret))

/** Fails where a setting of an account is there and wrong. A token may be missing, on a machine that only reads. */
export const checkAccounts = (streams: ReadonlyArray<string>): Effect.Effect<void, ConfigurationError> =>
  Effect.asVoid(
    eachAccount(streams, name => accountSettings(name, streams, token => Config.option(headerSecret(token)))),
  )

export const database: Effect.Effect<DatabaseSettings, ConfigurationError> = Config.all({
  url: Config.option(postgresUrl("DATABASE_URL")),
  dataDir: Config.withDefault(directory("PAYCOMBAT_DATA_DIR"), DEFAULT_DATA_DIR),
  readerUrl: Config.option(postgresUrl("PAYCOMBAT_READER_URL")),
}).pipe(Effect.mapError(error => inOneLine(error)))

const PRIVACY_MODES = ["keep", "hash", "drop"] as const

/** Shortest hash key in characters. With a guessable key, names and birth dates could be found by trial. */
const PRIVACY_KEY_MIN = 16

const privacyKey = parsed("PAYCOMBAT_PII_KEY", `a secret of at least ${PRIVACY_KEY_MIN} characters`, value =>
  value.length >= PRIVACY_KEY_MIN ? Redacted.make(value) : undefined,
)

/** Any value but the three is an error: a misspelt `drop` must not store personal data in clear. */
const privacy: Config.Config<Privacy> = Config.withDefault(
  parsed("PAYCOMBAT_PII", "keep, hash or drop", value => PRIVACY_MODES.find(mode => mode === value)),
  "keep",
).pipe(
  Config.zip(Config.option(privacyKey)),
  Config.mapOrFail(([mode, key]): Either.Either<Privacy, ConfigError.ConfigError> => {
    if (mode === "keep") return Either.right({ mode })
    if (Option.isSome(key)) return Either.right({ mode, key: key.value })
    return mode === "drop"
      ? Either.right({ mode })
      : Either.left(ConfigError.MissingData(["PAYCOMBAT_PII_KEY"], "is not set"))
  }),
)

const share = (name: string) =>
  parsed(name, "a share from 0% to 100%, such as 5%", value => {
    const match = /^(\d{1,3}(?:\.\d{1,4})?)\s*%$/.exec(value)
    const percent = match === null ? Number.NaN : Number(match[1])
    return percent <= 100 ? percent / 100 : undefined
  })

export const run: Effect.Effect<RunSettings, ConfigurationError> = Effect.flatMap(declaredStreams, streams =>
  Config.all({
    lookups: lookups(streams),
    leaseSeconds: Config.withDefault(wholeNumber("PAYCOMBAT_LEASE_SECONDS", { min: 5, max: 3_600 }), 30),
    rejectsMax: Config.withDefault(share("PAYCOMBAT_REJECTS_MAX"), REJECTS_MAX_SHARE),
    privacy,
  }),
).pipe(Effect.mapError(error => (error instanceof ConfigurationError ? error : inOneLine(error))))

/** Cron expressions of `serve`, and their time zone. The scheduler checks the expressions. */
export interface ScheduleSettings {
  readonly incremental: string
  readonly full: string
  readonly timezone: string
}

/** True if a schedule is set. Without one, the stored limits of freshness stay. */
export const isScheduleSet: Effect.Effect<boolean, ConfigurationError> = Config.all([
  Config.option(text("PAYCOMBAT_SCHEDULE")),
  Config.option(text("PAYCOMBAT_FULL_SCHEDULE")),
]).pipe(
  Effect.map(settings => settings.some(Option.isSome)),
  Effect.mapError(error => inOneLine(error)),
)

export const schedule: Effect.Effect<ScheduleSettings, ConfigurationError> = Config.all({
  incremental: Config.withDefault(text("PAYCOMBAT_SCHEDULE"), "*/15 * * * *"),
  full: Config.withDefault(text("PAYCOMBAT_FULL_SCHEDULE"), "0 2 * * *"),
  timezone: Config.withDefault(
    parsed("PAYCOMBAT_TIMEZONE", "a time zone such as UTC or Europe/Berlin", value =>
      isTimezone(value) ? value : undefined,
    ),
    "UTC",
  ),
}).pipe(Effect.mapError(error => inOneLine(error)))

/** Address that `serve` listens on. Port 0 takes any free port. */
export interface HttpSettings {
  readonly host: string
  readonly port: number
}

export const http: Effect.Effect<HttpSettings, ConfigurationError> = Config.all({
  host: Config.withDefault(text("PAYCOMBAT_HTTP_HOST"), "127.0.0.1"),
  port: Config.withDefault(wholeNumber("PAYCOMBAT_HTTP_PORT", { min: 0, max: 65_535 }), 8787),
}).pipe(Effect.mapError(error => inOneLine(error)))

const LOG_LEVELS = { debug: "Debug", info: "Info", warning: "Warning", error: "Error" } as const

/** Reads the lowest log level. */
export const logLevel: Effect.Effect<(typeof LOG_LEVELS)[keyof typeof LOG_LEVELS], ConfigurationError> =
  parsed(
    "PAYCOMBAT_LOG_LEVEL",
    `one of ${Object.keys(LOG_LEVELS).join(", ")}`,
    value => Object.entries(LOG_LEVELS).find(([name]) => name === value.toLowerCase())?.[1],
  ).pipe(
    Config.withDefault(LOG_LEVELS.info),
    Effect.mapError(error => inOneLine(error)),
  )
