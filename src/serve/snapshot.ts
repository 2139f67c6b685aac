import type { Limits, Problem, Verdict } from "../core/verdict.ts"
import type { StreamProgress } from "../observe/progress.ts"
import type { Kind } from "../status/scheduler.ts"
import type { RecentRun, StreamStatus } from "../warehouse/read/status.ts"

/** What `serve` knows, in one piece: the page, `/readyz`, `/status.json` and `/metrics` all say the same. */
export interface Board {
  readonly version: string
  /** By Postgres' clock, and as far on as ours went since it answered. */
  readonly now: string
  /** When the database last answered: what is here of streams and runs was so then. Null where it never did. */
  readonly figuresAt: string | null
  readonly startedAt: string
  readonly isStopping: boolean
  /** Why the database cannot be used; null where it can. The rest is then what was known before, its age what it is now. */
  readonly databaseProblem: string | null
  readonly accounts: ReadonlyArray<string>
  /** One per account, as `analytics.verdict` has it; none before the database first answered. */
  readonly verdicts: ReadonlyArray<Verdict>
  readonly streams: ReadonlyArray<StreamEntry>
  readonly runs: ReadonlyArray<RecentRun>
  /** The runs under way in this process, one of an account at most. */
  readonly running: ReadonlyArray<Running>
  readonly next: Readonly<Record<Kind, string>>
  /** Since the process started, by account. */
  readonly droppedTicks: Readonly<Record<string, number>>
  readonly limits: Limits
}

/** A run under way, and how far its streams are. */
export interface Running {
  readonly account: string
  readonly kind: Kind
  readonly since: string
  readonly streams: ReadonlyArray<StreamProgress>
}

/** A stream that is to be synced; `status` is null before its first run. */
export interface StreamEntry {
  readonly account: string
  readonly stream: string
  readonly status: StreamStatus | null
  /** Seconds since the latest complete run ended. */
  readonly ageSeconds: number | null
  readonly problem: Problem | null
}
