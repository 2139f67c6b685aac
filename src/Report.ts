import { Effect, type Redacted } from "effect"
import type { ConfigurationError, WarehouseError } from "./Errors.ts"
import { allStreams } from "./registry.ts"
import type { ReportData, ReportFilter } from "./report/data.ts"
import { VERSION } from "./version.ts"
import { asReader } from "./warehouse/reader.ts"
import { reportData } from "./warehouse/reportData.ts"
import { eachView, type TakeView } from "./warehouse/reportViews.ts"

/** The settlement, balance and KYC-gap report: figures for a page, and whole views for files. */

/** One statement may add up many millions of rows. */
const SESSION = { name: "report", milliseconds: 1_800_000 }

/** All figures of a report, of one snapshot. Bounded in memory, whatever the size of the warehouse. */
export const figuresOf = (
  readerUrl: Redacted.Redacted,
  filter: ReportFilter,
  isDemo: boolean,
): Effect.Effect<ReportData, ConfigurationError | WarehouseError> =>
  Effect.gen(function* () {
    const streams = (yield* allStreams).map(({ name }) => name)
    return yield* asReader(readerUrl, SESSION, sql =>
      reportData(sql, filter, { version: VERSION, isDemo, streams }),
    )
  })

/** Hands over every view of `analytics`, batch by batch, all of one snapshot. */
export const viewsOf = (
  readerUrl: Redacted.Redacted,
  filter: ReportFilter,
  take: TakeView,
): Effect.Effect<void, ConfigurationError | WarehouseError> =>
  asReader(readerUrl, SESSION, sql => eachView(sql, filter, take))
