import { type Limits, overall, type Problem, type Verdict } from "../core/verdict.ts"
import type { StreamProgress } from "../observe/progress.ts"
import type { Kind } from "../status/scheduler.ts"
import type { RecentRun, StreamStatus } from "../warehouse/read/status.ts"

/** The state of `serve` at one moment. The page, `/readyz`, `/status.json` and `/metrics` all render it. */
export interface Snapshot {
  readonly version: string
  /** Postgres' time at the last answer, plus the time elapsed here since then. */
  readonly now: string
  /** Time of the database's last answer, from which streams and runs come. Null before the first answer. */
  readonly figuresAt: string | null
  readonly startedAt: string
  readonly isStopping: boolean
  /** Error text, or null. While set, the other fields hold the last known values; ages keep counting. */
  readonly databaseProblem: string | null
  readonly accounts: ReadonlyArray<string>
  /** One verdict per account, from `analytics.verdict`; empty before the database first answered. */
  readonly verdicts: ReadonlyArray<Verdict>
  readonly streams: ReadonlyArray<StreamEntry>
  readonly runs: ReadonlyArray<RecentRun>
  /** Current runs of this process, at most one per account. */
  readonly running: ReadonlyArray<Running>
  readonly next: Readonly<Record<Kind, string>>
  /** Dropped ticks since the process started, by account. */
  readonly droppedTicks: Readonly<Record<string, number>>
  readonly limits: Limits
}

export interface Running {
  readonly account: string
  readonly kind: Kind
  readonly since: string
  readonly streams: ReadonlyArray<StreamProgress>
}

/** A configured stream; `status` is null before its first run. */
export interface StreamEntry {
  readonly account: string
  readonly stream: string
  readonly status: StreamStatus | null
  /** Seconds since the latest complete run ended. */
  readonly ageSeconds: number | null
  readonly problem: Problem | null
}

/** Reasons why the figures cannot be relied on; empty if the process is ready. */
export const reasonsOf = (snapshot: Snapshot): ReadonlyArray<string> => [
  ...(snapshot.isStopping ? ["The process is stopping."] : []),
  ...(snapshot.databaseProblem === null ? [] : [snapshot.databaseProblem]),
  ...snapshot.verdicts.flatMap(({ account, findings }) =>
    findings.flatMap(({ level, stream, text }) =>
      level === "bad" ? [`${account}${stream === null ? "" : `/${stream}`}: ${text}`] : [],
    ),
  ),
]

/** The verdict over all accounts. It is bad while the database cannot be used, because nothing newer is known then. */
export const snapshotVerdict = (snapshot: Snapshot): Pick<Verdict, "level" | "sentence"> =>
  snapshot.databaseProblem === null
    ? overall(snapshot.verdicts)
    : { level: "bad", sentence: "The database cannot be used." }
