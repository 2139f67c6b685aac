import { describe, expect, it } from "@effect/vitest"
import { ConfigProvider, Duration, Effect, Option, Redacted } from "effect"
import * as Config from "../src/config/config.ts"
import type { ConfigurationError } from "../src/core/errors.ts"
import { listStreamNames } from "../src/registry.ts"

type Environment = Readonly<Record<string, string>>

const within = <A, E>(environment: Environment, effect: Effect.Effect<A, E>) =>
  Effect.withConfigProvider(effect, ConfigProvider.fromMap(new Map(Object.entries(environment))))

const accountsIn = (environment: Environment) =>
  within(environment, Effect.flatMap(listStreamNames, Config.accounts))

/** Reads all settings in one effect. */
const allIn = (environment: Environment) =>
  Effect.all([
    accountsIn(environment),
    within(environment, Config.database),
    within(environment, Config.run),
    within(environment, Config.logLevel),
    within(environment, Config.schedule),
    within(environment, Config.http),
    within(environment, Config.namedAccounts),
  ])

/** Returns the one line of a configuration error. */
const mistakeIn = (environment: Environment) =>
  Effect.map(Effect.flip<unknown, ConfigurationError, never>(allIn(environment)), ({ message }) => message)

const TOKEN = { PAYCOMBAT_TOKEN: "s3cret-token" }

describe("the defaults", () => {
  it.effect("need only a token", () =>
    Effect.gen(function* () {
      const [accounts, database, run, level, schedule, http, named] = yield* allIn(TOKEN)
      expect(accounts).toHaveLength(1)
      const [{ token, ...account }] = accounts as [(typeof accounts)[number]]
      expect(Redacted.value(token)).toBe("s3cret-token")
      expect(account).toEqual({
        name: "default",
        baseUrl: "https://api.paycombat.com",
        pageSize: 100,
        ratePerSecond: 10,
        concurrency: 8,
        timeout: Duration.seconds(30),
        paths: {},
        paging: undefined,
      })
      expect(database).toEqual({ url: Option.none(), dataDir: ".paycombat", readerUrl: Option.none() })
      expect(run).toEqual({
        lookups: { wallet_readiness: { maxAge: Duration.hours(24), maxCalls: null, keys: {} } },
        leaseSeconds: 30,
        rejectsMax: 0.05,
        privacy: { mode: "keep" },
      })
      expect(level).toBe("Info")
      expect(schedule).toEqual({ incremental: "*/15 * * * *", full: "0 2 * * *", timezone: "UTC" })
      expect(http).toEqual({ host: "127.0.0.1", port: 8787 })
      expect(named).toEqual([])
    }),
  )

  it.effect("apply to empty variables, as in a copied example", () =>
    Effect.gen(function* () {
      const unset = [
        "PAYCOMBAT_ACCOUNTS",
        "PAYCOMBAT_BASE_URL",
        "PAYCOMBAT_PAGE_SIZE",
        "PAYCOMBAT_PATH_WALLETS",
        "PAYCOMBAT_PAGING",
        "DATABASE_URL",
        "PAYCOMBAT_DATA_DIR",
        "PAYCOMBAT_READY_RECHECK",
        "PAYCOMBAT_LOG_LEVEL",
      ]
      const empty = Object.fromEntries(unset.map((name, n) => [name, n % 2 === 0 ? "" : "  "]))
      expect(yield* allIn({ ...TOKEN, ...empty })).toEqual(yield* allIn(TOKEN))
    }),
  )
})

describe("a setting", () => {
  it.effect("is used without the white space around it", () =>
    Effect.gen(function* () {
      const [[account], database, run, level] = yield* allIn({
        PAYCOMBAT_TOKEN: " t ",
        PAYCOMBAT_BASE_URL: "http://127.0.0.1:8080",
        PAYCOMBAT_PAGE_SIZE: "7",
        PAYCOMBAT_RATE_PER_SECOND: "3",
        PAYCOMBAT_CONCURRENCY: "2",
        PAYCOMBAT_TIMEOUT_SECONDS: "5",
        PAYCOMBAT_PATH_PAYOUTS: "/v2/payouts",
        PAYCOMBAT_PAGING: "offset, count",
        DATABASE_URL: "postgresql://u:p@db/warehouse",
        PAYCOMBAT_READER_URL: "postgres://r:q@db/warehouse",
        PAYCOMBAT_DATA_DIR: "/var/lib/x",
        PAYCOMBAT_READY_RECHECK: "90 minutes",
        PAYCOMBAT_READY_MAX_CALLS: "0",
        PAYCOMBAT_LEASE_SECONDS: "60",
        PAYCOMBAT_REJECTS_MAX: "12.5 %",
        PAYCOMBAT_LOG_LEVEL: "DEBUG",
      })
      expect(account).toMatchObject({
        baseUrl: "http://127.0.0.1:8080",
        pageSize: 7,
        ratePerSecond: 3,
        concurrency: 2,
        timeout: Duration.seconds(5),
        paths: { payouts: "/v2/payouts" },
        paging: ["offset", "count"],
      })
      expect(Redacted.value(account!.token)).toBe("t")
      expect(database.dataDir).toBe("/var/lib/x")
      expect(Option.map(database.url, Redacted.value)).toEqual(Option.some("postgresql://u:p@db/warehouse"))
      expect(Option.map(database.readerUrl, Redacted.value)).toEqual(
        Option.some("postgres://r:q@db/warehouse"),
      )
      expect(run).toEqual({
        lookups: { wallet_readiness: { maxAge: Duration.minutes(90), maxCalls: 0, keys: {} } },
        leaseSeconds: 60,
        rejectsMax: 0.125,
        privacy: { mode: "keep" },
      })
      expect(level).toBe("Debug")
    }),
  )

  it.effect("has a path variable for each list stream", () =>
    Effect.gen(function* () {
      const streams = yield* listStreamNames
      const paths = Object.fromEntries(streams.map(name => [name, `/elsewhere/${name}`]))
      const variables = Object.fromEntries(streams.map(name => [Config.pathVariable(name), paths[name]!]))
      const [account] = yield* accountsIn({ ...TOKEN, ...variables })
      expect(account!.paths).toEqual(paths)
    }),
  )
})

describe("personal data", () => {
  const KEY = "s3cret-key-of-24-letters"
  const privacyIn = (environment: Environment) =>
    Effect.map(within(environment, Config.run), ({ privacy }) => privacy)

  it.effect("is kept, hashed with a key, or dropped", () =>
    Effect.gen(function* () {
      expect(yield* privacyIn({ PAYCOMBAT_PII: "keep", PAYCOMBAT_PII_KEY: KEY })).toEqual({ mode: "keep" })
      expect(yield* privacyIn({ PAYCOMBAT_PII: "drop" })).toEqual({ mode: "drop" })
      const hashing = yield* privacyIn({ PAYCOMBAT_PII: " hash ", PAYCOMBAT_PII_KEY: ` ${KEY} ` })
      expect(hashing).toEqual({ mode: "hash", key: Redacted.make(KEY) })
      expect(JSON.stringify(hashing)).not.toContain("s3cret")
    }),
  )

  it.effect("is not hashed without a key; the error says how to make one", () =>
    Effect.gen(function* () {
      const missing: ReadonlyArray<Environment> = [{}, { PAYCOMBAT_PII_KEY: "" }]
      for (const environment of missing) {
        const message = yield* mistakeIn({ ...TOKEN, PAYCOMBAT_PII: "hash", ...environment })
        expect(message).toMatch(/^PAYCOMBAT_PII_KEY is not set\. .*openssl rand/)
        expect(message).not.toContain("\n")
      }
    }),
  )
})

describe("an invalid value", () => {
  const cases: Readonly<Record<string, readonly [environment: Environment, message: string]>> = {
    "a token in quotes": [{ PAYCOMBAT_TOKEN: '"s3cret"' }, "PAYCOMBAT_TOKEN begins or ends with a quote"],
    "a token with a quote that is not closed": [
      { PAYCOMBAT_TOKEN: "'s3cret" },
      "PAYCOMBAT_TOKEN begins or ends with a quote",
    ],
    "a number in quotes": [{ PAYCOMBAT_PAGE_SIZE: '"7"' }, "PAYCOMBAT_PAGE_SIZE begins or ends with a quote"],
    "a directory in a word processor's quotes": [
      { PAYCOMBAT_DATA_DIR: "“s3cret”" },
      "PAYCOMBAT_DATA_DIR begins or ends with a quote",
    ],
    "a database in quotes": [
      { DATABASE_URL: "'postgres://o:s3cret@h/d'" },
      "DATABASE_URL begins or ends with a quote",
    ],
    "a token of two lines": [{ PAYCOMBAT_TOKEN: "s3cret\nx" }, "PAYCOMBAT_TOKEN holds a line break"],
    "a token with a space": [{ PAYCOMBAT_TOKEN: "Bearer s3cret" }, "PAYCOMBAT_TOKEN must be the token alone"],
    "a variable's name for its value": [
      { DATABASE_URL: `postgres://s3cret:$\{POSTGRES_PASSWORD}@h/d` },
      "DATABASE_URL holds the name of a variable in braces in place of its value",
    ],
    "a token that no header takes": [
      { PAYCOMBAT_TOKEN: "s3cret\u200b" },
      "PAYCOMBAT_TOKEN must be the token alone",
    ],
    "a path with a query": [
      { PAYCOMBAT_PATH_PAYOUTS: "/v1?s3cret=1" },
      "PAYCOMBAT_PATH_PAYOUTS must be a path",
    ],
    "a directory below a home that no shell fills in": [
      { PAYCOMBAT_DATA_DIR: "~/s3cret" },
      "PAYCOMBAT_DATA_DIR must be a directory written out, without ~",
    ],
    "a base URL with a query": [
      { PAYCOMBAT_BASE_URL: "https://x.example?a=s3cret" },
      "PAYCOMBAT_BASE_URL must not have a query",
    ],
    ...Object.fromEntries(
      ["https://.", "https://x..y", "https://*.x.example", "https://$HOST", "https://-x.example"].map(
        address => [
          `a base URL with an invalid host: ${address}`,
          [{ PAYCOMBAT_BASE_URL: address }, "PAYCOMBAT_BASE_URL must name a valid host"] as const,
        ],
      ),
    ),
    "a base URL with credentials": [
      { PAYCOMBAT_BASE_URL: "https://u:s3cret@x.example" },
      "PAYCOMBAT_BASE_URL must not hold a user or password",
    ],
    "an account's base URL with a fragment": [
      {
        PAYCOMBAT_ACCOUNTS: "eu",
        PAYCOMBAT_TOKEN_EU: "a",
        PAYCOMBAT_BASE_URL_EU: "https://x.example#s3cret",
      },
      "PAYCOMBAT_BASE_URL_EU must not have a fragment",
    ],
  }
  for (const [title, [environment, expected]] of Object.entries(cases))
    it.effect(`is refused with the name of its variable: ${title}`, () =>
      Effect.gen(function* () {
        const message = yield* mistakeIn({ ...TOKEN, ...environment })
        expect(message.startsWith(expected)).toBe(true)
        expect(message).not.toContain("s3cret")
        expect(message).not.toContain("\n")
      }),
    )
})

describe("several accounts", () => {
  it.effect("have a token each, and their own address if one is set", () =>
    Effect.gen(function* () {
      const accounts = yield* accountsIn({
        PAYCOMBAT_ACCOUNTS: "eu, apac-2,eu",
        PAYCOMBAT_TOKEN_EU: "one",
        PAYCOMBAT_TOKEN_APAC_2: "two",
        PAYCOMBAT_BASE_URL: "https://all.example",
        PAYCOMBAT_BASE_URL_APAC_2: "https://apac.example",
      })
      expect(accounts.map(({ name, token, baseUrl }) => [name, Redacted.value(token), baseUrl])).toEqual([
        ["eu", "one", "https://all.example"],
        ["apac-2", "two", "https://apac.example"],
      ])
    }),
  )

  it.effect("have their own bounds, paging and paths, or else those of all accounts", () =>
    Effect.gen(function* () {
      const accounts = yield* accountsIn({
        ...TOKEN,
        // Account names that look like the end of another variable are not misread.
        PAYCOMBAT_ACCOUNTS: "default,eu-1,customers",
        PAYCOMBAT_TOKEN_EU_1: "one",
        PAYCOMBAT_TOKEN_CUSTOMERS: "two",
        PAYCOMBAT_PAGE_SIZE: "50",
        PAYCOMBAT_PAGE_SIZE_EU_1: "7",
        PAYCOMBAT_RATE_PER_SECOND: "4",
        PAYCOMBAT_RATE_PER_SECOND_EU_1: "3",
        PAYCOMBAT_CONCURRENCY_EU_1: "2",
        PAYCOMBAT_TIMEOUT_SECONDS_CUSTOMERS: "5",
        PAYCOMBAT_PAGING: "page,limit",
        PAYCOMBAT_PAGING_EU_1: "offset,count",
        PAYCOMBAT_PATH_CUSTOMERS: "/all",
        PAYCOMBAT_PATH_CUSTOMERS_CUSTOMERS: "/own",
        PAYCOMBAT_PATH_PAYOUTS_EU_1: "/eu/payouts",
        // Empty, so it counts as not set.
        PAYCOMBAT_RATE_PER_SECOND_CUSTOMERS: " ",
      })
      expect(accounts.map(({ token, baseUrl, ...account }) => account)).toEqual([
        {
          name: "default",
          pageSize: 50,
          ratePerSecond: 4,
          concurrency: 8,
          timeout: Duration.seconds(30),
          paths: { customers: "/all" },
          paging: ["page", "limit"],
        },
        {
          name: "eu-1",
          pageSize: 7,
          ratePerSecond: 3,
          concurrency: 2,
          timeout: Duration.seconds(30),
          paths: { customers: "/all", payouts: "/eu/payouts" },
          paging: ["offset", "count"],
        },
        {
          name: "customers",
          pageSize: 50,
          ratePerSecond: 4,
          concurrency: 8,
          timeout: Duration.seconds(5),
          paths: { customers: "/own" },
          paging: ["page", "limit"],
        },
      ])
    }),
  )

  it.effect("get an error with the wrong variable: their own, or that of all accounts", () =>
    Effect.gen(function* () {
      const names = ["BASE_URL", "PAGE_SIZE", "RATE_PER_SECOND", "CONCURRENCY", "TIMEOUT_SECONDS", "PAGING"]
      for (const name of [...names, "PATH_CUSTOMERS"])
        for (const variable of [`PAYCOMBAT_${name}`, `PAYCOMBAT_${name}_EU`]) {
          const message = yield* mistakeIn({
            PAYCOMBAT_ACCOUNTS: "eu",
            PAYCOMBAT_TOKEN_EU: "one",
            [variable]: "?",
          })
          expect(message).toMatch(new RegExp(`^${variable} must be `))
        }
    }),
  )

  it.effect("cannot have a name that makes a variable ambiguous", () =>
    Effect.gen(function* () {
      const environment = { PAYCOMBAT_ACCOUNTS: "eu", PAYCOMBAT_TOKEN_EU: "one" }
      const { message } = yield* Effect.flip(within(environment, Config.accounts(["wallets", "wallets_eu"])))
      expect(message).toContain("PAYCOMBAT_PATH_WALLETS_EU would be ambiguous")
      expect(yield* within(environment, Config.accounts(["wallets", "wallets_apac"]))).toHaveLength(1)
    }),
  )

  it.effect("do not fall back to the token of another", () =>
    Effect.gen(function* () {
      const message = yield* mistakeIn({ ...TOKEN, PAYCOMBAT_ACCOUNTS: "eu" })
      expect(message).toContain("PAYCOMBAT_TOKEN_EU is not set")
    }),
  )
})

describe("a mistake in the settings", () => {
  const mistakes: ReadonlyArray<readonly [variable: string, value: string]> = [
    ["PAYCOMBAT_ACCOUNTS", "EU,apac"],
    ["PAYCOMBAT_ACCOUNTS", "eu,,apac"],
    ["PAYCOMBAT_BASE_URL", "api.paycombat.com"],
    ["PAYCOMBAT_BASE_URL", "ftp://api.paycombat.com"],
    ["PAYCOMBAT_PAGE_SIZE", "0"],
    ["PAYCOMBAT_PAGE_SIZE", "1e3"],
    ["PAYCOMBAT_PAGE_SIZE", "10001"],
    ["PAYCOMBAT_RATE_PER_SECOND", "0.5"],
    ["PAYCOMBAT_CONCURRENCY", "many"],
    ["PAYCOMBAT_TIMEOUT_SECONDS", "-1"],
    ["PAYCOMBAT_PATH_CUSTOMERS", "api/v1/customers"],
    ["PAYCOMBAT_PATH_TRANSACTIONS", "https://api.paycombat.com/x"],
    ["PAYCOMBAT_PAGING", "page"],
    ["PAYCOMBAT_PAGING", "page,limit,total"],
    ["DATABASE_URL", "mysql://db/warehouse"],
    ["DATABASE_URL", "warehouse"],
    ["PAYCOMBAT_READER_URL", "http://db/warehouse"],
    ["PAYCOMBAT_READY_RECHECK", "24"],
    ["PAYCOMBAT_READY_RECHECK", "soon"],
    ["PAYCOMBAT_READY_MAX_CALLS", "-5"],
    ["PAYCOMBAT_LEASE_SECONDS", "1"],
    ["PAYCOMBAT_REJECTS_MAX", "5"],
    ["PAYCOMBAT_REJECTS_MAX", "0.05"],
    ["PAYCOMBAT_REJECTS_MAX", "101%"],
    ["PAYCOMBAT_REJECTS_MAX", "-5%"],
    ["PAYCOMBAT_TIMEZONE", "Mars/Base"],
    ["PAYCOMBAT_HTTP_PORT", "65536"],
    ["PAYCOMBAT_LOG_LEVEL", "loud"],
    ["PAYCOMBAT_PII", "hashed"],
    ["PAYCOMBAT_PII", "Keep"],
    ["PAYCOMBAT_PII_KEY", "s3cret-15-chars"],
  ]

  it.effect.each([...mistakes])("is reported in one line: %s=%s", ([variable, value]) =>
    Effect.gen(function* () {
      const message = yield* mistakeIn({ ...TOKEN, [variable]: value })
      expect(message).toMatch(new RegExp(`^${variable} must be `))
      expect(message).not.toContain("\n")
      expect(message).not.toContain("s3cret")
    }),
  )

  it.effect("such as a missing or empty token is reported with advice", () =>
    Effect.gen(function* () {
      for (const environment of [
        {},
        { PAYCOMBAT_TOKEN: "" },
        { PAYCOMBAT_TOKEN: "  " },
      ] as ReadonlyArray<Environment>) {
        const message = yield* mistakeIn(environment)
        expect(message).toMatch(/^PAYCOMBAT_TOKEN is not set\..*demo/)
      }
    }),
  )

  it.effect("is reported without the password in the value", () =>
    Effect.gen(function* () {
      for (const variable of ["DATABASE_URL", "PAYCOMBAT_READER_URL", "PAYCOMBAT_BASE_URL"]) {
        const message = yield* mistakeIn({ ...TOKEN, [variable]: "odd://login:hunter2@db:port/x" })
        expect(message).toContain(variable)
        expect(message).not.toContain("hunter2")
      }
    }),
  )

  it.effect("does not show a token that is set", () =>
    Effect.gen(function* () {
      const accounts = yield* accountsIn(TOKEN)
      expect(JSON.stringify(accounts)).not.toContain("s3cret")
      expect(String(accounts[0]!.token)).not.toContain("s3cret")
    }),
  )
})
