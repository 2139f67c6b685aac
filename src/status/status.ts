import { Effect } from "effect"
import type postgres from "postgres"
import { ConfigurationError, type WarehouseError } from "../core/errors.ts"
import type { Stream } from "../core/stream.ts"
import {
  ageSeconds,
  type Finding,
  findingsOf,
  type Limits,
  type Problem,
  problemOf,
  type Verdict,
} from "../core/verdict.ts"
import { neverSynced, type Status } from "../core/words.ts"
import type { Mode } from "../warehouse/ledger/runs.ts"
import { databaseNow, everSynced, type StreamStatus, statusOf } from "../warehouse/read/status.ts"
import { verdictsOf } from "../warehouse/read/verdict.ts"
import type { Schedule } from "./scheduler.ts"

/** The status of a stream and its judgement. Every configured account has one per stream, run or not. */
export interface JudgedStatus extends Omit<StreamStatus, "lastRunStatus" | "lastRunMode" | "lastRunAt"> {
  /** Null for a stream that never ran. Then every other time and text is null as well, and every count is 0. */
  readonly lastRunStatus: Status | null
  readonly lastRunMode: Mode | null
  readonly lastRunAt: string | null
  /** Seconds since the latest complete run ended. */
  readonly ageSeconds: number | null
  /** True if the account is no longer configured. It is judged only if it is requested by name. */
  readonly isRetired: boolean
  /** Reason why the figures cannot be trusted, or null. */
  readonly problem: Problem | null
  /** All findings on the stream, including the problem. */
  readonly findings: ReadonlyArray<Finding>
  /** Verdict on the account's figures, from `analytics.verdict`. */
  readonly verdict: Omit<Verdict, "account" | "findings">
  /** Time of the next run of `serve`, and of its next full pass. */
  readonly nextRunAt: string
  readonly nextFullAt: string
}

export interface StatusOptions {
  /** Configured accounts. Empty: every account that was ever synced is judged. */
  readonly configured: ReadonlyArray<string>
  /** Requested accounts. Empty: all. */
  readonly accounts?: ReadonlyArray<string>
  /** See `limitsToJudgeBy`. */
  readonly limits?: Partial<Limits>
}

type Entry = Omit<
  JudgedStatus,
  "ageSeconds" | "isRetired" | "problem" | "findings" | "verdict" | "nextRunAt" | "nextFullAt"
>

const NEVER: Omit<Entry, "account" | "stream"> = {
  lastRunStatus: null,
  lastRunMode: null,
  lastRunAt: null,
  lastEnded: null,
  lastCompleteAt: null,
  lastFullAt: null,
  rows: 0,
  isEstimate: false,
  rejects: 0,
  removed: 0,
  leftOver: 0,
  unanswered: 0,
  unmapped: 0,
  path: null,
  isVerified: null,
  heldBy: null,
  heldSince: null,
  isDead: false,
  error: null,
  note: null,
}

const unknownAccount = (name: string, { configured }: StatusOptions) =>
  new ConfigurationError({
    message:
      configured.length === 0
        ? neverSynced(name)
        : `Nothing was synced yet for an account ${name}, and it is not configured (${configured.join(", ")}` +
          ` ${configured.length === 1 ? "is" : "are"}): check the name, or PAYCOMBAT_ACCOUNTS.`,
  })

/** Chooses the accounts to show: the requested ones, else the configured ones and those that were ever synced. */
const shownAccounts = (synced: ReadonlyArray<string>, options: StatusOptions) => {
  const all = [...new Set([...options.configured, ...synced])].sort()
  const named = options.accounts ?? []
  const unknown = named.find(name => !all.includes(name))
  if (unknown !== undefined) return Effect.fail(unknownAccount(unknown, options))
  return Effect.succeed(named.length === 0 ? all : all.filter(name => named.includes(name)))
}

/**
 * Reads the status of every stream, for each requested account, else for each configured or ever synced one, including
 * streams that never ran. Fails with `ConfigurationError` if an account is neither configured nor was ever synced.
 */
export const streamStatuses = (
  sql: postgres.Sql,
  streams: ReadonlyArray<Stream>,
  schedule: Schedule,
  options: StatusOptions,
): Effect.Effect<ReadonlyArray<JudgedStatus>, ConfigurationError | WarehouseError> =>
  Effect.gen(function* () {
    const { configured, accounts: named = [] } = options
    const { accounts: synced, holders } = yield* everSynced(sql)
    const accounts = yield* shownAccounts(synced, options)
    const statuses = yield* statusOf(sql, streams)
    const now = yield* databaseNow(sql)
    const names = streams.map(({ name }) => name).sort()
    const verdicts = yield* verdictsOf(sql, {
      accounts: named.length > 0 ? named : configured,
      streams: names,
      limits: options.limits ?? {},
    })
    const next = {
      nextRunAt: schedule.next("incremental").toISOString(),
      nextFullAt: schedule.next("full").toISOString(),
    }

    const statusesOf = (account: string, stream: string): ReadonlyArray<JudgedStatus> => {
      const isSame = (one: { account: string; stream: string }) =>
        one.account === account && one.stream === stream
      const status = statuses.find(isSame)
      const isRetired = configured.length > 0 && !configured.includes(account)
      const isJudged = !isRetired || named.includes(account)
      // A stream that a newer version added has no status for an account that was retired before.
      if (status === undefined && !isJudged) return []
      const holder = holders.find(isSame)
      const entry: Entry = status ?? { account, stream, ...NEVER, ...holder }
      const { findings, ...verdict } = verdicts.find(one => one.account === account)!
      const own = findingsOf(findings, stream)
      return [
        {
          ...entry,
          ageSeconds: ageSeconds(entry.lastCompleteAt, now),
          isRetired,
          problem: problemOf(own),
          findings: own,
          verdict: { level: verdict.level, sentence: verdict.sentence, since: verdict.since },
          ...next,
        },
      ]
    }
    return accounts.flatMap(account => names.flatMap(stream => statusesOf(account, stream)))
  })
