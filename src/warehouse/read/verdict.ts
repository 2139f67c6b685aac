import type { Effect } from "effect"
import type postgres from "postgres"
import type { WarehouseError } from "../../core/errors.ts"
import type { Finding, Limits, Verdict } from "../../core/verdict.ts"
import { query } from "../../postgres/statements.ts"

/** Reads `analytics.verdict`. */

/** What the view cannot know. Each part that is absent leaves the judgement to what is stored. */
export interface Judging {
  /** The accounts that are judged; the others are shown as not configured any more. */
  readonly accounts?: ReadonlyArray<string>
  /** The only streams that are judged. */
  readonly streams?: ReadonlyArray<string>
  /** The limits of freshness; those that are stored of an account where absent. */
  readonly limits?: Partial<Limits>
}

const textOf = (value: unknown): string => (typeof value === "string" ? value : JSON.stringify(value))

/** Reads the verdicts in a transaction that is under way, for whoever may read `analytics`. */
export const readVerdicts = async (
  tx: postgres.ISql,
  { accounts = [], streams = [], limits = {} }: Judging,
): Promise<ReadonlyArray<Verdict>> => {
  await tx`
    SELECT set_config('paycombat.accounts', ${accounts.join(",")}, true),
      set_config('paycombat.streams', ${streams.join(",")}, true),
      set_config('paycombat.max_age_seconds', ${String(limits.maxAgeSeconds ?? "")}, true),
      set_config('paycombat.full_max_age_seconds', ${String(limits.fullMaxAgeSeconds ?? "")}, true)`
  const rows = await tx<Array<Omit<Verdict, "findings"> & { findings: unknown }>>`
    SELECT account, level, sentence, findings, since FROM analytics.verdict ORDER BY account`
  return rows.map(row => ({ ...row, findings: JSON.parse(textOf(row.findings)) as ReadonlyArray<Finding> }))
}

/** The verdict on each account that was ever synced, or is to be judged: one transaction. */
export const judge = (sql: postgres.Sql, judging: Judging = {}): Promise<ReadonlyArray<Verdict>> =>
  sql.begin("read only", tx => readVerdicts(tx, judging)) as Promise<ReadonlyArray<Verdict>>

/** As `judge`, once. */
export const verdictsOf = (
  sql: postgres.Sql,
  judging: Judging = {},
): Effect.Effect<ReadonlyArray<Verdict>, WarehouseError> => query(() => judge(sql, judging))
