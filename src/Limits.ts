import { Effect } from "effect"
import type postgres from "postgres"
import type { WarehouseError } from "./Errors.ts"
import { limitInWords } from "./Health.ts"
import type { RunOptions } from "./Pipeline.ts"
import { storeLimits } from "./warehouse/settings.ts"

/** Stores the limits of freshness, and logs a change: views judge by them. */
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
