import { hostname } from "node:os"
import type * as HttpClient from "@effect/platform/HttpClient"
import { Effect, Layer, Option, type Redacted } from "effect"
import type postgres from "postgres"
import * as Config from "./config/config.ts"
import { ConfigurationError, type LeaseError, type WarehouseError } from "./core/errors.ts"
import { redactedHeaders } from "./paycombat/client/client.ts"
import { ownHttpClient } from "./paycombat/client/http.ts"
import { Warehouse } from "./postgres/connect.ts"
import { allStreams, listStreamNames, streamsNamed } from "./registry.ts"
import type { ServeOptions } from "./serve/serve.ts"
import * as Schedules from "./status/schedules.ts"
import { streamStatuses } from "./status/status.ts"
import type { RunOptions, SyncOptions } from "./sync/context.ts"
import { type ReplayOptions, rebuildIn, replayIn } from "./sync/maintenance.ts"
import { everyRejectIn, type RejectsAsked, rejectOf, rejectsIn, type Scope } from "./sync/rejects.ts"
import { runOnce } from "./sync/run.ts"
import { type BackupSummary, backup as backupOf, type TellRows } from "./warehouse/backup/backup.ts"
import { type RestoreOptions, type RestoreSummary, restore as restoreTo } from "./warehouse/backup/restore.ts"
import type { SyncSummary } from "./warehouse/ledger/summary.ts"
import * as rules from "./warehouse/maintain/directions.ts"
import { accountsOfPerson, countErasure, type Erasure, erasePerson } from "./warehouse/maintain/erase.ts"
import { type QueryAnswer, runQuery } from "./warehouse/read/query.ts"
import type { TakeRejects } from "./warehouse/read/rejectList.ts"
import { upToDate } from "./warehouse/schema/ensureMigrated.ts"
import {
  checkFitness,
  type MigrationReport,
  migrate,
  type Pending,
  pendingMigrations,
} from "./warehouse/schema/migrator.ts"
import { existingWarehouse } from "./warehouseLayer.ts"

/** The application, wired once: what the command line runs and what a host application imports. */

export { ConfigurationError, LeaseError, WarehouseError } from "./core/errors.ts"
export { Progress, type StreamProgress } from "./observe/progress.ts"
export { telemetry } from "./observe/telemetry.ts"
export { Warehouse } from "./postgres/connect.ts"
export type { SyncOptions } from "./sync/context.ts"
export { checkBackup } from "./warehouse/backup/read.ts"
export type { RunSummary, StreamSummary, SyncSummary } from "./warehouse/ledger/summary.ts"
export type {
  Direction,
  KindRule,
  RuleChange,
  RuleOptions,
  RulesChanged,
} from "./warehouse/maintain/directions.ts"
export type { QueryAnswer } from "./warehouse/read/query.ts"
export type { RejectKind } from "./warehouse/read/rejectList.ts"
export { upToDate, withoutTables } from "./warehouse/schema/ensureMigrated.ts"
export {
  configuredExisting,
  configuredWarehouse,
  existingWarehouse,
  missingWarehouse,
  warehouse,
} from "./warehouseLayer.ts"

/** The HTTP client. The token's header is redacted for the whole application. */
export const http: Layer.Layer<HttpClient.HttpClient, ConfigurationError> = Layer.merge(
  ownHttpClient,
  redactedHeaders,
)

/** Brings the database up to date. */
export const migrateWarehouse: Effect.Effect<
  MigrationReport,
  ConfigurationError | WarehouseError,
  Warehouse
> = Effect.flatMap(Warehouse, ({ sql }) => migrate(sql))

/** The configured accounts of these names, or all. */
export const accountsNamed = (names: ReadonlyArray<string>) =>
  Effect.gen(function* () {
    const accounts = yield* Config.accounts(yield* listStreamNames)
    const unknown = names.find(name => !accounts.some(account => account.name === name))
    if (unknown !== undefined) {
      return yield* new ConfigurationError({
        message: `There is no account ${unknown}; configured ${accounts.length === 1 ? "is" : "are"} ${accounts.map(({ name }) => name).join(", ")}.`,
      })
    }
    return names.length === 0 ? accounts : accounts.filter(({ name }) => names.includes(name))
  })

/** Reads the settings of a run from the environment alone. Mistakes are reported before anything is started. */
export const runSettings = (options: SyncOptions = {}): Effect.Effect<RunOptions, ConfigurationError> =>
  Effect.gen(function* () {
    const streams = yield* streamsNamed(options.streams ?? [])
    const accounts = yield* accountsNamed(options.accounts ?? [])
    const fullPassMaxAgeSeconds = yield* Schedules.fullPassMaxAge
    const { full = false, wait = false, confirmsRemovals = false } = options
    return {
      ...(yield* Config.run),
      full,
      wait,
      confirmsRemovals,
      fullPassMaxAgeSeconds,
      accounts,
      streams,
      ...(yield* Schedules.limitsToStore()),
    }
  })

type Synced = Effect.Effect<
  SyncSummary,
  ConfigurationError | LeaseError | WarehouseError,
  Warehouse | HttpClient.HttpClient
>

/**
 * Syncs once, with the settings of the environment. Succeeds also if streams failed: the summary says which.
 * `LeaseError` means that nothing was done, because other runs hold every account.
 */
export const sync = (options: SyncOptions = {}): Synced =>
  Effect.flatMap(runSettings(options), settings => syncWith(settings, options.migrate ?? false))

/** Syncs once with settings given in code instead of the environment. */
export const syncWith = (options: RunOptions, isMigrating = false): Synced =>
  Effect.zipRight(upToDate(isMigrating), runOnce(options))

/** Lists the changes that `migrateWarehouse` would make. Fails if it would fail. */
export const pending: Effect.Effect<Pending, ConfigurationError | WarehouseError, Warehouse> = Effect.flatMap(
  Warehouse,
  ({ sql }) => Effect.zipRight(checkFitness(sql), pendingMigrations(sql)),
)

/** Refuses a database whose tables are missing, or not at this program's version. */
const current: Effect.Effect<void, ConfigurationError | WarehouseError, Warehouse> = Effect.flatMap(
  Warehouse,
  ({ isEmbedded }) => upToDate(isEmbedded, "run `paycombat-sync migrate`"),
)

/** Works on a warehouse that is up to date. */
const onCurrent = <A, E>(use: (sql: postgres.Sql) => Effect.Effect<A, E>) =>
  Effect.flatMap(Warehouse, ({ sql }) => Effect.zipRight(current, use(sql)))

/** Gives `use` the login that may read `analytics` and nothing else. */
export const asReader = <A, E>(
  use: (readerUrl: Redacted.Redacted) => Effect.Effect<A, E>,
): Effect.Effect<A, E | ConfigurationError | WarehouseError, Warehouse> =>
  Effect.gen(function* () {
    const { readerUrl } = yield* Warehouse
    if (Option.isNone(readerUrl)) {
      return yield* new ConfigurationError({
        message:
          "PAYCOMBAT_READER_URL is not set: a given Postgres is asked only as a login that can read analytics" +
          " and nothing else, such as a member of paycombat_reader: docs/bi.md says how to make one.",
      })
    }
    yield* current
    return yield* use(readerUrl.value)
  })

/** Gives `use` the reader's login of the configured warehouse. A configured one suffices: an analyst has no other. */
export const asConfiguredReader = <A, E>(
  use: (readerUrl: Redacted.Redacted) => Effect.Effect<A, E>,
): Effect.Effect<A, E | ConfigurationError | WarehouseError> =>
  Effect.flatMap(Config.database, settings =>
    Option.match(settings.readerUrl, {
      onSome: use,
      onNone: () => Effect.provide(asReader(use), existingWarehouse(settings)),
    }),
  )

/** Answers one SQL statement as the reader login. */
export const query = (
  statement: string,
): Effect.Effect<QueryAnswer, ConfigurationError | WarehouseError, Warehouse> =>
  asReader(readerUrl => runQuery(readerUrl, statement))

/** Answers one SQL statement on the configured warehouse. */
export const queryConfigured = (
  statement: string,
): Effect.Effect<QueryAnswer, ConfigurationError | WarehouseError> =>
  asConfiguredReader(readerUrl => runQuery(readerUrl, statement))

/**
 * Reads and judges the status of each stream of the configured accounts. Figures are bad if the stream never ran, its
 * latest run failed, or none was complete within `maxAgeSeconds`. Other accounts are judged only if named, or if none
 * is configured.
 */
export const status = (options: Pick<ServeArguments, "accounts" | "streams" | "maxAgeSeconds">) =>
  Effect.gen(function* () {
    const { sql } = yield* Warehouse
    const streams = yield* streamsNamed(options.streams ?? [])
    const schedule = yield* Schedules.configuredSchedule
    const configured = yield* Config.configuredAccounts
    const limits = yield* Schedules.limitsToJudgeBy(options.maxAgeSeconds)
    yield* current
    return yield* streamStatuses(sql, streams, schedule, { ...options, configured, limits })
  })

export interface ServeArguments extends Omit<SyncOptions, "full" | "wait" | "confirmsRemovals"> {
  /** See `status`. */
  readonly maxAgeSeconds?: number
}

/** Reads the settings of `serve` from the environment alone. Mistakes are reported before anything is started. */
export const serveSettings = (
  options: ServeArguments = {},
): Effect.Effect<ServeOptions, ConfigurationError> =>
  Effect.gen(function* () {
    return {
      ...(yield* runSettings(options)),
      ...(yield* Schedules.limitsToStore(options.maxAgeSeconds)),
      fullPassMaxAgeSeconds: yield* Schedules.fullPassMaxAgeBesideTicks,
      schedule: yield* Config.schedule,
      http: yield* Config.http,
      ...(options.maxAgeSeconds === undefined ? {} : { maxAgeSeconds: options.maxAgeSeconds }),
    }
  })

/** Syncs on a schedule until it is interrupted, with its state over HTTP. A failed run does not end it. */
export const serve = (
  options: ServeArguments = {},
): Effect.Effect<never, ConfigurationError | WarehouseError, Warehouse | HttpClient.HttpClient> =>
  Effect.flatMap(serveSettings(options), settings => serveWith(settings, options.migrate ?? false))

/** Serves with settings given in code instead of the environment. */
export const serveWith = (
  options: ServeOptions,
  isMigrating = false,
): Effect.Effect<never, ConfigurationError | WarehouseError, Warehouse | HttpClient.HttpClient> =>
  upToDate(isMigrating).pipe(
    Effect.zipRight(Effect.promise(() => import("./serve/serve.ts"))),
    Effect.flatMap(module => module.serveWith(options)),
  )

/** Work on rejects and stored records. None of it sends a request to the API. */
export const rejects = (options: RejectsAsked) => Effect.zipRight(current, rejectsIn(options))
export const everyReject = (options: RejectsAsked, take: TakeRejects) =>
  Effect.zipRight(current, everyRejectIn(options, take))
export const reject = (id: number) => Effect.zipRight(current, rejectOf(id))
export const replay = (options: ReplayOptions) => Effect.zipRight(current, replayIn(options))
export const rebuild = (options: Scope) => Effect.zipRight(current, rebuildIn(options))

/** The accounts that hold a customer: in a row, in a reject, or as erased before. */
export const accountsOfCustomer = (customer: string) =>
  onCurrent(sql => Effect.flatMap(allStreams, streams => accountsOfPerson(sql, streams, customer)))

/**
 * Removes a customer's data from an account for good, and keeps later syncs from bringing it back. The money stays,
 * with the customer's id and without other personal values.
 */
export const eraseCustomer = (
  customer: string,
  account: string,
): Effect.Effect<Erasure, ConfigurationError | LeaseError | WarehouseError, Warehouse> =>
  onCurrent(sql =>
    Effect.flatMap(allStreams, streams =>
      erasePerson(sql, streams, account, customer, `${hostname()}:${process.pid}`),
    ),
  )

/** Counts the rows that `eraseCustomer` would change now, and changes nothing. A sync may be under way. */
export const previewErasure = (
  customer: string,
  account: string,
): Effect.Effect<Erasure, ConfigurationError | WarehouseError, Warehouse> =>
  onCurrent(sql => Effect.flatMap(allStreams, streams => countErasure(sql, streams, account, customer)))

/** Lists each kind of transaction in the data with the rule of its direction. */
export const directions = (accounts: ReadonlyArray<string>) =>
  onCurrent(sql => rules.listDirections(sql, accounts))

/** Sets the rule of a type and name, and answers the transactions that count otherwise by it. */
export const setDirection = (rule: rules.RuleGiven, options: rules.RuleOptions) =>
  onCurrent(sql => rules.setDirection(sql, rule, options))

/** Confirms rules, and answers the transactions that count otherwise by it. */
export const confirmDirections = (named: rules.RulesNamed, options: rules.RuleOptions) =>
  onCurrent(sql => rules.confirmDirections(sql, named, options))

/** Saves the warehouse to a file, at any version, while syncs may go on. */
export const backup = (
  file: string,
  tell?: TellRows,
): Effect.Effect<BackupSummary, ConfigurationError | WarehouseError, Warehouse> =>
  Effect.flatMap(Warehouse, ({ ownerUrl }) => backupOf(ownerUrl, file, tell))

/** Fills an empty warehouse, or one to be replaced, from a backup. Later erasures that are known apply again. */
export const restore = (
  file: string,
  options: Omit<RestoreOptions, "streams"> = {},
): Effect.Effect<RestoreSummary, ConfigurationError | WarehouseError, Warehouse> =>
  Effect.gen(function* () {
    const { ownerUrl } = yield* Warehouse
    yield* current
    return yield* restoreTo(ownerUrl, file, { ...options, streams: yield* allStreams })
  })
