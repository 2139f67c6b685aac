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

/** The settlement, balance and KYC-gap report: figures for a page, a document for programs, and whole views for files. */

/** One statement may add up many millions of rows. */
const SESSION = { name: "report", milliseconds: 1_800_000 }

type Failure = ConfigurationError | WarehouseError

/** What of a report is not in the warehouse. */
export interface Told {
  readonly isDemo: boolean
  readonly rule: FreshnessRule
}

/** The accounts that are judged: those named, else those configured; and the limits that the configuration gives. */
export const freshnessRule = (
  maxAgeSeconds?: number,
  named: ReadonlyArray<string> = [],
): Effect.Effect<FreshnessRule, ConfigurationError> =>
  Effect.all({
    accounts: named.length > 0 ? Effect.succeed(named) : Config.configuredAccounts,
    limits: limitsToJudgeBy(maxAgeSeconds),
  })

const about = ({ isDemo, rule }: Told) =>
  Effect.map(allStreams, streams => ({
    version: VERSION,
    isDemo,
    rule,
    streams: streams.map(({ name }) => name),
  }))

type Read = Effect.Effect.Success<ReturnType<typeof reportData>>

const judged = ({ verdicts, ...figures }: Read): ReportData => ({ ...figures, verdict: trustIn(verdicts) })

/** All figures of a report, of one snapshot. Bounded in memory, whatever the size of the warehouse: long lists are cut. */
export const figuresOf = (
  readerUrl: Redacted.Redacted,
  filter: ReportFilter,
  told: Told,
): Effect.Effect<ReportData, Failure> =>
  Effect.flatMap(about(told), known =>
    asReader(readerUrl, SESSION, sql => Effect.map(reportData(sql, filter, known), judged)),
  )

/**
 * The same as one JSON document in which nothing is cut, handed to `write` part by part: lists may be larger than
 * memory. Figures over time are those of every account and currency. `watch` is told how many rows of cut lists were
 * handed over so far. Fails as `write` fails.
 */
export const documentOf = (
  readerUrl: Redacted.Redacted,
  filter: ReportFilter,
  told: Told,
  write: (text: AsyncIterable<string>) => Promise<void>,
  watch: (rows: number) => void = () => undefined,
): Effect.Effect<ReportData, Failure> =>
  Effect.flatMap(about(told), known =>
    asReader(readerUrl, SESSION, sql =>
      Effect.gen(function* () {
        const figures = judged(yield* reportData(sql, filter, known, Number.MAX_SAFE_INTEGER))
        yield* Effect.tryPromise({
          try: () => write(documentText(figures, ({ statement }) => batchesOf(sql, statement), watch)),
          catch: takingError,
        })
        return figures
      }),
    ),
  )

/** Hands over every view of `analytics`, batch by batch, all of one snapshot. */
export const viewsOf = (
  readerUrl: Redacted.Redacted,
  filter: ReportFilter,
  take: TakeView,
): Effect.Effect<void, Failure> => asReader(readerUrl, SESSION, sql => eachView(sql, filter, take))
