import type * as HttpClient from "@effect/platform/HttpClient"
import { Effect, Layer } from "effect"
import { asReader, configuredWarehouse, http, type Warehouse } from "./app.ts"
import type { ConfigurationError, WarehouseError } from "./core/errors.ts"
import type { Examination } from "./doctor/doctor.ts"
import { type Settings, settingsProvider } from "./settings.ts"
import type { ReportData } from "./warehouse/report/types.ts"

/**
 * The public interface for a host application: `import { layer, sync } from "paycombat-sync"`. Nothing else of the
 * package can be imported. Names here change only with a line in the changelog.
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

/** The scope of a report; by default everything, for the last 90 days. */
export interface ReportOptions {
  /** Names of accounts; all if none is named. */
  readonly accounts?: ReadonlyArray<string>
  /** Only these currencies; all if none is named. */
  readonly currencies?: ReadonlyArray<string>
  /** First and last UTC day, as `2026-01-31`. */
  readonly from?: string
  readonly to?: string
  /** See `status`. */
  readonly maxAgeSeconds?: number
}

/**
 * Returns the figures of the settlement, balance and KYC-gap report, from one snapshot, read as the reader login.
 * Amounts are text with every digit. A list has at most 200 rows: its `total` is the full number, and `query` with its
 * `statement` returns all of them. A `ConfigurationError` names a wrong account, currency or day.
 */
export const report = (
  options: ReportOptions = {},
): Effect.Effect<ReportData, ConfigurationError | WarehouseError, Warehouse> =>
  Effect.gen(function* () {
    const { figuresOf, freshnessRule } = yield* Effect.promise(() => import("./report/report.ts"))
    const { accounts = [], currencies = [], from, to, maxAgeSeconds } = options
    const meta = { isDemo: false, rule: yield* freshnessRule(maxAgeSeconds, accounts) }
    return yield* asReader(url => figuresOf(url, { accounts, currencies, from, to }, meta))
  })

/** Returns the page that `paycombat-sync report` writes: one HTML document that loads nothing and has no script. */
export const reportPage = (figures: ReportData): Effect.Effect<string> =>
  Effect.map(
    Effect.promise(() => import("./report/page.ts")),
    ({ page }) => page(figures),
  )

export interface DoctorOptions {
  /** Names of accounts and streams; all if none is named. */
  readonly accounts?: ReadonlyArray<string>
  readonly streams?: ReadonlyArray<string>
  /** Needed without a `layer`: to examine a database that is away, for which a layer cannot be built. */
  readonly settings?: Settings
}

/**
 * Examines the database and each stream of the API. Returns findings, also for a database that is away. Fails only for
 * unusable settings and unknown streams. Sends only GET within the account's rate; stores nothing.
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

/** Created anew for each layer, because two layers of one application have their own settings. */
const wired = Layer.fresh(Layer.merge(configuredWarehouse, http))

/**
 * Provides `sync`, `serve`, `query` and the others with the warehouse, which stays open until the layer's scope closes,
 * an HTTP client, and the settings; by default those of the environment. It logs with the host's Effect logger, and
 * touches neither signals nor the exit code.
 *
 * Provide it to these functions, not to the whole application, because Effect's `Config` has only these settings within
 * it.
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
