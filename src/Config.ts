import { Config, ConfigError, Duration, Effect, Either, Option, Redacted } from "effect"
import { ConfigurationError } from "./Errors.ts"
import type { Privacy } from "./Personal.ts"
import type { Account } from "./paycombat/Client.ts"

/**
 * The settings, each documented where it is read, with its default and its bounds. `.env` is read too; the
 * environment wins. Every error is one line that names the variable.
 */

/** The host of PayCombat's public reference (D). */
export const DEFAULT_BASE_URL = "https://api.paycombat.com"
export const DEFAULT_DATA_DIR = ".paycombat"

/** An account, and what its owner configured about the undocumented part of the API. */
export interface AccountSettings extends Account {
  /** List paths by stream, where discovery must not look for them. */
  readonly paths: Readonly<Record<string, string>>
  /** Names of the two paging parameters. */
  readonly paging: readonly [page: string, size: string] | undefined
}

/** Where the warehouse is. */
export interface DatabaseSettings {
  /** A given Postgres; the embedded one where absent. */
  readonly url: Option.Option<Redacted.Redacted>
  readonly dataDir: string
  /** Login that `query` uses; the embedded server makes one by itself. */
  readonly readerUrl: Option.Option<Redacted.Redacted>
}

/** Bounds and habits of a run. */
export interface RunSettings {
  readonly readyRecheck: Duration.Duration
  readonly readyMaxCalls: number
  readonly leaseSeconds: number
  /** What is stored of personal data. */
  readonly privacy: Privacy
}

const malformed = (name: string, message: string) => ConfigError.InvalidData([name], message)

/** A variable as trimmed text; an empty one counts as not set, as in a copied `.env.example`. */
const text = (name: string) =>
  Config.string(name).pipe(
    Config.mapOrFail(value => {
      const trimmed = value.trim()
      return trimmed === ""
        ? // Without a path: the name of the variable that is mapped is put before it.
          Either.left(ConfigError.MissingData([], "is not set"))
        : Either.right(trimmed)
    }),
  )

const parsed = <A>(name: string, expectation: string, parse: (value: string) => A | undefined) =>
  text(name).pipe(
    Config.mapOrFail(value =>
      Either.fromNullable(parse(value), () => malformed(name, `must be ${expectation}`)),
    ),
  )

const wholeNumber = (name: string, bounds: { readonly min: number; readonly max: number }) =>
  parsed(name, `a whole number from ${bounds.min} to ${bounds.max}`, value => {
    const number = /^\d{1,9}$/.test(value) ? Number(value) : Number.NaN
    return number >= bounds.min && number <= bounds.max ? number : undefined
  })

const isUrl = (value: string, protocols: ReadonlyArray<string>): boolean => {
  try {
    return protocols.includes(new URL(value).protocol)
  } catch {
    return false
  }
}

const httpUrl = (name: string) =>
  parsed(name, "an http:// or https:// address", value =>
    isUrl(value, ["http:", "https:"]) ? value : undefined,
  )

const postgresUrl = (name: string) =>
  parsed(name, "a postgres://user:password@host:port/database address", value =>
    isUrl(value, ["postgres:", "postgresql:"]) ? Redacted.make(value) : undefined,
  )

const ACCOUNT_NAME = /^[a-z][a-z0-9_-]{0,62}$/

/** The variable of one account: `PAYCOMBAT_TOKEN` of `default`, `PAYCOMBAT_TOKEN_EU` of `eu`. */
export const suffixed = (name: string, account: string): string =>
  account === "default" ? name : `${name}_${account.toUpperCase().replaceAll("-", "_")}`

/** One account's settings. Only the token and the address are its own; the bounds hold for each account. */
const accountSettings = (name: string, streams: ReadonlyArray<string>) =>
  Config.all({
    name: Config.succeed(name),
    token: Config.map(text(suffixed("PAYCOMBAT_TOKEN", name)), Redacted.make),
    baseUrl: httpUrl(suffixed("PAYCOMBAT_BASE_URL", name)).pipe(
      Config.orElseIf({
        if: ConfigError.isMissingDataOnly,
        orElse: () => Config.withDefault(httpUrl("PAYCOMBAT_BASE_URL"), DEFAULT_BASE_URL),
      }),
    ),
    pageSize: Config.withDefault(wholeNumber("PAYCOMBAT_PAGE_SIZE", { min: 1, max: 10_000 }), 100),
    ratePerSecond: Config.withDefault(wholeNumber("PAYCOMBAT_RATE_PER_SECOND", { min: 1, max: 100_000 }), 10),
    concurrency: Config.withDefault(wholeNumber("PAYCOMBAT_CONCURRENCY", { min: 1, max: 256 }), 8),
    timeout: Config.map(
      Config.withDefault(wholeNumber("PAYCOMBAT_TIMEOUT_SECONDS", { min: 1, max: 600 }), 30),
      Duration.seconds,
    ),
    paths: Config.map(
      Config.all(streams.map(stream => Config.option(path(pathVariable(stream))))),
      (paths): Record<string, string> =>
        Object.fromEntries(
          streams.flatMap((stream, i) =>
            Option.match(paths[i]!, { onNone: () => [], onSome: found => [[stream, found]] }),
          ),
        ),
    ),
    paging: Config.map(Config.option(paging("PAYCOMBAT_PAGING")), Option.getOrUndefined),
  })

/** The variable that sets a stream's list path. */
export const pathVariable = (stream: string): string => `PAYCOMBAT_PATH_${stream.toUpperCase()}`

const path = (name: string) =>
  parsed(name, "a path that begins with /", value => (value.startsWith("/") ? value : undefined))

const paging = (name: string) =>
  parsed(name, "the names of two parameters, such as page,limit", value => {
    const [page, size, ...rest] = value.split(",").map(part => part.trim())
    return page && size && rest.length === 0 ? ([page, size] as const) : undefined
  })

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

/** The accounts that PAYCOMBAT_ACCOUNTS names; none where it is not set. Needs no token. */
export const namedAccounts: Effect.Effect<ReadonlyArray<string>, ConfigurationError> = Config.withDefault(
  givenAccountNames,
  [],
).pipe(Effect.mapError(error => inOneLine(error)))

/** The accounts to sync, in the order given. `streams` names the list streams, whose paths can be configured. */
export const accounts = (
  streams: ReadonlyArray<string>,
): Effect.Effect<ReadonlyArray<AccountSettings>, ConfigurationError> =>
  accountNames.pipe(
    Effect.flatMap(names => Effect.forEach(names, name => accountSettings(name, streams))),
    Effect.mapError(inOneLine),
  )

export const database: Effect.Effect<DatabaseSettings, ConfigurationError> = Config.all({
  url: Config.option(postgresUrl("DATABASE_URL")),
  dataDir: Config.withDefault(text("PAYCOMBAT_DATA_DIR"), DEFAULT_DATA_DIR),
  readerUrl: Config.option(postgresUrl("PAYCOMBAT_READER_URL")),
}).pipe(Effect.mapError(error => inOneLine(error)))

const PRIVACY_MODES = ["keep", "hash", "drop"] as const

/** Shortest key for hashing, in characters: with a guessable one, names and birth dates can be found by trying. */
const PRIVACY_KEY_MIN = 16

const privacyKey = parsed("PAYCOMBAT_PII_KEY", `a secret of at least ${PRIVACY_KEY_MIN} characters`, value =>
  value.length >= PRIVACY_KEY_MIN ? Redacted.make(value) : undefined,
)

/** Who asks for `hash` or `drop` must not find personal data stored in clear: no value but the three is believed. */
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

export const run: Effect.Effect<RunSettings, ConfigurationError> = Config.all({
  readyRecheck: Config.withDefault(
    parsed("PAYCOMBAT_READY_RECHECK", "a duration such as 24 hours", value =>
      Option.getOrUndefined(Duration.decodeUnknown(value)),
    ),
    Duration.hours(24),
  ),
  readyMaxCalls: Config.withDefault(
    wholeNumber("PAYCOMBAT_READY_MAX_CALLS", { min: 0, max: 100_000_000 }),
    Number.POSITIVE_INFINITY,
  ),
  leaseSeconds: Config.withDefault(wholeNumber("PAYCOMBAT_LEASE_SECONDS", { min: 5, max: 3_600 }), 30),
  privacy,
}).pipe(Effect.mapError(error => inOneLine(error)))

/** When `serve` syncs: two cron expressions, read in one time zone. Whether they are such is the scheduler's to say. */
export interface ScheduleSettings {
  readonly incremental: string
  readonly full: string
  readonly timezone: string
}

const isTimezone = (value: string): boolean => {
  try {
    new Intl.DateTimeFormat("en-US", { timeZone: value })
    return true
  } catch {
    return false
  }
}

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

/** Where `serve` listens. Port 0 is any that is free. */
export interface HttpSettings {
  readonly host: string
  readonly port: number
}

export const http: Effect.Effect<HttpSettings, ConfigurationError> = Config.all({
  host: Config.withDefault(text("PAYCOMBAT_HTTP_HOST"), "127.0.0.1"),
  port: Config.withDefault(wholeNumber("PAYCOMBAT_HTTP_PORT", { min: 0, max: 65_535 }), 8787),
}).pipe(Effect.mapError(error => inOneLine(error)))

const LOG_LEVELS = { debug: "Debug", info: "Info", warning: "Warning", error: "Error" } as const

/** Name of the lowest level that is logged. */
export const logLevel: Effect.Effect<(typeof LOG_LEVELS)[keyof typeof LOG_LEVELS], ConfigurationError> =
  parsed(
    "PAYCOMBAT_LOG_LEVEL",
    `one of ${Object.keys(LOG_LEVELS).join(", ")}`,
    value => Object.entries(LOG_LEVELS).find(([name]) => name === value.toLowerCase())?.[1],
  ).pipe(
    Config.withDefault(LOG_LEVELS.info),
    Effect.mapError(error => inOneLine(error)),
  )

const NEXT_STEP: Readonly<Record<string, string>> = {
  PAYCOMBAT_TOKEN: "PayCombat's dashboard shows it; or try `paycombat-sync demo`, which needs none.",
  PAYCOMBAT_PII_KEY:
    "PAYCOMBAT_PII=hash needs it: make one with `openssl rand -hex 32`, and keep it: with another key the same values get other hashes.",
}

/** The first thing that is wrong, as one line that names the variable. */
const inOneLine = (error: ConfigError.ConfigError): ConfigurationError => {
  switch (error._op) {
    case "And":
    case "Or":
      return inOneLine(error.left)
    default: {
      const name = error.path.join("_")
      const reason = error._op === "MissingData" ? "is not set" : error.message
      const next = NEXT_STEP[name] ?? "See .env.example."
      return new ConfigurationError({ message: `${name} ${reason}. ${next}` })
    }
  }
}
