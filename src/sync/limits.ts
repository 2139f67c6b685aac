import { Effect } from "effect"
import type postgres from "postgres"
import type { WarehouseError } from "../core/errors.ts"
import { limitInWords } from "../core/verdict.ts"
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
