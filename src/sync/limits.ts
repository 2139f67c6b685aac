import { Effect } from "effect"
import type postgres from "postgres"
import type { WarehouseError } from "../core/errors.ts"
import { limitInWords } from "../core/verdict.ts"
import { allStreams } from "../registry.ts"
import { storeReckoning, zonedTables } from "../warehouse/ledger/reckoning.ts"
import { storeLimits } from "../warehouse/ledger/settings.ts"
import type { RunOptions } from "./context.ts"

/** Stores the limits of freshness, by which views judge. Logs a change. */
export const keepLimits = (
  sql: postgres.Sql,
  { accounts, limits }: Pick<RunOptions, "accounts" | "limits">,
): Effect.Effect<void, WarehouseError> =>
  Effect.gen(function* () {
    if (limits === undefined) return
    const names = accounts.map(({ name }) => name)
    const changed = yield* storeLimits(sql, names, limits)
    if (changed.length > 0)
      yield* Effect.logInfo(
        `limits of freshness of ${changed.join(", ")} are now ${limitInWords(limits.maxAgeSeconds)}, and` +
          ` ${limitInWords(limits.fullMaxAgeSeconds)} for whole passes`,
      )
  })

/** Stores the configured zone of days and owner of fees of each account, and logs a change. A setting that is not given stays. */
export const keepReckoning = (
  sql: postgres.Sql,
  { accounts }: Pick<RunOptions, "accounts">,
): Effect.Effect<void, WarehouseError> =>
  Effect.forEach(
    accounts,
    ({ name, reportTimezone, feeOwner }) =>
      Effect.gen(function* () {
        if (reportTimezone === undefined && feeOwner === undefined) return
        const tables = zonedTables(yield* Effect.orDie(allStreams))
        const { before, after } = yield* storeReckoning(sql, tables, name, {
          ...(reportTimezone === undefined ? {} : { reportTimezone }),
          ...(feeOwner === undefined ? {} : { feeOwner }),
        })
        if (before.reportTimezone !== after.reportTimezone)
          yield* Effect.logInfo(
            `${name}: days are now reckoned in ${after.reportTimezone}, before in ${before.reportTimezone}`,
          )
        if (before.feeOwner !== after.feeOwner)
          yield* Effect.logInfo(
            `${name}: a fee now moves the balance of the ${after.feeOwner}, before of the ${before.feeOwner}`,
          )
      }),
    { discard: true },
  )
