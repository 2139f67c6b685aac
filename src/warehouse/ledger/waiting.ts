import type { Effect } from "effect"
import type postgres from "postgres"
import type { WarehouseError } from "../../core/errors.ts"
import { beginWriting } from "../../postgres/interference.ts"
import { query } from "../../postgres/statements.ts"

/**
 * Keeps a run that waits for an account, and may hold no lease meanwhile, from being booked as dead for so many seconds
 * more; a run that was booked so is running again.
 */
export const keepWaiting = (
  sql: postgres.Sql,
  runId: string,
  seconds: number,
): Effect.Effect<void, WarehouseError> =>
  query(() =>
    beginWriting(sql, async tx => {
      await tx`
      UPDATE sync.runs
      SET waits_until = clock_timestamp() + make_interval(secs => ${seconds}), status = 'running', finished_at = NULL
      WHERE run_id = ${runId} AND status IN ('running', 'dead')`
    }),
  )
