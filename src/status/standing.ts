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
import type { Mode, Status } from "../warehouse/ledger/runs.ts"
import { databaseNow, everSynced, type StreamStatus, statusOf } from "../warehouse/read/status.ts"
import { verdictsOf } from "../warehouse/read/verdict.ts"
import type { Schedule } from "./scheduler.ts"

/** A stream's status, and the judgement on it. Every configured account has one of every stream, run or not. */
export interface JudgedStatus extends Omit<StreamStatus, "lastRunStatus" | "lastRunMode" | "lastRunAt"> {
  /** Null for a stream that never ran; then every other time and text is null as well, and every count 0. */
  readonly lastRunStatus: Status | null
  readonly lastRunMode: Mode | null
  readonly lastRunAt: string | null
  /** Seconds since the latest complete run ended. */
  readonly ageSeconds: number | null
  /** The account is not configured any more. It is judged only where it is asked for by name. */
  readonly isRetired: boolean
  /** Why its figures cannot be trusted; null where they can. */
  readonly problem: Problem | null
  /** All findings on the stream, the problem among them. */
  readonly findings: ReadonlyArray<Finding>
  /** The verdict on the account's figures, as `analytics.verdict` has it. */
  readonly verdict: Omit<Verdict, "account" | "findings">
  /** When `serve` would run next, and read whole lists next. */
  readonly nextRunAt: string
  readonly nextFullAt: string
}

export interface StandingOptions {
  /** The accounts that are to be synced; none where all that ever were are judged. */
  readonly configured: ReadonlyArray<string>
  /** The accounts that are asked for; all where none is named. */
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

const unknownAccount = (name: string, { configured }: StandingOptions) =>
  new ConfigurationError({
    message:
      `Nothing was synced yet for an account ${name}` +
      (configured.length === 0
        ? ": check the name, or run `paycombat-sync sync`."
        : `, and it is not configured (${configured.join(", ")} ${configured.length === 1 ? "is" : "are"}): check the name, or PAYCOMBAT_ACCOUNTS.`),
  })

/** What is shown: the accounts that are asked for, else those configured, and those that once were. */
const shownAccounts = (synced: ReadonlyArray<string>, options: StandingOptions) => {
  const known = [...new Set([...options.configured, ...synced])].sort()
  const named = options.accounts ?? []
  const unknown = named.find(name => !known.includes(name))
  if (unknown !== undefined) return Effect.fail(unknownAccount(unknown, options))
  return Effect.succeed(named.length === 0 ? known : known.filter(name => named.includes(name)))
}

/**
 * How the streams stand, of each account that is configured, or of those named: also those that never ran. A
 * `ConfigurationError` names an account that is neither configured nor was ever synced.
 */
export const standingOf = (
  sql: postgres.Sql,
  streams: ReadonlyArray<Stream>,
  schedule: Schedule,
  options: StandingOptions,
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

    const judged = (account: string, stream: string): ReadonlyArray<JudgedStatus> => {
      const isSame = (one: { account: string; stream: string }) =>
        one.account === account && one.stream === stream
      const status = statuses.find(isSame)
      const isRetired = configured.length > 0 && !configured.includes(account)
      const isJudged = !isRetired || named.includes(account)
      // A stream that came with an update has nothing to say of an account that was gone before.
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
    return accounts.flatMap(account => names.flatMap(stream => judged(account, stream)))
  })
