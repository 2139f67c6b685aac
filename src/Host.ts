import type * as HttpClient from "@effect/platform/HttpClient"
import { ConfigProvider, Duration, Effect, Layer, Redacted } from "effect"
import { configuredWarehouse, http, serveSettings, type Warehouse } from "./App.ts"
import { DEFAULT_BASE_URL, pathVariable, suffixed } from "./Config.ts"
import { ConfigurationError, type WarehouseError } from "./Errors.ts"
import { listStreamNames } from "./registry.ts"

/**
 * What a host application imports: `import { layer, sync } from "paycombat-sync"`. Nothing else of the package can be
 * imported, and what is named here changes only with a line in the changelog.
 */

export {
  accountsOfCustomer,
  backup,
  ConfigurationError,
  eraseCustomer,
  LeaseError,
  migrateWarehouse as migrate,
  Progress,
  pending,
  query,
  type RunSummary,
  rebuild,
  reject,
  rejects,
  replay,
  restore,
  type ServeArguments as ServeOptions,
  type StreamProgress,
  type StreamSummary,
  type SyncOptions,
  serve,
  status,
  sync,
  telemetry,
  Warehouse,
  WarehouseError,
} from "./App.ts"

/** One merchant's token, and where it is good. */
export interface AccountGiven {
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
 * Settings in code instead of the environment. Defaults and bounds are those of the variables, which the README lists;
 * what is wrong with one is a `ConfigurationError` that names its variable.
 */
export interface Settings {
  /** At least one, each with a name of its own. */
  readonly accounts: ReadonlyArray<AccountGiven>
  readonly database: DatabaseGiven
  /** List paths by stream, where discovery cannot find them. */
  readonly paths?: Readonly<Record<string, string>>
  /** Names of the two paging parameters. */
  readonly paging?: readonly [page: string, size: string]
  readonly pageSize?: number
  /** Requests per second of each account. */
  readonly ratePerSecond?: number
  /** Requests under way at once, of each account. */
  readonly concurrency?: number
  /** Whole seconds. */
  readonly timeout?: Duration.DurationInput
  /** How old a *ready* answer may grow. */
  readonly readyRecheck?: Duration.DurationInput
  /** Readiness calls per run. */
  readonly readyMaxCalls?: number
  readonly leaseSeconds?: number
  /** What is stored of personal data; everything where absent. */
  readonly privacy?:
    | { readonly mode: "keep" }
    | { readonly mode: "hash"; readonly key: Redacted.Redacted }
    | { readonly mode: "drop"; readonly key?: Redacted.Redacted }
  /** For `serve`: two cron expressions, the time zone they are read in, and where it listens. */
  readonly schedule?: string
  readonly fullSchedule?: string
  readonly timezone?: string
  readonly http?: { readonly host?: string; readonly port?: number }
}

const DEFAULT_ACCOUNT = "default"

const wrong = (message: string) => Effect.fail(new ConfigurationError({ message }))

type Given = string | number | Redacted.Redacted | undefined

/** Variables that both ways of configuring end in, so that there is one set of rules. */
const variablesOf = (settings: Settings): ReadonlyArray<readonly [name: string, value: Given]> => {
  const { accounts, database, paging, privacy, readyMaxCalls, readyRecheck, timeout } = settings
  const key = privacy !== undefined && "key" in privacy ? privacy.key : undefined
  return [
    ["PAYCOMBAT_ACCOUNTS", accounts.map(({ name }) => name ?? DEFAULT_ACCOUNT).join(",")],
    ...accounts.flatMap(({ name = DEFAULT_ACCOUNT, token, baseUrl = DEFAULT_BASE_URL }) => [
      [suffixed("PAYCOMBAT_TOKEN", name), token] as const,
      [suffixed("PAYCOMBAT_BASE_URL", name), baseUrl] as const,
    ]),
    ...("url" in database
      ? [["DATABASE_URL", database.url] as const, ["PAYCOMBAT_READER_URL", database.readerUrl] as const]
      : [["PAYCOMBAT_DATA_DIR", database.dataDir] as const]),
    ...Object.entries(settings.paths ?? {}).map(([stream, path]) => [pathVariable(stream), path] as const),
    ["PAYCOMBAT_PAGING", paging?.join(",")],
    ["PAYCOMBAT_PAGE_SIZE", settings.pageSize],
    ["PAYCOMBAT_RATE_PER_SECOND", settings.ratePerSecond],
    ["PAYCOMBAT_CONCURRENCY", settings.concurrency],
    ["PAYCOMBAT_TIMEOUT_SECONDS", timeout === undefined ? undefined : Duration.toSeconds(timeout)],
    [
      "PAYCOMBAT_READY_RECHECK",
      readyRecheck === undefined ? undefined : `${Duration.toMillis(readyRecheck)} millis`,
    ],
    ["PAYCOMBAT_READY_MAX_CALLS", readyMaxCalls === Number.POSITIVE_INFINITY ? undefined : readyMaxCalls],
    ["PAYCOMBAT_LEASE_SECONDS", settings.leaseSeconds],
    ["PAYCOMBAT_PII", privacy?.mode],
    ["PAYCOMBAT_PII_KEY", key],
    ["PAYCOMBAT_SCHEDULE", settings.schedule],
    ["PAYCOMBAT_FULL_SCHEDULE", settings.fullSchedule],
    ["PAYCOMBAT_TIMEZONE", settings.timezone],
    ["PAYCOMBAT_HTTP_HOST", settings.http?.host],
    ["PAYCOMBAT_HTTP_PORT", settings.http?.port],
  ]
}

/** What the environment of a host says of these variables is its own business: only what is given counts. */
const provider = (settings: Settings) =>
  Effect.gen(function* () {
    const { accounts, paths = {} } = settings
    if (accounts.length === 0) return yield* wrong("No account is given: name at least one, with its token.")
    const names = accounts.map(({ name }) => name ?? DEFAULT_ACCOUNT)
    const twice = names.find((name, position) => names.indexOf(name) !== position)
    if (twice !== undefined)
      return yield* wrong(`Two accounts are named ${twice}: give each a name of its own.`)
    const streams = yield* listStreamNames
    const unknown = Object.keys(paths).find(stream => !streams.includes(stream))
    if (unknown !== undefined)
      return yield* wrong(`paths: there is no list stream ${unknown}; there are ${streams.join(", ")}.`)
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

/** Made anew for each layer: two in one application have settings of their own. */
const wired = Layer.fresh(Layer.merge(configuredWarehouse, http))

/**
 * What `sync`, `serve`, `query` and the others need: the warehouse, open until the layer's scope closes, an HTTP
 * client, and the settings; those of the environment where none are given. It logs by Effect's logger, which is the
 * host's to choose, and touches neither signals nor the exit code.
 *
 * Provide it to these functions, not to the whole application: within it, Effect's `Config` has these settings alone.
 */
export const layer = (
  settings?: Settings,
): Layer.Layer<Warehouse | HttpClient.HttpClient, ConfigurationError | WarehouseError> =>
  settings === undefined
    ? wired
    : Layer.provideMerge(
        wired,
        Layer.unwrapEffect(Effect.map(provider(settings), given => Layer.setConfigProvider(given))),
      )
