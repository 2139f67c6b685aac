import type postgres from "postgres"
import type { Finding, Limits, Verdict } from "../../core/verdict.ts"
import type { SqlEffect } from "../../postgres/shape.ts"
import { query } from "../../postgres/statements.ts"

/** Reads `analytics.verdict`. */

/** Facts that the view cannot know. If one is absent, the stored facts decide. */
export interface Judging {
  /** Accounts to judge. The others are shown as not configured any more. */
  readonly accounts?: ReadonlyArray<string>
  /** Streams to judge; all if absent. */
  readonly streams?: ReadonlyArray<string>
  /** Limits of freshness; the stored ones of the account if absent. */
  readonly limits?: Partial<Limits>
}

const textOf = (value: unknown): string => (typeof value === "string" ? value : JSON.stringify(value))

/** Reads the verdicts within a transaction of any login that may read `analytics`. */
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
export const verdictsOf = (sql: postgres.Sql, judging: Judging = {}): SqlEffect<ReadonlyArray<Verdict>> =>
  query(() => judge(sql, judging))
