import { Effect, Metric, MetricBoundaries, MetricLabel } from "effect"
import { VERSION } from "../core/version.ts"

/** Every metric there is, with its labels. Counters count since the process started. */

export const PREFIX = "paycombat_sync_"

const counter = (name: string, description: string) =>
  Metric.counter(`${PREFIX}${name}`, { description, incremental: true })
const gauge = (name: string, description: string) => Metric.gauge(`${PREFIX}${name}`, { description })

/** Seconds: from an incremental run of a small account to a first pass over millions of records. */
const RUN_SECONDS = [1, 5, 15, 60, 300, 900, 3_600, 14_400, 43_200]

export const runs = counter("runs_total", "Runs that ended, by status.")
export const runSeconds = Metric.histogram(
  `${PREFIX}run_duration_seconds`,
  MetricBoundaries.fromIterable(RUN_SECONDS),
  "How long runs took.",
)
export const streamRuns = counter("stream_runs_total", "Stream runs that ended, by mode and status.")
export const rows = counter("rows_total", "Records read, by what became of them; counted as they are stored.")
export const removed = counter("removed_total", "Records booked as removed.")
export const requests = counter(
  "requests_total",
  "Requests sent to the API, by HTTP status; none: there was no answer; other: HTTP knows no such status.",
)
export const retries = counter(
  "retries_total",
  "Requests that were sent again, by what came of the one before, as in requests_total.",
)
export const droppedTicks = counter(
  "dropped_ticks_total",
  "Ticks that came while a run of the account was under way, and were not made up for.",
)
export const leftOver = gauge(
  "left_over",
  "Look-ups that the latest run had no time for; they come first next time.",
)
export const unanswered = gauge("unanswered", "Look-ups of the latest run that got no answer.")
export const openRejects = gauge(
  "open_rejects",
  "Records that could not become a row, and that the list still shows.",
)
export const lag = gauge(
  "lag_seconds",
  "Time since the latest complete run ended; absent where there was none.",
)
export const leaseHeld = gauge(
  "lease_held",
  "Whether a run holds the stream's lease, this process' or another's.",
)
export const nextTick = gauge(
  "next_tick_timestamp_seconds",
  "When the next tick of a schedule is due, as Unix time.",
)
export const running = gauge("running", "Whether this process is in a run of the account.")
export const ready = gauge("ready", "Whether /readyz says so.")
export const databaseUp = gauge(
  "database_up",
  "Whether the database can be used: it answered, and is this version's.",
)
export const verdict = gauge(
  "verdict",
  "The verdict on the account's figures: 0 good, 1 attention (exceptions), 2 bad. 2 while the database cannot be used.",
)
export const problems = gauge("problems", "Streams whose figures are not to be trusted now.")
const buildInfo = gauge("build_info", "Always 1; the version is in the label.")

/** What the gauge `verdict` is at each level. */
export const LEVELS = { good: 0, attention: 1, bad: 2 } as const

/** What a gauge is set to of which nobody knows what it is now: it is told to nobody then. */
export const UNKNOWN = Number.NaN

/** A metric with values for its labels. */
export const labelled = <Type, In, Out>(
  metric: Metric.Metric<Type, In, Out>,
  labels: Readonly<Record<string, string>>,
): Metric.Metric<Type, In, Out> =>
  Metric.taggedWithLabels(
    metric,
    Object.entries(labels).map(([key, value]) => MetricLabel.make(key, value)),
  )

/** What the warehouse's and the scheduler's figures start from, so that a rate can be taken of the first event, too. */
export const begin = (accounts: ReadonlyArray<string>): Effect.Effect<void> =>
  Effect.gen(function* () {
    yield* Metric.set(labelled(buildInfo, { version: VERSION }), 1)
    for (const account of accounts)
      for (const schedule of ["incremental", "full"])
        yield* Metric.incrementBy(labelled(droppedTicks, { account, schedule }), 0)
    for (const status of ["complete", "complete_with_rejects", "failed", "interrupted"])
      yield* Metric.incrementBy(labelled(runs, { status }), 0)
  })

/** Statuses that are registered, and those that a common proxy puts in front of an API that is away. */
const STATUS = /^(10[0-3]|20[0-8]|226|30[0-8]|40\d|41[0-8]|42[1-689]|431|451|50\d|51[01]|52[0-7]|530)$/

/** Not whatever number a server may think of: a series for each would never go away. */
const statusLabel = (status: number | undefined): string => {
  if (status === undefined) return "none"
  return STATUS.test(String(status)) ? String(status) : "other"
}

/** Counts one attempt to ask the API. */
export const countRequest = (account: string, status: number | undefined): Effect.Effect<void> =>
  Metric.increment(labelled(requests, { account, status: statusLabel(status) }))

/** Counts a request that is sent again; `status` is that of the one before. */
export const countRetry = (account: string, status: number | undefined): Effect.Effect<void> =>
  Metric.increment(labelled(retries, { account, status: statusLabel(status) }))

const OUTCOMES = ["inserted", "updated", "unchanged", "stale", "rejected", "unanswered", "erased"] as const

type Outcome = (typeof OUTCOMES)[number]

type Rows = Partial<Readonly<Record<Outcome, number>>>

/** The lease under which a stream's rows are written. Counts of a run are kept by its identity. */
interface StreamLease {
  readonly account: string
  readonly stream: string
}

/** The figures of a run that ended, as the ledger has them. Times are ISO 8601. */
interface EndedRun {
  readonly status: string
  readonly startedAt: string
  readonly finishedAt: string | null
  readonly streams: ReadonlyArray<
    StreamLease &
      Readonly<Record<Outcome, number>> & {
        readonly mode: string
        readonly status: string
        readonly removed: number
      }
  >
}

/** What was counted of a stream's run while it went on; forgotten with its lease. */
const countedOf = new WeakMap<StreamLease, Rows>()

/** Counts what became of the records of a batch that was committed. */
export const countRows = (held: StreamLease, batch: Rows): Effect.Effect<void> =>
  Effect.gen(function* () {
    const before = countedOf.get(held) ?? {}
    const sum = (outcome: Outcome) => (before[outcome] ?? 0) + (batch[outcome] ?? 0)
    countedOf.set(held, Object.fromEntries(OUTCOMES.map(outcome => [outcome, sum(outcome)])))
    const labels = { account: held.account, stream: held.stream }
    for (const outcome of OUTCOMES)
      yield* Metric.incrementBy(labelled(rows, { ...labels, outcome }), batch[outcome] ?? 0)
  }).pipe(Effect.uninterruptible)

/**
 * Counts what a run that ended came to, and of its records what was not counted as they were stored: where a commit was
 * not heard of, or the run told to stop right after it, only the ledger knows of them.
 */
export const countRun = (summary: EndedRun, leases: ReadonlyArray<StreamLease>): Effect.Effect<void> =>
  Effect.gen(function* () {
    yield* Metric.increment(labelled(runs, { status: summary.status }))
    if (summary.finishedAt !== null)
      yield* Metric.update(
        runSeconds,
        (new Date(summary.finishedAt).getTime() - new Date(summary.startedAt).getTime()) / 1000,
      )
    for (const stream of summary.streams) {
      const labels = { account: stream.account, stream: stream.stream }
      yield* Metric.increment(labelled(streamRuns, { ...labels, mode: stream.mode, status: stream.status }))
      const lease = leases.find(held => held.account === stream.account && held.stream === stream.stream)
      const counted = lease === undefined ? {} : (countedOf.get(lease) ?? {})
      for (const outcome of OUTCOMES)
        yield* Metric.incrementBy(
          labelled(rows, { ...labels, outcome }),
          Math.max(0, stream[outcome] - (counted[outcome] ?? 0)),
        )
      yield* Metric.incrementBy(labelled(removed, labels), stream.removed)
    }
  })
