import type postgres from "postgres"
import type { Limits } from "../../core/verdict.ts"
import { beginWriting } from "../../postgres/interference.ts"
import type { SqlEffect } from "../../postgres/shape.ts"
import { write } from "../../postgres/statements.ts"

/** Limits of freshness that views judge by: in `warehouse.account_settings`. */

/** Stores the limits of freshness of these accounts. Returns the accounts with changed limits. */
export const storeLimits = (
  sql: postgres.Sql,
  accounts: ReadonlyArray<string>,
  { maxAgeSeconds, fullMaxAgeSeconds }: Limits,
): SqlEffect<ReadonlyArray<string>> =>
  write(async () => {
    const changed = await beginWriting(
      sql,
      tx => tx<Array<{ account: string }>>`
        INSERT INTO warehouse.account_settings AS s (account, max_age_seconds, full_max_age_seconds)
        SELECT account, ${maxAgeSeconds}, ${fullMaxAgeSeconds}
        FROM unnest(string_to_array(${accounts.join(",")}, ',')) AS account
        ON CONFLICT (account) DO UPDATE
        SET max_age_seconds = excluded.max_age_seconds, full_max_age_seconds = excluded.full_max_age_seconds
        WHERE (s.max_age_seconds, s.full_max_age_seconds)
          IS DISTINCT FROM (excluded.max_age_seconds, excluded.full_max_age_seconds)
        RETURNING account`,
    )
    return changed.map(({ account }) => account)
  })
