import { Effect, type Redacted } from "effect"
import * as Config from "../config/config.ts"
import type { ConfigurationError, WarehouseError } from "../core/errors.ts"
import { VERSION } from "../core/version.ts"
import { allStreams } from "../registry.ts"
import { limitsToJudgeBy } from "../status/schedules.ts"
import { asReader } from "../warehouse/read/reader.ts"
import { reportData } from "../warehouse/report/figures.ts"
import type { FreshnessRule, ReportData, ReportFilter } from "../warehouse/report/types.ts"
import { batchesOf, eachView, type TakeView, takingError } from "../warehouse/report/views.ts"
import { documentText } from "./document.ts"
import { trustIn } from "./trust.ts"

/**
 * Builds the settlement, balance and KYC-gap report: figures for a page, a document for programs, and whole views for
 * files.
 */

/** Session of the reader. One statement may add up many millions of rows, hence 30 minutes. */
const SESSION = { name: "report", milliseconds: 1_800_000 }

type Failure = ConfigurationError | WarehouseError

/** Facts about a report that are not in the warehouse. */
export interface ReportMeta {
  readonly isDemo: boolean
  readonly rule: FreshnessRule
}

/**
 * Chooses the accounts to judge (the given ones, else the configured ones) and the limits that the configuration sets.
 */
export const freshnessRule = (
  maxAgeSeconds?: number,
  named: ReadonlyArray<string> = [],
): Effect.Effect<FreshnessRule, ConfigurationError> =>
  Effect.all({
    accounts: named.length > 0 ? Effect.succeed(named) : Config.configuredAccounts,
    limits: limitsToJudgeBy(maxAgeSeconds),
  })

const contextOf = ({ isDemo, rule }: ReportMeta) =>
  Effect.map(allStreams, streams => ({
    version: VERSION,
    isDemo,
    rule,
    streams: streams.map(({ name }) => name),
  }))

type Read = Effect.Effect.Success<ReturnType<typeof reportData>>

const withVerdict = ({ verdicts, ...figures }: Read): ReportData => ({
  ...figures,
  verdict: trustIn(verdicts),
})

/**
 * Reads all figures of a report from one snapshot. Memory is bounded whatever the size of the warehouse: long lists are
 * cut.
 */
export const figuresOf = (
  readerUrl: Redacted.Redacted,
  filter: ReportFilter,
  meta: ReportMeta,
): Effect.Effect<ReportData, Failure> =>
  Effect.flatMap(contextOf(meta), context =>
    asReader(readerUrl, SESSION, sql => Effect.map(reportData(sql, filter, context), withVerdict)),
  )

/**
 * Writes the report as one JSON document in which no list is cut. `write` receives it part by part, because lists may
 * be larger than memory. Figures over time cover every account and currency. `watch` receives the number of rows of cut
 * lists written so far. Fails as `write` fails.
 */
export const documentOf = (
  readerUrl: Redacted.Redacted,
  filter: ReportFilter,
  meta: ReportMeta,
  write: (text: AsyncIterable<string>) => Promise<void>,
  watch: (rows: number) => void = () => undefined,
): Effect.Effect<ReportData, Failure> =>
  Effect.flatMap(contextOf(meta), context =>
    asReader(readerUrl, SESSION, sql =>
      Effect.gen(function* () {
        const figures = withVerdict(yield* reportData(sql, filter, context, Number.MAX_SAFE_INTEGER))
        yield* Effect.tryPromise({
          try: () => write(documentText(figures, ({ statement }) => batchesOf(sql, statement), watch)),
          catch: takingError,
        })
        return figures
      }),
    ),
  )

/** Passes every view of `analytics` to `take`, batch by batch, all from one snapshot. */
export const viewsOf = (
  readerUrl: Redacted.Redacted,
  filter: ReportFilter,
  take: TakeView,
): Effect.Effect<void, Failure> => asReader(readerUrl, SESSION, sql => eachView(sql, filter, take))
