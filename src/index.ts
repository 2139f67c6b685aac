import type * as HttpClient from "@effect/platform/HttpClient"
import { Effect, Layer } from "effect"
import { asReader, configuredWarehouse, http, type Warehouse } from "./app.ts"
import type { ConfigurationError, WarehouseError } from "./core/errors.ts"
import type { Examination } from "./doctor/doctor.ts"
import { type Settings, settingsProvider } from "./settings.ts"
import type { ReportData } from "./warehouse/report/types.ts"

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
  type SyncSummary,
  serve,
  status,
  sync,
  telemetry,
  Warehouse,
  WarehouseError,
} from "./app.ts"
export type { Examination } from "./doctor/doctor.ts"
export type { Finding } from "./doctor/finding.ts"
export type { StreamReport } from "./doctor/streams.ts"
export type { AccountGiven, AskingGiven, DatabaseGiven, Settings } from "./settings.ts"
export type { JudgedStatus } from "./status/status.ts"
export type { List as ReportList, ReportData, Row as ReportRow } from "./warehouse/report/types.ts"

/** What a report is asked for; all of it, of the last 90 days, where nothing is said. */
export interface ReportOptions {
  /** Names of accounts; all where none is named. */
  readonly accounts?: ReadonlyArray<string>
  /** Only these currencies; all where none is named. */
  readonly currencies?: ReadonlyArray<string>
  /** First and last UTC day, as `2026-01-31`. */
  readonly from?: string
  readonly to?: string
  /** See `status`. */
  readonly maxAgeSeconds?: number
}

/**
 * The figures of the settlement, balance and KYC-gap report, all of one moment, read as the reader login. Amounts are
 * text with every digit. A list of more than 200 rows is cut: its `total` says how many there are, and `query` answers
 * its `statement` with all. A `ConfigurationError` says what is wrong with an account, a currency or a day.
 */
export const report = (
  options: ReportOptions = {},
): Effect.Effect<ReportData, ConfigurationError | WarehouseError, Warehouse> =>
  Effect.gen(function* () {
    const { figuresOf, freshnessRule } = yield* Effect.promise(() => import("./report/report.ts"))
    const { accounts = [], currencies = [], from, to, maxAgeSeconds } = options
    const told = { isDemo: false, rule: yield* freshnessRule(maxAgeSeconds, accounts) }
    return yield* asReader(url => figuresOf(url, { accounts, currencies, from, to }, told))
  })

/** The same as the page that `paycombat-sync report` writes: one HTML document that loads nothing and runs nothing. */
export const reportPage = (figures: ReportData): Effect.Effect<string> =>
  Effect.map(
    Effect.promise(() => import("./report/page.ts")),
    ({ page }) => page(figures),
  )

export interface DoctorOptions {
  /** Names of accounts and streams; all where none is named. */
  readonly accounts?: ReadonlyArray<string>
  readonly streams?: ReadonlyArray<string>
  /** Needed where no `layer` is provided: for an examination of a database that is away, for which there is none. */
  readonly settings?: Settings
}

/**
 * Examines the database, the API and each stream as the API serves it. What is wrong is what it answers with, a database
 * that is away included; it fails only for settings that cannot be used at all, and for a stream that does not exist.
 * Sends only GET, within the account's rate, by the HTTP client that is provided, or its own; stores nothing.
 */
export const doctor = ({
  settings,
  ...scope
}: DoctorOptions = {}): Effect.Effect<Examination, ConfigurationError> =>
  Effect.gen(function* () {
    const { diagnose } = yield* Effect.promise(() => import("./doctor/doctor.ts"))
    const { givenClient } = yield* Effect.promise(() => import("./paycombat/client/http.ts"))
    const examined = Effect.provide(diagnose(scope, { isNaming: false }), givenClient)
    return yield* settings === undefined
      ? examined
      : Effect.withConfigProvider(examined, yield* settingsProvider(settings))
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
        Layer.unwrapEffect(Effect.map(settingsProvider(settings), given => Layer.setConfigProvider(given))),
      )
